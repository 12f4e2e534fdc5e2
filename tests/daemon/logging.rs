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

/// Asks for a file of a run, and gives the status and the body.
async fn file(daemon: &Daemon, method: &str, path: &str, body: &str) -> (u16, String) {
    let url = format!("{}/api/2.0/mlflow-artifacts/artifacts/{path}", daemon.url);
    let asked = client().request(method.parse().unwrap(), url);
    let answer = asked.body(body.to_owned()).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn files_of_logged_runs_are_kept_replaced_and_deleted() {
    let home = Home::new();
    let daemon = home.up();
    let id = begun(&daemon).await;
    let at = |path: &str| format!("1/{id}/artifacts/{path}");
    // More than the JSON of a request may have.
    let large = "x".repeat(20_000_000);
    for (path, body) in [("a/b.txt", "old"), ("a/b.txt", "new"), ("large", &large)] {
        let (status, said) = file(&daemon, "PUT", &at(path), body).await;
        assert_eq!((status, said.as_str()), (200, "{}"), "{path}");
    }
    for (path, status, word) in [
        ("a", 400, "is a folder"),
        ("a/b.txt/c", 400, "is a file"),
        ("..%2F..%2Fstate.db", 400, "Invalid path"),
        ("a%00b", 400, "Invalid path"),
        ("", 400, "is a folder"),
        (&"n".repeat(300), 400, "longer"),
    ] {
        let (answered, said) = file(&daemon, "PUT", &at(path), "x").await;
        assert!(
            answered == status && said.contains(word),
            "{path}: {answered} {said}"
        );
    }
    for (path, status) in [
        ("1/none/artifacts/x", 404),
        (&format!("2/{id}/artifacts/x"), 404),
    ] {
        assert_eq!(file(&daemon, "PUT", path, "x").await.0, status, "{path}");
    }
    drop(daemon);

    let left = home.path().join("data/logged/.waiting/.tmpleft");
    fs_err::write(&left, "half").unwrap();
    let daemon = home.up();
    assert!(!left.exists());
    let list = format!("/api/2.0/mlflow/artifacts/list?run_id={id}");
    let files = json!([
        { "path": "a", "is_dir": true },
        { "path": "large", "is_dir": false, "file_size": 20_000_000 },
    ]);
    assert_eq!(daemon.get(&list).await.1["files"], files);
    let new = (200, "new".to_owned());
    assert_eq!(file(&daemon, "GET", &at("a/b.txt"), "").await, new);
    assert_eq!(file(&daemon, "DELETE", &at("a"), "").await.0, 200);
    assert_eq!(file(&daemon, "DELETE", &at("a"), "").await.0, 404);
    assert_eq!(file(&daemon, "GET", &at("a/b.txt"), "").await.0, 404);
    // A deleted run is as it was until it is restored.
    let one = json!({ "run_id": id });
    done(&daemon, "runs/delete", one.clone()).await;
    assert_eq!(file(&daemon, "PUT", &at("large"), "x").await.0, 400);
    assert_eq!(file(&daemon, "DELETE", &at("large"), "").await.0, 400);
    done(&daemon, "runs/restore", one).await;
    assert_eq!(file(&daemon, "GET", &at("large"), "").await.1, large);
}

#[tokio::test]
async fn no_file_is_taken_where_the_disk_is_full() {
    let home = Home::new();
    let settings = "[engine]\ndisk_reserve = \"1000000TB\"\n";
    fs_err::write(home.path().join("trendmill.toml"), settings).unwrap();
    let daemon = home.up();
    let id = begun(&daemon).await;
    let (status, said) = file(&daemon, "PUT", &format!("1/{id}/artifacts/x"), "x").await;
    assert!(
        status == 503 && said.contains("TEMPORARILY_UNAVAILABLE"),
        "{said}"
    );
    assert!(!home.path().join("data/logged").exists());
}

/// What writes asks for the same token as the rest of the API.
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
    for method in ["PUT", "DELETE"] {
        assert_eq!(file(&daemon, method, "1/x/artifacts/x", "").await.0, 401);
    }
    let url = format!("{}/api/2.0/mlflow/experiments/create", daemon.url);
    let asked = client().post(url).json(&json!({ "name": "e" }));
    let answer = asked.bearer_auth(&token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}
