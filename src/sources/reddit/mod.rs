//! Reddit: the posts of its API, of a server that speaks the same, and of its dumps.

mod media;
pub(crate) mod post;
