//! A home with small pipelines, and the daemon running in it.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, channel},
};

use serde_json::Value;
use tempfile::TempDir;

/// A home with the pipelines `chain` (three tasks that do nothing) and `gate` (one task that ends
/// when the file `open` lies in the home).
pub(crate) struct Home {
    folder: TempDir,
}

const CHAIN: &str = r#"
name = "chain"

[params]
word = "hello"

[[task]]
id = "a"
op = "noop"

[[task]]
id = "b"
op = "shell"
after = ["a"]
argv = ["echo", "{{ params.word }}"]

[[task]]
id = "c"
op = "noop"
after = ["b"]
"#;

const GATE: &str = r#"
name = "gate"

[[task]]
id = "wait"
op = "shell"
argv = ["sh", "-c", "touch HOME/waiting; while ! test -e HOME/open; do sleep 0.05; done; echo through"]

[[task]]
id = "after"
op = "noop"
after = ["wait"]
"#;

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pipelines = folder.path().join("pipelines");
        fs_err::create_dir(&pipelines).unwrap();
        let home = folder.path().to_str().unwrap();
        fs_err::write(pipelines.join("chain.toml"), CHAIN).unwrap();
        fs_err::write(pipelines.join("gate.toml"), GATE.replace("HOME", home)).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Lets the pipeline `gate` go on.
    pub(crate) fn open(&self) {
        fs_err::write(self.path().join("open"), "").unwrap();
    }

    /// Waits until the task of `gate` runs.
    pub(crate) fn until_waiting(&self) {
        while !self.path().join("waiting").exists() {
            std::thread::yield_now();
        }
        fs_err::remove_file(self.path().join("waiting")).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trendmill"));
        command
            .arg("--home")
            .arg(self.path())
            .args(arguments)
            .current_dir(self.path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts the daemon; when this returns, it is ready.
    pub(crate) fn up(&self) -> Daemon {
        self.up_with(&[])
    }

    /// Starts the daemon with these variables in its environment.
    pub(crate) fn up_with(&self, environment: &[(&str, &str)]) -> Daemon {
        self.up_at("127.0.0.1:0", environment)
    }

    /// Starts the daemon at this address.
    pub(crate) fn up_at(&self, address: &str, environment: &[(&str, &str)]) -> Daemon {
        let mut child = self
            .command(&["up", "--listen", address])
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        let mut url = String::new();
        for line in lines.by_ref() {
            let line = line.unwrap();
            if let Some((_, address)) = line.split_once("listening at ") {
                url = address.replace("0.0.0.0", "127.0.0.1");
            }
            let ready = line.ends_with("ready");
            said.push(line);
            if ready {
                break;
            }
        }
        assert!(!url.is_empty(), "{said:#?}");
        // What it goes on to say must be read, or it would wait for a reader.
        let (tell, said) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // A test that has ended listens no more.
                let _ = tell.send(line);
            }
        });
        Daemon { child, url, said }
    }
}

/// A daemon; killed when it is dropped.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) url: String,
    said: Receiver<String>,
}

impl Daemon {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.pid().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Waits until it says something with these words; the answer is everything until then.
    pub(crate) fn until_said(&self, words: &str) -> Vec<String> {
        let mut said = Vec::new();
        while !said
            .last()
            .is_some_and(|line: &String| line.contains(words))
        {
            let line = self.said.recv();
            said.push(line.unwrap_or_else(|_| panic!("it ended without `{words}`: {said:#?}")));
        }
        said
    }

    /// Asks; the answer is its status and its JSON.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        answer(client().get(format!("{}{path}", self.url))).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        answer(client().post(format!("{}{path}", self.url)).json(&body)).await
    }

    /// Starts a run and gives its id.
    pub(crate) async fn trigger(&self, pipeline: &str) -> String {
        let body = serde_json::json!({ "pipeline": pipeline, "force": true });
        let (status, answer) = self.post("/api/v1/runs", body).await;
        assert_eq!(status, 201, "{answer}");
        answer["run_id"].as_str().unwrap().to_owned()
    }

    /// Waits until a run has ended, and gives it.
    pub(crate) async fn ended(&self, run_id: &str) -> Value {
        loop {
            let (status, run) = self.get(&format!("/api/v1/runs/{run_id}")).await;
            assert_eq!(status, 200, "{run}");
            if !matches!(run["state"].as_str(), Some("queued" | "running")) {
                return run;
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test asks its own daemon")]
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::new()
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let json = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"));
    (status, json)
}
