//! Rows from which little or nothing can be learned, and models that are damaged: a defined result or
//! a clear error, and the champion stays what it was.
use serde_json::Value;

use crate::home::{Home, stderr};

/// How each test has its rows: a home with the pipeline `plain` and a table.
fn home(
    rows: usize,
    community: impl Fn(usize) -> &'static str,
    score: impl Fn(usize) -> String,
) -> Home {
    let home = Home::empty();
    home.write("pipelines/plain.toml", include_str!("plain.toml"));
    let line = |at: usize| {
        let (day, hour) = (1 + at * 16 / rows, at % 24);
        let (community, score) = (community(at), score(at));
        format!(
            "r{at},title {at},2026-01-{day:02}T{hour:02}:00:00Z,{community},a{},{score}\n",
            at % 9
        )
    };
    let lines: String = (0..rows).map(line).collect();
    home.write(
        "rows.csv",
        format!("id,title,created,community,author,score\n{lines}"),
    );
    home
}

const RUN: [&str; 6] = [
    "run",
    "plain",
    "--source",
    "table:rows.csv,score=score@36h",
    "--date",
    "2026-01-18",
];

fn model(home: &Home) -> Value {
    home.json(&RUN)["model"].clone()
}

fn two(at: usize) -> &'static str {
    ["art", "aww"][at % 2]
}

fn any(at: usize) -> String {
    (at * 7919 % 501).to_string()
}

#[test]
fn a_constant_target_has_errors_and_no_correlation() {
    let model = model(&home(200, two, |_| "7".to_owned()));
    for metric in ["spearman", "spearman_within", "kendall", "r2"] {
        assert_eq!(model["metrics"][metric], Value::Null, "{metric}");
    }
    assert!(model["metrics"]["mae"].as_f64().unwrap() < 1e-9);
}

#[test]
fn one_community_has_the_correlation_within_it() {
    let model = model(&home(200, |_| "art", any));
    assert_eq!(
        model["metrics"]["spearman"],
        model["metrics"]["spearman_within"]
    );
}

#[test]
fn scores_that_are_no_numbers_are_no_labels() {
    let bad = |at: usize| match at % 10 {
        3 => "NaN".to_owned(),
        4 => "inf".to_owned(),
        5 => "-inf".to_owned(),
        _ => any(at),
    };
    let home = home(200, two, bad);
    let run = home.json(&RUN);
    let train = crate::home::task(&run, "train");
    assert_eq!(train["rows_in"], 140);
    assert!(run["model"]["metrics"]["rmse"].is_number());
}

#[test]
fn few_rows_make_a_model_and_fewer_none() {
    let model = model(&home(11, two, any));
    assert!(model["metrics"]["mae"].is_number());
    let run = home(9, two, any).json(&RUN);
    assert_eq!(run["state"], "succeeded");
    assert_eq!(run["model"], Value::Null);
    let train = crate::home::task(&run, "train");
    assert!(
        train["message"].as_str().unwrap().contains("at least 10"),
        "{train}"
    );
}

#[test]
fn what_training_has_never_seen_is_predicted_all_the_same() {
    let home = home(200, two, any);
    model(&home);
    home.write(
        "new.jsonl",
        "{\"id\":\"a\",\"title\":\"x\",\"community\":\"never seen\",\"created_at\":\"2026-01-19T00:00:00Z\"}\n\
         {\"id\":\"b\",\"title\":\"x\"}\n",
    );
    let predicted = home.json_lines(&["predict", "plain@champion", "--input", "new.jsonl"]);
    assert_eq!(predicted.len(), 2);
    for row in &predicted {
        let [low, value, high] =
            ["low", "prediction", "high"].map(|key| row[key].as_f64().unwrap());
        assert!(low <= value && value <= high, "{row}");
    }
}

#[test]
fn truncated_weights_are_told_and_an_older_version_still_predicts() {
    let home = home(200, two, any);
    model(&home);
    // Another model of the same rows.
    home.json(&[RUN.as_slice(), &["--param", "target=score"]].concat());
    let versions = home.json(&["models", "list"]);
    let damaged = home.path().join("model_registry/plain/2/model.safetensors");
    let bytes = fs_err::read(&damaged).unwrap();
    fs_err::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    let told = home.run(&["predict", "plain/2", "--text", "x"]);
    assert!(!told.status.success());
    let text = stderr(&told);
    assert!(
        text.contains("plain/2") || text.contains("model.safetensors"),
        "{text}"
    );
    assert_eq!(
        home.json_lines(&["predict", "plain/1", "--text", "x"])
            .len(),
        1
    );
    assert!(!home.run(&["models", "verify", "plain/2"]).status.success());
    assert_eq!(home.json(&["models", "list"]), versions);
}
