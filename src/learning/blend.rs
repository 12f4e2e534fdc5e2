//! How much of each learner's answer is used.

use super::odds::probability;

/// How often the shares of log-odds are bettered in turn, and how often an interval of them is halved.
const ROUNDS: usize = 12;
const HALVINGS: usize = 20;

/// The shares of two learners' answers, each from 0 to 1, that together leave the least squared
/// error of `left`; an answer may be missing.
pub(super) fn best_blend(answers: [&[f64]; 2], left: &[f64]) -> [f64; 2] {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let [a, b] = answers;
    let (aa, bb, ab) = (product(a, a), product(b, b), product(a, b));
    let (ay, by) = (product(a, left), product(b, left));
    let alone = |square: f64, with: f64| {
        if square > 0.0 {
            (with / square).clamp(0.0, 1.0)
        } else {
            0.0
        }
    };
    let error = |[p, q]: [f64; 2]| p * p * aa + q * q * bb + 2.0 * (p * q * ab - p * ay - q * by);
    // The least error of a square lies inside, or on one of its sides.
    let mut tried = vec![[alone(aa, ay), 0.0], [0.0, alone(bb, by)]];
    tried.push([alone(aa, ay - ab), 1.0]);
    tried.push([1.0, alone(bb, by - ab)]);
    let determinant = aa * bb - ab * ab;
    if determinant > 1e-12 * aa * bb {
        let inside = [
            (ay * bb - by * ab) / determinant,
            (by * aa - ay * ab) / determinant,
        ];
        if inside.iter().all(|share| (0.0..=1.0).contains(share)) {
            tried.push(inside);
        }
    }
    let missing = [a.is_empty(), b.is_empty()];
    tried
        .into_iter()
        .map(|shares| [0, 1].map(|at| if missing[at] { 0.0 } else { shares[at] }))
        .reduce(|best, other| {
            if error(other) < error(best) {
                other
            } else {
                best
            }
        })
        .expect("four were tried")
}

/// The shares of what two learners add to log-odds, each from 0 to 1, that together give `flags` the
/// least log loss; what a learner adds may be missing.
pub(super) fn best_blend_of_odds(added: [&[f64]; 2], odds: &[f64], flags: &[f64]) -> [f64; 2] {
    let mut shares = [0.0; 2];
    // What the loss rises by with the share of a learner: it only ever grows with that share.
    let rise = |shares: [f64; 2], at: usize| -> f64 {
        let of = |row: usize, at: usize| added[at].get(row).copied().unwrap_or(0.0);
        let missed = |row: usize| {
            let odds = odds[row] + shares[0] * of(row, 0) + shares[1] * of(row, 1);
            (probability(odds) - flags[row]) * of(row, at)
        };
        (0..flags.len()).map(missed).sum()
    };
    for _ in 0..ROUNDS {
        let before = shares;
        for at in (0..2).filter(|&at| !added[at].is_empty()) {
            let with = |share: f64| {
                let mut with = shares;
                with[at] = share;
                with
            };
            let (mut low, mut high) = (0.0, 1.0);
            if rise(with(low), at) >= 0.0 {
                high = low;
            } else if rise(with(high), at) <= 0.0 {
                low = high;
            }
            for _ in 0..HALVINGS {
                if high <= low {
                    break;
                }
                let middle = low.midpoint(high);
                if rise(with(middle), at) > 0.0 {
                    high = middle;
                } else {
                    low = middle;
                }
            }
            shares[at] = low.midpoint(high);
        }
        let moved = shares
            .iter()
            .zip(before)
            .map(|(new, old)| (new - old).abs());
        if moved.sum::<f64>() < 1e-6 {
            break;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learning::odds::log_loss;

    #[test]
    fn the_shares_leave_the_least_error() {
        let left = [1.0, -2.0, 0.5, 3.0];
        let half: Vec<f64> = left.iter().map(|value| value * 2.0).collect();
        let noise = [1.0, 1.0, 2.0, -0.2];
        let [a, b] = best_blend([&half, &[]], &left);
        assert!((a - 0.5).abs() < 1e-12 && b == 0.0, "{a} {b}");
        // What points the other way is not used, and nothing is used more than whole.
        let against: Vec<f64> = left.iter().map(|value| -value).collect();
        assert_eq!(best_blend([&against, &[]], &left), [0.0, 0.0]);
        let tenth: Vec<f64> = left.iter().map(|value| value / 10.0).collect();
        assert_eq!(best_blend([&[], &tenth], &left), [0.0, 1.0]);
        let [a, b] = best_blend([&half, &noise], &left);
        let error = |a: f64, b: f64| -> f64 {
            (0..4)
                .map(|at| (left[at] - a * half[at] - b * noise[at]).powi(2))
                .sum()
        };
        for (p, q) in [(0.5, 0.0), (0.45, 0.0), (0.5, 0.1), (0.4, 0.2), (1.0, 1.0)] {
            assert!(
                error(a, b) <= error(p, q) + 1e-12,
                "{a} {b} against {p} {q}"
            );
        }
    }

    #[test]
    fn the_shares_of_odds_give_the_least_log_loss() {
        let wave = |at: usize, by: f64| (at as f64 * by).sin();
        let odds: Vec<f64> = (0..400).map(|at| 0.4 * wave(at, 0.7) - 0.5).collect();
        let a: Vec<f64> = (0..400).map(|at| 4.0 * wave(at, 1.3)).collect();
        let b: Vec<f64> = (0..400).map(|at| 3.0 * wave(at, 2.9)).collect();
        let flag = |at: usize| {
            let planted = odds[at] + 0.5 * a[at] + 0.2 * b[at];
            f64::from(u8::from(probability(planted) > wave(at, 11.1).abs()))
        };
        let flags: Vec<f64> = (0..400).map(flag).collect();
        let loss = |[p, q]: [f64; 2]| {
            let pairs = (0..400).map(|at| (odds[at] + p * a[at] + q * b[at], flags[at]));
            log_loss(pairs)
        };
        let best = best_blend_of_odds([&a, &b], &odds, &flags);
        assert!(
            best.iter().all(|share| (0.05..0.95).contains(share)),
            "{best:?}"
        );
        for p in 0..=20 {
            for q in 0..=20 {
                let other = [f64::from(p) / 20.0, f64::from(q) / 20.0];
                assert!(
                    loss(best) <= loss(other) + 1e-9,
                    "{best:?} against {other:?}"
                );
            }
        }
        let against: Vec<f64> = a.iter().map(|added| -added).collect();
        assert_eq!(best_blend_of_odds([&against, &[]], &odds, &flags), [0.0; 2]);
        let tenth: Vec<f64> = a.iter().map(|added| added / 10.0).collect();
        assert_eq!(best_blend_of_odds([&[], &tenth], &odds, &flags), [0.0, 1.0]);
    }
}
