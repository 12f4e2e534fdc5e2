//! What the engine costs, with every transition durable: `cargo bench --bench engine`.
//!
//! Prints the milliseconds of 1,000 tasks in ten full layers and of a chain of twelve, each as
//! the median of five runs, beside one durable commit of one row on the same disk.

use std::{sync::Arc, time::Instant};

use serde_json::Map;
use trendmill::{
    clock::{Clock, SystemClock, Timestamp},
    dag::{Graph, Node, RetryPolicy, TriggerRule},
    engine::{
        Catalogue, EngineParts, EngineSettings, ExecutorChoice, Handle, HomeLock, Interval,
        RunRequest, Selection, Trigger,
    },
    operators::Noop,
    store::{Store, Transition, Turn},
};

const RUNS: usize = 5;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "figures are the output")]
async fn main() -> anyhow::Result<()> {
    let home = tempfile::tempdir_in(".")?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let settings = EngineSettings::new(home.path());
    let lock = HomeLock::acquire(&settings.data_dir(), clock.now())?;
    let store = Store::open(&settings.data_dir()).await?;
    let handle = Handle::start(
        EngineParts {
            settings,
            store: store.clone(),
            catalogue: Catalogue::default().with(Noop),
            clock: Arc::clone(&clock),
            executors: ExecutorChoice::default(),
        },
        lock,
    )
    .await?;
    let layers = measure(&handle, &layers(10, 100)).await?;
    let chain = measure(&handle, &layers_of_one(12)).await?;
    let single = measure(&handle, &layers_of_one(1)).await?;
    let commit = commit_time(&store, clock.now()).await?;
    println!("1,000 tasks in 10 full layers  {layers:8.2} ms");
    println!("12 tasks in a chain            {chain:8.2} ms");
    println!("1 task                         {single:8.2} ms");
    println!("one durable commit             {commit:8.2} ms");
    Ok(())
}

/// The median time from submission to the known end, in milliseconds.
async fn measure(handle: &Handle, graph: &Graph) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let request = RunRequest {
            pipeline: "bench".to_owned(),
            definition: String::new(),
            graph: graph.clone(),
            interval: Interval {
                start: Timestamp::from_millis(0),
                end: Timestamp::from_millis(1),
            },
            scheduled_for: Timestamp::from_millis(1),
            as_of: Timestamp::from_millis(1),
            source: None,
            profile: None,
            params: Map::new(),
            force: false,
            schedule: None,
            trigger: Trigger::Manual,
            selection: Selection::All,
            hold: None,
        };
        let start = Instant::now();
        let run_id = handle.submit(request).await?.run_id;
        handle.wait(&run_id).await?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(times))
}

async fn commit_time(store: &Store, now: Timestamp) -> anyhow::Result<f64> {
    let run = store.runs(None, 1).await?.remove(0).id;
    let turn = Turn {
        transitions: vec![Transition {
            run,
            position: None,
            from: "running",
            to: "running",
            cause: "measured".to_owned(),
            at: now,
        }],
        ..Turn::default()
    };
    let mut times = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        store.write_turn(&turn).await?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(times))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn layers_of_one(count: usize) -> Graph {
    layers(count, 1)
}

/// `depth` layers of `width` tasks, each depending on the whole layer above.
fn layers(depth: usize, width: usize) -> Graph {
    let nodes = (0..depth)
        .flat_map(|layer| (0..width).map(move |i| (layer, i)))
        .map(|(layer, i)| Node {
            id: format!("t{layer}_{i}"),
            op: "noop".to_owned(),
            after: match layer {
                0 => Vec::new(),
                _ => (0..width)
                    .map(|above| format!("t{}_{above}", layer - 1))
                    .collect(),
            },
            trigger: TriggerRule::AllSuccess,
            retry: RetryPolicy::default(),
            timeout: None,
            pool: None,
            settings: Map::new(),
        })
        .collect();
    Graph::new(nodes).expect("layers have no cycle")
}
