//! What others log through MLflow's endpoints.

use serde_json::{Value, json};

use crate::kit::{Daemon, Home, client};

async fn ask(daemon: &Daemon, path: &str, body: Value) -> (u16, Value) {
    daemon.post(&format!("/api/2.0/mlflow/{path}"), body).await
}

/// Asks for what must be done.
async fn done(daemon: &Daemon, path: &str, body: Value) -> Value {
    let (status, answer) = ask(daemon, path, body.clone()).await;
    assert_eq!(status, 200, "{path} of {body}: {answer}");
    answer
}

/// Asks for what must be refused, and gives the status and the code.
async fn refused(daemon: &Daemon, path: &str, body: Value) -> (u16, String) {
    let (status, answer) = ask(daemon, path, body).await;
    (status, answer["error_code"].as_str().unwrap().to_owned())
}

async fn run(daemon: &Daemon, id: &str) -> Value {
    let (status, answer) = daemon
        .get(&format!("/api/2.0/mlflow/runs/get?run_id={id}"))
        .await;
    assert_eq!(status, 200, "{answer}");
    answer["run"].clone()
}

/// An experiment with a run in it.
async fn begun(daemon: &Daemon) -> String {
    let made = done(daemon, "experiments/create", json!({ "name": "daily" })).await;
    assert_eq!(made, json!({ "experiment_id": "1" }));
    let new = json!({
        "experiment_id": "1", "user_id": "me", "run_name": "dag-1", "start_time": 1_795_287_713_900_i64,
        "tags": [{ "key": "kind", "value": "nightly" }],
    });
    let run = done(daemon, "runs/create", new).await["run"].clone();
    assert_eq!(run["info"]["status"], "RUNNING");
    run["info"]["run_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_logged_is_there_after_a_restart() {
    let home = Home::new();
    let daemon = home.up();
    let id = begun(&daemon).await;
    let batch = json!({
        "run_id": id,
        "metrics": [
            { "key": "loss", "value": 0.5, "timestamp": 1, "step": 0 },
            { "key": "loss", "value": "NaN", "timestamp": 3, "step": 2 },
            { "key": "loss", "value": 0.25, "timestamp": 2, "step": 1 },
        ],
        "params": [{ "key": "lr", "value": "0.1" }],
    });
    done(&daemon, "runs/log-batch", batch.clone()).await;
    // Said twice, it is there once.
    done(&daemon, "runs/log-batch", batch).await;
    done(
        &daemon,
        "runs/set-tag",
        json!({ "run_id": id, "key": "mlflow.runName", "value": "renamed" }),
    )
    .await;
    let end = json!({ "run_id": id, "status": "FINISHED", "end_time": 1_795_287_800_000_i64 });
    done(&daemon, "runs/update", end).await;
    drop(daemon);

    let daemon = home.up();
    let run = run(&daemon, &id).await;
    assert_eq!(run["info"]["run_name"], "renamed");
    assert_eq!(run["info"]["status"], "FINISHED");
    assert_eq!(run["info"]["end_time"], 1_795_287_800_000_i64);
    let last = json!([{ "key": "loss", "value": "NaN", "timestamp": 3, "step": 2 }]);
    assert_eq!(run["data"]["metrics"], last);
    assert_eq!(
        run["data"]["params"],
        json!([{ "key": "lr", "value": "0.1" }])
    );
    let (_, history) = daemon
        .get(&format!(
            "/api/2.0/mlflow/metrics/get-history?run_id={id}&metric_key=loss&max_results=2"
        ))
        .await;
    let values: Vec<_> = history["metrics"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&values[0]["value"], &values[1]["value"]),
        (&json!(0.5), &json!(0.25))
    );
    assert_eq!(history["next_page_token"], "2");
}

#[tokio::test]
async fn what_is_against_the_rules_is_refused_and_changes_nothing() {
    let home = Home::new();
    let daemon = home.up();
    let id = begun(&daemon).await;
    let lr = |value: &str| json!({ "run_id": id, "key": "lr", "value": value });
    done(&daemon, "runs/log-parameter", lr("0.1")).await;
    done(&daemon, "runs/log-parameter", lr("0.1")).await;
    let invalid = (400, "INVALID_PARAMETER_VALUE".to_owned());
    let unknown = (404, "RESOURCE_DOES_NOT_EXIST".to_owned());
    assert_eq!(
        refused(&daemon, "runs/log-parameter", lr("0.2")).await,
        invalid
    );
    // A batch is logged whole or not at all.
    let batch = json!({
        "run_id": id,
        "metrics": [{ "key": "m", "value": 1, "timestamp": 1 }],
        "params": [{ "key": "lr", "value": "0.3" }],
        "tags": [{ "key": "t", "value": "1" }],
    });
    assert_eq!(refused(&daemon, "runs/log-batch", batch).await, invalid);
    let many: Vec<_> = (0..1001)
        .map(|step| json!({ "key": "m", "value": 1, "timestamp": 1, "step": step }))
        .collect();
    let many = json!({ "run_id": id, "metrics": many });
    assert_eq!(refused(&daemon, "runs/log-batch", many).await, invalid);
    for (path, body) in [
        (
            "runs/log-metric",
            json!({ "run_id": id, "key": "/m", "value": 1, "timestamp": 1 }),
        ),
        (
            "runs/log-metric",
            json!({ "run_id": id, "key": "m", "value": "x", "timestamp": 1 }),
        ),
        ("runs/update", json!({ "run_id": id, "status": "DONE" })),
        (
            "runs/search",
            json!({ "experiment_ids": ["1"], "filter": "metrix.a = 1" }),
        ),
        (
            "runs/search",
            json!({ "experiment_ids": ["1"], "max_results": 0 }),
        ),
    ] {
        assert_eq!(refused(&daemon, path, body).await, invalid, "{path}");
    }
    let gone = json!({ "run_id": "none", "key": "lr", "value": "1" });
    for path in [
        "runs/log-parameter",
        "runs/set-tag",
        "runs/delete",
        "runs/delete-tag",
    ] {
        assert_eq!(
            refused(&daemon, path, gone.clone()).await,
            unknown,
            "{path}"
        );
    }
    let tag = json!({ "run_id": id, "key": "none" });
    assert_eq!(refused(&daemon, "runs/delete-tag", tag).await, unknown);
    let again = refused(&daemon, "experiments/create", json!({ "name": "daily" })).await;
    assert_eq!(again, (400, "RESOURCE_ALREADY_EXISTS".to_owned()));

    done(&daemon, "runs/delete", json!({ "run_id": id })).await;
    assert_eq!(
        refused(&daemon, "runs/log-parameter", lr("0.1")).await,
        invalid
    );
    let search = json!({ "experiment_ids": ["1"] });
    assert_eq!(done(&daemon, "runs/search", search).await, json!({}));
    done(&daemon, "runs/restore", json!({ "run_id": id })).await;
    let data = json!({
        "params": [{ "key": "lr", "value": "0.1" }],
        "tags": [{ "key": "kind", "value": "nightly" }, { "key": "mlflow.runName", "value": "dag-1" }],
    });
    assert_eq!(run(&daemon, &id).await["data"], data);

    let (status, told) = ask(&daemon, "model-versions/create", json!({ "name": "m" })).await;
    assert_eq!(status, 403);
    assert!(
        told["message"]
            .as_str()
            .unwrap()
            .contains("trendmill run PIPELINE")
    );
}

#[tokio::test]
async fn experiments_are_renamed_deleted_and_restored_with_their_runs() {
    let home = Home::new();
    let daemon = home.up();
    let id = begun(&daemon).await;
    let rename = json!({ "experiment_id": "1", "new_name": "weekly" });
    done(&daemon, "experiments/update", rename.clone()).await;
    let one = json!({ "experiment_id": "1" });
    done(&daemon, "experiments/delete", one.clone()).await;
    assert_eq!(
        run(&daemon, &id).await["info"]["lifecycle_stage"],
        "deleted"
    );
    let names = async |view: &str| {
        let found = done(&daemon, "experiments/search", json!({ "view_type": view })).await;
        let found = found["experiments"].as_array().cloned().unwrap_or_default();
        found
            .iter()
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("ACTIVE_ONLY").await, ["Default"]);
    assert_eq!(names("DELETED_ONLY").await, ["weekly"]);
    assert_eq!(names("ALL").await, ["weekly", "Default"]);
    for (path, body) in [
        ("experiments/delete", one.clone()),
        ("experiments/update", rename),
        ("runs/create", json!({ "experiment_id": "1" })),
        ("runs/create", json!({ "experiment_id": "9" })),
    ] {
        let (status, _) = refused(&daemon, path, body).await;
        assert!(matches!(status, 400 | 404), "{path}: {status}");
    }
    done(&daemon, "experiments/restore", one).await;
    assert_eq!(run(&daemon, &id).await["info"]["lifecycle_stage"], "active");
}

/// What writes asks for the same token as the rest of the API.
/// Sends, reads or deletes a file; the status and what was answered.
async fn file(daemon: &Daemon, method: &str, path: &str, sent: Vec<u8>) -> (u16, Vec<u8>) {
    let url = format!("{}/api/2.0/mlflow-artifacts/artifacts/{path}", daemon.url);
    let asked = client().request(method.parse().unwrap(), url).body(sent);
    let answer = asked.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn files_of_a_run_are_kept_replaced_and_deleted() {
    let home = Home::new();
    let daemon = home.up();
    let id = begun(&daemon).await;
    let below = format!("1/{id}/artifacts");
    let put = async |path: &str, sent: &[u8]| {
        file(&daemon, "PUT", &format!("{below}/{path}"), sent.to_vec()).await
    };
    let code = |answer: (u16, Vec<u8>)| {
        let said: Value = serde_json::from_slice(&answer.1).unwrap();
        (answer.0, said["error_code"].as_str().unwrap().to_owned())
    };
    // More than a body of JSON may be long.
    let large: Vec<u8> = (0..5_000_000_u32).map(|at| (at % 251) as u8).collect();
    assert_eq!(put("plots/large.bin", &large).await, (200, b"{}".to_vec()));
    assert_eq!(put("note.txt", b"first").await.0, 200);
    assert_eq!(put("note.txt", b"second").await.0, 200);
    let list = async |daemon: &Daemon, path: &str| {
        let url = format!("/api/2.0/mlflow/artifacts/list?run_id={id}&path={path}");
        daemon.get(&url).await.1["files"].clone()
    };
    let all = json!([
        { "path": "note.txt", "is_dir": false, "file_size": 6 },
        { "path": "plots", "is_dir": true },
    ]);
    assert_eq!(list(&daemon, "").await, all);

    let invalid = (400, "INVALID_PARAMETER_VALUE".to_owned());
    let long = "x".repeat(300);
    for wrong in [
        "note.txt/below",
        "plots",
        "",
        "..%2f..%2fsecret",
        "a%00b",
        &long,
    ] {
        let answer = put(wrong, b"").await;
        assert_eq!(code(answer), invalid, "{wrong}");
    }
    let nowhere = file(&daemon, "PUT", &format!("0/{id}/artifacts/a"), vec![1]).await;
    assert_eq!(nowhere.0, 404);
    let no_run = file(&daemon, "PUT", "1/nobody/artifacts/a", vec![1]).await;
    assert_eq!(no_run.0, 404);

    daemon.signal("KILL");
    let _ = daemon.wait();
    let daemon = home.up();
    assert_eq!(list(&daemon, "").await, all);
    let read = file(&daemon, "GET", &format!("{below}/plots/large.bin"), vec![]).await;
    assert!(read == (200, large));

    let delete = async |path: &str| {
        file(&daemon, "DELETE", &format!("{below}/{path}"), vec![])
            .await
            .0
    };
    assert_eq!((delete("plots").await, delete("plots").await), (200, 404));
    assert_eq!(list(&daemon, "").await, json!([all[0]]));
    // Nothing waits that has come through or was refused.
    let waiting = fs_err::read_dir(home.path().join("data/logged/.incoming")).unwrap();
    assert_eq!(waiting.count(), 0);

    done(&daemon, "runs/delete", json!({ "run_id": id })).await;
    let of_deleted = file(&daemon, "PUT", &format!("{below}/a"), vec![1]).await;
    assert_eq!(code(of_deleted), invalid);
    done(&daemon, "runs/restore", json!({ "run_id": id })).await;
    let note = file(&daemon, "GET", &format!("{below}/note.txt"), vec![]).await;
    assert_eq!(note, (200, b"second".to_vec()));
}

#[tokio::test]
async fn nobody_logs_without_a_token_where_one_is_required() {
    let home = Home::new();
    let daemon = home.up_with(&[("TRENDMILL_SERVER__REQUIRE_TOKEN", "true")]);
    let created = home.run(&["tokens", "create", "logger"]);
    let token = String::from_utf8(created.stdout).unwrap().trim().to_owned();
    for path in [
        "experiments/create",
        "experiments/delete",
        "runs/create",
        "runs/update",
        "runs/delete",
        "runs/log-batch",
        "runs/log-metric",
        "runs/log-parameter",
        "runs/set-tag",
        "runs/delete-tag",
    ] {
        let (status, answer) = ask(&daemon, path, json!({ "name": "e" })).await;
        assert_eq!(
            (status, &answer["error_code"]),
            (401, &json!("UNAUTHENTICATED")),
            "{path}"
        );
    }
    let sent = file(&daemon, "PUT", "0/run/artifacts/a", vec![1]).await;
    let deleted = file(&daemon, "DELETE", "0/run/artifacts/a", vec![]).await;
    assert_eq!((sent.0, deleted.0), (401, 401));
    let url = format!("{}/api/2.0/mlflow/experiments/create", daemon.url);
    let asked = client().post(url).json(&json!({ "name": "e" }));
    let answer = asked.bearer_auth(&token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}
