//! Figures for Prometheus: what the engine did since the start, and how things stand.

use std::{
    fmt::Debug,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use tokio::sync::{
    Mutex,
    broadcast::{Receiver, error::RecvError},
};
use tokio_util::sync::CancellationToken;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{ErrorBody, Fault, SharedHost};
use crate::{
    clock::Timestamp,
    engine::EngineEvent,
    store::{RunRow, Store},
};

/// The age below which a record has just been seen.
const HOUR: Duration = Duration::from_hours(1);

/// A gauge of seconds or of anything else that is not whole.
type Level = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAttempt {
    op: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOperator {
    op: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRun {
    pipeline: String,
    state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPipeline {
    pipeline: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfModel {
    model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDataset {
    dataset: String,
}

/// Figures for Prometheus.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Held from the reading of what is cleared first to its writing: one answer at a time.
    reading: Mutex<()>,
    attempts: Family<OfAttempt, Counter>,
    attempt_seconds: Family<OfOperator, Histogram, fn() -> Histogram>,
    rows_out: Family<OfOperator, Counter>,
    rows_computed: Family<OfOperator, Counter>,
    rows_reused: Family<OfOperator, Counter>,
    runs_ended: Family<OfRun, Counter>,
    run_seconds: Family<OfPipeline, Histogram, fn() -> Histogram>,
    events_missed: Counter,
    runs: Family<OfState, Gauge>,
    tasks: Family<OfState, Gauge>,
    queue_depth: Gauge,
    scheduler_lag: Level,
    champion_age: Family<OfModel, Level>,
    label_age: Family<OfModel, Level>,
    records_seen: Family<OfDataset, Gauge>,
    disk_free: Gauge,
    disk_full: Gauge,
    resident: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("trendmill");
        Self {
            attempts: add(&mut registry, "attempts", "Attempts that ended"),
            attempt_seconds: add_as(
                &mut registry,
                "attempt_seconds",
                "How long attempts took",
                Family::new_with_constructor(|| {
                    Histogram::new(exponential_buckets(0.001, 4.0, 12))
                }),
            ),
            rows_out: add(
                &mut registry,
                "rows_out",
                "Rows that had a result after a task",
            ),
            rows_computed: add(&mut registry, "rows_computed", "Results that were made"),
            rows_reused: add(
                &mut registry,
                "rows_reused",
                "Results that were there already",
            ),
            runs_ended: add(&mut registry, "runs_ended", "Runs that ended"),
            run_seconds: add_as(
                &mut registry,
                "run_seconds",
                "How long runs took from their first start",
                Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.01, 4.0, 12))),
            ),
            events_missed: add(
                &mut registry,
                "events_missed",
                "Events that were not counted above",
            ),
            runs: add(&mut registry, "runs", "Runs that have not ended"),
            tasks: add(&mut registry, "tasks", "Tasks of runs that have not ended"),
            queue_depth: add(
                &mut registry,
                "queue_depth",
                "Tasks that wait for a slot only",
            ),
            scheduler_lag: add(
                &mut registry,
                "scheduler_lag_seconds",
                "How long the oldest tick that is due has not been handled",
            ),
            champion_age: add(
                &mut registry,
                "champion_age_seconds",
                "Age of each champion",
            ),
            label_age: add(
                &mut registry,
                "newest_label_age_seconds",
                "Age of the newest post with a mature label in each model's newest version",
            ),
            records_seen: add(
                &mut registry,
                "records_seen_last_hour",
                "Records first seen within the last hour",
            ),
            disk_free: add(&mut registry, "disk_free_bytes", "Free space for this home"),
            disk_full: add(
                &mut registry,
                "disk_full",
                "1 where what is new waits for room on the disk",
            ),
            resident: add(
                &mut registry,
                "resident_memory_bytes",
                "Memory of this process",
            ),
            registry,
            reading: Mutex::default(),
        }
    }
}

fn add<M>(registry: &mut Registry, name: &str, help: &str) -> M
where
    M: prometheus_client::registry::Metric + Clone + Default,
{
    add_as(registry, name, help, M::default())
}

fn add_as<M>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M
where
    M: prometheus_client::registry::Metric + Clone,
{
    registry.register(name, help, metric.clone());
    metric
}

impl Metrics {
    /// Counts what the engine tells until the daemon ends.
    ///
    /// # Errors
    ///
    /// Never; it is a service like others.
    pub async fn watch(
        self: Arc<Self>,
        mut events: Receiver<EngineEvent>,
        store: Store,
        ending: CancellationToken,
    ) -> Result<(), std::convert::Infallible> {
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = ending.cancelled() => return Ok(()),
            };
            match event {
                Ok(EngineEvent::AttemptEnded {
                    op,
                    outcome,
                    seconds,
                    rows,
                    ..
                }) => {
                    self.attempts
                        .get_or_create(&OfAttempt { op, outcome })
                        .inc();
                    let of = OfOperator { op };
                    self.attempt_seconds.get_or_create(&of).observe(seconds);
                    if let Some(rows) = rows {
                        self.rows_out.get_or_create(&of).inc_by(rows.out);
                        self.rows_computed.get_or_create(&of).inc_by(rows.computed);
                        self.rows_reused.get_or_create(&of).inc_by(rows.reused);
                    }
                }
                Ok(EngineEvent::RunEnded { run_id, .. }) => match store.run(&run_id).await {
                    Ok(Some(row)) => self.run_ended(row),
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%error, "a run is not counted"),
                },
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => drop(self.events_missed.inc_by(missed)),
                Err(RecvError::Closed) => {
                    ending.cancelled().await;
                    return Ok(());
                }
            }
        }
    }

    fn run_ended(&self, row: RunRow) {
        if let (Some(start), Some(end)) = (row.started_at, row.ended_at) {
            let of = OfPipeline {
                pipeline: row.pipeline.clone(),
            };
            let seconds = end.since(start).as_secs_f64();
            self.run_seconds.get_or_create(&of).observe(seconds);
        }
        let of = OfRun {
            pipeline: row.pipeline,
            state: row.state.to_string(),
        };
        self.runs_ended.get_or_create(&of).inc();
    }

    /// Reads how things stand.
    async fn read(&self, host: &SharedHost) -> Result<(), Fault> {
        let (store, now) = (host.store(), host.clock().now());
        let (queued, running) = store.unfinished_counts().await?;
        for (state, runs) in [("queued", queued), ("running", running)] {
            let of = OfState {
                state: state.to_owned(),
            };
            self.runs.get_or_create(&of).set(whole(runs));
        }
        self.tasks.clear();
        self.queue_depth.set(0);
        for count in store.unfinished_tasks().await? {
            if count.state == "ready" {
                self.queue_depth.set(whole(count.tasks));
            }
            let of = OfState { state: count.state };
            self.tasks.get_or_create(&of).set(whole(count.tasks));
        }
        let age = |moment: Timestamp| now.since(moment).as_secs_f64();
        self.champion_age.clear();
        self.label_age.clear();
        for model in store.model_ages().await? {
            let of = OfModel { model: model.name };
            if let Some(made) = model.champion_made_at {
                self.champion_age.get_or_create(&of).set(age(made));
            }
            if let Some(label) = model.newest_label_at {
                self.label_age.get_or_create(&of).set(age(label));
            }
        }
        self.records_seen.clear();
        for (dataset, records) in store.records_since(now - HOUR).await? {
            let of = OfDataset { dataset };
            self.records_seen.get_or_create(&of).set(whole(records));
        }
        self.scheduler_lag.set(host.scheduler_lag().as_secs_f64());
        let disk = host.engine().disk();
        if let Some(free) = disk.free_bytes {
            self.disk_free.set(whole(free));
        }
        self.disk_full.set(i64::from(disk.full));
        if let Some(bytes) = resident().await {
            self.resident.set(whole(bytes));
        }
        Ok(())
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The memory that this process holds.
async fn resident() -> Option<u64> {
    let text = fs_err::tokio::read_to_string("/proc/self/status")
        .await
        .ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes * 1024)
}

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Figures for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    responses(
        (status = 200, description = "OpenMetrics text", body = String,
            content_type = "application/openmetrics-text"),
        (status = 500, body = ErrorBody),
    )
)]
async fn metrics(State(host): State<SharedHost>) -> Result<Response, Fault> {
    let metrics = host.metrics();
    let _alone = metrics.reading.lock().await;
    metrics.read(&host).await?;
    let mut text = String::new();
    encode(&mut text, &metrics.registry).map_err(|error| Fault::internal(error.to_string()))?;
    Ok((
        [(
            header::CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        text,
    )
        .into_response())
}
