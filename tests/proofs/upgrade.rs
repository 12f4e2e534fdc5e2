//! A run that an earlier release left in its middle goes on under this one.
use std::path::Path;

use trendmill::dag::RunState;

use crate::{effects, home::Home};

#[test]
fn a_run_killed_under_every_earlier_release_goes_on() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/unfinished");
    let mut count = 0;
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "zip") {
            count += 1;
            goes_on(&path);
        }
    }
    assert!(count > 0);
}

fn goes_on(packed: &Path) {
    let home = Home::empty();
    zip::ZipArchive::new(fs_err::File::open(packed).unwrap())
        .unwrap()
        .extract(home.path())
        .unwrap();
    let source = ["--source", "sandbox:posts=3", "--date", "2026-01-17"];
    let run = home.json(&[&["run", "plain"], &source[..]].concat());
    assert_eq!(run["state"], "succeeded");
    assert_eq!(run["model"]["version"], 1);
    effects::is_sound(&home);

    let runs = effects::runs(home.path());
    assert_eq!(runs.len(), 1, "the run is the same one");
    assert_eq!(runs[0].0.state, RunState::Succeeded);
    let attempts: Vec<String> = runs[0]
        .1
        .iter()
        .map(|row| format!("{}.{} {}", row.task_id, row.number, row.state))
        .collect();
    assert_eq!(
        attempts,
        [
            // Done by the release before: not done again.
            "scrape.1 succeeded",
            "refresh.1 succeeded",
            "filter.1 succeeded",
            "pause.1 failed",
            "pause.2 crashed",
            "pause.3 succeeded",
            "merge.1 succeeded",
            "train.1 succeeded",
            "evaluate.1 succeeded",
            "persist.1 succeeded",
        ]
    );
    let paused = fs_err::read_to_string(home.path().join("paused")).unwrap();
    assert_eq!(
        paused.split_whitespace().collect::<Vec<_>>(),
        ["1", "2", "3"]
    );
}
