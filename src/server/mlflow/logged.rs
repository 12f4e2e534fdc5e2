//! Runs that others log: made, filled, ended, deleted. The runs of pipelines stay as they are.

use axum::{Json, Router, extract::State, routing::post};
use serde_json::{Value, json};

use super::{
    super::SharedHost,
    asked::Asked,
    experiments, limits, models,
    refusal::Refusal,
    tracking::{found, version_of_run},
};
use crate::{
    clock::Timestamp,
    store::{NewLoggedRun, RunUpdate},
};

type Answer = Result<Json<Value>, Refusal>;

/// How a run may stand.
const STATUSES: [&str; 5] = ["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"];
/// The tag that is the name of its run.
const RUN_NAME: &str = "mlflow.runName";

pub(super) fn routes() -> Router<SharedHost> {
    Router::new()
        .route("/runs/create", post(create))
        .route("/runs/update", post(update))
        .route("/runs/delete", post(delete))
        .route("/runs/restore", post(restore))
        .route("/runs/log-metric", post(log_metric))
        .route("/runs/log-parameter", post(log_param))
        .route("/runs/log-batch", post(log_batch))
        .route("/runs/set-tag", post(set_tag))
        .route("/runs/delete-tag", post(delete_tag))
}

/// The run to change: one that others log.
async fn logged<'a>(host: &SharedHost, asked: &'a Asked) -> Result<&'a str, Refusal> {
    let id = asked.run_id()?;
    if host.store().is_logged_run(id).await? {
        return Ok(id);
    }
    version_of_run(host, id).await?;
    Err(Refusal::recorded(&format!("the run {id}")))
}

async fn create(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let id = uuid::Uuid::now_v7().simple().to_string();
    let experiment = asked.text("experiment_id").unwrap_or("0");
    let experiment = experiments::number(&host, experiment).await?;
    let tags = asked.objects("tags")?;
    let mut tags: Vec<_> = tags.iter().map(limits::tag).collect::<Result<_, _>>()?;
    let tagged = tags.iter().position(|(key, _)| key == RUN_NAME);
    let tagged = tagged.map(|place| tags.swap_remove(place).1);
    let name = match (asked.text("run_name"), tagged) {
        (Some(name), Some(tagged)) if name != tagged => {
            return Err(Refusal::invalid(format!(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with \
                 different values (run_name='{name}', mlflow.runName='{tagged}')."
            )));
        }
        (Some(name), _) => name.to_owned(),
        (None, Some(tagged)) => tagged,
        (None, None) => format!("run-{}", &id[id.len() - 8..]),
    };
    let started_at = asked.number("start_time")?.map(Timestamp::from_millis);
    let new = NewLoggedRun {
        run_id: &id,
        experiment,
        name: &name,
        user: asked.maybe_empty("user_id").unwrap_or_default(),
        started_at: started_at.unwrap_or_else(|| host.clock().now()),
        tags: &tags,
    };
    host.store().add_logged_run(new).await?;
    Ok(Json(json!({ "run": found(&host, &id).await?.document() })))
}

async fn update(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let id = logged(&host, &asked).await?;
    let status = asked.text("status");
    if let Some(wrong) = status.filter(|status| !STATUSES.contains(status)) {
        return Err(Refusal::invalid(format!(
            "Invalid value \"{wrong}\" for parameter 'status': write one of {}",
            STATUSES.join(", ")
        )));
    }
    let update = RunUpdate {
        status,
        ended_at: asked.number("end_time")?.map(Timestamp::from_millis),
        name: asked.text("run_name"),
    };
    host.store().update_logged_run(id, update).await?;
    Ok(Json(json!({ "run_info": found(&host, id).await?.info() })))
}

async fn delete(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let (id, now) = (logged(&host, &asked).await?, host.clock().now());
    host.store().set_logged_run_deleted(id, Some(now)).await?;
    Ok(Json(json!({})))
}

async fn restore(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let id = logged(&host, &asked).await?;
    host.store().set_logged_run_deleted(id, None).await?;
    Ok(Json(json!({})))
}

async fn log_metric(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let id = logged(&host, &asked).await?;
    let metric = limits::metric(&asked)?;
    host.store().log_entries(id, &[metric], &[], &[]).await?;
    Ok(Json(json!({})))
}

async fn log_param(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let id = logged(&host, &asked).await?;
    let param = limits::param(&asked)?;
    host.store().log_entries(id, &[], &[param], &[]).await?;
    Ok(Json(json!({})))
}

async fn log_batch(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let id = logged(&host, &asked).await?;
    let metrics = asked.objects("metrics")?;
    let params = asked.objects("params")?;
    let tags = asked.objects("tags")?;
    limits::batch(metrics.len(), params.len(), tags.len())?;
    let metrics: Vec<_> = metrics
        .iter()
        .map(limits::metric)
        .collect::<Result<_, _>>()?;
    let params: Vec<_> = params.iter().map(limits::param).collect::<Result<_, _>>()?;
    let tags: Vec<_> = tags.iter().map(limits::tag).collect::<Result<_, _>>()?;
    for (place, (key, _)) in params.iter().enumerate() {
        if params[..place].iter().any(|(known, _)| known == key) {
            return Err(Refusal::invalid(format!(
                "Duplicate parameter keys have been submitted: ['{key}']. Please ensure the request \
                 contains only one param value per param key."
            )));
        }
    }
    host.store()
        .log_entries(id, &metrics, &params, &tags)
        .await?;
    Ok(Json(json!({})))
}

/// A tag of a run that published a version is a tag of the version.
async fn set_tag(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let id = asked.run_id()?;
    if host.store().is_logged_run(id).await? {
        let tag = limits::tag(&asked)?;
        host.store().log_entries(id, &[], &[], &[tag]).await?;
        return Ok(Json(json!({})));
    }
    models::set_tag(&host, &version_of_run(&host, id).await?, &asked).await
}

async fn delete_tag(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let id = asked.run_id()?;
    let key = asked.needed("key")?;
    if host.store().is_logged_run(id).await? {
        host.store().untag_logged_run(id, key).await?;
        return Ok(Json(json!({})));
    }
    models::delete_tag(&host, &version_of_run(&host, id).await?, key).await
}
