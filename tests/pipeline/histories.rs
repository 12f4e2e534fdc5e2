//! Features of what was known when a post was published, and targets that say where it stands among
//! others: predicted as they were learned.
use std::fmt::Write as _;

use serde_json::{Value, json};
use trendmill::store::Store;

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
fn how_an_image_looks_is_found_again() {
    let home = Home::empty();
    let fetch = "[[task]]\nid = \"fetch_images\"\nop = \"fetch_images\"\nafter = [\"filter\"]\n\n[[task]]\nid = \"merge\"";
    let numbers = "numbers = [\"hour\", \"image_look\", \"repost\", ";
    let pipeline = include_str!("plain.toml")
        .replace("[[task]]\nid = \"merge\"", fetch)
        .replace(
            "op = \"merge\"\nafter = [\"filter\"]",
            "op = \"merge\"\nafter = [\"fetch_images\"]",
        )
        .replace("numbers = [\"hour\", ", numbers);
    home.write("pipelines/plain.toml", pipeline);
    let (model, filed, predicted) = learned(&home, "log1p(score)");
    assert_same(&filed, &predicted);

    let name = format!("plain/{}", model["version"]);
    let rows = home.json_lines(&["export", "features", &name]);
    let seen: Vec<&Value> = rows
        .iter()
        .filter(|row| row["numbers.image_look_missing"] == 0.0)
        .collect();
    assert!(seen.len() > 100, "{} of {}", seen.len(), rows.len());
    for row in &seen {
        let of = |name: &str| row[format!("numbers.image_{name}")].as_f64().unwrap();
        assert!(of("brightness") > 0.0 && of("brightness") < 1.0, "{row}");
        assert!(
            of("contrast") > 0.0 && of("sharpness") > 0.0 && of("entropy") > 0.0,
            "{row}"
        );
    }
    // Simulated posts have pictures of their own; the first has none before it.
    let looked: Vec<f64> = rows
        .iter()
        .filter(|row| row["numbers.repost_missing"] == 0.0)
        .map(|row| row["numbers.repost_distance"].as_f64().unwrap())
        .collect();
    assert!((looked[0] - 1.0).abs() < 1e-9);
    assert!(looked[1..].iter().all(|distance| *distance < 1.0));

    // What was seen of an image is not computed again.
    let again = home.json(&["run", "plain", "--date", "2026-01-18", "--force"]);
    let merge = crate::home::task(&again, "merge");
    assert_eq!(merge["state"], "succeeded");

    let pipeline = fs_err::read_to_string(home.path().join("pipelines/plain.toml")).unwrap();
    let wrong = pipeline.replace("\"repost\"", "\"repost\", \"similarity.title.caption\"");
    home.write("pipelines/plain.toml", wrong);
    let output = home.run(&["pipelines", "check"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &crate::home::stderr(&output);
    assert!(said.contains("a similarity is asked of `title`"), "{said}");
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
    assert!(flags.clone().all(|flag| [0.0, 1.0].contains(&flag)));
    let share = flags.sum::<f64>() / filed.len() as f64;
    assert!((0.05..0.2).contains(&share), "{share}");
    assert!(predicted.iter().all(|row| row["original"].is_null()));

    let (model, filed, _) = learned(&home, "community_quantile(score)");
    assert!(model["metrics"]["roc_auc"].is_null());
    let inside = |row: &Value| (0.0..=1.0).contains(&row["prediction"].as_f64().unwrap());
    assert!(filed.iter().all(inside));
}

/// Posts of which nothing tells how they do but what their authors' earlier ones did. The last 30
/// were read too early for their label.
fn posts() -> String {
    let mut text = String::new();
    for post in 0..400_u32 {
        let (author, created) = (post * 5 % 7, 1_700_000_000 + post * 1800);
        let seen = if post < 370 { 131_400 } else { 600 };
        let post = json!({
            "id": format!("p{post:04}"), "title": "a post", "subreddit": "pics",
            "author": format!("a{author}"), "created_utc": created, "retrieved_on": created + seen,
            "score": 10_u32.pow(author / 2) + post % 3,
        });
        writeln!(text, "{post}").unwrap();
    }
    text
}

#[tokio::test]
async fn what_waits_for_its_label_is_scored_as_it_is_predicted() {
    let home = Home::empty();
    let score = "\n[[task]]\nid = \"score\"\nop = \"score\"\nafter = [\"persist\"]\n";
    let plain = include_str!("plain.toml");
    let pipeline = plain.replace("sandbox:posts=14", "dump:posts.ndjson");
    assert_ne!(pipeline, plain);
    home.write("pipelines/plain.toml", pipeline + score);
    home.write("posts.ndjson", posts());
    // The run of today stands for a moment that is to come; its posts are known already.
    assert_eq!(home.json(&["run", "plain"])["state"], "succeeded");
    home.run(&["records", "export", "--out", "posts.jsonl"]);
    let predicted = home.json_lines(&["predict", "plain", "--input", "posts.jsonl"]);
    let of = |id: &str| {
        let row = predicted.iter().find(|row| row["id"] == id).unwrap();
        row["prediction"].as_f64().unwrap()
    };

    let data = home.path().join("data");
    let store = Store::open_read_only(&data).await.unwrap();
    let dataset = store.datasets().await.unwrap().remove(0).0;
    let scored = store.first_predictions(&dataset, "plain").await.unwrap();
    assert_eq!(scored.len(), 30);
    for (_, prediction) in scored {
        let (id, value) = (&prediction.record_id, prediction.value);
        assert!((of(id) - value).abs() <= 1e-6, "{id}: {value} {}", of(id));
    }
    // Of the authors one has a hundred points each time, the other one or two.
    let above = of("p0376") - of("p0378");
    assert!(above > 2.0, "{above}");
}
