//! Images: where they are, and what became of them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ContentHash;

/// Where an image can be had.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaLocation {
    /// At an `http` or `https` URL.
    Url(String),
    /// In a file on this machine.
    File(PathBuf),
}

impl MediaLocation {
    /// What a URL ends with where the host may not have the image ready yet: `gone` is then no
    /// verdict, and a later run asks again. Like every fragment it is not sent.
    pub const PENDING: &str = "#pending";
}

/// How an image looks: 64 comparisons of neighbouring places (a dHash), equal or nearly equal for
/// copies of one image at another size or quality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Look(pub u64);

impl Look {
    /// Up to which distance two looks are taken for copies of one image. Copies at another size or
    /// quality differ by up to some four bits, unrelated photographs by some thirty.
    pub const ALIKE: u32 = 6;

    /// In how many of the 64 comparisons the two differ.
    pub const fn distance(self, other: Self) -> u32 {
        (self.0 ^ other.0).count_ones()
    }
}

/// What is known of an image that is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaInfo {
    /// The hash of the file's bytes, which is also its name in the media store.
    pub content: ContentHash,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The format by its signature: `jpeg`, `png`, `webp` or `gif`.
    pub format: String,
    /// Width in pixels, after orientation.
    pub width: u32,
    /// Height in pixels, after orientation.
    pub height: u32,
}

/// What became of one attempt to fetch an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaOutcome {
    /// It is stored under its hash.
    Stored(MediaInfo),
    /// It cannot be had; trying again is useless. The reason is a short code: `gone`, `html`,
    /// `bomb`, `aspect`, `corrupt`, `truncated`, `too_big`, `not_image`, `blocked_address`, `noai`,
    /// `forbidden`.
    Refused(&'static str),
    /// It could not be had now; a later run tries again. The reason is a short code:
    /// `unreachable`, `timeout`, `server_error`, `rate_limited`, `pending`, `host_not_allowed`.
    Unavailable(&'static str),
}

impl MediaOutcome {
    /// The reason for which a host is not asked that the settings do not name.
    pub const HOST_NOT_ALLOWED: &str = "host_not_allowed";

    /// Whether somebody was asked who may have it at another time.
    pub fn was_asked_in_vain(&self) -> bool {
        matches!(self, Self::Unavailable(reason) if *reason != Self::HOST_NOT_ALLOWED)
    }
}
