//! Images: where they are, and what became of them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ContentHash, Fingerprint, Vector, VectorType};

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

/// How an image looks, in numbers that need no encoder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageStatistics {
    /// The mean lightness (Rec. 601), from 0 to 1.
    pub brightness: f32,
    /// The standard deviation of the lightness, from 0 to a half.
    pub contrast: f32,
    /// How far colours are from grey and from each other; 0 is grey, from about 0.4 on it is vivid.
    pub colourfulness: f32,
    /// `ln(1 + v)` of the variance of the Laplacian of the lightness, which counts to 255.
    pub sharpness: f32,
    /// The entropy of the lightness in bits, 0 to 8.
    pub entropy: f32,
}

impl ImageStatistics {
    /// Under which they are stored; another definition has another one.
    pub fn fingerprint() -> Fingerprint {
        Fingerprint::of(&[("image statistics", "1")])
    }

    /// All of them, in the order in which they are declared.
    pub const fn values(self) -> [f32; 5] {
        [
            self.brightness,
            self.contrast,
            self.colourfulness,
            self.sharpness,
            self.entropy,
        ]
    }

    /// As they are stored.
    pub fn to_vector(self) -> Vector {
        Vector::new(&self.values(), VectorType::F32)
    }

    /// As they were stored; `None` where that is something else.
    pub fn from_vector(vector: &Vector) -> Option<Self> {
        let [brightness, contrast, colourfulness, sharpness, entropy] =
            vector.values().try_into().ok()?;
        Some(Self {
            brightness,
            contrast,
            colourfulness,
            sharpness,
            entropy,
        })
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
