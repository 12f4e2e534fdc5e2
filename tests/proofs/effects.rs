//! What tasks did, counted from outside: shell tasks append lines to a file, and the lines must
//! fit the attempts that the store knows.
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Child,
    thread,
    time::Duration,
};

use trendmill::store::{AttemptRow, RunRow, Store};

use crate::home::Home;

/// Where the tasks of a home write.
pub(crate) fn file(home: &Home) -> PathBuf {
    home.path().join("effects.log")
}

/// The words of a shell task that says when it begins and ends, and does `body` in between.
pub(crate) fn argv(home: &Home, body: &str) -> String {
    let say = |what: &str| {
        format!(r#"echo {what} $TRENDMILL_RUN_ID "$TRENDMILL_TASK_ID" $TRENDMILL_ATTEMPT >> $0"#)
    };
    // A text of TOML without escapes.
    format!(
        "['sh', '-c', '{}; {body}; {}', '{}']",
        say("begin"),
        say("end"),
        file(home).display()
    )
}

/// What the databases of a home say.
pub(crate) fn ask<T>(home: &Path, question: impl AsyncFnOnce(Store) -> T) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let data = home.join("data");
        question(Store::open_read_only(&data).await.unwrap()).await
    })
}

/// All runs of a home, each with its attempts.
pub(crate) fn runs(home: &Path) -> Vec<(RunRow, Vec<AttemptRow>)> {
    ask(home, async |store| {
        let mut all = Vec::new();
        for run in store.runs(None, 100_000).await.unwrap() {
            let attempts = store.attempts(&run.id, None).await.unwrap();
            all.push((run, attempts));
        }
        all
    })
}

/// How many runs and backfills of a home go on.
pub(crate) fn live(home: &Path) -> usize {
    ask(home, async |store| {
        let mut backfills = store.backfills(true).await.unwrap();
        backfills.retain(|row| row.state == "running");
        store.unfinished_runs(None).await.unwrap().len() + backfills.len()
    })
}

/// Lets a daemon work until something holds, and kills it.
pub(crate) fn kill_once(daemon: &mut Child, holds: impl Fn() -> bool) {
    while !holds() {
        assert!(daemon.try_wait().unwrap().is_none(), "the daemon gave up");
        thread::sleep(Duration::from_millis(20));
    }
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

/// Every line must be of an attempt, none twice; and once an attempt's success was durable, no
/// later attempt of its task has begun.
pub(crate) fn fit(home: &Home, runs: &[(RunRow, Vec<AttemptRow>)]) {
    let text = fs_err::read_to_string(file(home)).unwrap();
    let attempts: BTreeMap<(&str, &str, u32), &AttemptRow> = runs
        .iter()
        .flat_map(|(_, attempts)| attempts)
        .map(|row| ((row.run_id.as_str(), row.task_id.as_str(), row.number), row))
        .collect();
    let mut begun = BTreeSet::new();
    let mut ended = BTreeSet::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [what, run, task, number] = words[..] else {
            panic!("a torn line: {line}");
        };
        let key = (run, task, number.parse::<u32>().unwrap());
        assert!(attempts.contains_key(&key), "no attempt did this: {line}");
        let is_new = match what {
            "begin" => begun.insert(key),
            _ => ended.insert(key),
        };
        assert!(is_new, "done twice: {line}");
    }
    for (key, row) in &attempts {
        let (run, task, number) = *key;
        if row.state == "succeeded" && begun.iter().any(|&(r, t, _)| (r, t) == (run, task)) {
            assert!(ended.contains(key), "succeeded without its effect: {row:?}");
            let later = begun.range((run, task, number + 1)..=(run, task, u32::MAX));
            assert_eq!(later.count(), 0, "begun after its success: {row:?}");
        }
    }
}

/// No row of the home contradicts another.
pub(crate) fn is_sound(home: &Home) {
    let answer = home.run(&["--json", "db", "check"]);
    let text = String::from_utf8_lossy(&answer.stdout);
    assert!(
        answer.status.success(),
        "{text}{}",
        crate::home::stderr(&answer)
    );
}
