//! Experiments, runs and the histories of metrics.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use serde_json::{Map, Value, json};

use super::{
    super::SharedHost,
    asked::Asked,
    page::{Page, paged, searched},
    refusal::Refusal,
    run::{Experiment, Run},
};
use crate::registry::ModelVersion;

type Answer = Result<Json<Value>, Refusal>;

pub(super) fn routes() -> Router<SharedHost> {
    Router::new()
        .route(
            "/experiments/search",
            post(search_experiments).get(search_experiments),
        )
        .route("/experiments/get", get(experiment))
        .route("/experiments/get-by-name", get(experiment_by_name))
        .route("/runs/search", post(search_runs))
        .route("/runs/get", get(run))
        .route("/metrics/get-history", get(history))
        .route("/metrics/get-history-bulk", get(histories))
        .route("/metrics/get-history-bulk-interval", get(histories))
        .route("/logged-models/search", post(no_logged_models))
}

async fn experiments(host: &SharedHost) -> Result<Vec<Experiment>, Refusal> {
    let mut found: BTreeMap<String, Experiment> = BTreeMap::new();
    for version in host.registry().list(None).await? {
        let (name, at) = (version.manifest.name, version.manifest.created_at);
        let known = found.entry(name.clone()).or_insert(Experiment {
            name,
            created: at,
            updated: at,
        });
        known.created = known.created.min(at);
        known.updated = known.updated.max(at);
    }
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by_key(|experiment| std::cmp::Reverse(experiment.updated));
    Ok(found)
}

/// Whether what is deleted alone is asked for: nothing of ours is.
fn deleted_only(asked: &Asked, name: &str) -> bool {
    asked.text(name) == Some("DELETED_ONLY")
}

async fn search_experiments(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let mut all = experiments(&host).await?;
    if deleted_only(&asked, "view_type") {
        all.clear();
    }
    let page = searched(&asked, all, (1000, 50_000))?;
    Ok(listed("experiments", page, Experiment::document))
}

async fn one_experiment(host: &SharedHost, name: &str, told: &str) -> Answer {
    let found = experiments(host).await?.into_iter();
    let found = found.into_iter().find(|experiment| experiment.name == name);
    let found = found.ok_or_else(|| Refusal::unknown(told))?;
    Ok(Json(json!({ "experiment": found.document() })))
}

async fn experiment(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let id = asked.needed("experiment_id")?;
    one_experiment(&host, id, &format!("No Experiment with id={id} exists")).await
}

async fn experiment_by_name(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let name = asked.needed("experiment_name")?;
    let told = format!("Could not find experiment with name '{name}'");
    one_experiment(&host, name, &told).await
}

async fn search_runs(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let mut runs = Vec::new();
    if !deleted_only(&asked, "run_view_type") {
        for experiment in asked.texts("experiment_ids") {
            let versions = host.registry().list(Some(experiment)).await?;
            runs.extend(versions.iter().map(Run::from));
        }
    }
    runs.sort_by(|one, other| other.at.cmp(&one.at).then_with(|| one.id.cmp(&other.id)));
    let page = searched(&asked, runs, (1000, 50_000))?;
    Ok(listed("runs", page, Run::document))
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

async fn run(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let version = version_of_run(&host, asked.run_id()?).await?;
    Ok(Json(json!({ "run": Run::from(&version).document() })))
}

async fn history(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let run = Run::from(&version_of_run(&host, asked.run_id()?).await?);
    let points = run.point(asked.needed("metric_key")?);
    let page = paged(&asked, points.into_iter().collect(), (25_000, 25_000))?;
    Ok(listed("metrics", page, Value::clone))
}

/// A metric of several runs, as pages that compare runs ask for it.
async fn histories(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let key = asked.needed("metric_key")?;
    let mut ids = asked.texts("run_ids");
    ids.extend(asked.texts("run_id"));
    let (first, last) = (asked.number("start_step")?, asked.number("end_step")?);
    let mut points = Vec::new();
    for id in ids {
        let run = Run::from(&version_of_run(&host, id).await?);
        let within =
            first.is_none_or(|first| first <= run.step) && last.is_none_or(|last| run.step <= last);
        if let Some(mut point) = run.point(key).filter(|_| within) {
            point["run_id"] = id.into();
            points.push(point);
        }
    }
    let page = paged(&asked, points, (25_000, 25_000))?;
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
