//! Pairs of posts that met the same readers: of one community, made within minutes of each other.

use std::collections::BTreeMap;

use crate::corpus::Row;

/// How far apart the two may be made: 30 minutes, as in Weissburg et al. (2022), "Judging a book by
/// its cover".
const APART: i64 = 30 * 60 * 1000;
/// So many later posts of one are looked at; in busy communities more tell little more.
const NEIGHBOURS: usize = 20;

/// Pairs of rows whose targets differ, the one with the greater target first.
#[derive(Debug, Default)]
pub(super) struct Pairs(Vec<(u32, u32)>);

impl Pairs {
    /// The pairs of `rows` with these targets; rows without a community or a time have none.
    pub(super) fn of(rows: &[&Row], targets: &[f64]) -> Self {
        let mut communities: BTreeMap<&str, Vec<(i64, usize)>> = BTreeMap::new();
        for (at, row) in rows.iter().enumerate() {
            if let (Some(community), Some(time)) = (&row.community, row.created_at) {
                let posts = communities.entry(community).or_default();
                posts.push((time.as_millis(), at));
            }
        }
        let mut pairs = Vec::new();
        for posts in communities.values_mut() {
            posts.sort_by_key(|&(time, at)| (time, &rows[at].id));
            for (place, &(time, one)) in posts.iter().enumerate() {
                let later = posts[place + 1..].iter().take(NEIGHBOURS);
                for &(_, other) in later.take_while(|(later, _)| later - time <= APART) {
                    if targets[one] > targets[other] {
                        pairs.push((one as u32, other as u32));
                    } else if targets[one] < targets[other] {
                        pairs.push((other as u32, one as u32));
                    }
                }
            }
        }
        Self(pairs)
    }

    /// The share of pairs that the predictions put in the right order, in a sample in which row `i`
    /// occurs `counts[i]` times; equal predictions are half right. `None` without pairs.
    pub(super) fn accuracy(&self, predictions: &[f64], counts: &[u32]) -> Option<f64> {
        let (mut right, mut all) = (0.0, 0.0);
        for &(greater, less) in &self.0 {
            let (greater, less) = (greater as usize, less as usize);
            let weight = f64::from(counts[greater]) * f64::from(counts[less]);
            all += weight;
            right += weight
                * match predictions[greater].total_cmp(&predictions[less]) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Less => 0.0,
                };
        }
        (all > 0.0).then(|| right / all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn row(id: &str, community: &str, minute: i64) -> Row {
        Row {
            id: id.to_owned(),
            created_at: Some(Timestamp::from_millis(minute * 60_000)),
            community: Some(community.to_owned()),
            author: None,
            order: None,
            classes: Vec::new(),
            label: None,
        }
    }

    #[test]
    fn only_those_that_met_the_same_readers_are_compared() {
        let rows = [
            row("a", "pics", 0),
            row("b", "pics", 30),
            row("c", "pics", 61),
            row("d", "aww", 1),
            row("e", "pics", 5),
        ];
        let rows: Vec<&Row> = rows.iter().collect();
        let targets = [1.0, 2.0, 9.0, 9.0, 1.0];
        // a-e have equal targets, c is too late for all, d is elsewhere: a-b and e-b are left.
        let pairs = Pairs::of(&rows, &targets);
        assert_eq!(pairs.0, [(1, 0), (1, 4)]);
        let predictions = [0.0, 1.0, 0.0, 0.0, 1.0];
        assert_eq!(pairs.accuracy(&predictions, &[1; 5]), Some(0.75));
        assert_eq!(pairs.accuracy(&predictions, &[1, 1, 1, 1, 3]), Some(0.625));
        assert_eq!(pairs.accuracy(&predictions, &[0, 0, 1, 1, 3]), None);
    }
}
