//! The endpoints of `MLflow`'s tracking server and registry, so that its clients read ours: an
//! experiment for each model, a run for each published version. Beside them stand the experiments and
//! runs that those clients log.

mod artifacts;
mod asked;
mod experiments;
mod filter;
mod limits;
mod logged;
mod model;
mod models;
mod order;
mod page;
mod published;
mod recorded;
mod refusal;
mod run;
#[cfg(test)]
mod tests;
mod tracking;
mod uploads;
mod words;

use axum::{Json, Router, routing::get};
use serde_json::{Value, json};

pub(super) use refusal::Refusal;

use super::SharedHost;

/// Where the endpoints lie: programs ask at the first, `MLflow`'s pages at the second.
const BASES: [&str; 2] = ["/api/2.0", "/ajax-api/2.0"];

/// Whether a path is one of these endpoints, so that its refusals have `MLflow`'s shape.
pub(super) fn serves(path: &str) -> bool {
    BASES.iter().any(|base| path.starts_with(base))
}

pub(super) fn routes() -> Router<SharedHost> {
    let mut router = Router::new().route("/api/3.0/mlflow/server-info", get(server_info));
    for base in BASES {
        let endpoints = tracking::routes()
            .merge(experiments::routes())
            .merge(logged::routes())
            .merge(models::routes())
            .merge(recorded::routes())
            .merge(artifacts::routes());
        let below = Router::new()
            .nest("/mlflow", endpoints)
            .nest("/mlflow-artifacts", artifacts::proxy_routes())
            .fallback(refusal::no_route);
        router = router.nest(base, below);
    }
    router
}

/// What clients ask before they choose how to move files.
async fn server_info() -> Json<Value> {
    Json(json!({
        "store_type": "SqlStore",
        "workspaces_enabled": false,
        "trace_archival_enabled": false,
        "multipart_uploads_enabled": false,
        "multipart_downloads_enabled": false,
    }))
}
