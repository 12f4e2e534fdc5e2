//! A simulated Reddit: a world of posts with a planted popularity process, served over HTTP.
//!
//! [`World`] is a pure function of its [`SandboxSettings`]: it holds no state and can be looked
//! at as of any moment. [`serve`] speaks Reddit's wire shapes over it, as strictly and with as many
//! [`Troubles`] as it is told; [`truth()`] and [`journal`]
//! tell what a client cannot know.

mod api;
mod attend;
mod communities;
mod dice;
mod escape;
mod fate;
mod files;
mod gate;
mod pace;
mod picture;
mod process;
mod ranked;
mod refusal;
mod server;
mod settings;
mod titles;
mod troubles;
mod truth;
mod wire;
mod words;
mod world;

#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wire_tests;

pub use gate::WindowCount;
pub use pace::WorldClock;
pub use process::{Components, HORIZON};
pub use server::{SandboxState, TIME_HEADER, serve};
pub use settings::{MOST_POSTS_PER_DAY, ParseSettingsError, SandboxSettings};
pub use troubles::{ParseTroubleError, Troubles};
pub use truth::{JournalLine, Truth, journal, spearman, spearman_ceiling, truth};
pub use world::World;

/// The names of all communities.
pub fn communities() -> Vec<String> {
    communities::COMMUNITIES
        .iter()
        .map(|community| community.name.to_owned())
        .collect()
}
