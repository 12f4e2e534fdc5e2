//! Deaths of the daemon between a tick that is due and its run: each tick is decided once.
use std::collections::BTreeMap;

use trendmill::{
    clock::Timestamp,
    store::{RunRow, Store},
};

use crate::{UP, around, die, effects, home::Home, work_until};

const ID: &str = "ticks/default";

fn home(overlap: &str, task: &str) -> Home {
    let home = Home::empty();
    let text = format!(
        "name = \"ticks\"\n[schedule]\nevery = \"1s\"\ncatchup = \"all\"\n\
         overlap = \"{overlap}\"\n[[task]]\nid = \"only\"\n{task}\n"
    );
    home.write("pipelines/ticks.toml", text);
    home
}

const QUICK: &str = "op = \"noop\"";

/// A task that takes so many seconds.
fn takes(seconds: &str) -> String {
    format!("op = \"shell\"\nargv = [\"sleep\", \"{seconds}\"]")
}

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
        let home = home("allow", QUICK);
        die(&home, place, &UP);
        effects::is_sound(&home);
        work_until(&home, || runs(&home).len() >= 5);
        effects::is_sound(&home);
        one_second_apart(&ticks(&home), place);
    }
}

/// Runs are held while another one of their schedule runs, and promoted when their turn has come.
#[test]
fn each_tick_that_waits_for_its_turn_gets_it_once() {
    for count in 1..=8 {
        for point in ["turn.before_commit", "turn.after_commit"] {
            let place = format!("{point}={count}");
            let home = home("queue-all", &takes("1.3"));
            die(&home, &place, &UP);
            effects::is_sound(&home);
            work_until(&home, || {
                runs(&home)
                    .iter()
                    .filter(|run| run.state.is_final())
                    .count()
                    >= 3
            });
            effects::is_sound(&home);
            one_second_apart(&ticks(&home), &place);
            // One after the other, in the order of their ticks.
            let all = runs(&home);
            let ended = all.iter().filter(|run| run.state.is_final()).count();
            assert!(
                all[..ended].iter().all(|run| run.state.is_final()),
                "{place}"
            );
        }
    }
}

#[test]
fn each_tick_that_is_left_out_is_told_once() {
    for place in around("ticks_skipped") {
        let home = home("skip", &takes("2.5"));
        die(&home, &place, &UP);
        effects::is_sound(&home);
        work_until(&home, || {
            runs(&home)
                .iter()
                .filter(|run| run.state.is_final())
                .count()
                >= 2
        });
        effects::is_sound(&home);
        let mut decided = ticks(&home);
        for skipped in effects::ask(home.path(), async |store| {
            store.skipped_ticks(ID, 100).await.unwrap()
        }) {
            let times = (0..i64::from(skipped.count)).map(|n| skipped.first.as_millis() + n * 1000);
            decided.extend(times);
        }
        decided.sort_unstable();
        one_second_apart(&decided, &place);
    }
}

/// A mark that lies before ticks which have runs, as after an older copy of it was put back.
#[test]
fn ticks_that_have_runs_get_no_others() {
    for place in around("tick_handled") {
        let home = home("allow", QUICK);
        assert!(home.run(&["db", "migrate"]).status.success());
        work_until(&home, || runs(&home).len() >= 3);
        let first = ticks(&home)[0];
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let store = Store::open(&home.path().join("data")).await.unwrap();
            let before = Timestamp::from_millis(first - 1);
            store.mark_schedule(ID, before).await.unwrap();
        });
        die(&home, &place, &UP);
        effects::is_sound(&home);
        let had = runs(&home).len();
        work_until(&home, || runs(&home).len() >= had + 2);
        effects::is_sound(&home);
        one_second_apart(&ticks(&home), &place);
    }
}

#[test]
fn a_tick_that_cannot_become_a_run_becomes_one_later() {
    for place in around("schedule_fault") {
        let home = home("allow", "op = \"unknown\"");
        die(&home, &place, &UP);
        effects::is_sound(&home);
        assert_eq!(runs(&home).len(), 0);
        let text = fs_err::read_to_string(home.path().join("pipelines/ticks.toml")).unwrap();
        home.write("pipelines/ticks.toml", text.replace("unknown", "noop"));
        work_until(&home, || runs(&home).len() >= 5);
        effects::is_sound(&home);
        one_second_apart(&ticks(&home), &place);
        let faults: BTreeMap<_, _> =
            effects::ask(home.path(), async |store| store.schedules().await.unwrap())
                .into_iter()
                .map(|row| (row.id, row.fault))
                .collect();
        assert_eq!(faults, BTreeMap::from([(ID.to_owned(), None)]), "{place}");
    }
}

/// The runs of a home, in the order of their ticks.
fn runs(home: &Home) -> Vec<RunRow> {
    let mut runs = effects::ask(home.path(), async |store| {
        store.runs(None, 10_000).await.unwrap()
    });
    runs.sort_by_key(|run| run.scheduled_for);
    runs
}

/// When its runs are for, in milliseconds.
fn ticks(home: &Home) -> Vec<i64> {
    let runs = runs(home);
    runs.iter()
        .map(|run| run.scheduled_for.as_millis())
        .collect()
}

fn one_second_apart(ticks: &[i64], place: &str) {
    assert!(
        ticks.windows(2).all(|pair| pair[1] - pair[0] == 1000),
        "{place}: {ticks:?}"
    );
}
