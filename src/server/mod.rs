//! The daemon's API over HTTP.
//!
//! Everything lies below `/api/v1`; `/api/v1/openapi.json` describes it. Names are those of the
//! command line's JSON. Every refusal has one shape, [`Fault`].

mod api;
mod extract;
mod fault;
mod guard;
mod health;
mod host;
mod metrics;
mod mlflow;
mod refusals;

use std::{future::Future, sync::Arc};

use axum::{Router, extract::DefaultBodyLimit};
use tokio::net::TcpListener;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::store::EventRow;

pub use api::{
    BackfillMove, BackfillWanted, ClearAnswer, ClearWanted, Contributions, DaemonAnswer,
    ImageWanted, Neighbour, Original, Paused, PredictAnswer, PredictWanted, PredictedClass,
    PredictedRow, PurgeWanted, RecordWanted, Reprocess, RunAnswer, RunAsked, RunWanted,
};
pub use fault::{ErrorBody, ErrorDetail, Fault};
pub use guard::{GuardSettings, hash_token};
pub use host::{Host, Phase, SharedHost};
pub use metrics::Metrics;

/// The largest body that is read.
const BODY_LIMIT: usize = 1024 * 1024;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "trendmill",
        description = "The daemon's API: the same words as `trendmill --json`."
    ),
    components(schemas(EventRow))
)]
struct Description;

/// Answers until `ending` is done and every answer under way is given.
///
/// # Errors
///
/// Where the listener fails.
pub async fn serve(
    host: SharedHost,
    listener: TcpListener,
    ending: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(host))
        .with_graceful_shutdown(ending)
        .await
}

fn router(host: SharedHost) -> Router {
    let (router, mut description) = described().split_for_parts();
    refusals::describe(&mut description);
    let description = description
        .to_json()
        .expect("a description is plain data with text keys");
    router
        .route(
            "/api/v1/openapi.json",
            axum::routing::get(move || {
                let json = description.clone();
                async move {
                    (
                        [(axum::http::header::CONTENT_TYPE, "application/json")],
                        json,
                    )
                }
            }),
        )
        .merge(mlflow::routes())
        .fallback(fault::no_route)
        .method_not_allowed_fallback(fault::no_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&host),
            health::when_started,
        ))
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&host),
            guard::guard,
        ))
        .with_state(host)
}

/// Every route with its description.
fn described() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::with_openapi(Description::openapi())
        .merge(health::routes())
        .merge(metrics::routes())
        .nest("/api/v1", api::routes())
}
