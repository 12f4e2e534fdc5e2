//! Records that are to be gone everywhere: chosen, noted, removed, and never stored again.
//!
//! A purge is noted first ([`super::Store::note_purges`]): from that commit on no page brings the record
//! back, and whoever finds the note carries it out, however often something dies. Each step may be
//! done again without harm. Only when nothing is left the note goes ([`super::Store::finish_purges`]), and
//! what stays is a keyed hash of the id; then the databases are written anew, because freed pages
//! keep their bytes ([`super::Store::scrub`]).

mod choose;
mod forget;
mod key;
mod note;
mod people;
mod remove;
mod copies;
mod rows;
mod scrub;
mod words;

pub use choose::{Acquaintance, PurgeWish, RecordKey, family};
pub use forget::OF_A_PERSON;
pub(super) use forget::forget_authors;
pub(super) use key::PurgeKey;
pub use note::{NotedPurge, Traces};
use people::{Fate, remember};
pub(super) use people::{kept_away, kept_away_people};
pub use remove::Removed;
pub use rows::PurgedRows;

#[cfg(test)]
mod tests;
