//! Where the arithmetic happens, and with which numbers: a setting's words → a Burn device.
//!
//! The only module of the project that names LibTorch. The crate burn-tch is deprecated upstream
//! and stays supported for the 0.22 series; the way out is burn-cuda (feature `cuda`), once it has
//! passed the same parity tests on a card and is as fast there.

mod cuda;
mod libtorch;

use std::{fmt, str::FromStr};

use burn::tensor::Device;

use super::Precision;

/// A device and a number type as people write them: `flex`, `libtorch`, `libtorch:cuda:N` or
/// `cuda:N`, and behind it, where it is not the device's own choice, `:f32`, `:f16` or `:bf16`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DeviceSpec {
    kind: DeviceKind,
    /// `None`: the device's own choice.
    precision: Option<Precision>,
}

/// What computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// Pure Rust on the processor; always there.
    #[default]
    Flex,
    /// LibTorch on the processor.
    LibTorch,
    /// LibTorch on the graphics card with this index.
    LibTorchCuda(usize),
    /// Burn's own CUDA backend on the graphics card with this index.
    Cuda(usize),
}

/// A device that this executable or this machine does not have.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The executable was built without what the device needs.
    #[error("device `{device}` is not built into this executable; {hint}")]
    NotBuiltIn {
        /// The device.
        device: DeviceKind,
        /// What to do.
        hint: &'static str,
    },
    /// The machine has no such device.
    #[error("device `{device}` is not available: {reason}; use `{instead}` or `flex`")]
    NotAvailable {
        /// The device.
        device: DeviceKind,
        /// What is missing.
        reason: String,
        /// A device that is there.
        instead: DeviceKind,
    },
    /// The device does not compute with such numbers.
    #[error(
        "device `{device}` computes with f32; `{precision}` is for LibTorch and graphics cards"
    )]
    Precision {
        /// The device.
        device: DeviceKind,
        /// The number type.
        precision: Precision,
    },
}

/// Words that name no device.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a device; write `flex`, `libtorch`, `libtorch:cuda:N` or `cuda:N`, and behind it, \
     if need be, `:f32`, `:f16` or `:bf16`"
)]
pub struct ParseDeviceError(String);

impl FromStr for DeviceSpec {
    type Err = ParseDeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseDeviceError(text.to_owned());
        let (device, precision) = match text.rsplit_once(':') {
            Some((device, word)) => match word.parse() {
                Ok(precision) => (device, Some(precision)),
                Err(_) => (text, None),
            },
            None => (text, None),
        };
        let index = |digits: &str| digits.parse().map_err(|_| error());
        let kind = match device {
            "flex" => DeviceKind::Flex,
            "libtorch" => DeviceKind::LibTorch,
            _ => match (
                device.strip_prefix("libtorch:cuda:"),
                device.strip_prefix("cuda:"),
            ) {
                (Some(digits), _) => DeviceKind::LibTorchCuda(index(digits)?),
                (_, Some(digits)) => DeviceKind::Cuda(index(digits)?),
                _ => return Err(error()),
            },
        };
        Ok(Self { kind, precision })
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flex => f.write_str("flex"),
            Self::LibTorch => f.write_str("libtorch"),
            Self::LibTorchCuda(index) => write!(f, "libtorch:cuda:{index}"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        self.precision
            .map_or(Ok(()), |precision| write!(f, ":{precision}"))
    }
}

impl From<DeviceKind> for DeviceSpec {
    fn from(kind: DeviceKind) -> Self {
        Self {
            kind,
            precision: None,
        }
    }
}

impl DeviceSpec {
    /// Pure Rust on the processor.
    pub const FLEX: Self = Self::of(DeviceKind::Flex);
    /// LibTorch on the processor.
    pub const LIBTORCH: Self = Self::of(DeviceKind::LibTorch);

    const fn of(kind: DeviceKind) -> Self {
        Self {
            kind,
            precision: None,
        }
    }

    /// What computes.
    pub const fn kind(self) -> DeviceKind {
        self.kind
    }

    /// The Burn device; an error where this executable or this machine lacks it, or where it does
    /// not compute with the numbers that are asked for.
    pub fn open(self) -> Result<Device, Error> {
        if self.precision().is_half() && !self.computes_in_half() {
            return Err(Error::Precision {
                device: self.kind,
                precision: self.precision(),
            });
        }
        match self.kind {
            DeviceKind::Flex => Ok(Device::flex()),
            DeviceKind::LibTorch | DeviceKind::LibTorchCuda(_) => libtorch::open(self.kind),
            DeviceKind::Cuda(index) => cuda::open(index),
        }
    }

    /// The number type in which networks that can do with fewer digits compute here.
    ///
    /// Where nobody says: f32 on Flex; bf16 on graphics cards, and with LibTorch on a processor that
    /// multiplies such numbers itself (a MiniLM is 2 to 3 times as fast there as in f32, a vision
    /// transformer 1.8 times).
    pub fn precision(self) -> Precision {
        self.precision.unwrap_or_else(|| match self.kind {
            DeviceKind::LibTorch if processor_multiplies_bf16() => Precision::Bf16,
            DeviceKind::Flex | DeviceKind::LibTorch => Precision::F32,
            DeviceKind::LibTorchCuda(_) | DeviceKind::Cuda(_) => Precision::Bf16,
        })
    }

    /// The same device with these numbers, unless it says with which itself.
    #[must_use]
    pub fn or_precision(self, precision: Precision) -> Self {
        Self {
            precision: self.precision.or(Some(precision)),
            ..self
        }
    }

    /// The same device with these numbers.
    #[must_use]
    pub const fn with_precision(self, precision: Precision) -> Self {
        Self {
            kind: self.kind,
            precision: Some(precision),
        }
    }

    /// Whether rows are computed bit for bit the same in any batch.
    pub const fn is_exact(self) -> bool {
        matches!(self.kind, DeviceKind::Flex)
    }

    /// Whether it computes with numbers of 16 bits too.
    pub const fn computes_in_half(self) -> bool {
        !matches!(self.kind, DeviceKind::Flex)
    }

    /// Whether this executable was built with what the device needs.
    pub const fn is_built_in(self) -> bool {
        match self.kind {
            DeviceKind::Flex => true,
            DeviceKind::LibTorch | DeviceKind::LibTorchCuda(_) => cfg!(feature = "libtorch"),
            DeviceKind::Cuda(_) => cfg!(feature = "cuda"),
        }
    }

    /// Whether it is a graphics card, which wants large batches.
    pub const fn is_on_card(self) -> bool {
        matches!(self.kind, DeviceKind::LibTorchCuda(_) | DeviceKind::Cuda(_))
    }
}

/// Whether the processor has instructions that multiply bf16 numbers (AVX-512 BF16; whatever has
/// AMX has them too).
fn processor_multiplies_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// What this executable can do with one kind of device on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSupport {
    /// The device.
    pub device: DeviceSpec,
    /// Whether [`DeviceSpec::open`] would succeed.
    pub usable: bool,
    /// Why not, and what to do; empty where it is usable.
    pub message: String,
}

/// What this executable can do on this machine, one entry per kind of device.
pub fn device_support() -> Vec<DeviceSupport> {
    [
        DeviceKind::Flex,
        DeviceKind::LibTorch,
        DeviceKind::LibTorchCuda(0),
        DeviceKind::Cuda(0),
    ]
    .into_iter()
    .map(DeviceSpec::from)
    .map(|device| match device.open() {
        Ok(_) => DeviceSupport {
            device,
            usable: true,
            message: String::new(),
        },
        Err(error) => DeviceSupport {
            device,
            usable: false,
            message: error.to_string(),
        },
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_devices_both_ways() {
        let card = |index| DeviceSpec::from(DeviceKind::LibTorchCuda(index));
        for (text, device) in [
            ("flex", DeviceSpec::FLEX),
            ("libtorch", DeviceSpec::LIBTORCH),
            ("libtorch:cuda:1", card(1)),
            ("cuda:0", DeviceKind::Cuda(0).into()),
            ("flex:f32", DeviceSpec::FLEX.with_precision(Precision::F32)),
            (
                "libtorch:bf16",
                DeviceSpec::LIBTORCH.with_precision(Precision::Bf16),
            ),
            (
                "libtorch:cuda:12:f16",
                card(12).with_precision(Precision::F16),
            ),
        ] {
            assert_eq!(text.parse(), Ok(device));
            assert_eq!(device.to_string(), text);
        }
        for text in [
            "",
            "gpu",
            "cuda",
            "cuda:",
            "cuda:x",
            "libtorch:cuda:-1",
            "Flex",
            "bf16",
            "libtorch:f64",
            "flex:f32:f32",
        ] {
            assert!(text.parse::<DeviceSpec>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_said_counts_over_what_the_device_would_choose() {
        assert_eq!(DeviceSpec::FLEX.precision(), Precision::F32);
        let card: DeviceSpec = "libtorch:cuda:0".parse().unwrap();
        assert_eq!(card.precision(), Precision::Bf16);
        let said: DeviceSpec = "libtorch:cuda:0:f16".parse().unwrap();
        assert_eq!(said.precision(), Precision::F16);
        assert_eq!(said.or_precision(Precision::F32), said);
        assert_eq!(
            card.or_precision(Precision::F32).precision(),
            Precision::F32
        );
        let error = DeviceSpec::FLEX
            .with_precision(Precision::Bf16)
            .open()
            .unwrap_err();
        assert!(error.to_string().contains("computes with f32"), "{error}");
    }

    #[test]
    fn what_is_not_built_in_says_so() {
        assert!(DeviceSpec::FLEX.open().is_ok());
        for kind in [
            DeviceKind::LibTorch,
            DeviceKind::LibTorchCuda(999),
            DeviceKind::Cuda(999),
        ] {
            let device = DeviceSpec::from(kind);
            match device.open() {
                Ok(_) => assert_eq!(device, DeviceSpec::LIBTORCH),
                Err(Error::NotBuiltIn { .. }) => assert!(!device.is_built_in(), "{device}"),
                Err(_) => assert!(device.is_built_in(), "{device}"),
            }
        }
        #[cfg(not(feature = "cuda"))]
        {
            let error = DeviceSpec::from(DeviceKind::Cuda(0)).open().unwrap_err();
            assert!(error.to_string().contains("libtorch:cuda:N"), "{error}");
        }
    }
}
