//! From records and vectors to a feature matrix.
//!
//! A feature is a pure function of one record, so that training and prediction cannot differ: the
//! same [`assemble()`] serves both.

mod assemble;
mod metadata;
mod schema;

pub use assemble::{RowInput, assemble};
pub use metadata::{CATEGORY_NAMES, METADATA_NAMES};
use metadata::{category_of, numbers_of};
pub use schema::{BlockSchema, FeatureSchema, METADATA_BLOCK, MetadataSchema};
