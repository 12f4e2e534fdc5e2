//! The frozen hold-out: the days before a quarter of a year began, that all models of the quarter are
//! measured on and none has learned, so that the figures of different days compare.
//!
//! It changes with the quarter. For a month both the old one and the new one are kept apart, so that
//! the two can be joined.

use std::time::Duration;

use chrono::{Datelike as _, Months, NaiveDate};
use serde::{Deserialize, Serialize};

use super::{Error, Fitted, TrainSettings, bootstrap::Intervals, judge::judged, metrics::Metrics};
use crate::{
    clock::Timestamp,
    corpus::{FeatureMatrix, Row},
};

/// How long the hold-out of the quarter before is kept beside the new one.
const OVERLAP: Duration = Duration::from_hours(30 * 24);

/// The time of one hold-out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// The quarter of which it is: `2026-Q1`.
    pub(super) name: String,
    from: Timestamp,
    to: Timestamp,
}

impl Window {
    pub(super) fn holds(&self, time: Timestamp) -> bool {
        (self.from..self.to).contains(&time)
    }

    fn before(quarter: NaiveDate, length: Duration) -> Self {
        let to = Timestamp::at_midnight(quarter);
        Self {
            name: format!("{}-Q{}", quarter.year(), quarter.month0() / 3 + 1),
            from: to - length,
            to,
        }
    }
}

/// The hold-outs, each of `length`, that are apart when the newest row was made at `newest`.
pub(super) fn windows(newest: Timestamp, length: Duration) -> Vec<Window> {
    if length.is_zero() {
        return Vec::new();
    }
    let date = newest.date();
    let first = NaiveDate::from_ymd_opt(date.year(), date.month0() / 3 * 3 + 1, 1);
    let Some(quarter) = first else {
        return Vec::new();
    };
    let mut windows = vec![Window::before(quarter, length)];
    if newest.since(Timestamp::at_midnight(quarter)) < OVERLAP
        && let Some(before) = quarter.checked_sub_months(Months::new(3))
    {
        windows.push(Window::before(before, length));
    }
    windows
}

/// What a head is worth on one hold-out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HoldOut {
    /// The quarter of which it is: `2026-Q1`.
    pub name: String,
    /// How many rows it has.
    pub rows: usize,
    /// Their metrics.
    pub metrics: Metrics,
    /// The 95 % intervals of the metrics.
    pub intervals: Intervals,
}

/// Judges a fitted head on the hold-outs of its rows, the newest first.
///
/// # Errors
///
/// [`Error::Schema`] where `fitted` is not of this matrix.
pub(super) fn on_hold_outs(
    matrix: &FeatureMatrix,
    fitted: &Fitted,
    settings: &TrainSettings,
) -> Result<Vec<HoldOut>, Error> {
    let labelled = matrix.rows.iter().filter(|row| row.label.is_some());
    let Some(newest) = labelled.filter_map(|row| row.created_at).max() else {
        return Ok(Vec::new());
    };
    let apart = fitted.held_out();
    let mut hold_outs = Vec::new();
    for window in windows(newest, settings.holdout) {
        let is_of = |row: &Row| {
            apart.contains(row.id.as_str()) && row.created_at.is_some_and(|at| window.holds(at))
        };
        let places: Vec<usize> = (0..matrix.rows.len())
            .filter(|&at| is_of(&matrix.rows[at]))
            .collect();
        if places.is_empty() {
            continue;
        }
        let (metrics, intervals) = judged(&matrix.select(&places), &fitted.head, settings)?;
        hold_outs.push(HoldOut {
            name: window.name,
            rows: places.len(),
            metrics,
            intervals,
        });
    }
    Ok(hold_outs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hold_out_changes_with_the_quarter_and_overlaps_a_month() {
        let two_weeks = Duration::from_hours(14 * 24);
        let of = |time: &str| windows(time.parse().unwrap(), two_weeks);
        let names = |time| of(time).into_iter().map(|of| of.name).collect::<Vec<_>>();
        assert_eq!(names("2026-03-31T23:00:00Z"), ["2026-Q1"]);
        assert_eq!(names("2026-04-01T00:00:00Z"), ["2026-Q2", "2026-Q1"]);
        assert_eq!(names("2026-04-30T23:00:00Z"), ["2026-Q2", "2026-Q1"]);
        assert_eq!(names("2026-05-01T00:00:00Z"), ["2026-Q2"]);
        assert_eq!(names("2026-01-02T00:00:00Z"), ["2026-Q1", "2025-Q4"]);
        let window = &of("2026-05-01T00:00:00Z")[0];
        assert!(window.holds("2026-03-18T00:00:00Z".parse().unwrap()));
        assert!(!window.holds("2026-03-17T23:59:59Z".parse().unwrap()));
        assert!(!window.holds("2026-04-01T00:00:00Z".parse().unwrap()));
        assert!(windows("2026-05-01T00:00:00Z".parse().unwrap(), Duration::ZERO).is_empty());
    }
}
