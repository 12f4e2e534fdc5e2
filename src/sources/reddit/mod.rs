//! Reddit: the posts of its API, of a server that speaks the same, and of its dumps.

mod client;
mod endpoint;
mod media;
pub(crate) mod post;
mod source;

pub use endpoint::{Credentials, Endpoint};
pub use source::{ReadingStep, RedditSource};
