//! Model versions: list, show, history, and where the champion points.

#![expect(unused_qualifications, reason = "the descriptions' macro writes them")]

use axum::{Json, extract::State, response::Html};
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    ErrorBody, Fault, SharedHost,
    extract::{Asked, Body, Path},
};
use crate::registry::{HistoryPoint, ModelName, ModelOverview, ModelVersion, Moved};

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(history))
        .routes(routes!(report))
        .routes(routes!(promote))
        .routes(routes!(roll_back))
}

/// Which versions are listed.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListWanted {
    /// Only those of this model.
    name: Option<String>,
}

/// List model versions, oldest first.
#[utoipa::path(
    get,
    path = "/models",
    tag = "models",
    params(ListWanted),
    responses((status = 200, body = [ModelOverview]))
)]
async fn list(
    State(host): State<SharedHost>,
    Asked(wanted): Asked<ListWanted>,
) -> Result<Json<Vec<ModelOverview>>, Fault> {
    let versions = host.registry().list(wanted.name.as_deref()).await?;
    Ok(Json(versions.iter().map(ModelOverview::from).collect()))
}

/// Show one version: its manifest and the aliases that point at it.
#[utoipa::path(
    get,
    path = "/models/{model}",
    tag = "models",
    params(("model" = String, Path, description = "`NAME:VERSION` or `NAME@ALIAS`; a bare name means its champion")),
    responses(
        (status = 200, description = "the manifest of the version, and its aliases", body = Object),
        (status = 422, body = ErrorBody),
    )
)]
async fn show(
    State(host): State<SharedHost>,
    Path(model): Path<String>,
) -> Result<Json<Value>, Fault> {
    Ok(Json(resolved(&host, model).await?.document()))
}

/// The version that a segment of a path names.
pub(super) async fn resolved(host: &SharedHost, model: String) -> Result<ModelVersion, Fault> {
    // A version is written `NAME/VERSION` elsewhere; in a path that would be two segments.
    let written = match model.rsplit_once(':') {
        Some((name, version)) if !model.contains('@') => format!("{name}/{version}"),
        _ => model,
    };
    let name: ModelName = written.parse()?;
    Ok(host.registry().resolve(&name).await?)
}

/// Which metric.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryWanted {
    /// The metric.
    #[serde(default = "spearman")]
    #[param(default = "spearman")]
    metric: String,
}

fn spearman() -> String {
    "spearman".to_owned()
}

/// How a metric went from version to version.
#[utoipa::path(
    get,
    path = "/models/{model}/history",
    tag = "models",
    params(("model" = String, Path, description = "the model's name"), HistoryWanted),
    responses(
        (status = 200, body = [HistoryPoint]),
        (status = 422, body = ErrorBody),
    )
)]
async fn history(
    State(host): State<SharedHost>,
    Path(model): Path<String>,
    Asked(wanted): Asked<HistoryWanted>,
) -> Result<Json<Vec<HistoryPoint>>, Fault> {
    Ok(Json(host.registry().history(&model, &wanted.metric).await?))
}

/// How good a version is: one page with plots, which needs nothing from elsewhere.
#[utoipa::path(
    get,
    path = "/models/{model}/report",
    tag = "models",
    params(("model" = String, Path, description = "`NAME:VERSION` or `NAME@ALIAS`; a bare name means its champion")),
    responses(
        (status = 200, description = "a page", body = String, content_type = "text/html; charset=utf-8"),
        (status = 422, body = ErrorBody),
    )
)]
async fn report(
    State(host): State<SharedHost>,
    Path(model): Path<String>,
) -> Result<Html<String>, Fault> {
    Ok(Html(resolved(&host, model).await?.report()))
}

/// Why the champion shall move.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MoveWanted {
    /// In words; they are kept.
    #[serde(default = "by_hand")]
    because: String,
}

fn by_hand() -> String {
    "by a caller of the API".to_owned()
}

/// Make a version the champion, whatever the gate said of it.
#[utoipa::path(
    post,
    path = "/models/{model}/promote",
    tag = "models",
    params(("model" = String, Path, description = "`NAME:VERSION` or `NAME@ALIAS`")),
    request_body = MoveWanted,
    responses(
        (status = 200, body = Moved),
        (status = 409, description = "its files were removed", body = ErrorBody),
        (status = 422, body = ErrorBody),
    )
)]
async fn promote(
    State(host): State<SharedHost>,
    Path(model): Path<String>,
    Body(wanted): Body<MoveWanted>,
) -> Result<Json<Moved>, Fault> {
    let version = resolved(&host, model).await?;
    let now = host.clock().now();
    let moved = host.registry().promote(&version, &wanted.because, now);
    Ok(Json(moved.await?))
}

/// Make the version champion again that was it before the present one.
#[utoipa::path(
    post,
    path = "/models/{model}/rollback",
    tag = "models",
    params(("model" = String, Path, description = "the model's name")),
    request_body = MoveWanted,
    responses(
        (status = 200, body = Moved),
        (status = 409, description = "there was none before", body = ErrorBody),
        (status = 422, body = ErrorBody),
    )
)]
async fn roll_back(
    State(host): State<SharedHost>,
    Path(model): Path<String>,
    Body(wanted): Body<MoveWanted>,
) -> Result<Json<Moved>, Fault> {
    let now = host.clock().now();
    let moved = host.registry().roll_back(&model, &wanted.because, now);
    Ok(Json(moved.await?))
}
