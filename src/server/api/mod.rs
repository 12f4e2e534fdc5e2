//! The routes below `/api/v1`, a file per subject.

mod daemon;
mod events;
mod logs;
mod models;
mod notices;
mod pipelines;
mod records;
mod runs;
mod schedules;

use utoipa_axum::router::OpenApiRouter;

pub use daemon::DaemonAnswer;
pub use runs::{ClearAnswer, ClearWanted, RunAnswer, RunAsked, RunWanted};
pub use schedules::{BackfillMove, BackfillWanted, Paused, Reprocessed};

use super::SharedHost;

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::new()
        .merge(daemon::routes())
        .merge(pipelines::routes())
        .merge(runs::routes())
        .merge(schedules::routes())
        .merge(logs::routes())
        .merge(events::routes())
        .merge(models::routes())
        .merge(records::routes())
        .merge(notices::routes())
}
