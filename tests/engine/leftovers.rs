//! However an attempt ends, nothing that it has started goes on: not what is deaf, not what has
//! left its group and its parent, not what has thrown away its environment.

use std::{path::Path, time::Duration};

use serde_json::json;
use trendmill::{
    dag::{Node, RunState},
    engine::{Handle, HomeLock},
};

use crate::{
    kit::{Home, attempts, request, task},
    process::{gone, in_process, operators, this_test_binary},
};

/// Processes that do not want to end; each leaves its number in a file.
const WILD: &str = "trap '' TERM
    (setsid sh -c 'sleep 1000 & echo $! > forked' &)
    (env -i setsid sh -c 'sleep 1000 & echo $! > bare' &)
    while ! [ -s forked ] || ! [ -s bare ]; do sleep 0.01; done
    echo $$ > deaf";

const FILES: [&str; 3] = ["forked", "bare", "deaf"];

fn shell(folder: &Path, script: &str) -> Node {
    let settings = json!({ "argv": ["sh", "-c", script], "cwd": folder });
    Node {
        settings: settings.as_object().unwrap().clone(),
        ..task("a", "shell", &[])
    }
}

async fn start(home: &mut Home, change: impl FnOnce(&mut Node)) -> (Handle, String) {
    let folder = home.folder.path().to_owned();
    home.executors = in_process(this_test_binary(&folder));
    let handle = home.start(operators()).await;
    let mut node = shell(&folder, &format!("{WILD}\nsleep 1000"));
    change(&mut node);
    let run_id = handle.submit(request(vec![node])).await.unwrap().run_id;
    (handle, run_id)
}

/// The numbers of all processes, once they are there.
async fn numbers(folder: &Path) -> Vec<String> {
    let mut numbers = Vec::new();
    for file in FILES {
        loop {
            let text = fs_err::read_to_string(folder.join(file)).unwrap_or_default();
            if text.ends_with('\n') {
                numbers.push(text.trim().to_owned());
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    numbers
}

fn assert_gone(numbers: &[String]) {
    for (number, file) in numbers.iter().zip(FILES) {
        assert!(gone(number), "`{file}` is alive");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_cancellation() {
    let mut home = Home::new();
    let (handle, run_id) = start(&mut home, |_| {}).await;
    let numbers = numbers(home.folder.path()).await;
    handle.cancel(&run_id).await.unwrap();
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Cancelled);
    assert_gone(&numbers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_timeout() {
    let mut home = Home::new();
    let (handle, run_id) = start(&mut home, |node| {
        node.timeout = Some(Duration::from_secs(5));
    })
    .await;
    let numbers = numbers(home.folder.path()).await;
    handle.wait(&run_id).await.unwrap();
    let store = home.store().await;
    assert_eq!(attempts(&store, &run_id).await, ["a.1 timed_out"]);
    assert_gone(&numbers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_stop() {
    let mut home = Home::new();
    let (handle, _) = start(&mut home, |_| {}).await;
    let numbers = numbers(home.folder.path()).await;
    handle.stop();
    handle.stopped_for_good().await;
    assert_gone(&numbers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_its_own_end() {
    let mut home = Home::new();
    let folder = home.folder.path().to_owned();
    let (handle, run_id) = start(&mut home, |node| *node = shell(&folder, WILD)).await;
    let numbers = numbers(&folder).await;
    // The program's pipes are still held by what it has left.
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded, "{summary:?}");
    assert_gone(&numbers);
}

#[tokio::test]
async fn in_this_process_too_unless_it_hides_on_purpose() {
    let home = Home::new();
    let folder = home.folder.path();
    let handle = home.start(Vec::new()).await;
    let script = "(setsid sh -c 'sleep 1000 & echo $! > forked' &)
        while ! [ -s forked ]; do sleep 0.01; done";
    let node = shell(folder, script);
    let run_id = handle.submit(request(vec![node])).await.unwrap().run_id;
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded, "{summary:?}");
    let number = fs_err::read_to_string(folder.join("forked")).unwrap();
    assert!(gone(number.trim()));
}

#[test]
fn of_a_holder_that_died_is_killed_by_the_next() {
    let home = Home::new();
    let data = home.folder.path().join("data");
    fs_err::create_dir_all(&data).unwrap();
    // Nobody's child, as after the death of its attempt and of the process that watched that.
    let script = "(setsid sh -c 'sleep 1000 & echo $! > forked' &)";
    let status = std::process::Command::new("sh")
        .args(["-c", script])
        .current_dir(&data)
        .env("TRENDMILL_ATTEMPT_ID", "0190-attempt")
        .env("TRENDMILL_DATA", data.canonicalize().unwrap())
        .status()
        .unwrap();
    assert!(status.success());
    let number = loop {
        let text = fs_err::read_to_string(data.join("forked")).unwrap_or_default();
        if text.ends_with('\n') {
            break text.trim().to_owned();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let now = "2026-01-17T08:00:00Z".parse().unwrap();
    HomeLock::acquire(elsewhere.path(), now).unwrap();
    let stat = fs_err::read_to_string(format!("/proc/{number}/stat")).unwrap();
    assert!(!stat.contains(") Z "), "another home's is left alone");
    HomeLock::acquire(&data, now).unwrap();
    assert!(gone(&number));
}
