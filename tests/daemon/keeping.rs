//! What the daemon tells people, and settings that change while it runs.

use std::path::Path;

use crate::kit::Home;

const MOODY: &str = r#"
name = "moody"

[[task]]
id = "only"
op = "shell"
argv = ["sh", "-c", "test -e HOME/well"]
"#;

/// Settings that write what is told into this file.
fn settings(told: &Path) -> String {
    let told = told.display();
    format!(
        "[notify]\ninterval = \"0s\"\non = [\"run_failed\", \"run_recovered\"]\n\
         command = [\"sh\", \"-c\", \"cat >> {told}.part; mv {told}.part {told}\"]\n"
    )
}

fn until_told(told: &Path) -> String {
    loop {
        if let Ok(text) = fs_err::read_to_string(told) {
            return text;
        }
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn failures_are_told_once_and_settings_are_read_again() {
    let home = Home::new();
    let path = home.path().to_str().unwrap();
    fs_err::write(
        home.path().join("pipelines/moody.toml"),
        MOODY.replace("HOME", path),
    )
    .unwrap();
    let (first, second) = (home.path().join("first"), home.path().join("second"));
    let file = home.path().join("trendmill.toml");
    fs_err::write(&file, settings(&first)).unwrap();
    let daemon = home.up();
    for _ in 0..3 {
        let run = daemon.trigger("moody").await;
        assert_eq!(daemon.ended(&run).await["state"], "failed");
    }
    let told = until_told(&first);
    assert_eq!(told.matches("\"kind\":\"run_failed\"").count(), 1, "{told}");
    let standing = async || daemon.get("/api/v1/notices?state=open").await.1["notices"].clone();
    assert_eq!(standing().await[0]["cause"], "run_failed:moody");
    while standing().await[0]["times"] != 3 {
        tokio::task::yield_now().await;
    }

    // Settings that are wrong change nothing, and the daemon lives on.
    fs_err::write(&file, "[notify]\ncommand = 7\n").unwrap();
    daemon.signal("HUP");
    assert_eq!(daemon.get("/readyz").await.0, 200);
    fs_err::write(&file, settings(&second)).unwrap();
    daemon.signal("HUP");
    fs_err::write(home.path().join("well"), "").unwrap();
    let run = daemon.trigger("moody").await;
    assert_eq!(daemon.ended(&run).await["state"], "succeeded");
    let told = until_told(&second);
    assert!(told.contains("moody works again"), "{told}");
    assert_eq!(standing().await, serde_json::json!([]));
    let (_, all) = daemon.get("/api/v1/notices?limit=1").await;
    assert_eq!(all["notices"][0]["kind"], "run_recovered");
    let path = format!("/api/v1/notices?before={}", all["next"]);
    assert_eq!(daemon.get(&path).await.1["notices"][0]["state"], "closed");
    let listed = home.run(&["--json", "notices", "list"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed, daemon.get("/api/v1/notices").await.1["notices"]);
}
