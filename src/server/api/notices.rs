//! What people were told and what still holds of it.

#![expect(unused_qualifications, reason = "the descriptions' macro writes them")]

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{ErrorBody, Fault, SharedHost, extract::Asked},
    page,
};
use crate::store::{NoticeFilter, NoticeRow, NoticeState};

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Which notices are listed.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListWanted {
    /// Only those in this state.
    state: Option<NoticeState>,
    /// How many at most, 1 to 1000.
    #[serde(default = "hundred")]
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: u32,
    /// Only those older than this one: the `next` of the page before.
    before: Option<i64>,
}

fn hundred() -> u32 {
    100
}

/// Notices, the newest first.
#[derive(Debug, Serialize, ToSchema)]
struct NoticePage {
    /// The notices.
    notices: Vec<NoticeRow>,
    /// What to give as `before` for the next page; null on the last one.
    next: Option<i64>,
}

/// List what people were told, the newest first.
#[utoipa::path(
    get,
    path = "/notices",
    tag = "notices",
    params(ListWanted),
    responses(
        (status = 200, body = NoticePage),
        (status = 422, body = ErrorBody),
    )
)]
async fn list(
    State(host): State<SharedHost>,
    Asked(wanted): Asked<ListWanted>,
) -> Result<Json<NoticePage>, Fault> {
    page::check("limit", wanted.limit)?;
    let filter = NoticeFilter {
        state: wanted.state,
        before: wanted.before,
        limit: wanted.limit + 1,
    };
    let rows = host.store().notices(&filter).await?;
    let (notices, next) = page::cut(rows, wanted.limit, |notice| notice.id);
    Ok(Json(NoticePage { notices, next }))
}
