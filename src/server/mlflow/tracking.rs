//! Runs and the histories of metrics, as they are read.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use serde_json::{Map, Value, json};

use super::{
    super::SharedHost,
    asked::Asked,
    filter::Filter,
    order::Order,
    page::{Page, Window},
    refusal::Refusal,
    run::{Point, Run},
};
use crate::{registry::ModelVersion, store::LoggedSearch};

type Answer = Result<Json<Value>, Refusal>;

/// How many points of a metric are sent at once.
const POINTS: usize = 25_000;

pub(super) fn routes() -> Router<SharedHost> {
    Router::new()
        .route("/runs/search", post(search_runs))
        .route("/runs/get", get(run))
        .route("/metrics/get-history", get(history))
        .route("/metrics/get-history-bulk", get(histories))
        .route("/metrics/get-history-bulk-interval", get(histories))
        .route("/logged-models/search", post(no_logged_models))
}

/// Whether what is deleted is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    active: bool,
    deleted: bool,
}

impl View {
    /// `ACTIVE_ONLY`, `DELETED_ONLY` or `ALL`, under this name.
    pub(super) fn asked(asked: &Asked, name: &str) -> Result<Self, Refusal> {
        let (active, deleted) = match asked.text(name).unwrap_or("ACTIVE_ONLY") {
            "ACTIVE_ONLY" => (true, false),
            "DELETED_ONLY" => (false, true),
            "ALL" => (true, true),
            other => {
                return Err(Refusal::invalid(format!(
                    "Invalid value \"{other}\" for parameter '{name}': write ACTIVE_ONLY, \
                     DELETED_ONLY or ALL"
                )));
            }
        };
        Ok(Self { active, deleted })
    }

    /// Whether it shows what is deleted, or what is not.
    pub(super) const fn shows(self, deleted: bool) -> bool {
        if deleted { self.deleted } else { self.active }
    }
}

/// Runs of pipelines are few and are compared here; what others log is found by the database.
async fn search_runs(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let filter = Filter::read::<Run>(asked.text("filter"))?;
    let order = Order::read::<Run>(&asked.texts("order_by"))?;
    let view = View::asked(&asked, "run_view_type")?;
    let window = Window::asked(&asked, (1000, 50_000))?;
    let (mut runs, mut logged) = (Vec::new(), Vec::new());
    for experiment in asked.texts("experiment_ids") {
        logged.extend(experiment.parse::<i64>());
        if view.shows(false) {
            let versions = host.registry().list(Some(experiment)).await?;
            runs.extend(versions.iter().map(Run::from));
        }
    }
    runs.retain(|run| filter.takes(run));
    let is_mixed = !runs.is_empty();
    let found = host.store().search_logged_runs(LoggedSearch {
        experiments: &logged,
        active: view.active,
        deleted: view.deleted,
        conditions: filter.conditions(),
        order: order.keys(),
        from: if is_mixed { 0 } else { window.from },
        limit: window.wanted + 1 + if is_mixed { window.from } else { 0 },
    });
    runs.extend(found.await?.into_iter().map(Run::from));
    if is_mixed {
        runs.sort_by(|one, other| {
            let newest = other.started.cmp(&one.started);
            newest.then_with(|| one.id.cmp(&other.id))
        });
        let mut sorted = order.sorted(runs);
        runs = sorted.split_off(window.from.min(sorted.len()));
    }
    Ok(listed("runs", window.cut(runs), Run::document))
}

/// The version that a run published.
pub(super) async fn version_of_run(
    host: &SharedHost,
    run_id: &str,
) -> Result<ModelVersion, Refusal> {
    let unknown = || Refusal::unknown(format!("Run with id={run_id} not found"));
    let met = host.store().model_version_of_run(run_id).await?;
    let (name, number) = met.ok_or_else(unknown)?;
    let versions = host.registry().list(Some(&name)).await?;
    versions
        .into_iter()
        .find(|version| version.manifest.version == number && version.manifest.run_id == run_id)
        .ok_or_else(unknown)
}

/// A run of either kind.
pub(super) async fn found(host: &SharedHost, run_id: &str) -> Result<Run, Refusal> {
    if let Some(logged) = host.store().logged_run(run_id).await? {
        return Ok(logged.into());
    }
    Ok(Run::from(&version_of_run(host, run_id).await?))
}

async fn run(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let run = found(&host, asked.run_id()?).await?;
    Ok(Json(json!({ "run": run.document() })))
}

/// The points of a metric of a run: so many after so many.
async fn points(
    host: &SharedHost,
    (run_id, key): (&str, &str),
    (from, limit): (usize, usize),
) -> Result<Vec<Point>, Refusal> {
    if host.store().is_logged_run(run_id).await? {
        let within = (
            i64::try_from(from).unwrap_or(i64::MAX),
            i64::try_from(limit).unwrap_or(i64::MAX),
        );
        let points = host.store().logged_history(run_id, key, within).await?;
        return Ok(points.iter().map(Point::from).collect());
    }
    let run = Run::from(&version_of_run(host, run_id).await?);
    let point = run.metrics.get(key).copied();
    Ok(point.into_iter().skip(from).take(limit).collect())
}

async fn history(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let (id, key) = (asked.run_id()?, asked.needed("metric_key")?);
    let window = Window::asked(&asked, (POINTS, POINTS))?;
    let points = points(&host, (id, key), (window.from, window.wanted + 1)).await?;
    let document = |point: &Point| point.document(key);
    Ok(listed("metrics", window.cut(points), document))
}

/// A metric of several runs, as pages that compare runs ask for it.
async fn histories(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let key = asked.needed("metric_key")?;
    let mut ids = asked.texts("run_ids");
    ids.extend(asked.texts("run_id"));
    let (first, last) = (asked.number("start_step")?, asked.number("end_step")?);
    let window = Window::asked(&asked, (POINTS, POINTS))?;
    let mut found = Vec::new();
    for id in ids {
        for point in points(&host, (id, key), (0, window.wanted)).await? {
            let is_after = first.is_none_or(|first| first <= point.step);
            if is_after && last.is_none_or(|last| point.step <= last) {
                let mut point = point.document(key);
                point["run_id"] = id.into();
                found.push(point);
            }
        }
    }
    found.truncate(window.wanted);
    let page = Page {
        items: found,
        next: None,
    };
    Ok(listed("metrics", page, Value::clone))
}

/// Clients ask for these before they read artifacts; models are registered here, not logged.
async fn no_logged_models() -> Json<Value> {
    Json(json!({}))
}

/// A page under its name; what is empty is left out, as `MLflow` does.
pub(super) fn listed<T>(name: &str, page: Page<T>, document: impl Fn(&T) -> Value) -> Json<Value> {
    let mut answer = Map::new();
    if !page.items.is_empty() {
        let items: Vec<_> = page.items.iter().map(document).collect();
        answer.insert(name.to_owned(), items.into());
    }
    if let Some(next) = page.next {
        answer.insert("next_page_token".to_owned(), next.into());
    }
    Json(answer.into())
}
