//! Attempts in processes of their own. The child is this test binary, through a small script.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::process::{Signal, getpid, kill_process};
use serde_json::json;
use trendmill::{
    clock::SystemClock,
    dag::{Mapping, RunState},
    engine::{Catalogue, ExecutorChoice, Placement, TaskError, TaskOutcome, attempt},
    operators::Shell,
    store::Store,
};

use crate::kit::{Fake, Home, attempts, done, request, task};

const HOME: &str = "TRENDMILL_TEST_HOME";
const ATTEMPT: &str = "TRENDMILL_TEST_ATTEMPT";

/// An executable that starts `body` with `$home` and `$attempt` set.
fn script(folder: &Path, body: &str) -> PathBuf {
    let path = folder.join("worker.sh");
    let text = format!("#!/bin/sh\nhome=$2\nattempt=$4\n{body}\n");
    fs_err::write(&path, text).unwrap();
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

pub(crate) fn this_test_binary(folder: &Path) -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let body = format!(
        "{HOME}=$home {ATTEMPT}=$attempt exec {} --exact process::inside_a_child --nocapture",
        exe.display()
    );
    script(folder, &body)
}

pub(crate) fn in_process(executable: PathBuf) -> ExecutorChoice {
    ExecutorChoice::new(move |node| {
        if node.op == "noop" {
            Placement::Inline
        } else {
            Placement::Process {
                executable: executable.clone(),
            }
        }
    })
}

/// Takes more memory than the tests allow, and keeps it; or has enough at once.
async fn take_memory(much: bool) -> Result<TaskOutcome, TaskError> {
    if much {
        let taken = vec![1_u8; 400 << 20];
        std::future::pending::<()>().await;
        drop(taken);
    }
    done(json!(null))
}

pub(crate) fn operators() -> Vec<Fake> {
    vec![
        Fake::new("report", |context| async move {
            Ok(TaskOutcome {
                rows_out: 3,
                message: Some(format!(
                    "attempt {} of {}",
                    context.attempt, context.task_id
                )),
                output: json!({"pid": std::process::id(), "upstream": context.upstream}),
                ..TaskOutcome::default()
            })
        }),
        Fake::new("abort", |context| async move {
            if context.attempt == 1 {
                std::process::abort();
            }
            done(json!(null))
        }),
        Fake::endless("endless"),
        Fake::new("told", |context| async move {
            if context.attempt == 1 {
                kill_process(getpid(), Signal::TERM).unwrap();
                context.cancelled.cancelled().await;
                return Err(TaskError::Cancelled);
            }
            done(json!(null))
        }),
        Fake::new("hungry", |context| take_memory(context.batch_divisor == 1)),
        Fake::new("insatiable", |_| take_memory(true)),
    ]
}

/// Does nothing unless a test above started it as a child.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::disallowed_methods,
    reason = "the parent speaks through the environment"
)]
async fn inside_a_child() {
    let (Ok(home), Ok(id)) = (std::env::var(HOME), std::env::var(ATTEMPT)) else {
        return;
    };
    let data = Path::new(&home).join("data");
    let store = Store::open(&data).await.unwrap();
    let catalogue = operators()
        .into_iter()
        .fold(Catalogue::default().with(Shell), Catalogue::with);
    attempt::run(&store, &catalogue, Arc::new(SystemClock), &data, &id)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_reads_its_task_and_leaves_its_outcome_in_the_store() {
    let mut home = Home::new();
    home.executors = in_process(this_test_binary(home.folder.path()));
    let handle = home.start(operators()).await;
    let tasks = vec![task("a", "report", &[]), task("b", "report", &["a"])];
    let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded, "{summary:?}");
    let store = home.store().await;
    let rows = store.tasks(&run_id).await.unwrap();
    assert_eq!(rows[1].message.as_deref(), Some("attempt 1 of b"));
    let outcome: TaskOutcome = serde_json::from_str(rows[1].outcome.as_ref().unwrap()).unwrap();
    let pids = [
        &outcome.output["pid"],
        &outcome.output["upstream"]["a"]["pid"],
    ];
    assert_ne!(pids[0], pids[1]);
    assert_ne!(pids[0], &json!(std::process::id()));
    let attempt = &store.attempts(&run_id, Some("b")).await.unwrap()[0];
    assert_eq!(json!(attempt.pid), outcome.output["pid"]);
}

/// The error of the first attempt of such a task, which crashed with its process; the second
/// succeeded.
async fn crash(operator: &str) -> String {
    let mut home = Home::new();
    home.executors = in_process(this_test_binary(home.folder.path()));
    let handle = home.start(operators()).await;
    let mut events = handle.subscribe();
    let tasks = vec![task("a", operator, &[])];
    let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
    home.skip_delay(&handle, &mut events).await;
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
    let store = home.store().await;
    assert_eq!(
        attempts(&store, &run_id).await,
        ["a.1 crashed", "a.2 succeeded"]
    );
    let rows = store.attempts(&run_id, None).await.unwrap();
    assert_eq!(rows[0].error_code.as_deref(), Some("process_lost"));
    rows[0].error.clone().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_dies_is_a_crash() {
    let error = crash("abort").await;
    assert!(error.contains("signal: 6"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_somebody_else_stops_is_a_crash() {
    let error = crash("told").await;
    assert_eq!(error, "its process was told to stop from outside");
}

/// The child has left its result; what is left of it takes memory, and is killed for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_counts_though_its_process_had_to_be_killed() {
    let mut home = Home::new();
    let exe = std::env::current_exe().unwrap();
    let body = format!(
        "{HOME}=$home {ATTEMPT}=$attempt {} --exact process::inside_a_child --nocapture
        (head -c 400000000 /dev/zero; sleep 1000) | tail -c 400000000",
        exe.display()
    );
    home.executors = in_process(script(home.folder.path(), &body));
    let handle = home.start(operators()).await;
    let mut node = task("a", "report", &[]);
    node.memory = Some(256 << 20);
    let run_id = handle.submit(request(vec![node])).await.unwrap().run_id;
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded, "{summary:?}");
    let store = home.store().await;
    assert_eq!(attempts(&store, &run_id).await, ["a.1 succeeded"]);
    let peak = store.attempts(&run_id, None).await.unwrap()[0].peak_bytes;
    assert!(peak > Some(256 << 20), "{peak:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_reads_no_more_of_its_run_than_concerns_it() {
    let mut home = Home::new();
    home.executors = in_process(this_test_binary(home.folder.path()));
    let handle = home.start(operators()).await;
    let mut shards = task("shards", "report", &["first"]);
    shards.map = Some(Mapping {
        expression: "3".to_owned(),
        scope: json!({}),
        ..Mapping::default()
    });
    let tasks = vec![
        task("first", "report", &[]),
        shards,
        task("last", "report", &["shards"]),
        task("apart", "report", &[]),
    ];
    let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded, "{summary:?}");
    let store = home.store().await;
    let upstream = async |position: usize| -> Vec<String> {
        let outcomes = store.outcomes(&run_id, &[position]).await.unwrap();
        let outcome: TaskOutcome = serde_json::from_str(&outcomes[0].1).unwrap();
        let upstream = outcome.output["upstream"].as_object().unwrap();
        upstream.keys().cloned().collect()
    };
    assert_eq!(upstream(2).await, ["shards", "first"]);
    assert_eq!(upstream(5).await, ["first"]);
    let all: Vec<usize> = (0..7).collect();
    assert_eq!(store.outcomes(&run_id, &all).await.unwrap().len(), 7);
    let lineage = store.lineage(&run_id, 5).await.unwrap();
    assert_eq!(lineage.node.id, "shards[1]");
    assert_eq!(lineage.above, [(0, "first".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeout_kills_the_child_and_what_it_has_started() {
    let mut home = Home::new();
    let folder = home.folder.path().to_owned();
    // Deaf to the polite signal, and with a grandchild.
    let body = format!(
        "trap '' TERM\nsleep 1000 &\necho $! > {0}/grandchild\necho $$ > {0}/child\nwait",
        folder.display()
    );
    home.executors = in_process(script(&folder, &body));
    let handle = home.start(operators()).await;
    let mut node = task("a", "endless", &[]);
    node.timeout = Some(Duration::from_millis(300));
    let run_id = handle.submit(request(vec![node])).await.unwrap().run_id;
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Failed);
    let store = home.store().await;
    assert_eq!(attempts(&store, &run_id).await, ["a.1 timed_out"]);
    for name in ["child", "grandchild"] {
        let pid = fs_err::read_to_string(folder.join(name)).unwrap();
        assert!(gone(pid.trim()), "{name} is alive");
    }
}

/// Whether a process has ended; one that nobody has waited for yet counts as ended.
pub(crate) fn gone(pid: &str) -> bool {
    (0..50).any(|_| {
        let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let ended = stat.is_empty() || stat.contains(") Z ");
        if !ended {
            std::thread::sleep(Duration::from_millis(10));
        }
        ended
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_executable_that_is_not_there_fails_with_its_name() {
    let mut home = Home::new();
    home.executors = in_process(PathBuf::from("/nowhere/trendmill-worker"));
    let handle = home.start(operators()).await;
    let run_id = handle
        .submit(request(vec![task("a", "report", &[])]))
        .await
        .unwrap()
        .run_id;
    let summary = handle.wait(&run_id).await.unwrap();
    let message = summary.task("a").unwrap().message.clone().unwrap();
    assert!(message.contains("/nowhere/trendmill-worker"), "{message}");
}
