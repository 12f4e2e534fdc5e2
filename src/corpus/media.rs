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
    /// `bomb`, `corrupt`, `too_big`, `not_image`, `blocked_address`, `forbidden`.
    Refused(&'static str),
    /// It could not be had now; a later run tries again. The reason is a short code:
    /// `unreachable`, `timeout`, `server_error`, `rate_limited`.
    Unavailable(&'static str),
}
