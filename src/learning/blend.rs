//! How much of each learner's answer is used.

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
