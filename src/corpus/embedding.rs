//! Vectors and the identity of the encoder that made them.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ContentHash;

/// What makes two vectors comparable: weights, preprocessing, pooling, prompt and compute type of
/// the encoder that made them. Never the device.
///
/// Shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(ContentHash);

impl Fingerprint {
    /// The fingerprint of an encoder that is described by these named parts, in this order.
    pub fn of(parts: &[(&str, &str)]) -> Self {
        let mut digest = Sha256::new();
        for (name, value) in parts {
            for text in [name, value] {
                digest.update((text.len() as u64).to_le_bytes());
                digest.update(text.as_bytes());
            }
        }
        Self(ContentHash::from_bytes(&digest.finalize()).expect("a SHA-256 has 32 bytes"))
    }

    /// A fingerprint read back from its 32 stored bytes; `None` for any other length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        ContentHash::from_bytes(bytes).map(Self)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The number type in which a vector is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VectorType {
    /// 16-bit floats: half the size; what the pipelines use.
    F16,
    /// 32-bit floats.
    F32,
}

impl VectorType {
    /// The name that is stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::F32 => "f32",
        }
    }
}

/// The vector of one content under one encoder, in its stored type.
///
/// Training and prediction both read the rounded values of [`Vector::values`], so that they see
/// the same numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector {
    bytes: Vec<u8>,
    kind: VectorType,
}

impl Vector {
    /// Rounds `values` to the stored type.
    pub fn new(values: &[f32], kind: VectorType) -> Self {
        let bytes = match kind {
            VectorType::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            VectorType::F16 => values
                .iter()
                .flat_map(|v| half::f16::from_f32(*v).to_le_bytes())
                .collect(),
        };
        Self { bytes, kind }
    }

    /// A vector read back from its stored little-endian bytes; `None` where the length is not a
    /// multiple of the number's size.
    pub fn from_bytes(bytes: Vec<u8>, kind: VectorType) -> Option<Self> {
        let size = match kind {
            VectorType::F16 => 2,
            VectorType::F32 => 4,
        };
        bytes
            .len()
            .is_multiple_of(size)
            .then_some(Self { bytes, kind })
    }

    /// The stored little-endian bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether `other` has as many numbers, stored as the same type.
    pub fn is_like(&self, other: &Self) -> bool {
        self.kind == other.kind && self.bytes.len() == other.bytes.len()
    }

    /// The stored number type.
    pub const fn kind(&self) -> VectorType {
        self.kind
    }

    /// The values, as they came out of the stored type.
    pub fn values(&self) -> Vec<f32> {
        match self.kind {
            VectorType::F32 => self
                .bytes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect(),
            VectorType::F16 => self
                .bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|bytes| half::f16::from_le_bytes(*bytes).to_f32())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_twice_changes_nothing() {
        let once = Vector::new(&[0.1, -3.25, 1e-3, 65_000.0], VectorType::F16);
        let twice = Vector::new(&once.values(), VectorType::F16);
        assert_eq!(once, twice);
        assert_eq!(
            Vector::from_bytes(once.as_bytes().to_vec(), VectorType::F16),
            Some(once)
        );
        assert_eq!(Vector::from_bytes(vec![0; 3], VectorType::F16), None);
    }

    #[test]
    fn fingerprints_tell_where_a_part_ends() {
        assert_ne!(
            Fingerprint::of(&[("a", "bc")]),
            Fingerprint::of(&[("ab", "c")])
        );
    }
}
