//! Who may ask.

use reqwest::RequestBuilder;
use serde_json::Value;

use crate::kit::{Daemon, Home, client};

async fn asked(
    daemon: &Daemon,
    change: impl FnOnce(RequestBuilder) -> RequestBuilder,
) -> (u16, Value) {
    let request = client().get(format!("{}/api/v1/runs", daemon.url));
    let response = change(request).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn tokens_are_asked_for_where_they_are_required() {
    let home = Home::new();
    let daemon = home.up_with(&[("TRENDMILL_SERVER__REQUIRE_TOKEN", "true")]);
    assert_eq!(
        asked(&daemon, |request| request).await.0,
        401,
        "that there is no token yet opens nothing"
    );

    let created = home.run(&["tokens", "create", "laptop"]);
    let token = String::from_utf8(created.stdout).unwrap().trim().to_owned();
    let (status, answer) = asked(&daemon, |request| request).await;
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (401, Some("unauthorized"))
    );
    assert_eq!(
        asked(&daemon, |request| request.bearer_auth(&token))
            .await
            .0,
        200
    );
    assert_eq!(
        asked(&daemon, |request| request.bearer_auth("tm_wrong"))
            .await
            .0,
        401
    );
    assert_eq!(daemon.get("/healthz").await.0, 200);

    // Commands of the same user prove themselves by the daemon's file.
    let run = home.run(&["run", "chain"]);
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );

    assert_eq!(
        home.run(&["tokens", "create", "laptop"]).status.code(),
        Some(2)
    );
    let listed = home.run(&["--json", "tokens", "list"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(
        (&listed[0]["name"], &listed[0]["revoked_at"]),
        (&"laptop".into(), &Value::Null)
    );
    assert!(home.run(&["tokens", "revoke", "laptop"]).status.success());
    assert_eq!(
        asked(&daemon, |request| request.bearer_auth(&token))
            .await
            .0,
        401
    );
}

#[tokio::test]
async fn pages_of_others_are_refused() {
    let home = Home::new();
    let daemon = home.up();
    let foreign = |name: &'static str, value: &'static str| {
        asked(&daemon, move |request| request.header(name, value))
    };
    let (status, answer) = foreign("host", "rebound.example").await;
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (403, Some("foreign_host"))
    );
    let (status, answer) = foreign("origin", "https://elsewhere.example").await;
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (403, Some("foreign_origin"))
    );
    assert_eq!(foreign("host", "localhost:7878").await.0, 200);
    let origin = daemon.url.clone();
    assert_eq!(
        asked(&daemon, |request| request.header("origin", origin))
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn an_open_address_needs_a_token() {
    let home = Home::new();
    let refused = home.run(&["up", "--listen", "0.0.0.0:0"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("trendmill tokens create"), "{said}");

    let created = home.run(&["tokens", "create", "laptop"]);
    let token = String::from_utf8(created.stdout).unwrap().trim().to_owned();
    let daemon = home.up_at("0.0.0.0:0", &[]);
    // Also for callers of this machine: who can reach the address cannot be told.
    assert_eq!(asked(&daemon, |request| request).await.0, 401);
    let known = asked(&daemon, |request| request.bearer_auth(&token)).await;
    assert_eq!(known.0, 200);
    let run = home.run(&["run", "chain"]);
    assert!(run.status.success(), "{run:?}");
    home.run(&["tokens", "revoke", "laptop"]);
    let revoked = asked(&daemon, |request| request.bearer_auth(&token)).await;
    assert_eq!(revoked.0, 401);
}

#[test]
fn no_file_of_the_home_holds_a_token() {
    let home = Home::new();
    let created = home.run(&["tokens", "create", "laptop"]);
    let token = String::from_utf8(created.stdout).unwrap().trim().to_owned();
    let secret = token.split_once('_').unwrap().1;
    let mut open = vec![home.path().to_owned()];
    let mut read = 0;
    while let Some(folder) = open.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let bytes = fs_err::read(&path).unwrap();
            let held = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!held, "{}", path.display());
            read += bytes.len();
        }
    }
    assert!(read > 0, "there is a database");
}
