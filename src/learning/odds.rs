//! The log-odds of flags: what the answers of a line say of them.

/// The most steps of a fit; it takes about six.
const STEPS: usize = 50;
/// The least that a unit of the line's answer adds to the log-odds. A line that tells nothing of
/// unseen rows, or the wrong, would have none, and what is learned beside it could not be added to it.
const LEAST_SLOPE: f64 = 0.05;

/// Log-odds as a linear function of a line's answers (Platt, "Probabilistic outputs for support
/// vector machines", 1999).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Odds {
    intercept: f64,
    /// What a unit of the line's answer adds.
    pub(super) slope: f64,
}

impl Odds {
    /// Fits the answers of a line, on rows that it had not learned, to flags of 0 and 1.
    ///
    /// Flags count as a little less than sure, as Platt has it, so that rows which the line parts
    /// without an error do not lead to endless odds.
    pub(super) fn fit(answers: &[f64], flags: &[f64]) -> Self {
        let count = flags.len() as f64;
        let yes: f64 = flags.iter().sum();
        let (sure, unsure) = ((yes + 1.0) / (yes + 2.0), 1.0 / (count - yes + 2.0));
        let wanted: Vec<f64> = flags
            .iter()
            .map(|flag| unsure + flag * (sure - unsure))
            .collect();
        let start = Self {
            intercept: log_odds((yes + 1.0) / (count + 2.0)),
            slope: 0.0,
        };
        let free = start.descended(answers, &wanted, true);
        if free.slope >= LEAST_SLOPE {
            return free;
        }
        let least = Self {
            slope: LEAST_SLOPE,
            ..start
        };
        least.descended(answers, &wanted, false)
    }

    /// The least log loss from here, by Newton's steps; where the slope is not free, it stays.
    fn descended(mut self, answers: &[f64], wanted: &[f64], free: bool) -> Self {
        let mut loss = self.loss(answers, wanted);
        for _ in 0..STEPS {
            let step = self.step(answers, wanted, free);
            let tried = (0..30)
                .map(|halved| 0.5_f64.powi(halved))
                .map(|share| Self {
                    intercept: self.intercept - share * step[0],
                    slope: self.slope - share * step[1],
                });
            let lower = tried
                .map(|next| (next, next.loss(answers, wanted)))
                .find(|(_, next)| *next < loss);
            let Some((next, less)) = lower else { break };
            let gain = loss - less;
            (self, loss) = (next, less);
            if gain < 1e-10 * loss {
                break;
            }
        }
        self
    }

    /// Newton's step: the inverse of the second derivatives times the first.
    fn step(&self, answers: &[f64], wanted: &[f64], free: bool) -> [f64; 2] {
        // What is added to the second derivatives keeps the step finite where all answers are equal.
        let (mut first, mut second) = ([0.0; 2], [1e-9, 0.0, 1e-9]);
        for (answer, wanted) in answers.iter().zip(wanted) {
            let probability = probability(self.of(*answer));
            let (missed, bend) = (probability - wanted, probability * (1.0 - probability));
            first[0] += missed;
            first[1] += missed * answer;
            second[0] += bend;
            second[1] += bend * answer;
            second[2] += bend * answer * answer;
        }
        if !free {
            return [first[0] / second[0], 0.0];
        }
        let determinant = second[0] * second[2] - second[1] * second[1];
        if determinant <= 0.0 {
            return [first[0] / second[0], 0.0];
        }
        [
            (second[2] * first[0] - second[1] * first[1]) / determinant,
            (second[0] * first[1] - second[1] * first[0]) / determinant,
        ]
    }

    fn loss(&self, answers: &[f64], wanted: &[f64]) -> f64 {
        let odds: Vec<f64> = answers.iter().map(|answer| self.of(*answer)).collect();
        log_loss(odds.iter().copied().zip(wanted.iter().copied()))
    }

    /// The log-odds that an answer stands for.
    pub(super) fn of(&self, answer: f64) -> f64 {
        self.intercept + self.slope * answer
    }
}

/// The mean of `−ln` of the probability that pairs of log-odds and flags give to what is so; 0
/// without pairs.
pub(super) fn log_loss(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (sum, count) = pairs.fold((0.0, 0.0), |(sum, count), (odds, flag)| {
        let loss = odds.max(0.0) - odds * flag + (-odds.abs()).exp().ln_1p();
        (sum + loss, count + 1.0)
    });
    sum / f64::max(count, 1.0)
}

/// The probability that log-odds stand for.
pub(super) fn probability(odds: f64) -> f64 {
    1.0 / (1.0 + (-odds).exp())
}

fn log_odds(probability: f64) -> f64 {
    (probability / (1.0 - probability)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_of_planted_odds_is_found() {
        // Answers that each stand for many rows, of which the planted share is so.
        let (mut answers, mut flags) = (Vec::new(), Vec::new());
        for at in -20..=20_i32 {
            let answer = f64::from(at) / 10.0;
            let yes = (probability(0.3 + 1.7 * answer) * 400.0).round() as usize;
            answers.extend([answer; 400]);
            flags.extend((0..400).map(|row| f64::from(u8::from(row < yes))));
        }
        let odds = Odds::fit(&answers, &flags);
        assert!((odds.slope - 1.7).abs() < 0.02, "{odds:?}");
        assert!((odds.of(0.0) - 0.3).abs() < 0.02, "{odds:?}");
    }

    #[test]
    fn odds_are_finite_whatever_the_answers() {
        let flags: Vec<f64> = (0..60).map(|at| f64::from(u8::from(at >= 40))).collect();
        let parted: Vec<f64> = flags.iter().map(|flag| flag * 2.0 - 1.0).collect();
        let odds = Odds::fit(&parted, &flags);
        assert!(odds.of(1.0) > 2.0 && odds.of(1.0) < 10.0, "{odds:?}");
        // What tells nothing, or the wrong, has the least slope, and the share as its probability.
        let against: Vec<f64> = flags.iter().map(|flag| 1.0 - flag).collect();
        for answers in [vec![0.0; 60], against] {
            let odds = Odds::fit(&answers, &flags);
            assert_eq!(odds.slope, LEAST_SLOPE);
            assert!(
                (probability(odds.of(0.0)) - 1.0 / 3.0).abs() < 0.02,
                "{odds:?}"
            );
        }
        assert!(Odds::fit(&[0.5; 9], &[0.0; 9]).of(0.5) < -1.0);
    }

    /// Values of PyTorch's `binary_cross_entropy_with_logits`.
    #[test]
    fn the_loss_is_that_of_pytorch() {
        let loss = |odds, flag| log_loss(std::iter::once((odds, flag)));
        for (odds, flag, expected) in [
            (0.0, 1.0, std::f64::consts::LN_2),
            (-3.5, 0.0, 0.029_750_42),
            (-3.5, 1.0, 3.529_750_4),
            (40.0, 0.0, 40.0),
            (800.0, 1.0, 0.0),
        ] {
            assert!((loss(odds, flag) - expected).abs() < 1e-6, "{odds} {flag}");
        }
    }
}
