//! From records and vectors to a feature matrix.
//!
//! A feature is a pure function of one record and of what was known when it was published, so that
//! training and prediction cannot differ: the same [`History`] and [`assemble()`] serve both.

mod assemble;
mod history;
mod metadata;
mod schema;
mod title;

pub use assemble::{RowInput, assemble};
pub use history::{History, Past, PastRecord};
pub use metadata::{CATEGORY_NAMES, HISTORY_NAMES, METADATA_NAMES};
use metadata::{Known, category_of, numbers_of};
pub use schema::{BlockSchema, FeatureSchema, HistorySchema, METADATA_BLOCK, MetadataSchema};
