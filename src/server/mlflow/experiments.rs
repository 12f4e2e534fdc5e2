//! Experiments: one for each model, and those that others make.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use serde_json::{Value, json};

use super::{
    super::SharedHost,
    asked::Asked,
    filter::{Cell, Field, Searched},
    limits,
    page::searched,
    refusal::Refusal,
    run::{millis, pairs},
    tracking::{View, listed},
};
use crate::{clock::Timestamp, store::LoggedExperiment};

type Answer = Result<Json<Value>, Refusal>;

pub(super) fn routes() -> Router<SharedHost> {
    Router::new()
        .route("/experiments/search", post(search).get(search))
        .route("/experiments/get", get(by_id))
        .route("/experiments/get-by-name", get(by_name))
        .route("/experiments/create", post(create))
        .route("/experiments/update", post(rename))
        .route("/experiments/delete", post(delete))
        .route("/experiments/restore", post(restore))
        .route("/experiments/set-experiment-tag", post(set_tag))
        .route("/experiments/delete-experiment-tag", post(delete_tag))
}

/// An experiment.
#[derive(Clone, Debug, PartialEq)]
struct Experiment {
    /// The name of the model, or the number of one that others have made.
    id: String,
    name: String,
    created: Timestamp,
    updated: Timestamp,
    deleted: bool,
    tags: BTreeMap<String, String>,
}

impl From<LoggedExperiment> for Experiment {
    fn from(logged: LoggedExperiment) -> Self {
        Self {
            id: logged.id.to_string(),
            name: logged.name,
            created: logged.created_at,
            updated: logged.updated_at,
            deleted: logged.deleted,
            tags: logged.tags,
        }
    }
}

impl Experiment {
    /// As it is sent.
    fn document(&self) -> Value {
        let mut document = json!({
            "experiment_id": self.id,
            "name": self.name,
            "artifact_location": format!("mlflow-artifacts:/{}", self.id),
            "lifecycle_stage": if self.deleted { "deleted" } else { "active" },
            "creation_time": self.created.as_millis(),
            "last_update_time": self.updated.as_millis(),
        });
        if !self.tags.is_empty() {
            document["tags"] = pairs(&self.tags).into();
        }
        document
    }
}

impl Searched for Experiment {
    const ATTRIBUTES: &'static [&'static str] =
        &["name", "experiment_id", "creation_time", "last_update_time"];
    const NUMBERS: &'static [&'static str] = &["creation_time", "last_update_time"];

    fn cell(&self, field: &Field) -> Option<Cell> {
        match field {
            Field::Tag(key) => self.tags.get(key).cloned().map(Cell::Text),
            Field::Attribute(name) => Some(match name.as_str() {
                "creation_time" => Cell::Number(millis(self.created)),
                "last_update_time" => Cell::Number(millis(self.updated)),
                "experiment_id" => Cell::Text(self.id.clone()),
                _ => Cell::Text(self.name.clone()),
            }),
            Field::Metric(_) | Field::Param(_) => None,
        }
    }
}

/// All experiments, those of models first.
async fn all(host: &SharedHost) -> Result<Vec<Experiment>, Refusal> {
    let mut of_models: BTreeMap<String, Experiment> = BTreeMap::new();
    for version in host.registry().list(None).await? {
        let (name, at) = (version.manifest.name, version.manifest.created_at);
        let known = of_models.entry(name.clone()).or_insert(Experiment {
            id: name.clone(),
            name,
            created: at,
            updated: at,
            deleted: false,
            tags: BTreeMap::new(),
        });
        known.created = known.created.min(at);
        known.updated = known.updated.max(at);
    }
    let logged = host.store().logged_experiments().await?;
    let logged = logged.into_iter().map(Experiment::from);
    Ok(of_models.into_values().chain(logged).collect())
}

async fn search(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let view = View::asked(&asked, "view_type")?;
    let mut found = all(&host).await?;
    found.retain(|experiment| view.shows(experiment.deleted));
    // As MLflow orders them: the newest first, and where an order is asked for, what is equal in it
    // by falling ids.
    let number = |experiment: &Experiment| experiment.id.parse().unwrap_or(i64::MAX);
    if asked.texts("order_by").is_empty() {
        found.sort_by_key(|one| (std::cmp::Reverse(one.created), number(one)));
    } else {
        found.sort_by_key(|one| std::cmp::Reverse(number(one)));
    }
    let page = searched(&asked, found, (1000, 50_000))?;
    Ok(listed("experiments", page, Experiment::document))
}

async fn one(
    host: &SharedHost,
    is_it: impl Fn(&Experiment) -> bool,
    told: impl Fn() -> String,
) -> Answer {
    let found = all(host).await?.into_iter().find(is_it);
    let found = found.ok_or_else(|| Refusal::unknown(told()))?;
    Ok(Json(json!({ "experiment": found.document() })))
}

async fn by_id(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let id = asked.needed("experiment_id")?;
    let told = || format!("No Experiment with id={id} exists");
    one(&host, |experiment| experiment.id == id, told).await
}

async fn by_name(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let name = asked.needed("experiment_name")?;
    let told = || format!("Could not find experiment with name '{name}'");
    one(&host, |experiment| experiment.name == name, told).await
}

/// A model's experiment has its name, which no other may take.
async fn not_a_model(host: &SharedHost, name: &str) -> Result<(), Refusal> {
    limits::experiment_name(name)?;
    if host.registry().list(Some(name)).await?.is_empty() {
        return Ok(());
    }
    Err(Refusal::exists(format!(
        "Experiment '{name}' already exists: it holds the versions of the model `{name}`"
    )))
}

async fn create(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let name = asked.needed("name")?;
    not_a_model(&host, name).await?;
    if asked.text("artifact_location").is_some() {
        return Err(Refusal::unsupported(
            "`artifact_location` is not taken: trendmill keeps the files of runs itself; leave it \
             out",
        ));
    }
    let tags = asked.objects("tags")?;
    let tags: Vec<_> = tags
        .iter()
        .map(limits::experiment_tag)
        .collect::<Result<_, _>>()?;
    let now = host.clock().now();
    let id = host.store().add_logged_experiment(name, &tags, now).await?;
    Ok(Json(json!({ "experiment_id": id.to_string() })))
}

/// The number of an experiment that others have made: they alone can be changed.
pub(super) async fn number(host: &SharedHost, id: &str) -> Result<i64, Refusal> {
    if let Ok(number) = id.parse() {
        return Ok(number);
    }
    if host.registry().list(Some(id)).await?.is_empty() {
        return Err(Refusal::unknown(format!(
            "No Experiment with id={id} exists"
        )));
    }
    Err(Refusal::recorded(&format!("the experiment {id}")))
}

async fn asked_number(host: &SharedHost, asked: &Asked) -> Result<i64, Refusal> {
    number(host, asked.needed("experiment_id")?).await
}

async fn rename(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let id = asked_number(&host, &asked).await?;
    let name = asked.needed("new_name")?;
    not_a_model(&host, name).await?;
    let now = host.clock().now();
    host.store().rename_logged_experiment(id, name, now).await?;
    Ok(Json(json!({})))
}

async fn delete(State(host): State<SharedHost>, asked: Asked) -> Answer {
    set_deleted(&host, &asked, true).await
}

async fn restore(State(host): State<SharedHost>, asked: Asked) -> Answer {
    set_deleted(&host, &asked, false).await
}

async fn set_deleted(host: &SharedHost, asked: &Asked, deleted: bool) -> Answer {
    let id = asked_number(host, asked).await?;
    let now = host.clock().now();
    host.store()
        .set_logged_experiment_deleted(id, deleted, now)
        .await?;
    Ok(Json(json!({})))
}

async fn set_tag(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let id = asked_number(&host, &asked).await?;
    let (key, value) = limits::experiment_tag(&asked)?;
    host.store()
        .tag_logged_experiment(id, &key, Some(&value))
        .await?;
    Ok(Json(json!({})))
}

async fn delete_tag(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let id = asked_number(&host, &asked).await?;
    let key = asked.needed("key")?;
    host.store().tag_logged_experiment(id, key, None).await?;
    Ok(Json(json!({})))
}
