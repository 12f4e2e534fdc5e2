//! Targets that say how a row stands among others, and what that is measured by.
//!
//! What is measured by is fitted on the rows that are learned and kept with the head: what a row
//! of tomorrow is asked for must not depend on the rows of tomorrow.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::{corpus::Row, expression::Relative};

/// The most targets that describe a distribution.
const MOST_KNOTS: usize = 512;
/// The least rows of a community that are a distribution of their own.
const LEAST_ROWS: usize = 20;
/// The share of rows that are below a top decile.
const BELOW_TOP: f64 = 0.9;
const DAY_MILLIS: i64 = 86_400_000;

/// What relative targets are measured by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Reference {
    /// The share of the learned rows of its community that a row surpasses, 0 to 1.
    CommunityQuantile {
        /// Targets of all learned rows, ascending: for communities with few rows.
        all: Vec<f64>,
        /// Targets of each community's learned rows, ascending.
        communities: BTreeMap<String, Vec<f64>>,
    },
    /// 1 where the target belongs to the highest tenth of the learned rows, else 0.
    TopDecile {
        /// The least such target.
        least: f64,
    },
    /// The target less the mean of those that it competes with, the labelled rows of its community
    /// on its day (UTC).
    ///
    /// To predict these with the least squared error is to predict the differences of all pairs of
    /// competitors with the least squared error: within a group, the sum over pairs of
    /// `((aᵢ − aⱼ) − (bᵢ − bⱼ))²` is the group's size times the sum of `(aᵢ − bᵢ)²`, with `a` and `b`
    /// less their means.
    Pairs,
    /// 1 where the row belongs to this class, else 0.
    Class {
        /// The class.
        name: String,
    },
}

impl Reference {
    /// What targets relative in this way are measured by, from the rows that are learned.
    pub(crate) fn fit<'a>(relative: Relative, learned: impl Iterator<Item = &'a Row>) -> Self {
        let mut all = Vec::new();
        let mut communities: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for row in learned {
            let Some(label) = row.label else { continue };
            all.push(label.target);
            if let Some(community) = &row.community {
                let targets = communities.entry(community.clone()).or_default();
                targets.push(label.target);
            }
        }
        all.sort_by(f64::total_cmp);
        match relative {
            Relative::CommunityQuantile => {
                communities.retain(|_, targets| targets.len() >= LEAST_ROWS);
                for targets in communities.values_mut() {
                    targets.sort_by(f64::total_cmp);
                    *targets = thinned(targets);
                }
                Self::CommunityQuantile {
                    all: thinned(&all),
                    communities,
                }
            }
            Relative::TopDecile => {
                let place = (all.len() as f64 * BELOW_TOP) as usize;
                Self::TopDecile {
                    least: all.get(place).copied().unwrap_or(f64::INFINITY),
                }
            }
            Relative::Pairs => Self::Pairs,
        }
    }

    /// The relative targets of `rows`; of those without a label, none.
    fn targets(&self, rows: &[Row]) -> Vec<Option<f64>> {
        let mut groups: HashMap<Competition<'_>, (f64, f64)> = HashMap::new();
        if *self == Self::Pairs {
            for (row, label) in rows.iter().filter_map(|row| Some((row, row.label?))) {
                let (sum, count) = groups.entry(competition(row)).or_default();
                *sum += label.target;
                *count += 1.0;
            }
        }
        let relative = |row: &Row| {
            let target = row.label?.target;
            Some(match self {
                Self::Class { name } => f64::from(u8::from(row.classes.contains(name))),
                Self::CommunityQuantile { all, communities } => {
                    let own = row
                        .community
                        .as_ref()
                        .and_then(|name| communities.get(name));
                    share_below(own.unwrap_or(all), target)
                }
                Self::TopDecile { least } => f64::from(u8::from(target >= *least)),
                Self::Pairs => {
                    let (sum, count) = groups[&competition(row)];
                    target - sum / count
                }
            })
        };
        rows.iter().map(relative).collect()
    }

    /// Whether targets are 1 or 0.
    pub(crate) const fn is_flag(&self) -> bool {
        matches!(self, Self::TopDecile { .. } | Self::Class { .. })
    }

    /// The least and the greatest value that there is.
    pub(crate) const fn bounds(&self) -> (f64, f64) {
        match self {
            Self::CommunityQuantile { .. } | Self::TopDecile { .. } | Self::Class { .. } => {
                (0.0, 1.0)
            }
            Self::Pairs => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }
}

/// The targets of `rows`, relative to `reference` where there is one; of those without a label, none.
pub(crate) fn targets(reference: Option<&Reference>, rows: &[Row]) -> Vec<Option<f64>> {
    match reference {
        Some(reference) => reference.targets(rows),
        None => rows.iter().map(|row| Some(row.label?.target)).collect(),
    }
}

/// A community and a day.
type Competition<'a> = (Option<&'a str>, Option<i64>);

/// Whom a row competes with.
fn competition(row: &Row) -> Competition<'_> {
    let day = row
        .created_at
        .map(|at| at.as_millis().div_euclid(DAY_MILLIS));
    (row.community.as_deref(), day)
}

/// Sorted values at even places, the first and the last among them.
fn thinned(sorted: &[f64]) -> Vec<f64> {
    if sorted.len() <= MOST_KNOTS {
        return sorted.to_vec();
    }
    let step = (sorted.len() - 1) as f64 / (MOST_KNOTS - 1) as f64;
    let place = |at: usize| (at as f64 * step).round() as usize;
    (0..MOST_KNOTS).map(|at| sorted[place(at)]).collect()
}

/// The share of sorted values below `value`, of equal ones half; a half where there are none.
fn share_below(sorted: &[f64], value: f64) -> f64 {
    if sorted.is_empty() {
        return 0.5;
    }
    let below = sorted.partition_point(|&other| other < value);
    let equal = sorted[below..].partition_point(|&other| other <= value);
    (below as f64 + equal as f64 / 2.0) / sorted.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        corpus::{Label, LabelAge},
    };

    fn row(community: &str, day: i64, target: Option<f64>) -> Row {
        Row {
            id: String::new(),
            created_at: Some(Timestamp::from_millis(day * DAY_MILLIS + 5)),
            community: Some(community.to_owned()),
            author: None,
            order: None,
            classes: Vec::new(),
            label: target.map(|target| Label {
                target,
                age: LabelAge::Unknown,
            }),
        }
    }

    #[test]
    fn a_quantile_is_that_of_the_learned_rows_of_its_community() {
        let learned: Vec<Row> = (0..40)
            .map(|at| row("small scores", 0, Some(f64::from(at))))
            .chain((0..40).map(|at| row("large scores", 0, Some(f64::from(at) * 100.0))))
            .collect();
        let reference = Reference::fit(Relative::CommunityQuantile, learned.iter());
        let asked = [
            row("small scores", 9, Some(29.5)),
            row("large scores", 9, Some(29.5)),
            row("small scores", 9, Some(1e9)),
            row("unknown", 9, Some(39.5)),
            row("small scores", 9, None),
        ];
        let found = reference.targets(&asked);
        // Of all 80, the 40 of the first and one of the second lie below 39.5.
        assert_eq!(
            found,
            [
                Some(0.75),
                Some(1.0 / 40.0),
                Some(1.0),
                Some(41.0 / 80.0),
                None
            ]
        );
        // Other rows that are asked for change nothing.
        assert_eq!(reference.targets(&asked[1..2]), [Some(1.0 / 40.0)]);
    }

    #[test]
    fn a_tenth_of_the_learned_rows_is_the_top() {
        let learned: Vec<Row> = (0..50).map(|at| row("a", at, Some(at as f64))).collect();
        let reference = Reference::fit(Relative::TopDecile, learned.iter());
        let flags = reference.targets(&learned);
        assert_eq!(flags.iter().flatten().sum::<f64>(), 5.0);
        assert_eq!((flags[44], flags[45]), (Some(0.0), Some(1.0)));
    }

    #[test]
    fn competitors_are_of_one_community_and_day() {
        let rows = [
            row("a", 1, Some(1.0)),
            row("a", 1, Some(4.0)),
            row("a", 2, Some(7.0)),
            row("b", 1, Some(9.0)),
            row("a", 1, None),
        ];
        let found = Reference::Pairs.targets(&rows);
        assert_eq!(found, [Some(-1.5), Some(1.5), Some(0.0), Some(0.0), None]);
    }

    #[test]
    fn many_targets_are_described_by_few() {
        let sorted: Vec<f64> = (0..10_000).map(f64::from).collect();
        let knots = thinned(&sorted);
        assert_eq!((knots.len(), knots[0], knots[511]), (512, 0.0, 9999.0));
        assert!((share_below(&knots, 2500.0) - 0.25).abs() < 0.005);
    }
}
