//! The collecting pipeline: new posts, their scores at fixed ages, and who wrote them.
use std::{
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

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

/// Runs the day again until nothing is due; what was read then.
fn all_readings(home: &Home, run: &[&str]) -> Vec<Value> {
    while task(&home.json(run), "reread")["rows_computed"] != 0 {}
    home.json_lines(&["records", "growth"])
}

/// How often the collecting process is killed; `TRENDMILL_COLLECT_KILLS=50` for the proof.
#[expect(clippy::disallowed_methods, reason = "the proof says how many")]
fn kills() -> u32 {
    let wanted = std::env::var("TRENDMILL_COLLECT_KILLS");
    wanted.map_or(8, |kills| kills.parse().unwrap())
}

#[test]
fn kills_lose_no_reading_and_double_none() {
    let day = |date| ["run", "reddit_collect", "--source", SOURCE, "--date", date];
    let days = [day("2026-01-03"), day("2026-01-04")];
    let undisturbed_home = Home::new();
    let _ = undisturbed_home.json(&days[0]);
    let started = Instant::now();
    let _ = undisturbed_home.json(&days[1]);
    let whole = started.elapsed();
    let undisturbed = all_readings(&undisturbed_home, &days[1]);

    let home = Home::new();
    let kills = kills();
    for kill in 0..kills {
        let mut child = home
            .command(&days[usize::from(kill > kills / 2)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Not twice at the same moment: 13 and 101 have no common divisor.
        thread::sleep(whole * (kill * 13 % 101) / 100);
        child.kill().unwrap();
        child.wait().unwrap();
        // The lock of a dead process is free as soon as it is gone.
        thread::sleep(Duration::from_millis(20));
    }
    let _ = home.json(&days[0]);
    assert_eq!(all_readings(&home, &days[1]), undisturbed);
    assert_eq!(home.json(&["db", "check"])["faults"], json!([]));
}
