//! Day after day: only what is new is computed, and nothing depends on when it was seen.
use crate::home::{Home, task};
use serde_json::Value;

/// Few posts, so that the whole pipeline runs in seconds.
const SOURCE: &str = "sandbox:posts=14";

fn run(home: &Home, date: &str) -> Value {
    home.json(&["run", "reddit", "--source", SOURCE, "--date", date])
}

#[test]
fn three_days_make_three_versions_and_compute_only_what_is_new() {
    let home = Home::new();
    let days: Vec<Value> = ["2026-01-14", "2026-01-15", "2026-01-16"]
        .iter()
        .map(|day| run(&home, day))
        .collect();

    for (day, report) in days.iter().enumerate() {
        assert_eq!(report["state"], "succeeded");
        assert_eq!(report["model"]["version"], day + 1);
        assert!(report["model"]["metrics"]["spearman"].is_number());
    }
    // What is embedded on a later day is what that day brought.
    for pair in days.windows(2) {
        for id in ["embed_title", "embed_image", "caption"] {
            let (before, after) = (task(&pair[0], id), task(&pair[1], id));
            let had =
                before["rows_computed"].as_u64().unwrap() + before["rows_reused"].as_u64().unwrap();
            assert_eq!(after["rows_reused"], had, "{id}");
            assert!(after["rows_computed"].as_u64().unwrap() < had / 4, "{id}");
        }
        assert!(task(&pair[1], "refresh")["rows_computed"].as_u64().unwrap() > 0);
    }
    let history = home.json(&["models", "history", "reddit", "--metric", "spearman"]);
    assert_eq!(history.as_array().unwrap().len(), 3);

    // A home that sees the three days at once makes the same matrix and the same model.
    let fresh = Home::new();
    let at_once = run(&fresh, "2026-01-16");
    assert_eq!(at_once["model"]["matrix"], days[2]["model"]["matrix"]);
    assert_eq!(
        at_once["model"]["weights_sha256"],
        days[2]["model"]["weights_sha256"]
    );

    // The same day again changes nothing and links to the version that exists.
    let again = run(&home, "2026-01-16");
    assert_eq!(again["model"]["reused"], true);
    assert_eq!(again["model"]["version"], 3);
    for id in [
        "scrape",
        "refresh",
        "fetch_images",
        "embed_title",
        "embed_image",
        "caption",
    ] {
        assert_eq!(task(&again, id)["rows_computed"], 0, "{id}");
    }

    // What was evaluated is predicted again, also by records that the store does not know.
    let evaluated = home.json_lines(&["models", "show", "reddit/3", "--predictions"]);
    home.run(&["records", "export", "--out", "posts.jsonl"]);
    let text = fs_err::read_to_string(home.path().join("posts.jsonl")).unwrap();
    let predict = |file| {
        let fit = ["--fit", "evaluated"];
        let words = ["predict", "reddit/3", "--input", file];
        home.json_lines(&[words.as_slice(), &fit].concat())
    };
    let predicted = predict("posts.jsonl");
    let of = |rows: &[Value], id: &Value, key: &str| {
        rows.iter()
            .find(|row| row["id"] == *id)
            .map(|row| row[key].as_f64().unwrap())
    };
    for row in &evaluated {
        let value = of(&predicted, &row["id"], "prediction").unwrap();
        assert!(
            (value - row["prediction"].as_f64().unwrap()).abs() <= 1e-6,
            "{row} {value}"
        );
    }
    let renamed = text.replace("\"id\":\"", "\"id\":\"unknown_");
    home.write("renamed.jsonl", renamed);
    let strangers = predict("renamed.jsonl");
    assert_eq!(strangers.len(), predicted.len());
    for (stranger, known) in strangers.iter().zip(&predicted) {
        assert_eq!(stranger["prediction"], known["prediction"]);
    }
    let reworded = text.replace("\"title\":\"", "\"title\":\"terrible ");
    home.write("reworded.jsonl", reworded);
    let moved = predict("reworded.jsonl");
    assert!(
        moved
            .iter()
            .zip(&predicted)
            .all(|(a, b)| a["prediction"] != b["prediction"])
    );

    // What predicts without being asked for has learned the tested rows too.
    let published = home.json_lines(&["predict", "reddit/3", "--input", "posts.jsonl"]);
    assert_ne!(published, predicted);
    let tested = evaluated.iter().filter(|row| row["split"] == "test");
    let error = |rows: &[Value]| -> f64 {
        let miss = |row: &Value| {
            let value = of(rows, &row["id"], "prediction").unwrap();
            (value - row["target"].as_f64().unwrap()).powi(2)
        };
        tested.clone().map(miss).sum()
    };
    assert!(error(&published) < error(&predicted));
    let verified = home.json(&["models", "verify", "reddit/3"]);
    assert_eq!(verified["probes"], 16, "{verified}");
}

#[test]
fn a_day_without_posts_and_a_day_without_labels_are_no_errors() {
    let home = Home::new();
    let before_all = run(&home, "2025-06-01");
    assert_eq!(before_all["state"], "succeeded");
    assert_eq!(before_all["model"], Value::Null);
    assert_eq!(task(&before_all, "scrape")["rows_out"], 0);
    assert_eq!(task(&before_all, "train")["state"], "skipped");

    let too_young = run(&home, "2025-12-31");
    assert_eq!(too_young["state"], "succeeded");
    assert_eq!(too_young["model"], Value::Null);
    assert!(task(&too_young, "scrape")["rows_out"].as_u64().unwrap() > 0);
    for id in ["train", "evaluate", "persist"] {
        assert_eq!(task(&too_young, id)["state"], "skipped");
    }
    assert_eq!(task(&too_young, "train")["message"], "no mature labels");
}
