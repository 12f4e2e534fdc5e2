//! The collecting pipeline: new posts, their scores at fixed ages, and who wrote them.
use serde_json::{Value, json};

use crate::home::{Home, task};

const SOURCE: &str = "sandbox:posts=6";

#[test]
fn scores_are_read_at_fixed_ages_once() {
    let home = Home::new();
    let run =
        |date: &str| home.json(&["run", "reddit_collect", "--source", SOURCE, "--date", date]);
    let first = run("2026-01-03");
    assert_eq!(first["state"], "succeeded", "{first:#}");
    assert_eq!(task(&first, "discover")["rows_out"], 18);
    assert!(task(&first, "people")["rows_out"].as_u64() > Some(0));
    // What was found is read at its ages by the next run, and not again.
    let second = run("2026-01-04");
    let read = task(&second, "reread")["rows_computed"].as_u64().unwrap();
    assert!(read >= 18 * 3, "{second:#}");
    let growth = home.json_lines(&["records", "growth"]);
    let of = |age: Value| {
        growth
            .iter()
            .filter(move |point| point["due_age_seconds"] == age)
    };
    for hours in [1, 6, 24] {
        let due = json!(f64::from(hours * 3600));
        let points: Vec<&Value> = of(due.clone()).collect();
        assert!(points.len() >= 18, "{hours} h: {}", points.len());
        for point in points {
            let late = point["age_seconds"].as_f64().unwrap() - due.as_f64().unwrap();
            assert!((0.0..=600.0).contains(&late), "{point}");
            assert_eq!(point["late"], false);
        }
    }
    // The score of a post grows from reading to reading.
    let curves = growth.chunk_by(|a, b| a["id"] == b["id"]);
    let grown = curves.filter(|curve| {
        curve.len() > 2 && curve[curve.len() - 1]["score"].as_f64() > curve[0]["score"].as_f64()
    });
    assert!(grown.count() > 9);
    // The third reads what the second has found, at ages that it has reached; then all is read.
    let _ = run("2026-01-04");
    let fourth = run("2026-01-04");
    assert_eq!(task(&fourth, "reread")["rows_computed"], 0);
}
