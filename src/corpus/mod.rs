//! Plain data: records, observations, media, vectors and the feature matrix.
//!
//! No IO and no tokio here: every other layer speaks in these words.

mod cursor;
mod gap;
mod embedding;
mod hash;
mod keyed;
mod matrix;
mod media;
mod observation;
mod people;
mod raw;
mod record;

pub use cursor::{Counted, DecodeStart, FileCursor, FileIdentity};
pub use embedding::{Fingerprint, Vector, VectorType};
pub use gap::{Gap, Refused};
pub use hash::ContentHash;
pub use keyed::keyed_hash;
pub use matrix::{Block, FeatureMatrix, Label, Row};
pub use media::{ImageStatistics, Look, MediaInfo, MediaLocation, MediaOutcome};
pub use observation::{LabelAge, Observation};
pub use people::{AuthorReading, CommunityReading};
pub use raw::RawBody;
pub use record::Record;
