//! The collecting pipeline: new posts, their scores at fixed ages, and who wrote them.
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use trendmill::clock::{Clock as _, SystemClock};

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
        let second = kill > kills / 2;
        if kill == kills / 2 + 1 {
            // A post that is first seen on the second day has no readings of the first.
            let _ = home.json(&days[0]);
        }
        let mut child = home
            .command(&days[usize::from(second)])
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
    let readings = all_readings(&home, &days[1]);
    let other = readings.iter().zip(&undisturbed).find(|(a, b)| a != b);
    assert_eq!(other, None, "the first that differ");
    assert_eq!(readings.len(), undisturbed.len());
    assert_eq!(home.json(&["db", "check"])["faults"], json!([]));
}

/// A simulated Reddit in a process of its own, as strict as the real one and at its own time.
struct Reddit {
    process: Child,
    url: String,
}

impl Drop for Reddit {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Reddit {
    /// One whose posts were made since the day before yesterday.
    fn serve() -> Self {
        let now = SystemClock.now();
        let start = (now - Duration::from_hours(48)).date();
        let world = format!("sandbox:start={start},posts=300");
        let mut process = Command::new(env!("CARGO_BIN_EXE_trendmill"))
            .args(["sandbox", "--source", &world, "--now", &now.to_string()])
            .args([
                "--speed",
                "1",
                "--trouble",
                "strict",
                "--listen",
                "127.0.0.1:0",
            ])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut words = BufReader::new(process.stderr.take().unwrap());
        words.read_line(&mut said).unwrap();
        let (_, url) = said.split_once(" at ").unwrap();
        let (url, _) = url.split_once(',').unwrap();
        Self {
            process,
            url: url.to_owned(),
        }
    }

    /// By the beginning of each window, in milliseconds: what it has counted.
    fn calls(&self) -> Vec<(i64, u64)> {
        let url = format!("{}/sandbox/calls", self.url);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let windows: Vec<Value> = runtime.block_on(async {
            let answer = reqwest::get(url).await.unwrap();
            answer.json().await.unwrap()
        });
        let windows = windows.iter().map(|window| {
            let calls = window["calls"].as_u64().unwrap();
            assert!(calls <= 1_000 && window["refused"] == 0, "{window}");
            (millis(&window["start"]), calls)
        });
        windows.collect()
    }
}

fn millis(time: &Value) -> i64 {
    let time: trendmill::clock::Timestamp = time.as_str().unwrap().parse().unwrap();
    time.as_millis()
}

/// What the home's budget has booked of its window, with those calls of which it has heard nothing;
/// and what the server has counted in that window. `None` where another window has begun since.
fn booked_and_counted(home: &Home, reddit: &Reddit) -> Option<(u64, u64, u64)> {
    let sheet = home.json(&["reddit", "status"]);
    let counted = reddit.calls();
    let window = sheet["window"].as_object()?;
    let start = millis(&window["start"]);
    let of_window = counted.iter().find(|(at, _)| (at - start).abs() < 10_000)?;
    let number = |value: &Value| value.as_u64().unwrap();
    let unheard = number(&window["unaccounted"]) + number(&sheet["in_flight"]);
    let is_last = counted.iter().all(|(at, _)| *at <= of_window.0);
    is_last.then_some((number(&window["used"]), unheard, of_window.1))
}

#[test]
fn kills_leave_the_budget_right() {
    let reddit = Reddit::serve();
    let new_home = || {
        let home = Home::new();
        let collect = fs_err::read_to_string(home.path().join("pipelines/reddit_collect.toml"));
        // Images are another matter.
        let collect = collect.unwrap();
        let (collect, _) = collect.split_once("# The images of the posts").unwrap();
        home.write("pipelines/reddit_collect.toml", collect);
        let url = &reddit.url;
        home.write(
            "trendmill.toml",
            format!(
                "[reddit]\nclient_id = \"id\"\nclient_secret = \"word\"\nusername = \"tester\"\n\
                 reddit_url = \"{url}\"\noauth_url = \"{url}\"\n"
            ),
        );
        home
    };
    let home = new_home();
    let run = ["run", "reddit_collect"];
    let mut whole = Duration::from_secs(2);
    let kills = kills();
    let (mut compared, mut cut) = (0, 0);
    for kill in 0..kills {
        let started = Instant::now();
        let mut child = home
            .command(&run)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(whole * (kill * 13 % 101) / 100);
        if child.try_wait().unwrap().is_some() {
            // Little is left to read: the next are killed sooner.
            whole = started.elapsed() / 2;
        } else {
            child.kill().unwrap();
            cut += 1;
        }
        child.wait().unwrap();
        // The lock of a dead process is free as soon as it is gone.
        thread::sleep(Duration::from_millis(20));
        if let Some((used, unheard, counted)) = booked_and_counted(&home, &reddit) {
            assert!(
                used <= counted && counted <= used + unheard,
                "{used} {unheard} {counted}"
            );
            compared += 1;
        } else if compared == 0 {
            // A busy machine has not begun to read by then: the next live longer.
            whole = whole * 3 / 2;
        }
    }
    assert!(cut > 0 && compared > 0, "{cut} cut, {compared} compared");
    // What comes through tells the rest: nothing is lost or counted twice.
    assert_eq!(home.json(&run)["state"], "succeeded");
    if let Some((used, unheard, counted)) = booked_and_counted(&home, &reddit) {
        assert!(
            used <= counted && counted <= used + unheard,
            "{used} {unheard} {counted}"
        );
    }
    let readings = home.json_lines(&["records", "growth"]);
    assert!(readings.len() > 300, "{}", readings.len());
    assert_eq!(home.json(&["db", "check"])["faults"], json!([]));
}
