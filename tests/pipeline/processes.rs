//! Attempts in processes of their own, through the built executable: what they say, and that
//! nothing of them outlives a killed engine.
use std::{
    path::Path,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::home::{Home, task};

/// A task that cannot be ended politely, and what it starts; each leaves its number in a file.
const WILD: &str = r#"
name = "wild"

[[task]]
id = "wild"
op = "shell"
argv = ["sh", "-c", """
    trap '' TERM
    (setsid sh -c 'sleep 1000 & echo $! > forked' &)
    (env -i setsid sh -c 'sleep 1000 & echo $! > bare' &)
    while ! [ -s forked ] || ! [ -s bare ]; do sleep 0.01; done
    echo $PPID > attempt
    echo $$ > deaf
    sleep 1000
"""]
"#;

/// One task of each kind of place.
const PLACES: &str = r#"
name = "places"

[[task]]
id = "inline"
op = "noop"

[[task]]
id = "process"
op = "noop"
after = ["inline"]
executor = "process"

[[task]]
id = "shell"
op = "shell"
after = ["process"]
argv = ["sh", "-c", "echo parent $PPID; echo oh dear >&2"]
"#;

fn start_wild(home: &Home) -> Child {
    home.write("pipelines/wild.toml", WILD);
    home.command(&["run", "wild"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The number in a file, once it is there.
fn number(home: &Home, file: &str) -> String {
    loop {
        let text = fs_err::read_to_string(home.path().join(file)).unwrap_or_default();
        if text.ends_with('\n') {
            return text.trim().to_owned();
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn alive(number: &str) -> bool {
    fs_err::read_to_string(Path::new("/proc").join(number).join("stat"))
        .is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits for the end of a process, which is on its way.
pub(crate) fn wait_gone(number: &str) {
    for _ in 0..1000 {
        if !alive(number) {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("process {number} is alive");
}

/// Waits until all threads of a process stand still: the signal is only on its way at first.
fn wait_stopped(number: &str) {
    let stands = |thread: fs_err::DirEntry| {
        let stat = fs_err::read_to_string(thread.path().join("stat"));
        stat.is_ok_and(|stat| stat.contains(") T "))
    };
    for _ in 0..1000 {
        let mut threads = fs_err::read_dir(format!("/proc/{number}/task")).unwrap();
        if threads.all(|thread| thread.is_ok_and(stands)) {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("process {number} does not stop");
}

fn signal(signal: &str, number: &str) {
    let status = std::process::Command::new("kill")
        .args([signal, number])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_killed_engine_takes_all_of_them_along() {
    let home = Home::empty();
    let mut engine = start_wild(&home);
    let numbers = ["attempt", "deaf", "forked", "bare"].map(|file| number(&home, file));
    engine.kill().unwrap();
    engine.wait().unwrap();
    for number in &numbers {
        wait_gone(number);
    }
}

#[test]
fn what_is_left_where_all_watchers_were_killed_goes_with_the_next_start() {
    let home = Home::empty();
    home.write("pipelines/places.toml", PLACES);
    let mut engine = start_wild(&home);
    let [attempt, deaf, forked, bare] =
        ["attempt", "deaf", "forked", "bare"].map(|file| number(&home, file));
    // Stopped first, so that it cannot do anything about the death of the engine.
    signal("-STOP", &attempt);
    wait_stopped(&attempt);
    engine.kill().unwrap();
    engine.wait().unwrap();
    signal("-KILL", &attempt);
    wait_gone(&attempt);
    assert!(alive(&deaf) && alive(&forked));
    let run = home.json(&["run", "places"]);
    assert_eq!(run["state"], "succeeded");
    assert!(!alive(&deaf) && !alive(&forked));
    // Nothing tells any more whose it was.
    signal("-KILL", &bare);
}

#[test]
fn a_process_says_what_it_does_to_the_log() {
    let home = Home::empty();
    home.write("pipelines/places.toml", PLACES);
    let run = home.json(&["run", "places"]);
    for id in ["inline", "process", "shell"] {
        assert_eq!(task(&run, id)["state"], "succeeded");
    }
    let run_id = run["run_id"].as_str().unwrap();
    let output = home.run(&["runs", "logs", run_id, "shell"]);
    let log = String::from_utf8(output.stdout).unwrap();
    assert!(log.contains("info  parent "), "{log}");
    assert!(log.contains("info  oh dear"), "{log}");
}

#[test]
fn all_run_in_one_process_where_the_settings_say_so() {
    let home = Home::empty();
    home.write("pipelines/places.toml", PLACES);
    home.write("trendmill.toml", "[engine]\nexecutor = \"inline\"\n");
    let mut engine = home.command(&["--json", "run", "places"]);
    let engine = engine.stdout(Stdio::piped()).spawn().unwrap();
    let number = engine.id();
    let output = engine.wait_with_output().unwrap();
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    let run_id = run["run_id"].as_str().unwrap();
    let output = home.run(&["runs", "logs", run_id, "shell"]);
    let log = String::from_utf8(output.stdout).unwrap();
    assert!(log.contains(&format!("parent {number}\n")), "{log}");
}

/// Each attempt takes its process with it: the cap of the run ends that, and the run says so.
#[test]
fn a_run_that_loses_process_after_process_ends_with_its_cause() {
    let home = Home::empty();
    home.write(
        "pipelines/doomed.toml",
        "name = \"doomed\"\n[defaults]\ncrash_retries = 100\nmax_run_crashes = 2\n\
         [[task]]\nid = \"a\"\nop = \"shell\"\nargv = [\"sh\", \"-c\", \"kill -9 $PPID\"]\n",
    );
    let run = home.run(&["--json", "run", "doomed"]);
    assert_eq!(run.status.code(), Some(1));
    let run: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(task(&run, "a")["attempts"], 3);
    let listed = home.json(&["runs", "list"]);
    assert_eq!(
        listed[0]["cause"],
        "`a` failed: the run has lost attempts with their processes 3 times; `max_run_crashes` \
         allows 2"
    );
    let why = home.json(&["runs", "explain", "latest", "a"]);
    assert!(
        why.to_string().contains("`max_run_crashes` allows 2"),
        "{why}"
    );
}
