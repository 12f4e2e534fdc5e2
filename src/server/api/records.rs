//! How many records there are.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{Fault, SharedHost};

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A data set.
#[derive(Debug, Serialize, ToSchema)]
struct Dataset {
    /// Its name.
    dataset: String,
    /// How many records it has.
    records: u64,
}

/// The data sets and how many records each has.
#[utoipa::path(
    get,
    path = "/records",
    tag = "records",
    responses((status = 200, body = [Dataset]))
)]
async fn list(State(host): State<SharedHost>) -> Result<Json<Vec<Dataset>>, Fault> {
    let datasets = host.store().datasets().await?;
    let listed = |(dataset, records)| Dataset { dataset, records };
    Ok(Json(datasets.into_iter().map(listed).collect()))
}
