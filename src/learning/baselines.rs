//! What every model must beat: medians, and means of flags.

use std::collections::BTreeMap;

use super::bootstrap::quantile;
use crate::corpus::Row;

/// How many posts of an author weigh as much as the community's median.
const AUTHOR_SHRINKAGE: f64 = 5.0;

/// How many rows of a community's hour weigh as much as the community's own median.
const HOUR_SHRINKAGE: f64 = 20.0;

/// The names of [`predict`]'s baselines, in its order.
pub(super) const NAMES: [&str; 4] = [
    "global_median",
    "community_median",
    "community_hour",
    "author_mean",
];

/// The predictions of each baseline for the rows `test`, learned from the labelled rows `known`.
///
/// Where every target is 0 or 1 a median says nothing, and what is called one here is the mean: how
/// probable a 1 is.
///
/// - `global_median`: the median target.
/// - `community_median`: the median of the row's community; the global one where it is unknown.
/// - `community_hour`: the median of the community's rows of that hour of the day (UTC), drawn to
///   the community's median as if 20 rows more lay there; that median where the hour has no rows.
/// - `author_mean`: the mean of the author's rows, drawn to the community's median as if 5 rows more
///   lay there; that median for an author without rows.
pub(super) fn predict(
    rows: &[Row],
    known: &[usize],
    test: &[usize],
) -> [(&'static str, Vec<f64>); 4] {
    let mut all = Vec::new();
    let mut by_community: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut by_hour: BTreeMap<(&str, u32), Vec<f64>> = BTreeMap::new();
    let mut by_author: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for row in known.iter().map(|&index| &rows[index]) {
        let Some(label) = row.label else { continue };
        all.push(label.target);
        let community = community(row);
        by_community
            .entry(community)
            .or_default()
            .push(label.target);
        if let Some(author) = &row.author {
            let (sum, rows) = by_author.entry(author).or_default();
            *sum += label.target;
            *rows += 1.0;
        }
        if let Some(time) = row.created_at {
            let hour = (community, time.hour());
            by_hour.entry(hour).or_default().push(label.target);
        }
    }
    let centre = if all.iter().all(|&target| target == 0.0 || target == 1.0) {
        mean
    } else {
        median
    };
    let global = centre(&mut all).unwrap_or(0.0);
    let by_community: BTreeMap<&str, f64> = by_community
        .into_iter()
        .filter_map(|(name, mut targets)| Some((name, centre(&mut targets)?)))
        .collect();
    let of_community = |row: &Row| by_community.get(community(row)).copied().unwrap_or(global);
    let by_hour: BTreeMap<(&str, u32), (f64, f64)> = by_hour
        .into_iter()
        .filter_map(|(hour, mut targets)| {
            Some((hour, (targets.len() as f64, centre(&mut targets)?)))
        })
        .collect();
    let of_hour = |row: &Row| {
        let wide = of_community(row);
        row.created_at
            .and_then(|time| by_hour.get(&(community(row), time.hour())))
            .map_or(wide, |(rows, narrow)| {
                (rows * narrow + HOUR_SHRINKAGE * wide) / (rows + HOUR_SHRINKAGE)
            })
    };
    let of_author = |row: &Row| {
        let author = row.author.as_deref().and_then(|name| by_author.get(name));
        let (sum, rows) = author.copied().unwrap_or_default();
        (sum + AUTHOR_SHRINKAGE * of_community(row)) / (rows + AUTHOR_SHRINKAGE)
    };
    let each = |value: &dyn Fn(&Row) -> f64| test.iter().map(|&i| value(&rows[i])).collect();
    [
        (NAMES[0], each(&|_| global)),
        (NAMES[1], each(&of_community)),
        (NAMES[2], each(&of_hour)),
        (NAMES[3], each(&of_author)),
    ]
}

/// Rows without a community are a community of their own.
fn community(row: &Row) -> &str {
    row.community.as_deref().unwrap_or_default()
}

fn mean(values: &mut [f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    quantile(values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        corpus::{Label, LabelAge},
    };

    #[test]
    fn medians_are_learned_from_known_rows_only() {
        let row = |community: &str, hour: i64, target: f64| Row {
            id: String::new(),
            created_at: Some(Timestamp::from_millis(hour * 3_600_000)),
            community: Some(community.to_owned()),
            author: (hour == 1).then(|| "early".to_owned()),
            order: None,
            classes: Vec::new(),
            label: Some(Label {
                target,
                age: LabelAge::Unknown,
            }),
        };
        let rows = vec![
            row("a", 1, 1.0),
            row("a", 1, 3.0),
            row("a", 5, 8.0),
            row("b", 1, 10.0),
            row("a", 1, 1e9),
            row("c", 1, 1e9),
        ];
        let found = predict(&rows, &[0, 1, 2, 3], &[4, 5, 2]);
        assert_eq!(found[0].1, [5.5, 5.5, 5.5]);
        assert_eq!(found[1].1, [3.0, 5.5, 3.0]);
        // Two rows at 1 o'clock with median 2, one at 5 o'clock with 8.
        assert_eq!(found[2].1, [(2.0 * 2.0 + 60.0) / 22.0, 5.5, 68.0 / 21.0]);
        // The early author's targets are 1, 3 and 10.
        assert_eq!(found[3].1, [(14.0 + 15.0) / 8.0, (14.0 + 27.5) / 8.0, 3.0]);
    }
}
