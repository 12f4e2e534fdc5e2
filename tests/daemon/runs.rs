//! Runs through the API.

use serde_json::json;

use crate::kit::{Home, client};

#[tokio::test]
async fn a_run_is_triggered_shown_and_listed() {
    let home = Home::new();
    let daemon = home.up();
    let wanted = json!({ "pipeline": "chain", "params": { "word": "goodbye" } });
    let (status, answer) = daemon.post("/api/v1/runs", wanted).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer["resumed"], false);
    let run_id = answer["run_id"].as_str().unwrap();
    let run = daemon.ended(run_id).await;
    assert_eq!(run["state"], "succeeded");
    assert_eq!(run["tasks"].as_array().unwrap().len(), 3);

    let second = daemon.trigger("chain").await;
    daemon.ended(&second).await;
    let (_, page) = daemon.get("/api/v1/runs?limit=1").await;
    assert_eq!(page["runs"][0]["run_id"], second.as_str());
    assert_eq!(page["next"], second.as_str());
    let path = format!("/api/v1/runs?pipeline=chain&state=succeeded&before={second}");
    let (_, page) = daemon.get(&path).await;
    assert_eq!(page["runs"][0]["run_id"], run_id);
    assert_eq!(page["runs"][0]["params"]["word"], "goodbye");
    assert_eq!(page["next"], json!(null));

    let (_, latest) = daemon.get("/api/v1/runs/latest").await;
    assert_eq!(latest["run_id"], second.as_str());
    let listed = home.run(&["--json", "runs", "list"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let (_, page) = daemon.get("/api/v1/runs").await;
    assert_eq!(listed, page["runs"], "the command line says the same");
}

#[tokio::test]
async fn a_run_is_cancelled() {
    let home = Home::new();
    let daemon = home.up();
    let run_id = daemon.trigger("gate").await;
    home.until_waiting();
    let (status, answer) = daemon
        .post(&format!("/api/v1/runs/{run_id}/cancel"), json!(null))
        .await;
    assert_eq!((status, &answer["state"]), (202, &json!("cancelling")));
    assert_eq!(daemon.ended(&run_id).await["state"], "cancelled");
    let (status, answer) = daemon
        .post(&format!("/api/v1/runs/{run_id}/cancel"), json!(null))
        .await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (409, &json!("run_ended"))
    );
}

#[tokio::test]
async fn every_refusal_has_the_same_shape() {
    let home = Home::new();
    let daemon = home.up();
    let mut told = Vec::new();
    for (path, body) in [
        ("/api/v1/runs", json!({ "pipeline": "chian" })),
        (
            "/api/v1/runs",
            json!({ "pipeline": "chain", "colour": "red" }),
        ),
        ("/api/v1/runs", json!({ "pipeline": "chain", "from": "z" })),
        ("/api/v1/runs", json!({ "pipeline": "chain", "from": "b" })),
        (
            "/api/v1/runs",
            json!({ "pipeline": "chain", "from": "b", "only": "c" }),
        ),
        (
            "/api/v1/runs",
            json!({ "pipeline": "chain", "params": { "wrod": 1 } }),
        ),
        ("/api/v1/runs/x/cancel", json!(null)),
        ("/healthz", json!(null)),
        ("/nowhere", json!(null)),
    ] {
        let (status, answer) = daemon.post(path, body).await;
        told.push((
            path,
            status,
            answer["error"]["code"].clone(),
            answer["error"]["hint"].clone(),
        ));
    }
    for path in [
        "/api/v1/runs?limit=0",
        "/api/v1/runs?limit=x",
        "/api/v1/runs/%ff",
    ] {
        let (status, answer) = daemon.get(path).await;
        told.push((
            path,
            status,
            answer["error"]["code"].clone(),
            answer["error"]["hint"].clone(),
        ));
    }
    for (kind, body) in [
        ("text/plain", "{}".to_owned()),
        ("application/json", "{".to_owned()),
        ("application/json", format!("\"{}\"", "x".repeat(2_000_000))),
    ] {
        let response = client()
            .post(format!("{}/api/v1/runs", daemon.url))
            .header("content-type", kind)
            .body(body)
            .send()
            .await
            .unwrap();
        let status = response.status().as_u16();
        let answer: serde_json::Value = response.json().await.unwrap();
        told.push((
            kind,
            status,
            answer["error"]["code"].clone(),
            answer["error"]["hint"].clone(),
        ));
    }
    let lines: Vec<String> = told
        .iter()
        .map(|(path, status, code, hint)| format!("{status} {code} {path} {hint}"))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    404 "unknown_pipeline" /api/v1/runs "did you mean `chain`? allowed: `chain`, `gate`"
    422 "invalid" /api/v1/runs null
    404 "unknown_task" /api/v1/runs null
    422 "no_earlier_result" /api/v1/runs null
    422 "invalid" /api/v1/runs null
    422 "invalid" /api/v1/runs "did you mean `word`? allowed: `word`"
    404 "unknown_run" /api/v1/runs/x/cancel null
    405 "method_not_allowed" /healthz "the header `allow` names what it takes"
    404 "unknown_path" /nowhere "`/api/v1/openapi.json` says what there is"
    422 "invalid" /api/v1/runs?limit=0 null
    400 "bad_request" /api/v1/runs?limit=x null
    400 "bad_request" /api/v1/runs/%ff null
    415 "not_json" text/plain null
    400 "bad_request" application/json null
    413 "too_large" application/json null
    "#);
}

#[tokio::test]
async fn the_description_names_what_there_is() {
    let home = Home::new();
    let daemon = home.up();
    let (status, description) = daemon.get("/api/v1/openapi.json").await;
    assert_eq!(status, 200);
    for path in ["/healthz", "/readyz", "/api/v1/runs", "/api/v1/runs/{run}"] {
        assert!(description["paths"][path].is_object(), "{path}");
    }
}
