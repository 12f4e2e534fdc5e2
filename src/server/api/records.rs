//! How many records there are, and which are to be gone.

use axum::{
    Json,
    extract::{DefaultBodyLimit, State},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{ErrorBody, Fault, SharedHost, extract::Body};

/// The largest list of ids that is read, in bytes: some millions of them.
const IDS_LIMIT: usize = 64 * 1024 * 1024;

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    let purge = OpenApiRouter::new()
        .routes(routes!(purge))
        .layer(DefaultBodyLimit::max(IDS_LIMIT));
    OpenApiRouter::new().routes(routes!(list)).merge(purge)
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

/// Which records are to be gone: those with these ids, and those of an author or a community.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PurgeWanted {
    /// The data set, of those that `/records` lists; by default the one there is. The live source and all dumps count as one.
    #[serde(default)]
    pub dataset: Option<String>,
    /// Ids or addresses of posts, also of records that are not there: none of them shall come later.
    #[serde(default)]
    #[schema(example = json!(["1abcde"]))]
    pub ids: Vec<String>,
    /// Everything by this author; `u/NAME` is understood too.
    #[serde(default)]
    pub author: Option<String>,
    /// Everything in this community; `r/NAME` is understood too.
    #[serde(default)]
    pub community: Option<String>,
    /// Only say what would be removed.
    #[serde(default)]
    pub dry_run: bool,
}

impl PurgeWanted {
    /// Whether no record is meant: then only purges go on that were cut off.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.author.is_none() && self.community.is_none()
    }
}

/// Remove records everywhere in the home, and keep them from coming back.
///
/// It cannot be undone. Without a record to purge, it goes on with purges that were cut off. Runs
/// at work go on; what they had read before is looked for again once they have ended (`waiting`).
/// What is not there is listed as `unknown`, and kept away like what was; what was purged earlier
/// as `purged_before`.
#[utoipa::path(
    post,
    path = "/records/purge",
    tag = "records",
    request_body = PurgeWanted,
    responses(
        (status = 200, description = "as `records purge --json`", body = Object),
        (status = 422, description = "it is not clear which data set is meant, or something is no id", body = ErrorBody),
        (status = 503, description = "the disk is full, or the daemon ends", body = ErrorBody),
    )
)]
async fn purge(
    State(host): State<SharedHost>,
    Body(wanted): Body<PurgeWanted>,
) -> Result<Json<Value>, Fault> {
    Ok(Json(host.purge(wanted).await?))
}
