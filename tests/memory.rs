//! Memory does not grow with what has been done: alone in its program, for it counts all that the
//! process holds.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "proofs/engine.rs"]
mod engine;

use trendmill::{dag::Node, engine::Catalogue, operators::Noop};

const TASKS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_keeps_nothing_of_what_has_ended() {
    let home = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::default().with(Noop);
    let (handle, _store) = engine::start(home.path(), catalogue, |_| {}).await;
    let mut resident = Vec::new();
    for _ in 0..4 {
        for _ in 0..25 {
            let request = engine::request("memory", idle(TASKS));
            let run_id = handle.submit(request).await.unwrap().run_id;
            handle.wait(&run_id).await.unwrap();
        }
        resident.push(resident_kilobytes());
    }
    // The first rounds fill caches, which have a limit. 5,000 attempts later there is no more;
    // what a run holds while it lives is more than a kilobyte a task.
    let grown = resident[3].saturating_sub(resident[1]);
    assert!(grown < 5_000, "{resident:?} kB");
}

/// Tasks without order.
fn idle(count: usize) -> Vec<Node> {
    (0..count)
        .map(|number| engine::node(format!("t{number}"), "noop", Vec::new()))
        .collect()
}

fn resident_kilobytes() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}
