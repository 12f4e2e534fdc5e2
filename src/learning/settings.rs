//! The settings of a training, as a pipeline file gives them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Error, FusionKind, HeadKind, TargetKind,
    metrics::Inverse,
    span::{Span, duration_text},
    splits::SplitSettings,
    trees::TreeSettings,
};
use crate::expression::{Membership, Relative};

/// How a head is trained and judged. Every setting has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainSettings {
    /// Which learner: `fusion_mlp`, `ridge`, `trees`, `stack` or `mmrl`.
    pub head: HeadKind,
    /// What all randomness comes from.
    pub seed: u64,
    /// How many networks are averaged.
    pub members: usize,
    /// The most passes over the training rows.
    pub epochs: usize,
    /// How many passes without a better validation loss end a training.
    pub patience: usize,
    /// The highest learning rate of `AdamW`; it rises over 5 % of all steps, then falls to 0.
    pub learning_rate: f64,
    /// The weight decay of `AdamW`.
    pub weight_decay: f64,
    /// Rows per step; by default so many that a pass has about 24 steps.
    pub batch: Option<usize>,
    /// The width of each encoder and of what follows.
    pub hidden: usize,
    /// How many residual blocks follow the fusion.
    pub residual_blocks: usize,
    /// How networks join what they make of each block: `mix`, the default, or `attention`.
    #[serde(skip_serializing_if = "FusionKind::is_mix")]
    pub fusion: FusionKind,
    /// What share of the averaged weights each step leaves: such as 0.99, the weights that are
    /// measured and kept are about the mean of those after the last 100 steps. 0, the default: the
    /// weights are those after the last step.
    #[serde(skip_serializing_if = "is_none")]
    pub ema: f64,
    /// The share of activations that a training step leaves out.
    pub dropout: f64,
    /// The share of the numbers of a vector that a training step leaves out.
    pub input_dropout: f64,
    /// The share of rows for which a training step leaves a whole block out.
    pub modality_dropout: f64,
    /// Of vectors that are wider, so many principal components are learned from; 0, the default: all
    /// columns. `mmrl` always has all.
    #[serde(skip_serializing_if = "is_zero")]
    pub components: usize,
    /// How trees are grown.
    pub trees: TreeSettings,
    /// Whether the learning rate of `mmrl` falls with each step, as the original's did, or with each
    /// pass, as was meant.
    #[serde(skip_serializing_if = "is_usual")]
    pub decay_per_step: bool,
    /// On which scale the target is learned.
    pub target: TargetKind,
    /// Targets above this share of the training rows' count as that one while a head learns, and
    /// never where it is judged; 1 leaves all as they are.
    #[serde(skip_serializing_if = "is_whole")]
    pub winsorise: f64,
    /// The part that tests: `20%` of the labelled rows, or the last `3d`.
    pub test: Span,
    /// The part that validates: `15%` of the rest, or its last days.
    pub validation: Span,
    /// How long before the first test row nothing may be learned from.
    #[serde(with = "duration_text")]
    pub embargo: Duration,
    /// How long before the first test row what is learned begins, a window that slides with it; `0`,
    /// the default, begins with the first row.
    #[serde(with = "duration_text", skip_serializing_if = "Duration::is_zero")]
    pub window: Duration,
    /// How long the hold-out is that is kept apart before each quarter of a year, so that the models
    /// of a quarter are measured on the same rows too; `0`, the default, keeps none apart.
    #[serde(with = "duration_text", skip_serializing_if = "Duration::is_zero")]
    pub holdout: Duration,
    /// What no row that is learned may have in common with a tested one: `author`, or a block such as
    /// `image`, of which none may be nearly the same. By default nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apart: Vec<String>,
    /// How many earlier tests there are: the head is trained again with what was chosen, on the rows
    /// before each; 3 by default.
    #[serde(skip_serializing_if = "is_three")]
    pub backtest: usize,
    /// How a target leads back to the number that people know.
    pub inverse: Inverse,
    /// How the target stands among those of other rows, where that is what is learned; the `target`
    /// of the task that makes the matrix says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative: Option<Relative>,
    /// How many classes a row belongs to, where these are what is learned; the same `target` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Membership>,
    /// The share of new targets that the interval of a prediction is meant to hold.
    pub coverage: f64,
    /// Whether networks learn the ends of the interval of each row, beside what is expected of it;
    /// by default all intervals are equally wide on the scale that is learned.
    #[serde(skip_serializing_if = "is_off")]
    pub quantiles: bool,
    /// How many samples the intervals of metrics are made of.
    pub resamples: usize,
    /// Whether the evaluation trains again without each block.
    pub ablation: bool,
    /// Blocks and categories that are left out.
    pub without: Vec<String>,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            head: HeadKind::default(),
            seed: 0,
            members: 3,
            epochs: 40,
            patience: 8,
            learning_rate: 2e-3,
            weight_decay: 0.1,
            batch: None,
            hidden: 64,
            residual_blocks: 1,
            fusion: FusionKind::default(),
            ema: 0.0,
            dropout: 0.3,
            input_dropout: 0.3,
            modality_dropout: 0.1,
            components: 0,
            trees: TreeSettings::default(),
            decay_per_step: true,
            target: TargetKind::default(),
            winsorise: 1.0,
            test: Span::Share(0.2),
            validation: Span::Share(0.15),
            embargo: Duration::ZERO,
            window: Duration::ZERO,
            holdout: Duration::ZERO,
            apart: Vec::new(),
            backtest: 3,
            inverse: Inverse::default(),
            relative: None,
            classes: None,
            coverage: 0.8,
            quantiles: false,
            resamples: 400,
            ablation: true,
            without: Vec::new(),
        }
    }
}

impl TrainSettings {
    /// How rows are split.
    pub fn split(&self) -> SplitSettings {
        SplitSettings {
            test: self.test,
            validation: self.validation,
            embargo: self.embargo,
            window: self.window,
            holdout: self.holdout,
            apart: self.apart.clone(),
        }
    }

    /// How many principal components stand for a vector; 0: none do.
    pub(crate) fn components(&self) -> usize {
        if self.head == HeadKind::Mmrl {
            0
        } else {
            self.components
        }
    }

    /// The shares of targets below each end of an interval.
    pub(crate) fn tails(&self) -> [f64; 2] {
        let tail = (1.0 - self.coverage) / 2.0;
        [tail, 1.0 - tail]
    }

    /// Rows per step, of `rows` training rows.
    pub(crate) fn batch_of(&self, rows: usize) -> usize {
        let batch = self.batch.unwrap_or_else(|| (rows / 24).clamp(32, 512));
        batch.min(rows).max(1)
    }

    /// These settings with smaller batches, where memory was too little for the usual ones.
    #[must_use]
    pub fn with_smaller_batches(mut self, divisor: usize, rows: usize) -> Self {
        if divisor > 1 {
            self.batch = Some((self.batch_of(rows) / divisor).max(1));
        }
        self
    }

    /// Checks that every number lies where it makes sense.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for the first that does not.
    pub fn check(&self) -> Result<(), Error> {
        let count = |name, value: usize, most: usize, allowed| {
            if (1..=most).contains(&value) {
                Ok(())
            } else {
                Err(setting(name, value, allowed))
            }
        };
        let number = |name, value: f64, holds: bool, allowed| {
            if value.is_finite() && holds {
                Ok(())
            } else {
                Err(setting(name, value, allowed))
            }
        };
        count("members", self.members, 32, "write 1 to 32")?;
        count("epochs", self.epochs, 10_000, "write 1 to 10000")?;
        count("patience", self.patience, 10_000, "write 1 to 10000")?;
        count("hidden", self.hidden, 4096, "write 1 to 4096")?;
        count(
            "batch",
            self.batch.unwrap_or(1),
            1 << 20,
            "write at least 1",
        )?;
        count(
            "residual_blocks",
            self.residual_blocks + 1,
            17,
            "write 0 to 16",
        )?;
        count("resamples", self.resamples, 100_000, "write 1 to 100000")?;
        let rate = self.learning_rate;
        number(
            "learning_rate",
            rate,
            rate > 0.0 && rate <= 1.0,
            "write more than 0, at most 1",
        )?;
        let decay = self.weight_decay;
        number(
            "weight_decay",
            decay,
            (0.0..=10.0).contains(&decay),
            "write 0 to 10",
        )?;
        for (name, value) in [
            ("dropout", self.dropout),
            ("input_dropout", self.input_dropout),
            ("modality_dropout", self.modality_dropout),
        ] {
            number(
                name,
                value,
                (0.0..0.95).contains(&value),
                "write 0 to less than 0.95",
            )?;
        }
        let ema = self.ema;
        number(
            "ema",
            ema,
            (0.0..1.0).contains(&ema),
            "write 0 to less than 1, such as 0.99",
        )?;
        count("backtest", self.backtest + 1, 101, "write 0 to 100")?;
        self.trees.check()?;
        if self.classes.is_some() && self.head == HeadKind::Mmrl {
            return Err(setting(
                "head",
                "mmrl",
                "it predicts numbers only: for classes write ridge, trees, stack or fusion_mlp",
            ));
        }
        let is_flag = self.classes.is_some() || self.relative == Some(Relative::TopDecile);
        if is_flag && self.quantiles {
            return Err(setting(
                "quantiles",
                "true",
                "they are ends of the intervals of numbers, and this target is 0 or 1: leave it out",
            ));
        }
        let kept = self.winsorise;
        number(
            "winsorise",
            kept,
            kept > 0.5 && kept <= 1.0,
            "write more than 0.5, at most 1, such as 0.999",
        )?;
        let coverage = self.coverage;
        number(
            "coverage",
            coverage,
            coverage > 0.0 && coverage < 1.0,
            "write between 0 and 1",
        )
    }
}

/// Whether nothing lies above a share: then settings are filed as they were before it could.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_whole(share: &f64) -> bool {
    *share >= 1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_none(share: &f64) -> bool {
    *share <= 0.0
}

/// A setting that came later: told only where it is not the usual one, so that what was trained
/// before it has the same settings still.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_usual(decay_per_step: &bool) -> bool {
    *decay_per_step
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_off(setting: &bool) -> bool {
    !*setting
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_three(backtest: &usize) -> bool {
    *backtest == 3
}

fn setting(name: &'static str, value: impl ToString, allowed: &'static str) -> Error {
    Error::Setting {
        name,
        value: value.to_string(),
        allowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_file_says_only_what_differs() {
        let text = "head = \"ridge\"\ntest = \"3d\"\nembargo = \"36h\"\ninverse = \"expm1\"\nwithout = [\"image\"]";
        let settings: TrainSettings = toml::from_str(text).unwrap();
        assert_eq!(settings.head, HeadKind::Ridge);
        assert_eq!(settings.test, Span::Time(Duration::from_hours(72)));
        assert_eq!(settings.epochs, TrainSettings::default().epochs);
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(
            serde_json::from_str::<TrainSettings>(&json).unwrap(),
            settings
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(TrainSettings::default().check().is_ok());
        assert!(toml::from_str::<TrainSettings>("epoch = 3").is_err());
        assert!(toml::from_str::<TrainSettings>("test = \"0%\"").is_err());
        for text in [
            "epochs = 0",
            "dropout = 1.0",
            "learning_rate = nan",
            "coverage = 80.0",
            "winsorise = 99.9",
            "ema = 1.0",
        ] {
            let settings: TrainSettings = toml::from_str(text).unwrap();
            let name = text.split(' ').next().unwrap();
            let error = settings.check().unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}`")), "{error}");
        }
    }
}
