//! Deaths of the daemon between a tick that is due and its run: each tick makes one run.
use std::{
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use crate::{effects, home::Home};

const PIPELINE: &str = r#"
name = "ticks"

[schedule]
every = "1s"
catchup = "all"
overlap = "allow"

[[task]]
id = "only"
op = "noop"
"#;

#[test]
fn each_tick_makes_one_run() {
    for place in [
        "schedules.before_commit=1",
        "schedules.after_commit=1",
        "turn.before_commit=1",
        "turn.after_commit=1",
        "turn.before_commit=3",
        "turn.after_commit=3",
        "turn.before_commit=4",
        "turn.after_commit=4",
    ] {
        dies_at(place);
    }
}

fn dies_at(place: &str) {
    let home = Home::empty();
    home.write("pipelines/ticks.toml", PIPELINE);
    let marker = home.path().join("died");
    let mut killed = home
        .command(&["--quiet", "up", "--listen", "127.0.0.1:0"])
        .env("TRENDMILL_DIE_AT", place)
        .env("TRENDMILL_DIE_ONCE", &marker)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // A minute of ticks passes every place.
    for _ in 0..1200 {
        if killed.try_wait().unwrap().is_some() {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let _ = killed.kill();
    killed.wait().unwrap();
    assert!(marker.exists(), "{place} was not reached");
    effects::is_sound(&home);

    let mut daemon = up(&home);
    while effects::runs(home.path()).len() < 5 {
        assert!(daemon.try_wait().unwrap().is_none(), "the daemon gave up");
        thread::sleep(Duration::from_millis(50));
    }
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    effects::is_sound(&home);
    let mut ticks: Vec<i64> = effects::runs(home.path())
        .iter()
        .map(|(run, _)| run.scheduled_for.as_millis())
        .collect();
    ticks.sort_unstable();
    assert!(
        ticks.windows(2).all(|pair| pair[1] - pair[0] == 1000),
        "{place}: {ticks:?}"
    );
}

fn up(home: &Home) -> Child {
    home.command(&["--quiet", "up", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}
