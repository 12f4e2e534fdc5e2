//! What a pipeline's features can be computed of, and since when.

mod check;
mod raw;
mod span;

pub use check::FeatureCheck;
pub use raw::RawField;
pub use span::FeatureSpan;
