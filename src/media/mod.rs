//! Images: told by their signature, decoded within limits, stored under their hash.

mod copy;
mod decode;
#[cfg(test)]
pub(crate) mod fuzzed;
mod look;
mod placeholder;
mod sniff;
mod statistics;
mod store;
mod whole;

pub use decode::{Fault, Limits, decode, encode_jpeg, encode_png, probe};
pub use placeholder::is_placeholder;
pub use sniff::{Format, is_html, sniff};
pub use statistics::statistics;
pub use store::MediaStore;
pub(crate) use whole::is_whole;
