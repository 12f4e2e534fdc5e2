//! What the engine costs, with every transition durable: `cargo bench --bench engine`.
//!
//! Prints each figure beside the time of one durable commit on the same disk in the same run,
//! because commits are most of what is measured. The home lies in the target folder, not in
//! `/tmp`, which may be memory. Give `--quick` for a tenth of the work.

mod daemon;
mod history;
mod load;

use std::{path::Path, sync::Arc, time::Instant};

use serde_json::Map;
use trendmill::{
    clock::{Clock, SystemClock, Timestamp},
    dag::{Graph, Node},
    engine::{
        Catalogue, EngineParts, EngineSettings, ExecutorChoice, Handle, HomeLock, Interval,
        Placement, RunRequest, Selection, Trigger,
    },
    operators::Noop,
    store::{Store, Transition, Turn},
};

/// A name that begins with this has its attempts in processes of their own.
const IN_PROCESS: &str = "child";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let tenth = std::env::args().any(|argument| argument == "--quick");
    let times = |count: usize| if tenth { count.div_ceil(10) } else { count };
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let engine = start(home.path()).await?;
    measure(&engine, &chain(12)).await?;
    let commit = commit_time(&engine.store).await?;
    say("one durable commit of one row", commit, "ms", "");

    let mut wide = Vec::new();
    for _ in 0..3 {
        wide.push(measure(&engine, &layers(1, 5000)).await?);
    }
    let rate = 5000.0 / median(&mut wide) * 1e3;
    say("noop tasks in one wide layer", rate, "/s", "bar 5,000/s");

    let mut chains = Vec::new();
    for _ in 0..times(1000) {
        chains.push(measure(&engine, &chain(12)).await?);
    }
    let mean = chains.iter().sum::<f64>() / chains.len() as f64;
    say("a run of a chain of 12, in a row", mean, "ms", "bar 8 ms");
    say(
        "  the same in commits (it makes 14)",
        mean / commit,
        "commits",
        "",
    );
    say("  one durable transition", mean / 13.0, "ms", "bar 2 ms");
    say(
        "  p99 of those runs",
        percentile(&mut chains, 0.99),
        "ms",
        "",
    );

    let (p50, p99) = load::task_to_task(&engine, times(300)).await?;
    say("task to task under load, median", p50, "ms", "");
    say("  p99", p99, "ms", "bar 5 ms");
    say("  p99 in commits", p99 / commit, "commits", "");

    let inline = best(&engine, &chain(12), 5).await?;
    let children = best(&engine, &named(IN_PROCESS, 12, 1), 5).await?;
    say(
        "an attempt in its own process",
        (children - inline) / 12.0,
        "ms",
        "bar 40 ms",
    );

    let past = times(100_000);
    drop(engine);
    let ready = history::start_to_ready(past).await?;
    let name = format!("daemon ready with {past} past runs");
    say(&name, ready.daemon, "ms", "bar 300 ms");
    say("  its engine alone", ready.engine, "ms", "");
    say("  runs list", ready.command, "ms", "");
    say(
        "the idle daemon, resident",
        ready.resident,
        "MB",
        "bar 40 MB",
    );
    say("  of a core", ready.core, "%", "bar 0.5 %");
    say(
        "one durable commit, once more",
        commit_time(&start(home.path()).await?.store).await?,
        "ms",
        "",
    );
    Ok(())
}

#[expect(clippy::print_stdout, reason = "figures are the output")]
fn say(name: &str, value: f64, unit: &str, bar: &str) {
    println!("{name:42} {value:10.2} {unit:8} {bar}");
}

/// An engine on a home of its own.
struct Engine {
    handle: Handle,
    store: Store,
    stamps: load::Stamps,
}

async fn start(home: &Path) -> anyhow::Result<Engine> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let settings = EngineSettings::new(home);
    // The engine of an earlier measurement may be on its way out.
    let lock = loop {
        match HomeLock::acquire(&settings.data_dir(), clock.now()) {
            Ok(lock) => break lock,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
        }
    };
    let store = Store::open(&settings.data_dir()).await?;
    let stamps = load::Stamps::default();
    let parts = EngineParts {
        settings,
        store: store.clone(),
        catalogue: Catalogue::default().with(Noop).with(stamps.operator()),
        clock,
        executors: ExecutorChoice::new(|node| {
            if node.id.starts_with(IN_PROCESS) {
                Placement::Process {
                    executable: env!("CARGO_BIN_EXE_trendmill").into(),
                }
            } else {
                Placement::Inline
            }
        }),
    };
    Ok(Engine {
        handle: Handle::start(parts, lock).await?,
        store,
        stamps,
    })
}

/// The time from submission to the known end, in milliseconds.
async fn measure(engine: &Engine, graph: &Graph) -> anyhow::Result<f64> {
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
    let run_id = engine.handle.submit(request).await?.run_id;
    let summary = engine.handle.wait(&run_id).await?;
    let took = start.elapsed().as_secs_f64() * 1e3;
    anyhow::ensure!(
        summary.tasks.iter().all(|task| task.state == "succeeded"),
        "a measured run must succeed"
    );
    Ok(took)
}

/// The median of `count` measurements.
async fn best(engine: &Engine, graph: &Graph, count: usize) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..count {
        times.push(measure(engine, graph).await?);
    }
    Ok(median(&mut times))
}

/// The median time of a commit of one row with `synchronous = FULL`.
async fn commit_time(store: &Store) -> anyhow::Result<f64> {
    let run = store.runs(None, 1).await?.remove(0).id;
    let turn = Turn {
        transitions: vec![Transition {
            run,
            position: None,
            from: "succeeded",
            to: "succeeded",
            cause: "measured".to_owned(),
            at: SystemClock.now(),
        }],
        ..Turn::default()
    };
    let mut times = Vec::new();
    for _ in 0..500 {
        let start = Instant::now();
        store.write_turn(&turn).await?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(&mut times))
}

fn median(times: &mut [f64]) -> f64 {
    percentile(times, 0.5)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place within a list"
)]
fn percentile(times: &mut [f64], part: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    let place = (times.len() as f64 * part) as usize;
    times[place.min(times.len() - 1)]
}

fn chain(count: usize) -> Graph {
    layers(count, 1)
}

fn layers(depth: usize, width: usize) -> Graph {
    named("t", depth, width)
}

/// `depth` layers of `width` noop tasks, each depending on the whole layer above.
fn named(name: &str, depth: usize, width: usize) -> Graph {
    let nodes = (0..depth)
        .flat_map(|layer| (0..width).map(move |i| (layer, i)))
        .map(|(layer, i)| node(name, "noop", layer, i, width))
        .collect();
    Graph::new(nodes).expect("layers have no cycle")
}

fn node(name: &str, op: &str, layer: usize, i: usize, width: usize) -> Node {
    Node {
        id: format!("{name}{layer}_{i}"),
        op: op.to_owned(),
        after: match layer {
            0 => Vec::new(),
            _ => (0..width)
                .map(|above| format!("{name}{}_{above}", layer - 1))
                .collect(),
        },
        ..Node::default()
    }
}
