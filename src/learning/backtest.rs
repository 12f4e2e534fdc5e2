//! A rolling-origin backtest: the same head, trained again at earlier moments and tested on what came
//! next (Tashman 2000).

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::{
    Error, Fitted, SplitBasis, TrainSettings,
    apart::keep_apart,
    bootstrap::Intervals,
    judge::{Judge, judged},
    metrics::Metrics,
    train::train_rows,
    watch::{Progress, Watch},
};
use crate::clock::Timestamp;

/// The least rows that are learned, and that are tested.
const LEAST_LEARNED: usize = 60;
const LEAST_TESTED: usize = 20;
/// The share of the learned rows that chooses, the newest.
const VALIDATION: f64 = 0.15;

/// One earlier test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// When the first tested row was made.
    pub from: Timestamp,
    /// When the last one was.
    pub to: Timestamp,
    /// How many rows were learned.
    pub learned: usize,
    /// How many were tested.
    pub rows: usize,
    /// Their metrics.
    pub metrics: Metrics,
    /// The 95 % intervals of the metrics.
    pub intervals: Intervals,
}

/// Tests the head at earlier moments, each test as many rows as the last one and right before it, with
/// the same embargo; the newest first. Fewer where the rows do not reach.
///
/// What was chosen (scale, penalty, weights) is taken from `fitted`, which has seen those tests: the
/// backtest tells how steady a head is, not how good.
///
/// # Errors
///
/// As [`train`](super::train()).
pub(super) fn backtest(
    judge: &Judge<'_>,
    fitted: &Fitted,
    settings: &TrainSettings,
    device: &Device,
    watch: &dyn Watch,
) -> Result<Vec<Origin>, Error> {
    let mut origins = Vec::new();
    if fitted.basis != SplitBasis::Time {
        return Ok(origins);
    }
    let line = before_test(judge, fitted);
    let matrix = judge.matrix;
    let tested = judge.test.rows.len();
    let settings = TrainSettings {
        members: 1,
        ..settings.clone()
    };
    let mut end = line.len();
    for origin in 0..settings.backtest {
        let start = end.saturating_sub(tested);
        let test = &line[start..end];
        end = start;
        let Some(&(from, _)) = test.first() else {
            break;
        };
        let embargo = from - settings.embargo;
        let until = line.partition_point(|(time, _)| *time < embargo);
        let since = if settings.window.is_zero() {
            0
        } else {
            line.partition_point(|(time, _)| *time < from - settings.window)
        };
        let learned = &line[since.min(until)..until];
        if learned.len() < LEAST_LEARNED || test.len() < LEAST_TESTED.max(tested / 2) {
            break;
        }
        watch.progress(&Progress::Stage(format!("test before, {}", origin + 1)));
        let validation = (learned.len() as f64 * (1.0 - VALIDATION)) as usize;
        let (train, validation) = learned.split_at(validation);
        let places = rows(test);
        let apart = |of| keep_apart(matrix, &settings.apart, &places, &rows(of));
        let parts = (apart(train)?, apart(validation)?);
        if parts.0.is_empty() || parts.1.is_empty() {
            break;
        }
        let known = Some(&fitted.choices);
        let count = parts.0.len() + parts.1.len();
        let head = train_rows(matrix, parts, &settings, known, device, watch)?;
        let (metrics, intervals) = judged(&matrix.select(&places), &head, &settings)?;
        origins.push(Origin {
            from,
            to: test.last().map_or(from, |(time, _)| *time),
            learned: count,
            rows: test.len(),
            metrics,
            intervals,
        });
    }
    Ok(origins)
}

fn rows(of: &[(Timestamp, usize)]) -> Vec<usize> {
    of.iter().map(|&(_, row)| row).collect()
}

/// The rows that were made before the test and are not kept apart, in the order of time.
fn before_test(judge: &Judge<'_>, fitted: &Fitted) -> Vec<(Timestamp, usize)> {
    let matrix = judge.matrix;
    let apart = fitted.held_out();
    let first = judge
        .test
        .rows
        .iter()
        .filter_map(|row| row.created_at)
        .min();
    let rows = matrix.rows.iter().enumerate();
    let mut line: Vec<(Timestamp, usize)> = rows
        .filter(|(_, row)| row.label.is_some() && !apart.contains(row.id.as_str()))
        .filter_map(|(at, row)| Some((row.created_at?, at)))
        .filter(|(time, _)| first.is_some_and(|first| *time < first))
        .collect();
    line.sort_by(|a, b| (a.0, &matrix.rows[a.1].id).cmp(&(b.0, &matrix.rows[b.1].id)));
    line
}
