//! Predictions for records that need not be in the store.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{DefaultBodyLimit, State},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        ErrorBody, Fault, SharedHost,
        extract::{Body, Path},
    },
    models::resolved,
};
use crate::clock::Timestamp;

/// The largest body that is read, in bytes: images come in it.
const IMAGES_LIMIT: usize = 64 * 1024 * 1024;
/// The most records of one request.
const MOST_RECORDS: usize = 1000;
/// The most images of one record.
const MOST_IMAGES: usize = 20;
/// The most posts beside a prediction.
const MOST_NEAREST: usize = 50;

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::new()
        .routes(routes!(predict))
        .layer(DefaultBodyLimit::max(IMAGES_LIMIT))
}

/// What is to be predicted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PredictWanted {
    /// The records, 1 to 1,000.
    #[schema(min_items = 1, max_items = 1000)]
    pub records: Vec<RecordWanted>,
    /// Tell what each input adds to each prediction.
    #[serde(default)]
    pub explain: bool,
    /// Tell the posts that are most like each record, so many of those that the version learned
    /// from and was tested on.
    #[serde(default)]
    #[schema(maximum = 50)]
    pub nearest: usize,
    /// Of a model that predicts classes, tell so many of the most probable ones; by default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub top_k: Option<usize>,
    /// Of a model that predicts classes: a record counts as one of those that are at least so
    /// probable. By default, of a target `classes(…)`, as probable as told the validation rows best;
    /// of `class(…)` it counts as one of the most probable class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.0, maximum = 1.0)]
    pub threshold: Option<f64>,
}

/// A record. What it lacks is predicted as what was missing in training.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordWanted {
    /// By which the answer names it; by default its place in the list, from 1.
    pub id: Option<String>,
    /// Its headline.
    #[schema(example = "My first oil painting")]
    pub title: Option<String>,
    /// Where it is to be published.
    #[schema(example = "art")]
    pub community: Option<String>,
    /// Who publishes it.
    pub author: Option<String>,
    /// When it is to be published: a date, or RFC 3339.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created_at: Option<Timestamp>,
    /// Its images, at most 20.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub images: Vec<ImageWanted>,
    /// Everything else, by the source's own names: what the pipeline calls `fields.NAME`.
    #[serde(default)]
    pub fields: Map<String, Value>,
}

/// An image; a file of the daemon's machine cannot be named.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageWanted {
    /// The file's bytes as base64.
    Base64(String),
    /// The hash of a file that the home has.
    Sha256(String),
    /// An `http` or `https` URL. It is fetched as a run would: never from a private network.
    Url(String),
}

/// The predictions of a model version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PredictAnswer {
    /// The model.
    pub model: String,
    /// Its version.
    pub version: u32,
    /// One for each record, in the order in which they were given.
    pub predictions: Vec<PredictedRow>,
}

/// One prediction: a line of `predict`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PredictedRow {
    /// The record's id.
    pub id: String,
    /// The prediction on the training scale; of classes, the probability of the most probable one.
    pub prediction: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end of its interval.
    pub high: f64,
    /// The expected number that people know, as a score, where the prediction is on another scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Original>,
    /// The classes, the most probable first, where the model predicts classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<PredictedClass>,
    /// How many of its images could not be had; it was predicted without them.
    #[serde(default, skip_serializing_if = "is_none")]
    pub missing_images: usize,
    /// What each input adds, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contributions: Option<Contributions>,
    /// The posts that are most like it, where they were asked for; the most alike first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nearest: Vec<Neighbour>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
const fn is_none(count: &usize) -> bool {
    *count == 0
}

/// A class and how probable it is that a record belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PredictedClass {
    /// The class.
    pub class: String,
    /// From 0 to 1; where a record belongs to one class, all together are 1.
    pub probability: f64,
    /// Whether the record counts as one of it.
    pub chosen: bool,
}

/// A prediction as the number that people know.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Original {
    /// The expected number: the mean over what predictions of unseen rows were off by.
    pub value: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end of its interval.
    pub high: f64,
}

/// What each input adds to a prediction, on its scale: `prediction = base + Σ inputs + joint`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Contributions {
    /// The prediction where every input is as it is on average in training.
    pub base: f64,
    /// By block and category: the prediction less the one with this input alone as on average.
    pub inputs: BTreeMap<String, f64>,
    /// What inputs do together only, and the bend of the scale; 0 for a ridge of the target itself.
    pub joint: f64,
}

/// A post that is like a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Neighbour {
    /// Its id.
    pub id: String,
    /// Its headline.
    pub title: Option<String>,
    /// Its target, on the training scale.
    pub target: f64,
    /// The last score that was read of it.
    pub score: Option<f64>,
    /// The cosine between its vector and the record's, from -1 to 1.
    pub similarity: f64,
}

impl PredictWanted {
    /// # Errors
    ///
    /// The first thing that cannot be right, by its place in the body.
    fn check(&self) -> Result<(), Fault> {
        let count = self.records.len();
        if count == 0 || count > MOST_RECORDS {
            return Err(Fault::invalid(format!("`records` has {count} records"))
                .hint(format!("give 1 to {MOST_RECORDS} in one request")));
        }
        if self.nearest > MOST_NEAREST {
            let message = format!("`nearest` is {}; the most is {MOST_NEAREST}", self.nearest);
            return Err(Fault::invalid(message));
        }
        if self.top_k == Some(0) {
            let message = "`top_k` is 0; ask for at least 1".to_owned();
            return Err(Fault::invalid(message));
        }
        if let Some(threshold) = self.threshold
            && !(0.0..=1.0).contains(&threshold)
        {
            return Err(Fault::invalid(format!(
                "`threshold` is {threshold}, no probability: give 0 to 1"
            )));
        }
        for (at, record) in self.records.iter().enumerate() {
            let images = record.images.len();
            if images > MOST_IMAGES {
                return Err(Fault::invalid(format!(
                    "`records[{at}].images` has {images}; the most is {MOST_IMAGES}"
                )));
            }
        }
        Ok(())
    }
}

/// Predict records with a model version.
///
/// A process of its own does so. It starts with the first request, keeps model and encoders loaded,
/// and leaves when nobody asks (`predict.idle`). Where it dies, those who wait for it are told 503,
/// and the next request starts it again; where too many wait, 429.
#[utoipa::path(
    post,
    path = "/models/{model}/predict",
    tag = "models",
    params(("model" = String, Path, description = "`NAME:VERSION` or `NAME@ALIAS`; a bare name means its champion")),
    request_body = PredictWanted,
    responses(
        (status = 200, body = PredictAnswer),
        (status = 409, description = "an encoder or a file of the version cannot be had", body = ErrorBody),
        (status = 429, description = "too many wait; `retry-after` says when to ask again", body = ErrorBody),
        (status = 503, description = "the process that predicts has died; `retry-after` says when to ask again", body = ErrorBody),
    )
)]
async fn predict(
    State(host): State<SharedHost>,
    Path(model): Path<String>,
    Body(wanted): Body<PredictWanted>,
) -> Result<Json<PredictAnswer>, Fault> {
    wanted.check()?;
    let version = resolved(&host, model).await?;
    Ok(Json(host.predict(&version, wanted).await?))
}
