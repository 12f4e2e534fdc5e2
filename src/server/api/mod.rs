//! The routes below `/api/v1`, a file per subject.

mod backfills;
mod control;
mod daemon;
mod events;
mod logs;
mod models;
mod notices;
mod page;
mod paths;
mod pipelines;
mod predict;
mod records;
mod runs;
mod schedules;

use utoipa_axum::router::OpenApiRouter;

pub use backfills::{BackfillMove, BackfillWanted, Reprocess};
pub use control::{ClearAnswer, ClearWanted, RunAsked};
pub use daemon::DaemonAnswer;
pub use predict::{
    Contributions, ImageWanted, Neighbour, Original, PredictAnswer, PredictWanted, PredictedClass,
    PredictedRow, RecordWanted,
};
pub use records::PurgeWanted;
pub use runs::{RunAnswer, RunWanted};
pub use schedules::Paused;

use super::SharedHost;

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::new()
        .merge(daemon::routes())
        .merge(pipelines::routes())
        .merge(runs::routes())
        .merge(control::routes())
        .merge(schedules::routes())
        .merge(backfills::routes())
        .merge(logs::routes())
        .merge(events::routes())
        .merge(models::routes())
        .merge(predict::routes())
        .merge(records::routes())
        .merge(notices::routes())
}
