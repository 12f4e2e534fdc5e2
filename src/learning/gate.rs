//! Whether a new version becomes the champion.
//!
//! Two questions are told apart. A version of the same recipe on newer rows is fresher, so it takes
//! over unless it is worse; so does one on other features, which somebody gave the pipeline, and
//! which the champion could not predict by. One of other settings has to be better, beyond what
//! chance makes of two equal ones. What is only not worse is also held against an anchor, the best
//! of the former champions on the same rows: many small losses, each within the margin, would add up
//! otherwise.

use serde::{Deserialize, Serialize};

use super::{Duel, Error, Interval, Slice};

/// What the gate demands. Every setting has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GateSettings {
    /// How much Spearman a fresher version that looks worse than the champion or the anchor may
    /// have less at most, by the lower end of the interval.
    pub margin: f64,
    /// How much more Spearman, and which share less mean absolute error, a version of other settings
    /// must have at least: a smaller gain is not worth a change.
    pub least_gain: f64,
    /// The least rows that neither has learned from, below which nothing is decided.
    pub least_rows: usize,
    /// By which share the mean absolute error of a large community may grow.
    pub slice_margin: f64,
    /// How far the share of targets inside the intervals may be from what was meant, beyond chance.
    pub coverage_margin: f64,
}

impl Default for GateSettings {
    fn default() -> Self {
        Self {
            margin: 0.02,
            least_gain: 0.005,
            least_rows: 100,
            slice_margin: 0.25,
            coverage_margin: 0.03,
        }
    }
}

impl GateSettings {
    /// Checks that every number lies where it makes sense.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for the first that does not.
    pub fn check(&self) -> Result<(), Error> {
        for (name, value) in [
            ("margin", self.margin),
            ("least_gain", self.least_gain),
            ("slice_margin", self.slice_margin),
            ("coverage_margin", self.coverage_margin),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::Setting {
                    name,
                    value: value.to_string(),
                    allowed: "write 0 to 1",
                });
            }
        }
        Ok(())
    }
}

/// What happens to the champion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The new version is the champion.
    Promote,
    /// The champion stays.
    Keep,
    /// The champion stays until a person decides.
    Ask,
}

/// A verdict and why, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What happens.
    pub verdict: Verdict,
    /// Why.
    pub cause: String,
}

/// What a new version has in common with the champion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kinship {
    /// All but the rows.
    #[default]
    SameRecipe,
    /// Its features differ: encoders, numbers, categories.
    OtherFeatures,
    /// Its features are the same, its settings differ; the seed is one of them.
    OtherSettings,
}

/// What the gate knows of a new version.
#[derive(Clone, Copy, Debug)]
pub struct Challenge<'a> {
    /// Whether its errors are numbers.
    pub finite: bool,
    /// What it has in common with the champion.
    pub kinship: Kinship,
    /// Whether its rows end before those of the champion, as in a backfill.
    pub older: bool,
    /// The share of targets that its intervals are meant to hold.
    pub coverage: f64,
    /// How it stands against the champion, or why it cannot be compared with it; nothing where
    /// there is no champion.
    pub champion: Option<Result<&'a Duel, &'a str>>,
    /// How it stands against former champions.
    pub former: &'a [Duel],
}

/// Decides.
pub fn decide(settings: &GateSettings, challenge: &Challenge<'_>) -> Decision {
    let keep = |cause| Decision {
        verdict: Verdict::Keep,
        cause,
    };
    let ask = |cause| Decision {
        verdict: Verdict::Ask,
        cause,
    };
    let promote = |cause| Decision {
        verdict: Verdict::Promote,
        cause,
    };
    if !challenge.finite {
        return keep("its errors are not finite".to_owned());
    }
    let duel = match challenge.champion {
        None => return promote("the first version".to_owned()),
        Some(Err(why)) => return ask(format!("it cannot be held against the champion: {why}")),
        Some(Ok(duel)) => duel,
    };
    let champion = format!("version {}", duel.version);
    if challenge.older {
        return keep(format!("it has learned from older rows than {champion}"));
    }
    if duel.rows < settings.least_rows {
        let few = format!(
            "only {} rows are new to both it and {champion}, {} are needed to tell them apart",
            duel.rows, settings.least_rows
        );
        return match challenge.kinship {
            Kinship::SameRecipe => promote(format!("it has learned from newer rows; {few}")),
            Kinship::OtherFeatures => {
                promote(format!("the pipeline has other features now; {few}"))
            }
            Kinship::OtherSettings => ask(few),
        };
    }
    if let Some(worse) = fallen(&duel.slices, settings.slice_margin) {
        return ask(format!(
            "the mean absolute error in {} grows by {:.3} from {:.3}, beyond chance",
            worse.community,
            worse.difference.value.unwrap_or_default(),
            worse.mae.unwrap_or_default()
        ));
    }
    if let Some(off) = miscovers(duel, challenge.coverage, settings.coverage_margin) {
        return ask(off);
    }
    let spearman = Gain::of(duel, "spearman");
    if challenge.kinship == Kinship::OtherSettings {
        // Lower errors are better.
        let mae = Gain::of(duel, "mae").reversed();
        let worth = |gain: Gain, least: f64| gain.surely_above_zero() && gain.value >= least;
        let least_mae =
            settings.least_gain * duel.metrics.get("mae").copied().flatten().unwrap_or(0.0);
        return if worth(spearman, settings.least_gain) {
            promote(format!("it orders better than {champion}: {spearman}"))
        } else if worth(mae, least_mae) && spearman.low > -settings.margin {
            promote(format!(
                "its mean absolute error is lower than that of {champion}, by {mae}, and it orders \
                 as well: {spearman}"
            ))
        } else {
            keep(format!(
                "it differs from {champion} by more than its rows, and is not shown to be better: \
                 Spearman {spearman}"
            ))
        };
    }
    let anchor = anchor(settings, duel, challenge.former);
    for (duel, what) in [(duel, "the champion"), (anchor, "the anchor")] {
        let gain = Gain::of(duel, "spearman");
        // Luck comes round when it is tried every day: what looks worse must be surely near.
        if gain.value < 0.0 && gain.low <= -settings.margin {
            return keep(format!(
                "it may order worse than {what}, version {}: Spearman {gain}",
                duel.version
            ));
        }
    }
    let what = match challenge.kinship {
        Kinship::OtherFeatures => "the pipeline has other features now, and it",
        Kinship::SameRecipe | Kinship::OtherSettings => "it has learned from newer rows and",
    };
    promote(format!(
        "{what} is not worse than {champion}: Spearman {spearman}"
    ))
}

/// The opponent that a new version has to come near to: the one that orders the same rows best, be
/// it the champion or one of the former champions.
pub fn anchor<'a>(settings: &GateSettings, champion: &'a Duel, former: &'a [Duel]) -> &'a Duel {
    let gain = |duel: &Duel| Gain::of(duel, "spearman").value;
    former
        .iter()
        .filter(|former| former.rows >= settings.least_rows)
        .fold(
            champion,
            |best, duel| {
                if gain(duel) < gain(best) { duel } else { best }
            },
        )
}

/// By how much a metric is better.
#[derive(Clone, Copy, Debug)]
struct Gain {
    value: f64,
    low: f64,
    high: f64,
}

impl Gain {
    /// What is not defined, as the rank correlation of a constant, is no difference.
    fn of(duel: &Duel, metric: &str) -> Self {
        let interval = duel.difference.get(metric);
        let of = |end: fn(&Interval) -> Option<f64>| interval.and_then(end).unwrap_or(0.0);
        Self {
            value: of(|interval| interval.value),
            low: of(|interval| interval.low),
            high: of(|interval| interval.high),
        }
    }

    /// Whether it is above zero beyond what chance makes of two equals in two metrics: by an
    /// interval that holds 99 % where this one holds 95 %, as that of a normal one would.
    fn surely_above_zero(self) -> bool {
        const WIDER: f64 = 2.576 / 1.960;
        self.value - WIDER * (self.value - self.low) > 0.0
    }

    fn reversed(self) -> Self {
        Self {
            value: -self.value,
            low: -self.high,
            high: -self.low,
        }
    }
}

impl std::fmt::Display for Gain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { value, low, high } = self;
        write!(f, "{value:+.4} [{low:+.4} {high:+.4}]")
    }
}

/// The community in which errors grow most, beyond the margin and beyond chance.
fn fallen(slices: &[Slice], margin: f64) -> Option<&Slice> {
    slices
        .iter()
        .filter(|slice| {
            let grows = slice.difference.value.zip(slice.mae);
            grows.is_some_and(|(more, mae)| more > margin * mae)
                && slice.difference.low.is_some_and(|low| low > 0.0)
        })
        .max_by(|a, b| {
            let more = |slice: &Slice| slice.difference.value.unwrap_or_default();
            more(a).total_cmp(&more(b))
        })
}

/// What is wrong with the intervals, where they are further from what was meant than chance and
/// the champion's.
fn miscovers(duel: &Duel, meant: f64, margin: f64) -> Option<String> {
    let own = duel.own_coverage?;
    let off = (own - meant).abs();
    let chance = 2.0 * (meant * (1.0 - meant) / duel.rows as f64).sqrt();
    let champions = duel
        .coverage
        .map_or(f64::INFINITY, |other| (other - meant).abs());
    (off > margin + chance && off > champions).then(|| {
        format!(
            "its intervals hold {:.1} % of the targets where {:.1} % were meant",
            own * 100.0,
            meant * 100.0
        )
    })
}

#[cfg(test)]
mod simulation;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn interval(value: f64, reach: f64) -> Interval {
        Interval {
            value: Some(value),
            low: Some(value - reach),
            high: Some(value + reach),
        }
    }

    fn duel(version: u32, spearman: f64, mae: f64, reach: f64) -> Duel {
        let metrics = BTreeMap::new();
        let difference = [("spearman", spearman), ("mae", mae)];
        Duel {
            version,
            rows: 500,
            own: metrics.clone(),
            metrics,
            difference: difference
                .into_iter()
                .map(|(name, value)| (name.to_owned(), interval(value, reach)))
                .collect(),
            coverage: Some(0.8),
            own_coverage: Some(0.8),
            slices: Vec::new(),
        }
    }

    fn verdict(kinship: Kinship, champion: &Duel, former: &[Duel]) -> (Verdict, String) {
        let challenge = Challenge {
            finite: true,
            kinship,
            older: false,
            coverage: 0.8,
            champion: Some(Ok(champion)),
            former,
        };
        let decision = decide(&GateSettings::default(), &challenge);
        (decision.verdict, decision.cause)
    }

    #[test]
    fn fresher_rows_win_unless_they_are_worse() {
        let told =
            |spearman, reach| verdict(Kinship::SameRecipe, &duel(3, spearman, 0.0, reach), &[]).0;
        assert_eq!(told(0.0, 0.02), Verdict::Promote);
        assert_eq!(told(0.0, 0.3), Verdict::Promote);
        assert_eq!(told(-0.009, 0.01), Verdict::Promote, "surely near");
        assert_eq!(told(-0.009, 0.02), Verdict::Keep);
        assert_eq!(told(-0.03, 0.001), Verdict::Keep);
        let features =
            |spearman| verdict(Kinship::OtherFeatures, &duel(3, spearman, 0.0, 0.01), &[]).0;
        assert_eq!(features(-0.005), Verdict::Promote);
        assert_eq!(features(-0.02), Verdict::Keep);
    }

    #[test]
    fn another_recipe_has_to_be_better() {
        let told = |spearman, mae, reach| {
            verdict(Kinship::OtherSettings, &duel(3, spearman, mae, reach), &[]).0
        };
        assert_eq!(told(0.03, 0.0, 0.02), Verdict::Promote);
        assert_eq!(told(0.01, 0.0, 0.02), Verdict::Keep);
        assert_eq!(told(0.003, 0.0, 0.001), Verdict::Keep, "not worth a change");
        assert_eq!(told(0.0, -0.03, 0.009), Verdict::Promote, "smaller errors");
        assert_eq!(told(-0.015, -0.03, 0.009), Verdict::Keep);
    }

    #[test]
    fn the_anchor_stops_small_losses_from_adding_up() {
        let champion = duel(9, -0.004, 0.0, 0.01);
        assert_eq!(
            verdict(Kinship::SameRecipe, &champion, &[]).0,
            Verdict::Promote
        );
        let former = [duel(2, -0.012, 0.0, 0.01), duel(5, -0.001, 0.0, 0.01)];
        let (kept, cause) = verdict(Kinship::SameRecipe, &champion, &former);
        assert_eq!(kept, Verdict::Keep);
        assert!(cause.contains("the anchor, version 2"), "{cause}");
    }

    #[test]
    fn people_decide_what_numbers_cannot() {
        let mut champion = duel(3, 0.05, 0.0, 0.01);
        champion.slices.push(Slice {
            community: "pics".to_owned(),
            rows: 90,
            mae: Some(0.4),
            difference: interval(0.2, 0.1),
        });
        let (asked, cause) = verdict(Kinship::SameRecipe, &champion, &[]);
        assert_eq!(asked, Verdict::Ask);
        assert!(cause.contains("pics grows by 0.200"), "{cause}");
        champion.slices[0].difference = interval(0.2, 0.3);
        assert_eq!(
            verdict(Kinship::SameRecipe, &champion, &[]).0,
            Verdict::Promote
        );

        champion.own_coverage = Some(0.6);
        let (asked, cause) = verdict(Kinship::SameRecipe, &champion, &[]);
        assert_eq!(asked, Verdict::Ask);
        assert!(cause.contains("60.0 % of the targets"), "{cause}");
        champion.coverage = Some(0.5);
        assert_eq!(
            verdict(Kinship::SameRecipe, &champion, &[]).0,
            Verdict::Promote
        );

        champion.rows = 20;
        assert_eq!(
            verdict(Kinship::SameRecipe, &champion, &[]).0,
            Verdict::Promote
        );
        assert_eq!(
            verdict(Kinship::OtherSettings, &champion, &[]).0,
            Verdict::Ask
        );
        let features = verdict(Kinship::OtherFeatures, &champion, &[]);
        assert_eq!(features.0, Verdict::Promote);
        let mut challenge = Challenge {
            finite: true,
            kinship: Kinship::OtherSettings,
            older: false,
            coverage: 0.8,
            champion: Some(Err("it predicts another target")),
            former: &[],
        };
        let settings = GateSettings::default();
        assert_eq!(decide(&settings, &challenge).verdict, Verdict::Ask);
        challenge.champion = Some(Ok(&champion));
        challenge.older = true;
        assert_eq!(decide(&settings, &challenge).verdict, Verdict::Keep);
        challenge.champion = None;
        assert_eq!(decide(&settings, &challenge).verdict, Verdict::Promote);
        challenge.finite = false;
        assert_eq!(decide(&settings, &challenge).verdict, Verdict::Keep);
    }
}
