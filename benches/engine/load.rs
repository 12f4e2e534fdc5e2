//! From one task to the next while the store is read and large batches are committed.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use serde_json::{Map, Value};
use trendmill::{
    clock::{Clock as _, SystemClock},
    corpus::{ContentHash, Fingerprint, Vector, VectorType},
    dag::Graph,
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    store::{Store, Writer},
};

use crate::{Engine, measure, node, percentile};

/// When each task of the measured runs began and ended, in the order of the chain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stamps(Arc<Mutex<Vec<(Instant, Instant)>>>);

impl Stamps {
    pub(crate) fn operator(&self) -> Stamp {
        Stamp(self.clone())
    }

    fn take(&self) -> Vec<(Instant, Instant)> {
        std::mem::take(&mut self.0.lock().expect("nobody panics here"))
    }
}

/// Notes when it runs.
#[derive(Debug)]
pub(crate) struct Stamp(Stamps);

impl Operator for Stamp {
    fn name(&self) -> &'static str {
        "stamp"
    }

    fn check(&self, _settings: &Map<String, Value>) -> Result<(), SettingsError> {
        Ok(())
    }

    fn run(&self, _context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        let began = Instant::now();
        Box::pin(async move {
            let mut stamps = self.0.0.lock().expect("nobody panics here");
            stamps.push((began, Instant::now()));
            Ok(TaskOutcome::default())
        })
    }
}

/// Median and p99 of the milliseconds between a task's end and the next one's begin, in `runs`
/// chains of twelve, while the state is read 100 times and 256 vectors of 1,024 are committed
/// 20 times a second.
pub(crate) async fn task_to_task(engine: &Engine, runs: usize) -> anyhow::Result<(f64, f64)> {
    let nodes = (0..12).map(|i| node("s", "stamp", i, 0, 1)).collect();
    let graph = Graph::new(nodes)?;
    let reads = tokio::spawn(read(engine.store.clone()));
    let commits = tokio::spawn(commit(engine.store.clone()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut gaps = Vec::new();
    for _ in 0..runs {
        measure(engine, &graph).await?;
        for pair in engine.stamps.take().windows(2) {
            gaps.push(pair[1].0.duration_since(pair[0].1).as_secs_f64() * 1e3);
        }
    }
    for load in [reads, commits] {
        anyhow::ensure!(
            !load.is_finished(),
            "the load must last as long as the measurement"
        );
        load.abort();
    }
    Ok((percentile(&mut gaps, 0.5), percentile(&mut gaps, 0.99)))
}

/// What a page that lists runs and one that shows a run ask for.
async fn read(store: Store) -> anyhow::Result<()> {
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    loop {
        pace.tick().await;
        let runs = store.runs(None, 50).await?;
        if let Some(run) = runs.first() {
            store.tasks(&run.id).await?;
        }
    }
}

/// What an `embed` task commits.
async fn commit(store: Store) -> anyhow::Result<()> {
    let encoder = Fingerprint::of(&[("weights", "bench")]);
    let vector = Vector::new(&vec![0.5; 1024], VectorType::F16);
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    for number in 0_u64.. {
        pace.tick().await;
        let batch: Vec<(ContentHash, Vector)> = (0..256_u64)
            .map(|row| {
                let content = ContentHash::of(format!("{number}.{row}").as_bytes());
                (content, vector.clone())
            })
            .collect();
        let writer = Writer {
            run_id: "load",
            task_id: "embed",
            stored_at: SystemClock.now(),
        };
        store.store_embeddings(encoder, &batch, writer).await?;
    }
    Ok(())
}
