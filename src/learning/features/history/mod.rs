//! What was known of a community and an author when a record was published.
//!
//! The label of an earlier record counts from the moment at which it must have been read, never
//! earlier: the future of a record cannot reach its features. A record at the same moment is not
//! earlier, so that a record does not count as its own history.

mod ranks;

use std::{collections::HashMap, time::Duration};

use ranks::{Ranks, Stretch};

use crate::{clock::Timestamp, corpus::Look};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// How far back the quantiles of a community reach.
const WEEK: i64 = 7 * DAY;
const MONTH: i64 = 28 * DAY;
/// How far back an author's records count.
const AUTHORS: i64 = 90 * DAY;
/// How far back images count.
const IMAGES: i64 = 90 * DAY;
/// In how many comparisons looks can differ.
const LOOK_BITS: u32 = 64;
/// So many labels weigh as much as what is true of all communities, and of all authors.
const COMMUNITY_PRIOR: f64 = 10.0;
const AUTHOR_PRIOR: f64 = 3.0;

/// A record of the data set, as the history of later ones sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct PastRecord {
    /// Its community.
    pub community: Option<String>,
    /// Its author; `None` where the author is not told or deleted.
    pub author: Option<String>,
    /// Its publication.
    pub created_at: Timestamp,
    /// Its label, and from when on it was known.
    pub label: Option<(Timestamp, f64)>,
    /// How its first image looks.
    pub look: Option<Look>,
}

/// The history of one record, in the numbers of the features `community_history`,
/// `author_history`, `queue` and `repost`; `None` where what they are made of is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Past {
    /// For 7 and for 28 days: the quartiles of the labels, shrunk to those of all communities, and
    /// `ln(1 + labels)`.
    pub(super) community: Option<[f64; 8]>,
    /// `ln(1 + records)`, `ln(1 + labels)`; mean and median of the labels in relation to their
    /// communities' medians, over all communities and in this one, shrunk to 0.
    pub(super) author: Option<[f64; 6]>,
    /// `ln(1 + records)` of the last hour and the last 6 hours, `ln(1 + minutes)` since the last.
    pub(super) queue: Option<[f64; 3]>,
    /// The share of the look in which the image differs from the most similar one of 90 days,
    /// `ln(1 + images)` that are nearly the same, `ln(1 + days)` since the last of these.
    pub(super) repost: Option<[f64; 3]>,
}

/// A label of an author, in relation to the median that its community had then.
#[derive(Clone, Debug)]
struct Standing {
    known_at: i64,
    community: Option<usize>,
    above: f64,
}

/// What is known of one author.
#[derive(Clone, Debug, Default)]
struct Author {
    /// Publications, ascending.
    published: Vec<i64>,
    /// By the moment at which they became known.
    results: Vec<Standing>,
}

/// The history of a data set: it tells what was known at any moment.
#[derive(Clone, Debug, Default)]
pub struct History {
    communities: HashMap<String, usize>,
    /// By community: publications, ascending, and labels.
    published: Vec<Vec<i64>>,
    labels: Vec<Ranks>,
    all: Ranks,
    authors: HashMap<String, Author>,
    /// How images look, in the order of their publication.
    looks: Vec<(i64, Look)>,
}

impl History {
    /// How long before a record the history begins that its features are made of, where a label
    /// is known `label_age` after publication.
    pub fn reach(label_age: Duration) -> Duration {
        // The median beside which an author's oldest label stands reaches back further.
        let days = (AUTHORS + MONTH).unsigned_abs();
        Duration::from_millis(days) + 2 * label_age
    }

    /// The history that these records make, in any order.
    pub fn new(records: &[PastRecord]) -> Self {
        let mut history = Self::default();
        let mut labels: Vec<Vec<(i64, f64)>> = Vec::new();
        let mut known = Vec::new();
        let mut results = Vec::new();
        for record in records {
            let created_at = record.created_at.as_millis();
            let community = record.community.as_ref().map(|name| {
                let next = history.communities.len();
                *history.communities.entry(name.clone()).or_insert(next)
            });
            if let Some(community) = community {
                history
                    .published
                    .resize(history.communities.len(), Vec::new());
                labels.resize(history.communities.len(), Vec::new());
                history.published[community].push(created_at);
            }
            if let Some(author) = &record.author {
                let author = history.authors.entry(author.clone()).or_default();
                author.published.push(created_at);
            }
            if let Some(look) = record.look {
                history.looks.push((created_at, look));
            }
            if let Some((known_at, label)) = record.label {
                // No label is known at the publication, whatever the horizon.
                let known_at = known_at.as_millis().max(created_at + 1);
                known.push((known_at, label));
                if let Some(community) = community {
                    labels[community].push((known_at, label));
                }
                if let Some(author) = &record.author {
                    results.push((known_at, community, author, label));
                }
            }
        }
        for times in &mut history.published {
            times.sort_unstable();
        }
        history
            .looks
            .sort_unstable_by_key(|(time, look)| (*time, look.0));
        history.labels = labels.into_iter().map(Ranks::new).collect();
        history.all = Ranks::new(known);
        results.sort_by(|a, b| a.0.cmp(&b.0).then(a.3.total_cmp(&b.3)));
        for (known_at, community, name, label) in results {
            // Without what becomes known in this moment.
            let median = history.quartiles(community, known_at - 1, MONTH);
            let above = median.map_or(0.0, |quartiles| label - quartiles[1]);
            if let Some(author) = history.authors.get_mut(name) {
                author.results.push(Standing {
                    known_at,
                    community,
                    above,
                });
            }
        }
        for author in history.authors.values_mut() {
            author.published.sort_unstable();
        }
        history
    }

    /// What was known when a record of this community and author was published, whose first image looks
    /// so.
    pub fn of(
        &self,
        created_at: Option<Timestamp>,
        community: Option<&str>,
        author: Option<&str>,
        look: Option<Look>,
    ) -> Past {
        let Some(at) = created_at.map(Timestamp::as_millis) else {
            return Past::default();
        };
        let place = community.and_then(|name| self.communities.get(name).copied());
        Past {
            community: self.community(place, at),
            author: author.map(|name| self.author(name, place, at)),
            queue: community.map(|_| self.queue(place, at)),
            repost: look.map(|look| self.repost(look, at)),
        }
    }

    /// Every earlier image is compared: of 20,000 images a few tenths of a second in all.
    fn repost(&self, look: Look, at: i64) -> [f64; 3] {
        let from = self.looks.partition_point(|&(time, _)| time < at - IMAGES);
        let to = self.looks.partition_point(|&(time, _)| time < at);
        let (mut nearest, mut alike, mut last) = (LOOK_BITS, 0, at - IMAGES);
        for &(time, other) in &self.looks[from..to.max(from)] {
            let distance = look.distance(other);
            nearest = nearest.min(distance);
            if distance <= Look::ALIKE {
                alike += 1;
                last = time;
            }
        }
        [
            f64::from(nearest) / f64::from(LOOK_BITS),
            f64::from(alike).ln_1p(),
            ((at - last) as f64 / DAY as f64).ln_1p(),
        ]
    }

    fn community(&self, place: Option<usize>, at: i64) -> Option<[f64; 8]> {
        let [week, month] = [WEEK, MONTH].map(|length| {
            let labels = self.stretch(place, at, length).map_or(0, |of| of.count());
            let quartiles = self.quartiles(place, at, length);
            quartiles.map(|of| [of[0], of[1], of[2], (labels as f64).ln_1p()])
        });
        let month = month?;
        // After a week without labels the month stands for it.
        let week = week.unwrap_or([month[0], month[1], month[2], 0.0]);
        let mut both = [0.0; 8];
        both[..4].copy_from_slice(&week);
        both[4..].copy_from_slice(&month);
        Some(both)
    }

    fn stretch(&self, place: Option<usize>, at: i64, length: i64) -> Option<Stretch<'_>> {
        Some(self.labels[place?].within(at - length, at))
    }

    /// The quartiles of a community's labels in the time up to `at`, shrunk to those of all.
    fn quartiles(&self, place: Option<usize>, at: i64, length: i64) -> Option<[f64; 3]> {
        let all = self.all.within(at - length, at);
        let own = self.stretch(place, at, length);
        let mut quartiles = [0.0; 3];
        for (quartile, share) in quartiles.iter_mut().zip([0.25, 0.5, 0.75]) {
            let of_all = all.quantile(share)?;
            let weight = own.map_or(0.0, |own| {
                let count = own.count() as f64;
                count / (count + COMMUNITY_PRIOR)
            });
            let of_own = own.and_then(|own| own.quantile(share)).unwrap_or(of_all);
            *quartile = of_all + weight * (of_own - of_all);
        }
        Some(quartiles)
    }

    fn author(&self, name: &str, place: Option<usize>, at: i64) -> [f64; 6] {
        let Some(author) = self.authors.get(name) else {
            return [0.0; 6];
        };
        let records = count(&author.published, at - AUTHORS, at);
        let results = &author.results;
        let start = results.partition_point(|result| result.known_at <= at - AUTHORS);
        let end = results.partition_point(|result| result.known_at <= at);
        let known = &results[start..end.max(start)];
        let everywhere: Vec<f64> = known.iter().map(|result| result.above).collect();
        let here = known
            .iter()
            .filter(|result| place.is_some() && result.community == place)
            .map(|result| result.above)
            .collect();
        let labels = everywhere.len();
        let [mean, median] = shrunk(everywhere);
        let [mean_here, median_here] = shrunk(here);
        [
            (records as f64).ln_1p(),
            (labels as f64).ln_1p(),
            mean,
            median,
            mean_here,
            median_here,
        ]
    }

    fn queue(&self, place: Option<usize>, at: i64) -> [f64; 3] {
        let published = place.map_or(&[][..], |place| &self.published[place]);
        let since = |length: i64| count(published, at - length, at) as f64;
        let earlier = published.partition_point(|&time| time < at);
        let last = earlier
            .checked_sub(1)
            .map_or(WEEK, |last| at - published[last]);
        let minutes = last.min(WEEK) as f64 / 60_000.0;
        [
            since(HOUR).ln_1p(),
            since(6 * HOUR).ln_1p(),
            minutes.ln_1p(),
        ]
    }
}

/// How many ascending times are at or after `from` and before `to`.
fn count(times: &[i64], from: i64, to: i64) -> usize {
    times.partition_point(|&time| time < to) - times.partition_point(|&time| time < from)
}

/// Mean and median, shrunk to 0 the more the fewer there are.
fn shrunk(mut values: Vec<f64>) -> [f64; 2] {
    if values.is_empty() {
        return [0.0; 2];
    }
    let number = values.len() as f64;
    values.sort_by(f64::total_cmp);
    let mean = values.iter().sum::<f64>() / number;
    let middle = values.len() / 2;
    let median = if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    };
    let weight = number / (number + AUTHOR_PRIOR);
    [weight * mean, weight * median]
}

#[cfg(test)]
mod tests;
