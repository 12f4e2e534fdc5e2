//! What a home costs after years: `cargo bench --bench store`.
//!
//! Fills a home with 1,000,000 records, the vectors of four encoders and 60,000 past runs (8 GB in
//! all, in the target folder), and measures the shipped binary on it: how soon the daemon is
//! ready, one daily run that meets nothing new and learns from a window of 100,000 rows, and a
//! copy of the state. The bars are those for two cores.
//!
//! `--home DIR` keeps the home, and goes on with one that is full; `--records N`, `--runs N` and
//! `--window N` make all of it smaller.

#[path = "../engine/daemon.rs"]
mod daemon;
#[path = "../../tests/proofs/dice.rs"]
mod dice;
mod fill;
#[path = "../engine/history/past.rs"]
mod past;
mod vectors;
mod watch;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use daemon::Daemon;
use serde_json::Value;

/// How large all is.
struct Size {
    records: usize,
    runs: usize,
    window: usize,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let given: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = given.iter().position(|argument| argument == name)?;
        given.get(at + 1)
    };
    let number = |name, default| option(name).map_or(Ok(default), |text| text.parse::<usize>());
    let size = Size {
        records: number("--records", 1_000_000)?,
        runs: number("--runs", 60_000)?,
        window: number("--window", 100_000)?,
    };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let home = option("--home").map_or_else(|| folder.path().to_owned(), PathBuf::from);
    let made = Instant::now();
    let full = home.join("full");
    if !full.exists() {
        make(&home, &size).await?;
        fs_err::write(&full, "")?;
        say(
            "the home was made in",
            made.elapsed().as_secs_f64(),
            "s",
            "",
        );
    }
    let bytes = |name| fs_err::metadata(home.join(name)).map(|file| file.len() as f64 / 1e9);
    say("content.db", bytes("data/content.db")?, "GB", "");
    say("state.db", bytes("data/state.db")?, "GB", "");

    // The first start meets cold caches.
    let mut ready = Vec::new();
    for _ in 0..6 {
        ready.push(Daemon::start(&home)?.ready);
    }
    say("daemon ready, the first time", ready.remove(0), "ms", "");
    ready.sort_by(f64::total_cmp);
    say("  median of five more", ready[2], "ms", "bar 300 ms");
    let (resident, core) = Daemon::start(&home)?.idle(Duration::from_secs(10))?;
    say("the idle daemon, resident", resident, "MB", "bar 40 MB");
    say("  of a core", core, "%", "bar 0.5 %");

    daily_run(&home, &size)?;

    let copy = home.join("copy.db");
    let began = Instant::now();
    let file = copy.to_str().context("a path in UTF-8")?;
    command(&home, &["db", "backup", "--state-only", "--force", file])?;
    say(
        "backup of the state",
        began.elapsed().as_secs_f64(),
        "s",
        "bar 5 s",
    );
    fs_err::remove_file(copy)?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "figures are the output")]
fn say(name: &str, value: f64, unit: &str, bar: &str) {
    println!("{name:42} {value:10.2} {unit:8} {bar}");
}

/// Makes a home with a past.
async fn make(home: &Path, size: &Size) -> anyhow::Result<()> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/reddit.toml");
    fs_err::create_dir_all(home.join("pipelines"))?;
    fs_err::copy(shipped, home.join("pipelines/reddit.toml"))?;
    // One real run, of a day without posts, is what the past runs are copies of.
    let world = fill::world(size.records)?;
    let empty = format!("sandbox:posts=0,start={}", world.start);
    command(
        home,
        &[
            "run",
            "reddit",
            "--source",
            &empty,
            "--date",
            &world.start.to_string(),
        ],
    )?;
    past::multiply(&home.join("data/state.db"), size.runs).await?;
    fill::fill(&home.join("data/content.db"), &world).await
}

/// Runs the command line to its end and returns what it printed.
fn command(home: &Path, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = Command::new(env!("CARGO_BIN_EXE_trendmill"))
        .arg("--home")
        .arg(home)
        .arg("--json")
        .args(arguments)
        .output()?;
    anyhow::ensure!(output.status.success(), "{arguments:?}: {output:?}");
    Ok(output.stdout)
}

/// One run under the daemon, of a day that brings nothing.
fn daily_run(home: &Path, size: &Size) -> anyhow::Result<()> {
    let world = fill::world(size.records)?;
    // Each measurement is of a day of its own: a run of the same day would only link to its model.
    let past = fs_err::read_dir(home.join("model_registry"))
        .ok()
        .and_then(|mut names| names.next()?.ok())
        .map_or(Ok(0), |model| {
            fs_err::read_dir(model.path()).map(Iterator::count)
        })?;
    let quiet_days = 3 + u64::try_from(past)?;
    let days = u64::from(world.days.context("the world ends")?) + quiet_days;
    let date = world.start + chrono::Days::new(days);
    let window = format!("window={}", size.window - past);
    let daemon = Daemon::start(home)?;
    let watch = watch::Watch::start(home)?;
    let began = Instant::now();
    let answer = command(
        home,
        &[
            "run",
            "reddit",
            "--source",
            &world.to_string(),
            "--date",
            &date.to_string(),
            "--param",
            &window,
        ],
    )?;
    let took = began.elapsed().as_secs_f64();
    let seen = watch.end()?;
    drop(daemon);
    let answer: Value = serde_json::from_slice(&answer)?;
    let tasks = answer["tasks"].as_array().context("tasks")?;
    for task in tasks {
        let id = task["id"].as_str().unwrap_or_default();
        let seconds = task["seconds"].as_f64().unwrap_or_default();
        say(
            &format!("  {id}"),
            seconds,
            "s",
            task["message"].as_str().unwrap_or_default(),
        );
        let found = ["scrape", "refresh", "fetch_images", "caption"].contains(&id);
        anyhow::ensure!(
            !(found || id.starts_with("embed")) || task["rows_computed"].as_u64().unwrap_or(0) == 0,
            "this day was to bring nothing new: {task}"
        );
    }
    anyhow::ensure!(answer["model"]["version"].is_u64(), "no model: {answer}");
    say(
        "a daily run without new contents",
        took / 60.0,
        "min",
        "bar 10 min",
    );
    say("  time of processors", seen.cpu / 60.0, "min", "");
    say(
        "  most memory, daemon and children",
        seen.most / 1e9,
        "GB",
        "bar 4 GB",
    );
    for (task, most) in seen.by_process {
        say(&format!("    {task}"), most / 1e9, "GB", "");
    }
    Ok(())
}
