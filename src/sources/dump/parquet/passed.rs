//! Row groups that are certainly not wanted, by what the file says of their columns.

use std::time::Duration;

use parquet::{
    data_type::ByteArray,
    file::{metadata::RowGroupMetaData, statistics::Statistics},
};

use super::shape::{Meaning, Shape};
use crate::{clock::Timestamp, sources::ScrapeRequest};

/// The fields that tell whether a row is wanted.
pub(super) const TELLING: [&str; 2] = ["subreddit", "created_utc"];
/// What the parser may round.
const SECOND: Duration = Duration::from_secs(1);

/// Where a file tells of its row groups.
#[derive(Debug)]
pub(super) struct Told {
    community: Option<usize>,
    created: Option<(usize, Meaning)>,
}

impl Told {
    /// `leaves` are the columns that are read.
    pub(super) fn new(shapes: &[(String, Shape)], leaves: &[usize]) -> Self {
        let column = |name: &str| {
            let (_, shape) = shapes.iter().find(|(found, _)| found == name)?;
            Some((leaves[shape.leaves().start], shape.meaning()?))
        };
        Self {
            community: column(TELLING[0]).map(|(leaf, _)| leaf),
            created: column(TELLING[1]),
        }
    }

    /// Why no row of the group is wanted; `None` where one may be.
    pub(super) fn passes_over(
        &self,
        group: &RowGroupMetaData,
        request: &ScrapeRequest,
    ) -> Option<&'static str> {
        // A row without a value is one that the parser has to see.
        let told = |leaf: usize| {
            let told = group.column(leaf).statistics()?;
            (told.null_count_opt() == Some(0) && !told.is_min_max_deprecated()).then_some(told)
        };
        if let Some(wanted) = &request.communities
            && let Some(Statistics::ByteArray(told)) = self.community.and_then(told)
            && let (Some(min), Some(max)) = (told.min_opt(), told.max_opt())
            && has_none(min, max, wanted)
        {
            return Some("other_community");
        }
        let (leaf, meaning) = self.created?;
        let (first, last) = bounds(told(leaf)?, meaning)?;
        if request.since.is_some_and(|since| last + SECOND < since) {
            return Some("before_since");
        }
        let is_possible = request.latest().is_none_or(|latest| last <= latest);
        (first > request.as_of + SECOND && is_possible).then_some("after_as_of")
    }
}

/// Whether no name between the two is a wanted one, in whatever case.
fn has_none(min: &ByteArray, max: &ByteArray, wanted: &[String]) -> bool {
    let (min, max) = (min.data(), max.data());
    // Names that begin with a blank, or have letters beyond ASCII, are left to the parser.
    let is_plain = min.first().is_some_and(u8::is_ascii_graphic)
        && max.first().is_some_and(u8::is_ascii_graphic);
    is_plain
        && wanted.iter().all(|name| {
            // No way to write it lies outside these, blanks behind it included.
            let least = name.to_ascii_uppercase();
            let most = name.to_ascii_lowercase() + "!";
            most.as_bytes() < min || least.as_bytes() > max
        })
}

/// When the first and the last row of a group were made; `None` where it is not told, or where a
/// row may have no time.
fn bounds(told: &Statistics, meaning: Meaning) -> Option<(Timestamp, Timestamp)> {
    let (first, last) = match told {
        Statistics::Int32(told) => (f64::from(*told.min_opt()?), f64::from(*told.max_opt()?)),
        Statistics::Int64(told) => (*told.min_opt()? as f64, *told.max_opt()? as f64),
        Statistics::Double(told) => (*told.min_opt()?, *told.max_opt()?),
        _ => return None,
    };
    let unit = match meaning {
        Meaning::Plain => 1.0,
        Meaning::Moment(unit) => unit as f64,
        _ => return None,
    };
    let is_sound = first > 0.0 && first <= last && last.is_finite();
    is_sound.then(|| {
        (
            Timestamp::from_seconds(first / unit),
            Timestamp::from_seconds(last / unit),
        )
    })
}
