//! Reddit: the posts of its API, of a server that speaks the same, and of its dumps.

mod budget;
mod by_roux;
mod client;
mod endpoint;
mod exchange;
#[cfg(test)]
mod fuzzed;
mod listing;
mod media;
mod names;
pub(crate) mod nature;
mod pack;
mod people;
pub(crate) mod post;
mod source;
mod standing;
mod token;
mod user_agent;
mod walk;

#[cfg(test)]
mod served_tests;

pub use budget::{
    BreakerSheet, BudgetSheet, CallClass, ClassSheet, Ledger, Manners, Mishap, WindowSheet,
};
pub use by_roux::RouxClients;
pub use endpoint::{Credentials, Endpoint, Grant};
pub use names::{author_name, community_name, post_id};
pub use source::{Access, ReadingStep, RedditSource};
pub use user_agent::user_agent;
