//! Learning: features, splits, heads, metrics.
//!
//! Everything here is a function of its arguments: no IO, no clock, and no randomness but from the
//! seed in the settings, so that the same rows and settings give the same bytes on Flex.

mod baselines;
mod bootstrap;
mod design;
mod error;
mod evaluate;
mod features;
mod heads;
mod linalg;
mod metrics;
mod rank;
mod seeds;
mod settings;
mod span;
mod splits;
mod target;
mod train;
mod watch;

pub use bootstrap::{Bootstrap, Interval, Intervals};
pub use error::Error;
pub use evaluate::{Ablation, Evaluation, Judged, LabelAges, SplitSizes, evaluate};
pub use features::{
    BlockSchema, CATEGORY_NAMES, FeatureSchema, METADATA_BLOCK, METADATA_NAMES, MetadataSchema,
    RowInput, assemble,
};
pub use heads::{Epoch, Head, Prediction};
pub use metrics::{Inverse, Metrics, Scorer, WITHIN_ROWS, spearman_ceiling};
pub use settings::{HeadKind, TargetKind, TrainSettings};
pub use span::Span;
pub use splits::{LEAST_LABELS, Split, SplitBasis, SplitSettings, Splits, split};
pub use train::{Choices, Fitted, train};
pub use watch::{Progress, Unwatched, Watch};
