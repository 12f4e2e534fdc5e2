//! One row of data.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::MediaLocation;
use crate::clock::Timestamp;

/// One row of data: a post, a point of interest, a film.
///
/// A record says only what does not change after publication; what changes (score, comments) is
/// an [`Observation`](super::Observation). A field that the source lacks is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The source's own id, unique within its data set.
    pub id: String,
    /// Where it was published: a subreddit, say.
    pub community: Option<String>,
    /// Who published it.
    pub author: Option<String>,
    /// Its headline.
    pub title: Option<String>,
    /// When it was published.
    pub created_at: Option<Timestamp>,
    /// Where its images are, in the author's order.
    #[serde(default)]
    pub media: Vec<MediaLocation>,
    /// Everything else that the source told, by the source's own names; expressions read it.
    #[serde(default)]
    pub fields: Map<String, Value>,
}
