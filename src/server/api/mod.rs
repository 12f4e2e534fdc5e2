//! The routes below `/api/v1`, a file per subject.

mod runs;

use utoipa_axum::router::OpenApiRouter;

pub use runs::{RunAnswer, RunWanted};

use super::SharedHost;

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::new().merge(runs::routes())
}
