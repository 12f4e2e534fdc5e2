//! The number types in which networks compute.

use std::{fmt, str::FromStr};

use burn::tensor::DType;

/// The number type of a network's weights and of what flows through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32 bits.
    F32,
    /// 16 bits: 11 of digits, to 65,504.
    F16,
    /// 16 bits: 8 of digits, as far as f32.
    Bf16,
}

impl Precision {
    /// The word in settings and fingerprints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// Whether it has half the bits of f32.
    pub const fn is_half(self) -> bool {
        !matches!(self, Self::F32)
    }

    /// Burn's name.
    pub(super) const fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::F32, Self::F16, Self::Bf16]
            .into_iter()
            .find(|precision| precision.name() == text)
            .ok_or_else(|| format!("`{text}` is no number type; write `f32`, `f16` or `bf16`"))
    }
}
