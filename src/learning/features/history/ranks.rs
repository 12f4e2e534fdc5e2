//! Numbers in the order of time, of which any stretch tells its quantiles at once.

/// Numbers by the moment at which they became known: a wavelet matrix (Claude, Navarro, Ordóñez
/// 2015) over their ranks, so that a quantile of any stretch of time costs one step per bit.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranks {
    /// When each became known, ascending, in milliseconds.
    times: Vec<i64>,
    /// The distinct numbers, ascending.
    values: Vec<f64>,
    /// From the highest bit of the ranks to the lowest: how many of the first `i` have it not.
    zeros: Vec<Vec<u32>>,
}

impl Ranks {
    /// Of moments and finite numbers in any order.
    pub(super) fn new(mut known: Vec<(i64, f64)>) -> Self {
        known.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut values: Vec<f64> = known.iter().map(|&(_, value)| value).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let mut ranks: Vec<usize> = known
            .iter()
            .map(|&(_, value)| values.partition_point(|&v| v < value))
            .collect();
        let bits = usize::BITS - values.len().saturating_sub(1).leading_zeros();
        let mut zeros = Vec::with_capacity(bits as usize);
        for bit in (0..bits).rev() {
            let mut before = Vec::with_capacity(ranks.len() + 1);
            let mut count = 0;
            before.push(count);
            for rank in &ranks {
                count += u32::from(rank >> bit & 1 == 0);
                before.push(count);
            }
            zeros.push(before);
            let (low, high): (Vec<usize>, Vec<usize>) =
                ranks.iter().partition(|&rank| rank >> bit & 1 == 0);
            ranks = low;
            ranks.extend(high);
        }
        Self {
            times: known.iter().map(|&(time, _)| time).collect(),
            values,
            zeros,
        }
    }

    /// What became known after `from` and up to `to`.
    pub(super) fn within(&self, from: i64, to: i64) -> Stretch<'_> {
        let start = self.times.partition_point(|&time| time <= from);
        let end = self.times.partition_point(|&time| time <= to);
        Stretch {
            of: self,
            start,
            end: end.max(start),
        }
    }

    /// The `place`th smallest number of a stretch, from zero.
    fn at(&self, (mut start, mut end): (usize, usize), mut place: usize) -> f64 {
        let mut rank = 0;
        for before in &self.zeros {
            let (low, high) = (before[start] as usize, before[end] as usize);
            rank <<= 1;
            if place < high - low {
                (start, end) = (low, high);
            } else {
                place -= high - low;
                let all = before[before.len() - 1] as usize;
                (start, end) = (all + start - low, all + end - high);
                rank |= 1;
            }
        }
        self.values[rank]
    }
}

/// The numbers of a stretch of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch<'a> {
    of: &'a Ranks,
    start: usize,
    end: usize,
}

impl Stretch<'_> {
    pub(super) fn count(&self) -> usize {
        self.end - self.start
    }

    /// The quantile, linear between two numbers; `None` where there are none.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let last = self.count().checked_sub(1)?;
        let place = share * last as f64;
        let below = place.floor();
        let at = |place: usize| self.of.at((self.start, self.end), place.min(last));
        let low = at(below as usize);
        let high = at(below as usize + 1);
        Some(low + (place - below) * (high - low))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn quantiles_are_those_of_sorted_numbers(
            known in prop::collection::vec((0_i64..40, -3_i32..9), 0..60),
            from in -2_i64..40,
            length in 0_i64..40,
            share in 0.0_f64..=1.0,
        ) {
            let known: Vec<(i64, f64)> = known.into_iter().map(|(t, v)| (t, f64::from(v))).collect();
            let mut inside: Vec<f64> = known
                .iter()
                .filter(|(time, _)| *time > from && *time <= from + length)
                .map(|&(_, value)| value)
                .collect();
            inside.sort_by(f64::total_cmp);
            let ranks = Ranks::new(known);
            let stretch = ranks.within(from, from + length);
            prop_assert_eq!(stretch.count(), inside.len());
            let expected = inside.len().checked_sub(1).map(|last| {
                let place = share * last as f64;
                let (low, high) = (inside[place as usize], inside[(place as usize + 1).min(last)]);
                low + (place - place.floor()) * (high - low)
            });
            prop_assert_eq!(stretch.quantile(share), expected);
        }
    }
}
