//! Features of what was known when a post was published, and targets that say where it stands among
//! others: predicted as they were learned.
use serde_json::Value;

use crate::home::Home;

/// What keeps rows and targets from the training, too.
const KEPT_OUT: &str = "head = \"ridge\"\napart = [\"author\"]\nwinsorise = 0.99";

fn home() -> Home {
    let home = Home::empty();
    let plain = include_str!("plain.toml");
    let pipeline = plain.replace("head = \"ridge\"", KEPT_OUT);
    assert_ne!(pipeline, plain);
    home.write("pipelines/plain.toml", pipeline);
    home
}

/// The model of a run for `target`, what was filed of its rows, and the same rows predicted again.
fn learned(home: &Home, target: &str) -> (Value, Vec<Value>, Vec<Value>) {
    let target = format!("target={target}");
    let run = home.json(&["run", "plain", "--date", "2026-01-18", "--param", &target]);
    let model = run["model"].clone();
    let name = format!("plain/{}", model["version"]);
    let filed = home.json_lines(&["models", "show", &name, "--predictions"]);
    home.run(&["records", "export", "--out", "posts.jsonl"]);
    let words = [
        "predict",
        &name,
        "--input",
        "posts.jsonl",
        "--fit",
        "evaluated",
    ];
    (model, filed, home.json_lines(&words))
}

fn assert_same(filed: &[Value], predicted: &[Value]) {
    assert!(!filed.is_empty());
    for row in filed {
        let again = predicted.iter().find(|other| other["id"] == row["id"]);
        let [then, now] = [row, again.unwrap()].map(|row| row["prediction"].as_f64().unwrap());
        assert!((then - now).abs() <= 1e-6, "{row} {now}");
    }
}

#[test]
fn what_was_known_then_is_found_again() {
    let home = home();
    let (_, filed, predicted) = learned(&home, "log1p(score)");
    assert_same(&filed, &predicted);
    for row in &predicted {
        let [expected, plain] = [&row["original"]["value"], &row["prediction"]];
        // The mean of a bent curve lies above the curve at the mean.
        assert!(
            expected.as_f64().unwrap() > plain.as_f64().unwrap().exp_m1(),
            "{row}"
        );
    }
}

#[test]
fn where_a_post_stands_among_others_is_predicted_as_it_was_learned() {
    let home = home();
    let (model, filed, predicted) = learned(&home, "top_decile(score)");
    assert_same(&filed, &predicted);
    for metric in ["roc_auc", "average_precision", "brier"] {
        let found = model["metrics"][metric].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&found), "{metric} {found}");
    }
    let flags = filed.iter().map(|row| row["target"].as_f64().unwrap());
    assert!(flags.clone().all(|flag| flag == 0.0 || flag == 1.0));
    let share = flags.sum::<f64>() / filed.len() as f64;
    assert!((0.05..0.2).contains(&share), "{share}");
    assert!(predicted.iter().all(|row| row["original"].is_null()));

    let (model, filed, _) = learned(&home, "community_quantile(score)");
    assert!(model["metrics"]["roc_auc"].is_null());
    let inside = |row: &Value| (0.0..=1.0).contains(&row["prediction"].as_f64().unwrap());
    assert!(filed.iter().all(inside));
}
