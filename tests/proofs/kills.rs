//! Random `kill -9` while tasks that count from outside run: everything ends, once.
//!
//! 20 kills here; `tests/proofs/kills.sh 500` gives more.
use std::{
    fmt::Write as _,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use trendmill::{
    clock::{Clock as _, SystemClock, Timestamp},
    dag::RunState,
};

use crate::{
    dice::Dice,
    effects,
    home::{Home, stderr},
};

/// When a process was started, and when it was killed or ended.
struct Life {
    from: Timestamp,
    to: Timestamp,
}

#[test]
fn every_run_ends_and_nothing_is_done_twice() {
    let kills = number("TRENDMILL_KILLS", 20);
    let mut dice = Dice(number("TRENDMILL_KILL_SEED", 1));
    let home = Home::new();
    home.write("pipelines/storm.toml", storm(&home));
    let (mut round, mut killed) = (0, 0);
    let mut lives = Vec::new();
    while killed < kills {
        let from = SystemClock.now();
        let mut child = start(&home, round);
        // From before its first row to well after its last.
        thread::sleep(Duration::from_millis(dice.roll(1500) as u64));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "round {round}: {status}");
            round += 1;
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
        }
        let to = SystemClock.now();
        lives.push(Life { from, to });
    }
    let from = SystemClock.now();
    assert!(start(&home, round).wait().unwrap().success());
    let to = SystemClock.now();
    lives.push(Life { from, to });
    check(&home, &lives, killed);
}

/// The daemon is killed while runs come in; each start goes on with all of them by itself.
#[test]
fn a_daemon_goes_on_with_what_it_was_killed_in() {
    let kills = number("TRENDMILL_KILLS", 20);
    let mut dice = Dice(number("TRENDMILL_KILL_SEED", 1));
    let home = Home::new();
    home.write("pipelines/storm.toml", storm(&home));
    let mut lives = Vec::new();
    let mut rounds = 0;
    for _ in 0..kills {
        let from = SystemClock.now();
        let mut daemon = up(&home);
        // Enough to do for each life, and no heap that only grows.
        if effects::live(home.path()) < 3 {
            let param = format!("round={rounds}");
            let handed = home.run(&["run", "storm", "--detach", "--param", &param]);
            assert!(handed.status.success(), "{}", stderr(&handed));
            rounds += 1;
        }
        thread::sleep(Duration::from_millis(dice.roll(1500) as u64));
        assert!(daemon.try_wait().unwrap().is_none(), "the daemon gave up");
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        let to = SystemClock.now();
        lives.push(Life { from, to });
    }
    let from = SystemClock.now();
    let mut daemon = up(&home);
    effects::kill_once(&mut daemon, || effects::live(home.path()) == 0);
    let to = SystemClock.now();
    lives.push(Life { from, to });
    check(&home, &lives, kills);
    assert_eq!(effects::runs(home.path()).len() as u64, rounds);
}

/// Starts the daemon and waits until it can be found.
fn up(home: &Home) -> Child {
    let mut child = home
        .command(&["--quiet", "up", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let posted = home.path().join("data/daemon.json");
    let own = format!("\"pid\":{},", child.id());
    loop {
        assert!(child.try_wait().unwrap().is_none(), "the daemon gave up");
        let text = fs_err::read_to_string(&posted).unwrap_or_default();
        if text.replace(' ', "").contains(&own) {
            return child;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// What must hold after all of these lives.
#[expect(clippy::print_stdout, reason = "the script shows the figures")]
fn check(home: &Home, lives: &[Life], killed: u64) {
    effects::is_sound(home);
    nothing_left(home);
    let runs = effects::runs(home.path());
    for (run, _) in &runs {
        assert_eq!(run.state, RunState::Succeeded, "{run:?}");
    }
    effects::fit(home, &runs);
    let attempts = || runs.iter().flat_map(|(_, attempts)| attempts);
    let lost = || attempts().filter(|attempt| attempt.error_code.as_deref() == Some("owner_lost"));
    let waits = lost().filter_map(|attempt| {
        let next = attempts()
            .filter(|next| next.run_id == attempt.run_id && next.task_id == attempt.task_id)
            .find(|next| next.number == attempt.number + 1)?;
        Some(waited(lives, attempt.started_at, next.started_at))
    });
    let slowest = waits.max().unwrap_or_default();
    println!(
        "{killed} kills in {} runs with {} attempts; {} of them were lost, and their tasks began \
         again within {slowest:?} of a start",
        runs.len(),
        attempts().count(),
        lost().count(),
    );
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    shards_are_joined(home, runs.last().map(|(run, _)| run.id.as_str()));
}

/// How long work that was lost waited for a program that was there to go on with it: from the
/// life after the one that began it.
fn waited(lives: &[Life], lost: Timestamp, begun: Timestamp) -> Duration {
    lives
        .iter()
        .skip_while(|life| life.to < lost)
        .skip(1)
        .filter(|life| life.from < begun)
        .map(|life| life.to.min(begun).since(life.from))
        .sum()
}

/// Each shard was done, and the joined task stands for all of them.
fn shards_are_joined(home: &Home, run: Option<&str>) {
    let Some(run) = run else { return };
    let shown = home.json(&["runs", "show", run]);
    let tasks = shown["tasks"].as_array().unwrap();
    let of = |id: &str| {
        tasks
            .iter()
            .filter(|task| task["id"].as_str().unwrap().starts_with(id))
            .map(|task| task["state"].as_str().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("part"), vec!["succeeded"; 1 + SHARDS], "{shown}");
    assert_eq!(of("unwanted"), ["skipped"], "{shown}");
    assert_eq!(of("clean"), ["succeeded"], "{shown}");
}

/// No process is alive that this home's tasks have started; one that was killed may take a moment.
fn nothing_left(home: &Home) {
    let mark = home.path().to_str().unwrap().as_bytes();
    let own = std::process::id().to_string();
    let left = || {
        let mut left = Vec::new();
        for entry in fs_err::read_dir("/proc").unwrap().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if !name.starts_with(|c: char| c.is_ascii_digit()) || name == own {
                continue;
            }
            // A process that ends meanwhile cannot be read.
            let environment = fs_err::read(entry.path().join("environ")).unwrap_or_default();
            if environment.windows(mark.len()).any(|part| part == mark) {
                let words = fs_err::read(entry.path().join("cmdline")).unwrap_or_default();
                left.push(format!("{name}: {}", String::from_utf8_lossy(&words)));
            }
        }
        left
    };
    for _ in 0..200 {
        if left().is_empty() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("left alive: {:#?}", left());
}

fn start(home: &Home, round: u64) -> Child {
    home.command(&[
        "--quiet",
        "run",
        "storm",
        "--param",
        &format!("round={round}"),
    ])
    .stdin(Stdio::null())
    .stdout(Stdio::null())
    .spawn()
    .unwrap()
}

const SHARDS: usize = 5;

/// A pipeline with failures that a retry mends, a timeout, a wide layer, shards that are joined,
/// a branch that is not taken, and a teardown; some of it queues for a pool, some goes first.
fn storm(home: &Home) -> String {
    home.write("trendmill.toml", "[engine.pools]\nnarrow = 3\n");
    let mut text = "name = \"storm\"\n[params]\nround = 0\n[defaults]\nretries = 2\n\
                    retry_delay = \"20ms\"\ncrash_retries = 1000\nmax_run_crashes = 1000\n"
        .to_owned();
    let mut add = |id: &str, after: &str, body: &str, more: &str| {
        write!(
            text,
            "[[task]]\nid = \"{id}\"\nop = \"shell\"\nafter = [{after}]\n{more}argv = {}\n",
            effects::argv(home, body)
        )
        .unwrap();
    };
    // True for the first attempt that gets here, in this run.
    let first = r#"mkdir "$0.$TRENDMILL_RUN_ID.$TRENDMILL_TASK_ID" 2>/dev/null"#;
    add("seed", "", "sleep 0.05", "setup = true\n");
    for wide in 0..4 {
        add(&format!("wide{wide}"), "\"seed\"", "sleep 0.1", "");
    }
    add(
        "part",
        "\"seed\"",
        // Some shards fail at first.
        &format!("sleep 0.1; case {{{{ shard.index }}}} in [13]) {first} && exit 1;; esac"),
        &format!("map = \"{SHARDS}\"\nmax_active = 4\npool = \"narrow\"\n"),
    );
    add(
        "flaky",
        "\"seed\"",
        &format!("{first} && exit 1"),
        "priority = 5\n",
    );
    let hang = format!("if {first}; then sleep 600; fi");
    add(
        "slow",
        "\"seed\"",
        &hang,
        "timeout = \"300ms\"\npool = \"narrow\"\n",
    );
    add(
        "unwanted",
        "\"seed\"",
        "exit 1",
        "when = \"params.round < 0\"\n",
    );
    let all = (0..4).fold(String::new(), |all, wide| format!("{all}\"wide{wide}\", "));
    add(
        "join",
        &format!("{all}\"part\", \"flaky\", \"slow\""),
        "sleep 0.05",
        "",
    );
    add("clean", "\"join\"", "sleep 0.02", "teardown = true\n");
    text
}

#[expect(
    clippy::disallowed_methods,
    reason = "the script speaks through the environment"
)]
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}
