//! Registered models, their versions and aliases; tags, descriptions and aliases can be written.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use serde_json::{Value, json};

use super::{
    super::SharedHost,
    asked::Asked,
    limits,
    model::{Model, Version},
    page::searched,
    refusal::Refusal,
    run::NOTE,
    tracking::listed,
};
use crate::registry::{CHAMPION, ModelName, ModelVersion};

type Answer = Result<Json<Value>, Refusal>;

pub(super) fn routes() -> Router<SharedHost> {
    Router::new()
        .route("/registered-models/search", get(search_models))
        .route("/registered-models/get", get(model))
        .route(
            "/registered-models/alias",
            get(aliased).post(set_alias).delete(delete_alias),
        )
        .route(
            "/registered-models/get-latest-versions",
            get(latest).post(latest),
        )
        .route("/model-versions/search", get(search_versions))
        .route("/model-versions/get", get(version))
        .route("/model-versions/get-download-uri", get(download_uri))
        .route(
            "/model-versions/update",
            post(describe_version).patch(describe_version),
        )
        .route("/model-versions/set-tag", post(set_version_tag))
        .route(
            "/model-versions/delete-tag",
            post(delete_version_tag).delete(delete_version_tag),
        )
}

async fn search_models(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let models = Model::all(host.registry().list(None).await?);
    let page = searched(&asked, models, (100, 1000))?;
    Ok(listed("registered_models", page, Model::document))
}

async fn named_model(host: &SharedHost, asked: &Asked) -> Result<Model, Refusal> {
    let name = asked.needed("name")?;
    let models = Model::all(host.registry().list(Some(name)).await?);
    let unknown = || Refusal::unknown(format!("Registered Model with name={name} not found"));
    models.into_iter().next().ok_or_else(unknown)
}

async fn model(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let model = named_model(&host, &asked).await?;
    Ok(Json(json!({ "registered_model": model.document() })))
}

/// The newest version: it is in the stage `None`, as all are; other stages have none.
async fn latest(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let model = named_model(&host, &asked).await?;
    let stages = asked.texts("stages");
    let wanted = stages.is_empty() || stages.iter().any(|s| s.eq_ignore_ascii_case("none"));
    Ok(match model.latest().filter(|_| wanted) {
        Some(latest) => Json(json!({ "model_versions": [latest.document()] })),
        None => Json(json!({})),
    })
}

async fn named_version(host: &SharedHost, asked: &Asked) -> Result<ModelVersion, Refusal> {
    let (name, number) = (asked.needed("name")?, asked.version()?);
    let wanted = ModelName::Version(name.to_owned(), number);
    Ok(host.registry().resolve(&wanted).await?)
}

async fn version(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let version = Version(named_version(&host, &asked).await?);
    Ok(Json(json!({ "model_version": version.document() })))
}

async fn download_uri(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let version = Version(named_version(&host, &asked).await?);
    Ok(Json(json!({ "artifact_uri": version.source() })))
}

async fn search_versions(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let mut all = host.registry().list(None).await?;
    // The newest first, as MLflow does.
    all.sort_by_key(|version| std::cmp::Reverse(version.manifest.created_at));
    let all: Vec<_> = all.into_iter().map(Version).collect();
    let page = searched(&asked, all, (10_000, 200_000))?;
    Ok(listed("model_versions", page, Version::listed))
}

async fn aliased(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let model = named_model(&host, &asked).await?;
    let alias = asked.needed("alias")?;
    let named = |version: &&Version| version.0.aliases.iter().any(|known| known == alias);
    let version =
        model.versions.iter().find(named).ok_or_else(|| {
            Refusal::invalid(format!("Registered model alias {alias} not found."))
        })?;
    Ok(Json(json!({ "model_version": version.document() })))
}

/// The champion moves as by `models promote`; other aliases as by `models tag`.
async fn set_alias(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let version = named_version(&host, &asked).await?;
    let (name, alias) = (asked.needed("name")?, asked.needed("alias")?);
    let now = host.clock().now();
    if alias == CHAMPION {
        let because = "by an MLflow client";
        host.registry().promote(&version, because, now).await?;
    } else {
        limits::alias(alias)?;
        let number = Some(version.manifest.version);
        host.registry()
            .set_alias((name, alias), number, now)
            .await?;
    }
    Ok(done())
}

async fn delete_alias(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let model = named_model(&host, &asked).await?;
    let alias = asked.needed("alias")?;
    let now = host.clock().now();
    let known = model
        .versions
        .iter()
        .any(|v| v.0.aliases.iter().any(|a| a == alias));
    // MLflow takes away what is not there without a word.
    if known {
        host.registry()
            .set_alias((&model.name, alias), None, now)
            .await?;
    }
    Ok(done())
}

async fn describe_version(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let version = named_version(&host, &asked).await?;
    if let Some(description) = asked.maybe_empty("description") {
        let kept = (!description.is_empty()).then(|| description.to_owned());
        tag(&host, &version, NOTE, kept).await?;
    }
    let version = Version(named_version(&host, &asked).await?);
    Ok(Json(json!({ "model_version": version.document() })))
}

async fn set_version_tag(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let version = named_version(&host, &asked).await?;
    set_tag(&host, &version, &asked).await
}

async fn delete_version_tag(State(host): State<SharedHost>, asked: Asked) -> Answer {
    let version = named_version(&host, &asked).await?;
    delete_tag(&host, &version, asked.needed("key")?).await
}

/// Takes a tag away; what is not there is taken away without a word.
pub(super) async fn delete_tag(host: &SharedHost, version: &ModelVersion, key: &str) -> Answer {
    tag(host, version, key, None).await?;
    Ok(done())
}

/// Sets the tag that is asked for.
pub(super) async fn set_tag(host: &SharedHost, version: &ModelVersion, asked: &Asked) -> Answer {
    let value = asked.maybe_empty("value").unwrap_or_default().to_owned();
    tag(host, version, asked.needed("key")?, Some(value)).await?;
    Ok(done())
}

async fn tag(
    host: &SharedHost,
    version: &ModelVersion,
    key: &str,
    value: Option<String>,
) -> Result<(), Refusal> {
    // What the run's view says of itself would hide it.
    let ours = [
        "mlflow.runName",
        "mlflow.user",
        "mlflow.source.name",
        "mlflow.source.type",
    ];
    if key.starts_with("trendmill.") || ours.contains(&key) {
        return Err(Refusal::recorded(&format!("the tag `{key}`")));
    }
    let longest = 8000;
    if value.as_ref().is_some_and(|v| v.chars().count() > longest) {
        return Err(Refusal::invalid(format!(
            "the value of the tag `{key}` has more than {longest} characters"
        )));
    }
    host.registry()
        .tag(version, &[(key.to_owned(), value)])
        .await?;
    Ok(())
}

fn done() -> Json<Value> {
    Json(json!({}))
}
