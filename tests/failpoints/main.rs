//! The program kills itself, as by `kill -9`, at each of its durable writes; started again, it
//! ends as if nothing had happened. Needs the feature `failpoints`.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../pipeline/home.rs"]
mod home;
#[path = "../proofs/effects.rs"]
mod effects;
mod commands;
mod logged;
mod models;
mod notices;
mod purges;
mod ticks;
mod trainings;

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{Child, Stdio},
    sync::OnceLock,
};

use home::{Home, stderr};
use serde_json::{Value, json};
use trendmill::dag::RunState;

const RUN: [&str; 5] = ["--json", "run", "deaths", "--source", "dump:posts.ndjson"];
const UP: [&str; 4] = ["--quiet", "up", "--listen", "127.0.0.1:0"];
/// Longer than the time between two heartbeats.
const NAP: &str = "nap=1.5";

/// The commit that ends or begins a task: the first of a run, some in its middle, the last one.
#[test]
fn at_the_turns_of_the_dispatcher() {
    for point in names("turn") {
        dies_at(&point, &[1, 2, 6, 10], &[]);
    }
}

#[test]
fn at_a_heartbeat() {
    for point in names("heartbeat") {
        dies_at(&point, &[1], &["--param", NAP]);
    }
}

#[test]
fn at_batches_of_content() {
    for point in names("content") {
        dies_at(&point, &[1], &[]);
    }
    for point in ["content.before_sync", "content.after_sync"] {
        dies_at(point, &[1], &[]);
    }
}

#[test]
fn at_files() {
    for point in ["file.written", "file.synced", "file.renamed"] {
        dies_at(point, &[1], &[]);
        // The second file of one process is a training's.
        attempt_dies_at(&format!("{point}=2"));
    }
}

#[test]
fn at_the_publication_of_a_version() {
    dies_at("folder.written", &[1, 2], &[]);
    for point in ["folder.synced", "folder.renamed", "version.published"] {
        dies_at(point, &[1], &[]);
    }
    for point in names("version") {
        dies_at(&point, &[1], &[]);
    }
}

/// Another run meets the version that one has made.
#[test]
fn at_the_link_to_a_version() {
    let link = |home: &Home| {
        home.json(&RUN[1..]);
    };
    let again = [&RUN[..], &["--force"]].concat();
    let undisturbed = {
        let home = home();
        link(&home);
        result(&home.json(&again[1..]))
    };
    for place in around("version_link") {
        let home = home();
        link(&home);
        die(&home, &place, &again);
        effects::is_sound(&home);
        // The same command goes on with the run that was forced.
        assert_eq!(result(&home.json(&again[1..])), undisturbed, "{place}");
        effects::is_sound(&home);
        effects::fit(&home, &effects::runs(home.path()));
    }
}

#[test]
fn at_the_begin_and_report_of_an_attempt() {
    for place in [around("attempt_begin"), around("attempt_report")].concat() {
        attempt_dies_at(&place);
    }
}

#[test]
fn at_the_lock() {
    dies_at("lock.emptied", &[1, 2, 3], &[]);
}

/// A copy is there whole or not at all, the state's last.
#[test]
fn at_a_backup() {
    let home = home();
    home.json(&RUN[1..]);
    let (state, content) = (home.path().join("b.db"), home.path().join("b.content.db"));
    for (place, copies) in [
        ("backup.written=1", (false, false)),
        ("backup.synced=1", (false, false)),
        ("backup.renamed=1", (true, false)),
        ("backup.synced=2", (true, false)),
        ("backup.renamed=2", (true, true)),
    ] {
        let marker = home.path().join(place);
        let killed = home
            .command(&["db", "backup", "--force", state.to_str().unwrap()])
            .env("TRENDMILL_DIE_AT", place)
            .env("TRENDMILL_DIE_ONCE", &marker)
            .output()
            .unwrap();
        assert!(marker.exists(), "{place}: {}", stderr(&killed));
        assert_eq!((content.exists(), state.exists()), copies, "{place}");
        effects::is_sound(&home);
        if copies == (true, true) {
            // It is a home of its own, with everything in it.
            let copy = Home::empty();
            fs_err::create_dir(copy.path().join("data")).unwrap();
            fs_err::rename(&state, copy.path().join("data/state.db")).unwrap();
            fs_err::rename(&content, copy.path().join("data/content.db")).unwrap();
            assert_eq!(effects::runs(copy.path()).len(), 1);
        } else {
            let _ = fs_err::remove_file(&content);
        }
    }
}

/// The fail points around a commit.
fn names(what: &str) -> [String; 2] {
    ["before", "after"].map(|side| format!("{what}.{side}_commit"))
}

/// The first time that each of these is passed.
fn around(what: &str) -> Vec<String> {
    names(what).map(|name| name + "=1").to_vec()
}

/// Runs a command that must die at this place.
fn die(home: &Home, place: &str, arguments: &[&str]) {
    let marker = home.path().join("died");
    // It may have died here before.
    let _ = fs_err::remove_file(&marker);
    let killed = home
        .command(arguments)
        .env("TRENDMILL_DIE_AT", place)
        .env("TRENDMILL_DIE_ONCE", &marker)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = stderr(&killed);
    assert!(
        marker.exists(),
        "{place} of {arguments:?} was not reached: {said}"
    );
    assert_eq!(killed.status.signal(), Some(9), "{place}: {said}");
}

/// Starts the daemon.
fn up(home: &Home) -> Child {
    home.command(&UP)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Lets a daemon work until something holds, and kills it.
fn work_until(home: &Home, holds: impl Fn() -> bool) {
    effects::kill_once(&mut up(home), holds);
}

/// Lets go on what goes on by itself, to its end.
fn let_finish(home: &Home) {
    work_until(home, || effects::live(home.path()) == 0);
}

/// Runs the pipeline in a process that dies where it passes this point for the Nth time, for each
/// N, and goes on.
fn dies_at(point: &str, counts: &[u32], more: &[&str]) {
    for count in counts {
        let home = home();
        let place = format!("{point}={count}");
        let arguments = [&RUN, more].concat();
        die(&home, &place, &arguments);
        // The lock of a new home comes before its databases.
        if home.path().join("data/content.db").exists() {
            effects::is_sound(&home);
        }

        let resumed = home.json(&arguments[1..]);
        effects::is_sound(&home);
        let runs = effects::runs(home.path());
        assert!(runs.len() <= 2, "{place}");
        let mut expected = undisturbed().clone();
        if runs.len() == 2 {
            // What died had done its work: a second run has found nothing new in the files.
            expected["tasks"][0] = json!(["scrape", "succeeded", 0, 0]);
        }
        assert_eq!(result(&resumed), expected, "{place}");
        for (run, _) in &runs {
            assert_eq!(run.state, RunState::Succeeded, "{place}: {run:?}");
        }
        effects::fit(&home, &runs);
    }
}

/// The process of an attempt dies here once, and the one that watches over it lives on.
fn attempt_dies_at(place: &str) {
    let home = home();
    let marker = home.path().join("died");
    let answer = home
        .command(&RUN)
        .env("TRENDMILL_DIE_AT", place)
        .env("TRENDMILL_DIE_ONCE", &marker)
        .output()
        .unwrap();
    assert!(marker.exists(), "{place} was not reached");
    assert!(answer.status.success(), "{place}: {}", stderr(&answer));
    let run = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(result(&run), *undisturbed(), "{place}");
    effects::is_sound(&home);
    effects::fit(&home, &effects::runs(home.path()));
}

/// What a run that nothing disturbs ends with.
fn undisturbed() -> &'static Value {
    static RESULT: OnceLock<Value> = OnceLock::new();
    RESULT.get_or_init(|| result(&home().json(&RUN[1..])))
}

/// What must be the same however a run came to its end.
fn result(run: &Value) -> Value {
    let tasks: Vec<Value> = run["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| json!([task["id"], task["state"], task["rows_in"], task["rows_out"]]))
        .collect();
    let model = &run["model"];
    json!({
        "state": run["state"],
        "tasks": tasks,
        "version": model["version"],
        "weights": model["weights_sha256"],
        "matrix": model["matrix"],
        "metrics": model["metrics"],
    })
}

/// A home with a pipeline that reads, computes, publishes, and tells when it begins and ends.
fn home() -> Home {
    let home = Home::new();
    let shell = |id: &str, after: &str| {
        let argv = effects::argv(&home, "sleep $1");
        let argv = argv.trim_end_matches(']');
        format!(
            "\n[[task]]\nid = \"{id}\"\nop = \"shell\"\nafter = [{after}]\n\
             argv = {argv}, '{{{{ params.nap }}}}']\n"
        )
    };
    let plain = home::PLAIN
        .replace("name = \"plain\"", "name = \"deaths\"")
        .replace("[params]", "[params]\nnap = 0.0")
        .replace(
            "id = \"scrape\"\n",
            "id = \"scrape\"\nafter = [\"first\"]\n",
        )
        // Nothing here asks the network.
        .replace(
            "[[task]]\nid = \"fetch_images\"\nop = \"fetch_images\"\nafter = [\"filter\"]\n",
            "",
        )
        .replace("after = [\"fetch_images\"]", "after = [\"filter\"]");
    let text = plain + &shell("first", "") + &shell("last", "\"persist\"");
    home.write("pipelines/deaths.toml", text);
    home.write("posts.ndjson", home::posts(80));
    home
}
