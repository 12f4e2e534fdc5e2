//! Deaths of commands that change a home without running anything: what they do is done whole or
//! not at all, and saying it again ends in the same state.
use std::{path::Path, process::Stdio, thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    around, die, effects,
    home::{Home, posts, stderr},
    let_finish,
};

/// A pipeline whose task waits while the file `slow` lies in the home, and fails while `broken`
/// does.
const FRAGILE: &str = r#"
name = "fragile"

[[task]]
id = "first"
op = "scrape"
source = "dump:HOME/posts.ndjson"

[[task]]
id = "work"
op = "shell"
after = ["first"]
argv = ["sh", "-c", "touch HOME/working; while test -e HOME/slow; do sleep 0.05; done; test ! -e HOME/broken"]

[[task]]
id = "last"
op = "noop"
after = ["work"]
"#;

#[test]
fn at_a_token() {
    let tokens = |home: &Home| {
        let listed = home.json(&["tokens", "list"]);
        let tokens = listed.as_array().unwrap().iter();
        json!(
            tokens
                .map(|token| json!([token["name"], token["revoked_at"].is_null()]))
                .collect::<Vec<_>>()
        )
    };
    let create = ["tokens", "create", "ci"];
    dies_at(&around("token"), &fragile, &create, &tokens);
    let made = || {
        let home = fragile();
        home.json(&create);
        home
    };
    dies_at(
        &around("token"),
        &made,
        &["tokens", "revoke", "ci"],
        &tokens,
    );
}

#[test]
fn at_a_pause() {
    let paused = |home: &Home| {
        let paused = effects::ask(home.path(), async |store| {
            store.paused_pipelines().await.unwrap()
        });
        json!(paused.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
    };
    let pause = ["pipelines", "pause", "fragile"];
    dies_at(&around("pause"), &fragile, &pause, &paused);
    let is_paused = || {
        let home = fragile();
        assert!(home.run(&pause).status.success());
        home
    };
    let unpause = ["pipelines", "unpause", "fragile"];
    dies_at(&around("pause"), &is_paused, &unpause, &paused);
}

#[test]
fn at_a_switch_of_profiles() {
    let prepare = || {
        let home = Home::empty();
        let nothing =
            ["text", "image", "caption", "visual"].map(|kind| format!("{kind} = \"none\"\n"));
        let profiles =
            ["old", "new"].map(|name| format!("[profiles.{name}]\n{}", nothing.concat()));
        let task = "[[task]]\nid = \"only\"\nop = \"noop\"\n";
        let head = "name = \"turned\"\nprofile = \"old\"\n";
        home.write(
            "pipelines/turned.toml",
            format!("{head}{}{task}", profiles.concat()),
        );
        home
    };
    let profile = |home: &Home| {
        let switched = effects::ask(home.path(), async |store| {
            store.switched_profiles().await.unwrap()
        });
        json!(switched.get("turned").map(|switched| &switched.profile))
    };
    let switch = ["pipelines", "switch", "turned", "--profile", "new"];
    dies_at(&around("switch_profile"), &prepare, &switch, &profile);
    let switched = || {
        let home = prepare();
        assert!(home.run(&switch).status.success());
        home
    };
    let clear = ["pipelines", "switch", "turned", "--clear"];
    dies_at(&around("switch_profile"), &switched, &clear, &profile);
}

#[test]
fn at_a_backfill() {
    let backfill = [
        "backfill",
        "fragile",
        "--from",
        "2026-01-02",
        "--to",
        "2026-01-04",
        "--concurrency",
        "2",
    ];
    // Asked for, its intervals made into runs one after the other, and ended.
    let places = [
        "backfill.before_commit=1",
        "backfill.after_commit=1",
        "turn.before_commit=1",
        "turn.after_commit=1",
        "turn.before_commit=4",
        "turn.after_commit=4",
        "backfill.before_commit=2",
        "backfill.after_commit=2",
    ];
    dies_at(&places.map(str::to_owned), &fragile, &backfill, &backfills);

    // One that nobody works off, because its command was killed.
    let idle = || {
        let home = fragile();
        die(&home, "backfill.after_commit=1", &backfill);
        home
    };
    for action in ["pause", "cancel"] {
        dies_at(
            &around("backfill"),
            &idle,
            &["backfill", action, "BACKFILL"],
            &backfills,
        );
    }
    let paused = || {
        let home = idle();
        home.json(&words(&arguments(
            &home,
            &["backfill", "pause", "BACKFILL"],
        )));
        home
    };
    let resume = ["backfill", "resume", "BACKFILL"];
    dies_at(&around("backfill"), &paused, &resume, &backfills);

    let wrong = || {
        let home = paused();
        let text = "name = \"fragile\"\n[[task]]\nid = \"a\"\nop = \"unknown\"\n";
        home.write("pipelines/fragile.toml", text);
        home
    };
    // Its runs cannot be made any more.
    dies_at(&around("backfill_fault"), &wrong, &resume, &backfills);
}

#[test]
fn at_a_cancel() {
    let places = [around("cancel_request"), around("turn")].concat();
    let cancel = ["runs", "cancel", "latest"];
    dies_at(&places, &interrupted, &cancel, &runs);
    let task = ["runs", "cancel", "latest", "--task", "work"];
    dies_at(&places, &interrupted, &task, &runs);
}

#[test]
fn at_tasks_that_are_cleared() {
    let failed = || {
        let home = fragile();
        let broken = home.write("broken", "");
        assert!(!home.run(&["run", "fragile"]).status.success());
        fs_err::remove_file(broken).unwrap();
        home
    };
    let places = [
        "turn.before_commit=1",
        "turn.after_commit=1",
        "turn.before_commit=2",
        "turn.after_commit=2",
    ];
    let clear = ["runs", "clear", "latest", "--failed"];
    dies_at(&places.map(str::to_owned), &failed, &clear, &runs);
}

/// A home of an older release is brought up to date, after a copy of its state was kept.
#[test]
fn at_an_upgrade() {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/homes/0.1.0.zip");
    let old = || {
        let home = Home::empty();
        let packed = fs_err::File::open(&packed).unwrap();
        let mut packed = zip::ZipArchive::new(packed).unwrap();
        packed.extract(home.path()).unwrap();
        home
    };
    let places = ["backup.written=1", "backup.synced=1", "backup.renamed=1"];
    dies_at(
        &places.map(str::to_owned),
        &old,
        &["db", "migrate"],
        &|home| {
            let backups = fs_err::read_dir(home.path().join("data/backups")).unwrap();
            let mut kept: Vec<_> = backups
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| Path::new(name).extension().is_some_and(|end| end == "db"))
                .collect();
            kept.sort();
            json!([kept, home.json(&["models", "list"]), runs(home)])
        },
    );
}

#[test]
fn at_what_has_had_its_time() {
    let old = || {
        let home = fragile();
        home.write("trendmill.toml", "[retention]\nruns = \"1ms\"\n");
        let days = ["2026-01-02", "2026-01-03", "2026-01-04"];
        let made = days.map(|day| {
            let run = home.json(&["run", "fragile", "--date", day]);
            run["run_id"].as_str().unwrap().to_owned()
        });
        home.write("made", made.join(" "));
        home
    };
    let places = [
        around("delete_progress"),
        around("delete_runs"),
        around("delete_leftovers"),
    ];
    dies_at(&places.concat(), &old, &["db", "vacuum"], &|home| {
        let made = fs_err::read_to_string(home.path().join("made")).unwrap();
        let left = effects::ask(home.path(), async |store| {
            let mut left = Vec::new();
            for run in made.split(' ') {
                let row = store.run(run).await.unwrap();
                let progress = store.task_progress(run, "first").await.unwrap();
                left.push(json!([row.is_some(), progress.rows_computed > 0]));
            }
            left
        });
        // The first one has stored records; the newest run of a pipeline stays.
        assert_eq!(
            json!(left),
            json!([[false, false], [false, false], [true, false]])
        );
        json!(left)
    });
}

/// Kills the command at each place in a home of its own, says it again and lets go on what goes
/// on: the home must then be as one in which nothing was killed.
pub(crate) fn dies_at(
    places: &[String],
    prepare: &dyn Fn() -> Home,
    command: &[&str],
    state: &dyn Fn(&Home) -> Value,
) {
    let undisturbed = {
        let home = prepare();
        let said = home.run(&words(&arguments(&home, command)));
        assert_ne!(said.status.code(), Some(2), "{}", stderr(&said));
        let_finish(&home);
        state(&home)
    };
    for place in places {
        let home = prepare();
        let arguments = arguments(&home, command);
        die(&home, place, &words(&arguments));
        effects::is_sound(&home);
        // What was done already is refused, or done by those who go on with it.
        home.run(&words(&arguments));
        let_finish(&home);
        effects::is_sound(&home);
        assert_eq!(state(&home), undisturbed, "{place} of {command:?}");
    }
}

pub(crate) fn fragile() -> Home {
    let home = Home::empty();
    let text = FRAGILE.replace("HOME", home.path().to_str().unwrap());
    home.write("pipelines/fragile.toml", text);
    home.write("posts.ndjson", posts(20));
    home
}

/// A home with a run that was killed while its task was at work.
fn interrupted() -> Home {
    let home = fragile();
    home.write("slow", "");
    let mut run = home
        .command(&["--quiet", "run", "fragile"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !home.path().join("working").exists() {
        assert!(run.try_wait().unwrap().is_none(), "the run gave up");
        thread::sleep(Duration::from_millis(5));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    home
}

/// The words of a command for this home, with the id of its newest backfill.
fn arguments(home: &Home, words: &[&str]) -> Vec<String> {
    words
        .iter()
        .map(|&word| match word {
            "BACKFILL" => effects::ask(home.path(), async |store| {
                store.backfills(false).await.unwrap().remove(0).id
            }),
            _ => word.to_owned(),
        })
        .collect()
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// How runs and their tasks stand.
fn runs(home: &Home) -> Value {
    let states = effects::ask(home.path(), async |store| {
        let mut states = Vec::new();
        for run in store.runs(None, 100).await.unwrap() {
            let tasks = store.tasks(&run.id).await.unwrap();
            let tasks: Vec<_> = tasks.iter().map(|task| task.run.state.name()).collect();
            states.push(json!([run.state.name(), run.cancel_requested, tasks]));
        }
        states
    });
    json!(states)
}

/// How backfills stand, and the runs of each of their intervals.
fn backfills(home: &Home) -> Value {
    let states = effects::ask(home.path(), async |store| {
        let mut states = Vec::new();
        for row in store.backfills(false).await.unwrap() {
            let intervals = store.backfill_intervals(&row.id).await.unwrap();
            let runs: Vec<_> = intervals
                .iter()
                .map(|interval| {
                    let state = interval.run_state.map(trendmill::dag::RunState::name);
                    json!([state, interval.fault.is_some()])
                })
                .collect();
            states.push(json!([row.state, runs]));
        }
        states
    });
    json!([states, runs(home)])
}
