//! A full disk is told wherever one asks, and left when there is room.

use serde_json::Value;

use crate::kit::{Daemon, Home, client};

async fn gauge(daemon: &Daemon) -> String {
    let url = format!("{}/metrics", daemon.url);
    let text = client()
        .get(url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("trendmill_disk_full "));
    line.unwrap().to_owned()
}

#[tokio::test]
async fn a_full_disk_is_told_everywhere_and_left_when_there_is_room() {
    let home = Home::new();
    let file = home.path().join("trendmill.toml");
    fs_err::write(&file, "[engine]\ndisk_reserve = \"1000000TB\"\n").unwrap();
    let daemon = home.up();
    let run_id = daemon.trigger("chain").await;

    let (status, answer) = daemon.get("/readyz").await;
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (503, Some("disk_full"))
    );
    assert_eq!(daemon.get("/healthz").await.0, 200);
    let (_, about) = daemon.get("/api/v1/daemon").await;
    assert_eq!(about["disk"]["full"], true, "{about}");
    assert_eq!(gauge(&daemon).await, "1");
    let explained = home.run(&["runs", "explain", &run_id, "a"]);
    let said = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(
        said.starts_with("`a` waits: the disk is full, ") && said.contains(" MB it needs"),
        "{said}"
    );
    let doctor = home.run(&["--json", "doctor"]);
    assert_eq!(doctor.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    for name in ["daemon", "disk"] {
        let mut checks = found["checks"].as_array().unwrap().iter();
        let check = checks.find(|check| check["name"] == name).unwrap();
        assert_eq!(check["standing"], "fault", "{check}");
        assert!(
            check["message"]
                .as_str()
                .unwrap()
                .contains("the disk is full")
        );
    }

    fs_err::write(&file, "").unwrap();
    assert_eq!(daemon.ended(&run_id).await["state"], "succeeded");
    assert_eq!(daemon.get("/readyz").await.0, 200);
    assert_eq!(gauge(&daemon).await, "0");
    let (_, about) = daemon.get("/api/v1/daemon").await;
    assert_eq!(about["disk"]["full"], false, "{about}");
}
