//! Predictions through the API, by a process of their own.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::kit::{Daemon, Home, client};

const PLAIN: &str = r#"
name = "plain"

[[task]]
id = "scrape"
op = "scrape"
source = "dump:HOME/posts.ndjson"

[[task]]
id = "refresh"
op = "refresh"
after = ["scrape"]
horizon = "36h"
tolerance = "1h"

[[task]]
id = "filter"
op = "filter"
after = ["refresh"]
keep = "true"

[[task]]
id = "merge"
op = "merge"
after = ["filter"]
blocks = {}
numbers = ["hour", "weekday", "title_length", "title_style", "fields.karma"]
categories = ["community"]
target = "log1p(score)"

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

/// A picture of 4 × 3 pixels.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAQAAAADCAIAAAA7ljmRAAAALUlEQVR42gXBQQYAAAgEwL0kViKJ1aX//7IZAHD3zJwZmFlEdPfugmRVSbq7ByDfAi+wPst9AAAAAElFTkSuQmCC";

const PREDICT: &str = "/api/v1/models/plain/predict";

/// Lines of a dump.
fn posts(count: usize) -> String {
    let mut posts = String::new();
    for post in 0..count {
        writeln!(
            posts,
            r#"{{"id":"p{post:04}","title":"post {} {post}","subreddit":"{}","author":"a{}","created_utc":{},"score":{},"karma":{}}}"#,
            "long ".repeat(post % 9),
            if post % 3 == 0 { "art" } else { "pics" },
            post % 7,
            1_700_000_000 + post * 3600,
            (post % 9) * 40 + (post * 37) % 11,
            post % 13,
        )
        .unwrap();
    }
    posts
}

/// A home with two versions of the model `plain`.
fn home() -> Home {
    let home = Home::new();
    let pipeline = PLAIN.replace("HOME", home.path().to_str().unwrap());
    fs_err::write(home.path().join("pipelines/plain.toml"), pipeline).unwrap();
    for (date, count) in [("2026-01-01", 90), ("2026-01-02", 120)] {
        fs_err::write(home.path().join("posts.ndjson"), posts(count)).unwrap();
        let run = home.run(&["run", "plain", "--date", date]);
        assert!(
            run.status.success(),
            "{}",
            String::from_utf8_lossy(&run.stderr)
        );
    }
    home
}

fn post() -> Value {
    json!({"title": "post long long", "community": "art", "created_at": "2026-01-31T08:00:00Z"})
}

/// The number of the process that has started, as the daemon says.
fn started(daemon: &Daemon) -> String {
    let said = daemon.until_said("for predictions has started");
    let line = said.last().unwrap();
    let (_, number) = line.split_once("process ").unwrap();
    number.split(' ').next().unwrap().to_owned()
}

fn kill(signal: &str, pid: &str) {
    let status = std::process::Command::new("kill")
        .args([signal, pid])
        .status();
    assert!(status.unwrap().success());
}

fn is_there(pid: &str) -> bool {
    std::path::Path::new("/proc").join(pid).exists()
}

/// The version that answers for a model's champion.
async fn version(daemon: &Daemon) -> Value {
    let (status, answer) = daemon.post(PREDICT, json!({"records": [post()]})).await;
    assert_eq!(status, 200, "{answer}");
    answer["version"].clone()
}

#[tokio::test]
async fn what_the_command_predicts_the_api_predicts_too_and_follows_the_champion() {
    let home = home();
    let exported = home.run(&["records", "export", "--format", "jsonl"]);
    let lines = String::from_utf8(exported.stdout).unwrap();
    let mut file = String::new();
    for line in lines.lines().take(70) {
        writeln!(file, "{line}").unwrap();
    }
    fs_err::write(home.path().join("some.jsonl"), &file).unwrap();
    let output = home.run(&["predict", "plain", "--input", "some.jsonl"]);
    let expected: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(expected.len(), 70);

    let daemon = home.up();
    let records: Vec<Value> = file
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            let number: usize = row["id"].as_str().unwrap()[1..].parse().unwrap();
            json!({"id": row["id"], "title": row["title"], "community": row["community"],
                "author": row["author"], "created_at": row["created_at"],
                "fields": {"karma": number % 13}})
        })
        .collect();
    let (status, answer) = daemon.post(PREDICT, json!({"records": records})).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (
            &answer["model"],
            answer["predictions"].as_array().unwrap().len()
        ),
        (&json!("plain"), 70)
    );
    assert_eq!(answer["predictions"], Value::from(expected));

    // What each input adds makes up the prediction.
    let body = json!({"records": records, "explain": true});
    let (status, told) = daemon.post(PREDICT, body).await;
    assert_eq!(status, 200, "{told}");
    for row in told["predictions"].as_array().unwrap() {
        let parts = &row["contributions"];
        let number = |value: &Value| value.as_f64().unwrap();
        let inputs = parts["inputs"].as_object().unwrap();
        let sum: f64 = inputs.values().map(number).sum();
        let whole = number(&parts["base"]) + sum + number(&parts["joint"]);
        assert!((whole - number(&row["prediction"])).abs() < 1e-9, "{row}");
        assert!(
            inputs.contains_key("numbers") && inputs.contains_key("community"),
            "{row}"
        );
    }
    let (status, refused) = daemon
        .post(PREDICT, json!({"records": [post()], "nearest": 2}))
        .await;
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(
        status == 422 && message.contains("no vectors of titles"),
        "{refused}"
    );
    let tables = home.run(&["predict", "plain", "--text", "post long", "--explain"]);
    let tables = String::from_utf8(tables.stdout).unwrap();
    assert!(
        tables.contains("all as on average") && tables.contains("numbers"),
        "{tables}"
    );

    // A process that has loaded one version predicts with another once that is the champion.
    let other = if answer["version"] == 1 { 2 } else { 1 };
    let path = format!("/api/v1/models/plain:{other}/promote");
    let (status, moved) = daemon.post(&path, json!({})).await;
    assert_eq!(status, 200, "{moved}");
    assert_eq!(version(&daemon).await, other);
    let named = format!("/api/v1/models/plain:{}/predict", answer["version"]);
    let (_, again) = daemon.post(&named, json!({"records": records})).await;
    assert_eq!(again, answer);
}

#[tokio::test]
async fn a_process_that_dies_is_told_and_started_again_and_harms_no_run() {
    let home = home();
    let daemon = home.up_with(&[("TRENDMILL_LOG__LEVEL", "debug")]);
    let run = daemon.trigger("gate").await;
    home.until_waiting();
    let champion = version(&daemon).await;
    let first = started(&daemon);
    daemon.until_said("asks for 1 predictions");

    // It dies while it has a question.
    kill("-STOP", &first);
    let asking = client()
        .post(format!("{}{PREDICT}", daemon.url))
        .json(&json!({"records": [post()]}))
        .send();
    let asking = tokio::spawn(asking);
    let daemon = tokio::task::spawn_blocking(move || {
        daemon.until_said("asks for 1 predictions");
        daemon
    })
    .await
    .unwrap();
    kill("-KILL", &first);
    let answer = asking.await.unwrap().unwrap();
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.headers()["retry-after"].to_str().unwrap()
        ),
        (503, "1")
    );
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"]["code"], "predictor_lost", "{body}");
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .contains("SIGKILL"),
        "{body}"
    );

    // The next question starts another; one that dies between questions is not noticed by callers.
    assert_eq!(version(&daemon).await, champion);
    let second = started(&daemon);
    assert_ne!(second, first);
    kill("-KILL", &second);
    daemon.until_said("the process that predicts has ended");
    assert_eq!(version(&daemon).await, champion);

    home.open();
    assert_eq!(daemon.ended(&run).await["state"], "succeeded");

    // It goes with the daemon, however that goes.
    let last = started(&daemon);
    assert!(is_there(&last));
    drop(daemon);
    while is_there(&last) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_process_that_nobody_asks_leaves() {
    let home = home();
    let daemon = home.up_with(&[("TRENDMILL_PREDICT__IDLE", "100ms")]);
    let champion = version(&daemon).await;
    let first = started(&daemon);
    daemon.until_said("nobody asks for predictions");
    while is_there(&first) {
        tokio::task::yield_now().await;
    }
    assert_eq!(version(&daemon).await, champion);
    assert_ne!(started(&daemon), first);
}

#[tokio::test]
async fn what_cannot_be_right_is_refused_with_its_place() {
    let home = home();
    let daemon = home.up();
    for (body, words) in [
        (json!({"records": []}), "`records` has 0 records"),
        (
            json!({"records": vec![json!({}); 1001]}),
            "`records` has 1001 records",
        ),
        (
            json!({"records": [{"tittle": "a"}]}),
            "records[0].tittle: unknown field `tittle`",
        ),
        (
            json!({"records": [{}, {"title": 3}]}),
            "records[1].title: invalid type",
        ),
        (
            json!({"records": [{"created_at": "soon"}]}),
            "`soon` is not a time",
        ),
        (json!({"records": [{}], "nearest": 51}), "`nearest` is 51"),
        (
            json!({"records": [{"images": [{"file": "/etc/passwd"}]}]}),
            "unknown variant `file`",
        ),
        (
            json!({"records": [{"images": [{"url": "file:///etc/passwd"}]}]}),
            "`records[0].images[0].url`",
        ),
        (
            json!({"records": [{"images": [{"base64": "?"}]}]}),
            "`records[0].images[0].base64` is no base64",
        ),
        (
            json!({"records": [{"images": [{"base64": "aGVsbG8="}]}]}),
            "is no image that can be read: not_image",
        ),
        (
            json!({"records": [{"images": [{"sha256": "0".repeat(64)}]}]}),
            "names no image of this home",
        ),
        (
            json!({"records": [{"images": [{"sha256": "../x"}]}]}),
            "is no hash",
        ),
    ] {
        let (status, answer) = daemon.post(PREDICT, body).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(
            status == 422 && message.contains(words),
            "{status}: {answer}"
        );
    }
    for (model, expected) in [
        ("nobody", 404),
        ("plain:9", 404),
        ("plain@x", 404),
        ("plain:x", 422),
    ] {
        let path = format!("/api/v1/models/{model}/predict");
        let (status, answer) = daemon.post(&path, json!({"records": [post()]})).await;
        assert_eq!(status, expected, "{answer}");
    }
    // The same names lead to a version's page.
    let url = format!("{}/api/v1/models/plain/report", daemon.url);
    let page = client().get(url).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("<h1>plain, version "), "{page}");
    // An image that is there counts, one in a private network is not asked for.
    let images = json!([{"base64": PNG}, {"url": "http://127.0.0.1:1/private.jpg"}]);
    let (status, answer) = daemon
        .post(PREDICT, json!({"records": [{"images": images}]}))
        .await;
    assert_eq!(
        (status, &answer["predictions"][0]["missing_images"]),
        (200, &json!(1)),
        "{answer}"
    );

    // What training has not met is predicted all the same.
    let odd = json!([{}, {"community": "never seen", "fields": {"karma": "NaN", "other": [1]}},
        {"id": "x", "fields": {"karma": 1e300}}]);
    let (status, answer) = daemon.post(PREDICT, json!({"records": odd})).await;
    assert_eq!(status, 200, "{answer}");
    let rows = answer["predictions"].as_array().unwrap();
    let ids: Vec<&Value> = rows.iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, ["1", "2", "x"]);
    for row in rows {
        let [low, value, high] =
            ["low", "prediction", "high"].map(|name| row[name].as_f64().unwrap());
        assert!(low <= value && value <= high, "{row}");
    }
}

#[tokio::test]
async fn weights_that_are_cut_off_are_told_and_the_champion_goes_on() {
    let home = home();
    let daemon = home.up();
    let champion = version(&daemon).await;
    let other = if champion == 1 { 2 } else { 1 };
    let weights = home
        .path()
        .join(format!("model_registry/plain/{other}/model.safetensors"));
    let bytes = fs_err::read(&weights).unwrap();
    fs_err::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    let path = format!("/api/v1/models/plain:{other}/predict");
    let (status, answer) = daemon.post(&path, json!({"records": [post()]})).await;
    assert_eq!(status, 500, "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("model.safetensors"), "{message}");
    assert_eq!(version(&daemon).await, champion);
}
