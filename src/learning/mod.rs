//! Learning: features, splits, heads, metrics.
//!
//! Everything here is a function of its arguments: no IO, no clock, and no randomness but from the
//! seed in the settings, so that the same rows and settings give the same bytes on Flex.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "networks compute in f32, and indices come from shares of a length"
)]
#![expect(
    clippy::float_cmp,
    clippy::many_single_char_names,
    clippy::needless_pass_by_value,
    clippy::needless_for_each,
    reason = "ties are exact, matrices have the names of the literature, loops are short"
)]

mod apart;
mod backtest;
mod baselines;
mod blend;
mod bootstrap;
mod calibration;
mod checkpoints;
mod class_metrics;
mod classify;
mod compare;
mod components;
mod design;
mod drift;
mod duel;
mod error;
mod evaluate;
mod features;
mod fit;
mod gate;
mod heads;
mod holdout;
mod judge;
mod kinds;
mod linalg;
mod metrics;
mod odds;
mod pairs;
mod prequential;
mod questions;
mod rank;
mod reference;
mod refit;
mod rest;
mod seeds;
mod settings;
mod smearing;
mod span;
mod splits;
mod target;
mod train;
mod trees;
mod watch;
mod woods;
mod worth;

#[cfg(test)]
mod tests;

pub use backtest::Origin;
pub use bootstrap::{Bootstrap, Drawn, Interval, Intervals};
pub use calibration::{Calibration, CommunityMetrics, Tenth};
pub use checkpoints::Checkpoints;
pub use class_metrics::{ClassMetrics, ClassQuestions};
pub use compare::{Comparison, compare};
pub use drift::{Drift, FeatureDrift, Profile};
pub use duel::{Duel, Foresight, Opponent, Slice, duel};
pub use error::Error;
pub use evaluate::{
    Ablation, Beside, CurvePoint, Evaluation, Judged, LabelAges, SplitSizes, Truth, evaluate,
};
pub use features::{
    BlockSchema, CATEGORY_NAMES, FeatureSchema, HISTORY_NAMES, History, HistorySchema,
    METADATA_BLOCK, METADATA_NAMES, MetadataSchema, Past, PastRecord, RowInput, assemble,
};
pub use gate::{Challenge, Decision, GateSettings, Kinship, Verdict, anchor, decide};
pub use heads::{ClassProbability, Epoch, Head, Parts, Prediction};
pub use holdout::HoldOut;
pub use kinds::{FusionKind, HeadKind, TargetKind};
pub use metrics::{Inverse, Metrics, Scorer, WITHIN_ROWS, spearman_ceiling};
pub use prequential::{Foretold, Prequential, prequential, prequential_of_classes};
pub use refit::refit;
pub use settings::TrainSettings;
pub use span::Span;
pub use splits::{LEAST_LABELS, Split, SplitBasis, SplitSettings, Splits, split};
pub use train::{Choices, ClassChoices, Fitted, train};
pub use trees::TreeSettings;
pub use watch::{Progress, Unwatched, Watch};
pub use worth::Worth;
