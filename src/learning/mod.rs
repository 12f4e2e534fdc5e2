//! Learning: features, splits, heads, metrics.
//!
//! Everything here is a function of its arguments: no IO, no clock, and no randomness but from the
//! seed in the settings, so that the same rows and settings give the same bytes on Flex.

mod baselines;
mod bootstrap;
mod error;
mod features;
mod metrics;
mod rank;
mod seeds;
mod span;
mod splits;
mod watch;

pub use bootstrap::{Bootstrap, Interval, Intervals};
pub use error::Error;
pub use features::{
    BlockSchema, CATEGORY_NAMES, FeatureSchema, METADATA_BLOCK, METADATA_NAMES, MetadataSchema,
    RowInput, assemble,
};
pub use metrics::{Inverse, Metrics, Scorer, WITHIN_ROWS, spearman_ceiling};
pub use span::Span;
pub use splits::{LEAST_LABELS, Split, SplitBasis, SplitSettings, Splits, split};
pub use watch::{Progress, Unwatched, Watch};
