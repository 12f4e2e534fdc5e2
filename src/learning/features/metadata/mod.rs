//! Features of a record that need no encoder.

use std::{f64::consts::TAU, fmt};

use serde_json::Value;

use super::{MetadataSchema, Past, title};
use crate::{
    corpus::{ImageStatistics, MediaInfo, Record},
    learning::Error,
};

/// The names that a pipeline can list as numbers, besides `fields.NAME`.
///
/// - `hour`: the time of day in UTC as two waves (24 h and 12 h).
/// - `weekday`: seven columns, one of which is 1.
/// - `title_length`: `ln(1 + characters)`, `ln(1 + words)`.
/// - `title_style`: whether it asks, calls, has a digit, has a tag in brackets; the share of
///   capital letters.
/// - `title_shape`: `ln(1 + emoji)`, whether it says `[OC]`, `ln(1 + tags)` in square or round
///   brackets, `ln(1 + digits)`.
/// - `media_count`: `ln(1 + images)`.
/// - `image_shape`: `ln(width / height)` and `ln(1 + megapixels)` of the first image.
/// - `image_look`: brightness, contrast, colourfulness, sharpness and entropy of the first image; see
///   [`ImageStatistics`].
/// - `similarity.A.B`: the cosine of the record's vectors in the blocks `A` and `B`, which are of one
///   encoder, as `similarity.title.caption`.
/// - what a data set's history tells: see [`HISTORY_NAMES`].
/// - `fields.NAME`: `ln(1 + x)` of a number of the source (`-ln(1 - x)` below zero), 1 and 0 of a
///   truth value.
///
/// Where the record lacks what a name needs, its columns are 0 and a column `NAME_missing` is 1.
pub const METADATA_NAMES: [&str; 8] = [
    "hour",
    "weekday",
    "title_length",
    "title_style",
    "title_shape",
    "media_count",
    "image_shape",
    "image_look",
];

/// The names of numbers that tell what was known, when a record was published, of those before it.
/// The label of an earlier record counts from the moment at which it must have been read.
///
/// - `community_history`: the quartiles of the community's labels of 7 and of 28 days, shrunk to
///   those of all communities, and `ln(1 + labels)`.
/// - `author_history`: `ln(1 + records)` and `ln(1 + labels)` of the author in 90 days; mean and
///   median of the labels in relation to their communities' medians, over all communities and in
///   this one, shrunk to 0.
/// - `queue`: `ln(1 + records)` of the community in the hour and the 6 hours before, and
///   `ln(1 + minutes)` since the last.
/// - `repost`: of the first image, the share of its look (a dHash) in which it differs from the most
///   similar one that the data set had in the 90 days before, 1 where there was none; `ln(1 + images)`
///   that are nearly the same; `ln(1 + days)` since the last of these, 90 where there was none.
pub const HISTORY_NAMES: [&str; 4] = ["community_history", "author_history", "queue", "repost"];

/// The names that a pipeline can list as categories, besides `fields.NAME`.
pub const CATEGORY_NAMES: [&str; 2] = ["community", "author"];

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const FIELD: &str = "fields.";
const SIMILARITY: &str = "similarity.";

/// A group of numbers that are had or missing together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Hour,
    Weekday,
    TitleLength,
    TitleStyle,
    TitleShape,
    MediaCount,
    ImageShape,
    ImageLook,
    CommunityHistory,
    AuthorHistory,
    Queue,
    Repost,
    Similarity(String, String),
    Field(String),
}

/// A categorical column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Category {
    Community,
    Author,
    Field(String),
}

impl Number {
    pub(super) fn parse(name: &str) -> Result<Self, Error> {
        Ok(match name {
            "hour" => Self::Hour,
            "weekday" => Self::Weekday,
            "title_length" => Self::TitleLength,
            "title_style" => Self::TitleStyle,
            "title_shape" => Self::TitleShape,
            "media_count" => Self::MediaCount,
            "image_shape" => Self::ImageShape,
            "image_look" => Self::ImageLook,
            "community_history" => Self::CommunityHistory,
            "author_history" => Self::AuthorHistory,
            "queue" => Self::Queue,
            "repost" => Self::Repost,
            _ if let Some((a, b)) = blocks_of(name) => Self::Similarity(a, b),
            _ => {
                let known = [&METADATA_NAMES[..], &HISTORY_NAMES].concat();
                Self::Field(field(name, "metadata", &known)?)
            }
        })
    }

    /// The columns' names; the last is the one that tells a missing value, where one can be.
    pub(super) fn columns(&self) -> Vec<String> {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        match self {
            Self::Hour => owned(&[
                "hour_sin",
                "hour_cos",
                "hour_sin2",
                "hour_cos2",
                "hour_missing",
            ]),
            Self::Weekday => {
                let days = WEEKDAYS.iter().map(|day| format!("weekday_{day}"));
                days.chain(["weekday_missing".to_owned()]).collect()
            }
            Self::TitleLength => owned(&["title_chars", "title_words"]),
            Self::TitleStyle => owned(&[
                "title_question",
                "title_exclamation",
                "title_digit",
                "title_tag",
                "title_caps",
            ]),
            Self::TitleShape => owned(&["title_emoji", "title_oc", "title_tags", "title_digits"]),
            Self::MediaCount => owned(&["media_count"]),
            Self::ImageShape => owned(&["image_aspect", "image_megapixels", "image_shape_missing"]),
            Self::CommunityHistory => {
                let of = |days: u32| {
                    let names = ["q25", "q50", "q75", "labels"];
                    names.map(|name| format!("community_{name}_{days}d"))
                };
                let missing = ["community_history_missing".to_owned()];
                of(7).into_iter().chain(of(28)).chain(missing).collect()
            }
            Self::AuthorHistory => owned(&[
                "author_records",
                "author_labels",
                "author_mean",
                "author_median",
                "author_mean_here",
                "author_median_here",
                "author_history_missing",
            ]),
            Self::ImageLook => owned(&[
                "image_brightness",
                "image_contrast",
                "image_colourfulness",
                "image_sharpness",
                "image_entropy",
                "image_look_missing",
            ]),
            Self::Queue => owned(&["queue_1h", "queue_6h", "queue_minutes", "queue_missing"]),
            Self::Repost => owned(&[
                "repost_distance",
                "repost_images",
                "repost_days",
                "repost_missing",
            ]),
            Self::Similarity(a, b) => {
                vec![
                    format!("similarity_{a}_{b}"),
                    format!("similarity_{a}_{b}_missing"),
                ]
            }
            Self::Field(name) => vec![name.clone(), format!("{name}_missing")],
        }
    }

    /// Whether its values come from the [`History`](super::History).
    pub(super) fn is_history(&self) -> bool {
        matches!(
            self,
            Self::CommunityHistory | Self::AuthorHistory | Self::Queue | Self::Repost
        )
    }

    /// Whether its values come from labels of earlier records.
    pub(super) fn is_of_labels(&self) -> bool {
        matches!(self, Self::CommunityHistory | Self::AuthorHistory)
    }

    /// The values of [`columns`](Self::columns).
    fn values(&self, row: &Known<'_>) -> Vec<f64> {
        let Known {
            record,
            media,
            past,
            ..
        } = *row;
        let text = record.title.as_deref().unwrap_or_default();
        match self {
            Self::Hour => or_missing(record.created_at.map(|time| {
                let day = 86_400_000;
                let angle = time.as_millis().rem_euclid(day) as f64 / day as f64 * TAU;
                [
                    angle.sin(),
                    angle.cos(),
                    (2.0 * angle).sin(),
                    (2.0 * angle).cos(),
                ]
            })),
            Self::Weekday => or_missing(record.created_at.map(|time| {
                let mut days = [0.0; 7];
                days[time.weekday() as usize % 7] = 1.0;
                days
            })),
            Self::TitleLength => title::length(text),
            Self::TitleStyle => title::style(text),
            Self::TitleShape => title::shape(text),
            // The record knows of images that could not be fetched.
            Self::MediaCount => vec![(record.media.len().max(media.len()) as f64).ln_1p()],
            Self::ImageShape => or_missing(media.first().map(|image| {
                let (width, height) = (
                    f64::from(image.width.max(1)),
                    f64::from(image.height.max(1)),
                );
                [(width / height).ln(), (width * height / 1e6).ln_1p()]
            })),
            Self::ImageLook => {
                let told = row.statistics.map(ImageStatistics::values);
                or_missing(told.map(|values| values.map(f64::from)))
            }
            Self::CommunityHistory => or_missing(past.community),
            Self::AuthorHistory => or_missing(past.author),
            Self::Queue => or_missing(past.queue),
            Self::Repost => or_missing(past.repost),
            Self::Similarity(a, b) => {
                let vectors = (row.vector)(a).zip((row.vector)(b));
                or_missing(
                    vectors
                        .and_then(|(a, b)| cosine(a, b))
                        .map(|cosine| [cosine]),
                )
            }
            Self::Field(name) => {
                let value = record.fields.get(name).and_then(number);
                or_missing(value.map(|value| [value.abs().ln_1p().copysign(value)]))
            }
        }
    }
}

impl Category {
    pub(super) fn parse(name: &str) -> Result<Self, Error> {
        Ok(match name {
            "community" => Self::Community,
            "author" => Self::Author,
            _ => Self::Field(field(name, "category", &CATEGORY_NAMES)?),
        })
    }

    fn value(&self, record: &Record) -> Option<String> {
        match self {
            Self::Community => record.community.clone(),
            Self::Author => record.author.clone(),
            Self::Field(name) => match record.fields.get(name)? {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                Value::Bool(truth) => Some(truth.to_string()),
                Value::Null | Value::Array(_) | Value::Object(_) => None,
            },
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hour => "hour",
            Self::Weekday => "weekday",
            Self::TitleLength => "title_length",
            Self::TitleStyle => "title_style",
            Self::TitleShape => "title_shape",
            Self::MediaCount => "media_count",
            Self::ImageShape => "image_shape",
            Self::CommunityHistory => "community_history",
            Self::AuthorHistory => "author_history",
            Self::Queue => "queue",
            Self::ImageLook => "image_look",
            Self::Repost => "repost",
            Self::Similarity(a, b) => return write!(f, "{SIMILARITY}{a}.{b}"),
            Self::Field(name) => return write!(f, "{FIELD}{name}"),
        })
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Community => f.write_str("community"),
            Self::Author => f.write_str("author"),
            Self::Field(name) => write!(f, "{FIELD}{name}"),
        }
    }
}

/// What is known of one record.
pub(super) struct Known<'a> {
    pub(super) record: &'a Record,
    /// Its images that are stored, in the author's order.
    pub(super) media: &'a [MediaInfo],
    pub(super) past: &'a Past,
    /// How the first of its images looks.
    pub(super) statistics: Option<ImageStatistics>,
    /// Its vector in a block, where it has one.
    pub(super) vector: &'a dyn Fn(&str) -> Option<&'a [f32]>,
}

/// The numbers of one record, in the order of [`MetadataSchema::columns`]; all are finite.
pub(super) fn numbers_of(schema: &MetadataSchema, row: &Known<'_>) -> Vec<f32> {
    schema
        .numbers()
        .iter()
        .flat_map(|number| number.values(row))
        .map(|value| value as f32)
        .collect()
}

/// The categories of one record, in the order of [`MetadataSchema::category_names`].
pub(super) fn category_of(schema: &MetadataSchema, record: &Record) -> Vec<Option<String>> {
    schema
        .categories()
        .iter()
        .map(|c| c.value(record))
        .collect()
}

/// The values and 0, or zeros and 1.
fn or_missing<const N: usize>(values: Option<[f64; N]>) -> Vec<f64> {
    let missing = f64::from(u8::from(values.is_none()));
    let mut all = values.unwrap_or([0.0; N]).to_vec();
    all.push(missing);
    all
}

/// The finite number that a field holds; tables hold numbers as text.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
    .filter(|number| number.is_finite())
}

/// The cosine of two vectors; nothing where one has no length.
fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    let product = |a: &[f32], b: &[f32]| -> f64 {
        let terms = a.iter().zip(b);
        terms.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let lengths = (product(a, a) * product(b, b)).sqrt();
    (lengths > 0.0).then(|| product(a, b) / lengths)
}

/// The blocks of `similarity.A.B`.
fn blocks_of(name: &str) -> Option<(String, String)> {
    let (a, b) = name.strip_prefix(SIMILARITY)?.split_once('.')?;
    let is_name = |name: &str| !name.is_empty() && !name.contains('.');
    (is_name(a) && is_name(b) && a != b).then(|| (a.to_owned(), b.to_owned()))
}

fn field(name: &str, what: &'static str, known: &[&str]) -> Result<String, Error> {
    match name.strip_prefix(FIELD) {
        Some(field) if !field.is_empty() => Ok(field.to_owned()),
        _ => Err(Error::UnknownName {
            what,
            name: name.to_owned(),
            allowed: format!(
                "{}, {FIELD}NAME (a field of the source){}",
                known.join(", "),
                if what == "metadata" {
                    ", similarity.A.B (of two blocks)"
                } else {
                    ""
                }
            ),
        }),
    }
}

#[cfg(test)]
mod tests;
