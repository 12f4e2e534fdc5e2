//! A daemon that still takes up what was left.

use serde_json::{Value, json};

use super::*;
use crate::app::daemon_client;

#[tokio::test]
async fn answers_before_it_is_ready_and_lets_what_writes_wait() {
    let home = tempfile::tempdir().unwrap();
    let pipelines = home.path().join("pipelines");
    fs_err::create_dir(&pipelines).unwrap();
    let one = "name = \"one\"\n[[task]]\nid = \"a\"\nop = \"noop\"\n";
    fs_err::write(pipelines.join("one.toml"), one).unwrap();
    let settings = Settings::from_layers("", []).unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let daemon = Daemon::start(home.path(), settings, any).await.unwrap();
    let url = url_of(daemon.address);
    let host = Arc::clone(&daemon.face) as Arc<dyn Host>;
    tokio::spawn(server::serve(host, daemon.listener, std::future::pending()));

    let client = daemon_client().unwrap();
    let wanted = json!({ "pipeline": "one" });
    let runs = client.post(format!("{url}/api/v1/runs")).json(&wanted);
    let run = tokio::spawn(runs.send());
    let get = async |path: &str| client.get(format!("{url}{path}")).send().await.unwrap();
    for (path, status) in [("/healthz", 200), ("/readyz", 503), ("/api/v1/runs", 200)] {
        assert_eq!(get(path).await.status(), status, "{path}");
    }
    let said: Value = get("/api/v1/daemon").await.json().await.unwrap();
    assert_eq!(said["phase"], "starting");
    assert!(!run.is_finished());

    take_up(&daemon.face).await.unwrap();
    daemon.phase.send_replace(Phase::Ready);
    assert_eq!(run.await.unwrap().unwrap().status(), 201);
    assert_eq!(get("/readyz").await.status(), 200);
}
