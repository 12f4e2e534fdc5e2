//! The power fails: what was acknowledged is there, however much of the rest is lost.
//!
//! Loss model. What a file held when it was last synced stays; of what was written to it since,
//! any 512-byte sectors may be on the disk and any others not. `state.db` runs in WAL mode with
//! `synchronous = FULL`, which syncs the log after each commit, so whatever the log held when a
//! commit was acknowledged is safe: that every acknowledgment indeed comes after its sync is what
//! `tests/proofs/power.py` shows, with `strace`, for the shipped binary. Here the log is cut and
//! torn behind each acknowledged length, and the store that comes out of it must know everything
//! that was acknowledged and must not contradict itself. Not covered: a disk that says that it
//! has synced and has not, and damage to what was synced.
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use futures::future::BoxFuture;
use serde_json::{Map, Value};
use trendmill::{
    dag::TaskState,
    engine::{Catalogue, Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    store::Store,
};

use crate::{dice::Dice, engine};

const TASKS: usize = 10;
const SECTOR: usize = 512;
const TEARS: u64 = 3;

/// What was acknowledged when the log had this length: the number of tasks that had succeeded.
type Acknowledged = Arc<Mutex<Vec<(usize, usize)>>>;

/// A task whose effect is to look: that it runs tells that those before it are durable.
#[derive(Debug)]
struct Look {
    log: std::path::PathBuf,
    seen: Acknowledged,
}

impl Operator for Look {
    fn name(&self) -> &'static str {
        "look"
    }

    fn check(&self, _settings: &Map<String, Value>) -> Result<(), SettingsError> {
        Ok(())
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(async move {
            let before = context.task_id.trim_start_matches('t').parse().unwrap();
            self.seen.lock().unwrap().push((length(&self.log), before));
            Ok(TaskOutcome::default())
        })
    }
}

fn length(file: &Path) -> usize {
    usize::try_from(fs_err::metadata(file).unwrap().len()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_any_loss_behind_its_sync() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let log = data.join("state.db-wal");
    let seen = Acknowledged::default();
    let look = Look {
        log: log.clone(),
        seen: Arc::clone(&seen),
    };
    let (handle, _store) =
        engine::start(home.path(), Catalogue::default().with(look), |_| {}).await;
    let nodes = (0..TASKS)
        .map(|number| {
            let above = number.checked_sub(1).map(|above| format!("t{above}"));
            engine::node(format!("t{number}"), "look", above.into_iter().collect())
        })
        .collect();
    let run_id = handle
        .submit(engine::request("power", nodes))
        .await
        .unwrap()
        .run_id;
    handle.wait(&run_id).await.unwrap();
    let mut acknowledged = seen.lock().unwrap().clone();
    acknowledged.push((length(&log), TASKS));
    assert_eq!(acknowledged.len(), TASKS + 1);

    // No checkpoint has moved anything from the log: the file is what it was at the start.
    let (base, whole) = (
        fs_err::read(data.join("state.db")).unwrap(),
        fs_err::read(&log).unwrap(),
    );
    let mut dice = Dice(7);
    for &(safe, succeeded) in &acknowledged {
        for tear in 0..=TEARS {
            let mut torn = whole[..safe].to_vec();
            if tear > 0 {
                // Sectors behind it, some of them there, and an end at any of them.
                let rest = &whole[safe..];
                let until = dice.roll(rest.len() + 1);
                for sector in rest[..until].chunks(SECTOR) {
                    let is_lost = dice.roll(2) == 0;
                    torn.extend(sector.iter().map(|&byte| if is_lost { 0 } else { byte }));
                }
            }
            survives(&base, &torn, &run_id, succeeded).await;
        }
    }
}

async fn survives(base: &[u8], log: &[u8], run_id: &str, succeeded: usize) {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("state.db"), base).unwrap();
    fs_err::write(folder.path().join("state.db-wal"), log).unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    assert_eq!(store.faults().await.unwrap(), []);
    let tasks = store.tasks(run_id).await.unwrap();
    assert_eq!(tasks.len(), TASKS);
    for task in &tasks[..succeeded] {
        assert_eq!(task.run.state, TaskState::Succeeded, "{}", task.task_id);
    }
    // The effect that was seen belongs to an attempt that is known.
    if let Some(task) = tasks.get(succeeded) {
        assert_eq!(task.run.attempts, 1, "{}", task.task_id);
    }
}
