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
    for round in 0..kills {
        let from = SystemClock.now();
        let mut daemon = up(&home);
        let param = format!("round={round}");
        let handed = home.run(&["run", "storm", "--detach", "--param", &param]);
        assert!(handed.status.success(), "{}", stderr(&handed));
        thread::sleep(Duration::from_millis(dice.roll(1500) as u64));
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        lives.push(Life {
            from,
            to: SystemClock.now(),
        });
    }
    let from = SystemClock.now();
    let mut daemon = up(&home);
    while effects::runs(home.path())
        .iter()
        .any(|(run, _)| !run.state.is_final())
    {
        assert!(daemon.try_wait().unwrap().is_none(), "the daemon gave up");
        thread::sleep(Duration::from_millis(50));
    }
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    lives.push(Life {
        from,
        to: SystemClock.now(),
    });
    check(&home, &lives, kills);
    assert_eq!(effects::runs(home.path()).len() as u64, kills);
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
    let slowest = lives
        .iter()
        .map(|life| {
            attempts()
                .map(|attempt| attempt.started_at)
                .filter(|at| (life.from..=life.to).contains(at))
                .min()
                .unwrap_or(life.to)
                .since(life.from)
        })
        .max()
        .unwrap();
    println!(
        "{killed} kills in {} runs with {} attempts; work went on within {slowest:?} of a start",
        runs.len(),
        attempts().count(),
    );
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
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

/// A pipeline with a failure that a retry mends, a timeout, and a wide layer.
fn storm(home: &Home) -> String {
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
    let first = "mkdir $0.$TRENDMILL_RUN_ID.$TRENDMILL_TASK_ID 2>/dev/null";
    add("seed", "", "sleep 0.05", "");
    for shard in 0..6 {
        add(&format!("wide{shard}"), "\"seed\"", "sleep 0.1", "");
    }
    add("flaky", "\"seed\"", &format!("{first} && exit 1"), "");
    let hang = format!("if {first}; then sleep 600; fi");
    add("slow", "\"seed\"", &hang, "timeout = \"300ms\"\n");
    let all = (0..6)
        .map(|shard| format!("\"wide{shard}\""))
        .collect::<Vec<_>>();
    add(
        "join",
        &format!("{}, \"flaky\", \"slow\"", all.join(", ")),
        "sleep 0.05",
        "",
    );
    text
}

#[expect(
    clippy::disallowed_methods,
    reason = "the script speaks through the environment"
)]
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}
