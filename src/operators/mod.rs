//! The operators, in the order in which a post meets them.
//!
//! Each one asks the store "which of these contents lack a result under this fingerprint?", works
//! in batches and commits each batch: incremental days, resumable tasks and idempotence follow
//! from that one rule.

mod checkpoints;
mod environment;
mod selection;
mod sights;
mod shard;
mod device;
mod settings;
mod report;
mod scrape;
mod cadence;
mod stored;
mod refresh;
mod people;
mod filter;
mod fetch_images;
mod embed;
mod evaluation;
mod caption;
mod sharing;
mod encoding;
mod history;
mod label;
mod merge;
mod purging;
mod sync_deletions;
mod train;
mod evaluate;
mod contest;
mod persist;
mod score;
mod shell;
mod wait;
mod noop;
mod patience;

pub use caption::Caption;
pub(crate) use caption::{Choice, Writing, caption_of};
pub use device::device_of;
pub use embed::Embed;
pub(crate) use encoding::{Encoding, Reach, Sample, Selections, records_at, with_images};
pub use environment::{Environment, KeepsRaw, Loaded, OpenedSource, SourceOpener};
pub use evaluate::Evaluate;
pub use fetch_images::FetchImages;
pub(crate) use fetch_images::{place, places_of};
pub use filter::Filter;
pub(crate) use history::{history_before, horizon_of, past_of};
pub use merge::Merge;
pub(crate) use merge::mean_vector;
pub use noop::Noop;
pub use people::ReadPeople;
pub use persist::Persist;
pub use purging::{Looked, Purged};
pub(crate) use purging::{Others, purge_turn};
pub use refresh::Refresh;
pub use score::Score;
pub use scrape::Scrape;
pub use shell::Shell;
pub use stored::Stored;
pub use sync_deletions::SyncDeletions;
pub use train::Train;
pub use wait::Wait;
