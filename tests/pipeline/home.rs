//! A home of its own for each test, and the command line run in it.
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

/// A home with the repository's pipelines.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    /// A home in which nothing is.
    pub(crate) fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The home that a release left.
    pub(crate) fn unpacked(packed: &Path) -> Self {
        let home = Self::empty();
        zip::ZipArchive::new(fs_err::File::open(packed).unwrap())
            .unwrap()
            .extract(home.path())
            .unwrap();
        home
    }

    pub(crate) fn new() -> Self {
        let Self { folder } = Self::empty();
        let pipelines = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
        fs_err::create_dir(folder.path().join("pipelines")).unwrap();
        for entry in fs_err::read_dir(pipelines).unwrap() {
            let entry = entry.unwrap();
            fs_err::copy(
                entry.path(),
                folder.path().join("pipelines").join(entry.file_name()),
            )
            .unwrap();
        }
        Self { folder }
    }

    /// A home with a pipeline that takes no weights, `plain`, too.
    pub(crate) fn with_plain() -> Self {
        let home = Self::new();
        home.write("pipelines/plain.toml", PLAIN);
        home
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, text).unwrap();
        path
    }

    /// The command line in this home.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trendmill"));
        command
            .arg("--home")
            .arg(self.path())
            .args(arguments)
            .current_dir(self.path());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed and answer with one JSON document.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["--json"], arguments].concat());
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs a command that must succeed and answer with JSON lines.
    pub(crate) fn json_lines(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The task with this id in the answer of `run --json`.
pub(crate) fn task<'a>(run: &'a Value, id: &str) -> &'a Value {
    run["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|task| task["id"] == id)
        .unwrap()
}

/// A pipeline without encoders, so that a run takes no weights.
pub(crate) const PLAIN: &str = r#"
name = "plain"

[params]
source = "reddit"
horizon = "36h"
order = ""
keep = "true"
target = "log1p(score)"

[[task]]
id = "scrape"
op = "scrape"
source = "{{ params.source }}"

[[task]]
id = "refresh"
op = "refresh"
after = ["scrape"]
horizon = "{{ params.horizon }}"
tolerance = "1h"

[[task]]
id = "filter"
op = "filter"
after = ["refresh"]
keep = "{{ params.keep }}"

[[task]]
id = "fetch_images"
op = "fetch_images"
after = ["filter"]

[[task]]
id = "merge"
op = "merge"
after = ["fetch_images"]
blocks = {}
numbers = ["hour", "weekday", "title_length", "title_style"]
categories = ["community"]
target = "{{ params.target }}"
order = "{{ params.order }}"

[[task]]
id = "train"
op = "train"
after = ["merge"]

[[task]]
id = "evaluate"
op = "evaluate"
after = ["train"]

[[task]]
id = "persist"
op = "persist"
after = ["evaluate"]
"#;

/// Lines of a dump, as the API gives them.
pub(crate) fn posts(count: usize) -> String {
    let mut text = String::new();
    for post in 0..count {
        writeln!(
            text,
            r#"{{"id":"p{post:04}","title":"post {post}","subreddit":"pics","author":"a{}","created_utc":{},"score":{},"url":"https://example.invalid/{post}.jpg","over_18":false}}"#,
            post % 7,
            1_700_000_000 + post * 3600,
            (post * 37) % 211,
        )
        .unwrap();
    }
    text
}
