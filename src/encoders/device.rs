//! Where the arithmetic happens: a setting's words → a Burn device.
//!
//! The only place of the project that names LibTorch. The crate burn-tch is deprecated upstream
//! and stays supported for the 0.22 series; the way out is burn-cuda, once it passes the same
//! parity tests.

use std::{fmt, str::FromStr};

use burn::tensor::Device;

/// A device as people write it: `flex`, `libtorch`, `libtorch:cuda:N` or `cuda:N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeviceSpec {
    /// Pure Rust on the processor; always there.
    #[default]
    Flex,
    /// LibTorch on the processor.
    LibTorch,
    /// LibTorch on the graphics card with this index.
    LibTorchCuda(usize),
    /// Burn's own CUDA backend on the graphics card with this index; no build has it yet.
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
        device: DeviceSpec,
        /// What to do.
        hint: &'static str,
    },
    /// The machine has no such device.
    #[error("device `{device}` is not available: {reason}; use `{instead}` or `flex`")]
    NotAvailable {
        /// The device.
        device: DeviceSpec,
        /// What is missing.
        reason: String,
        /// A device that is there.
        instead: DeviceSpec,
    },
}

/// Words that name no device.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a device; write `flex`, `libtorch`, `libtorch:cuda:N` or `cuda:N`")]
pub struct ParseDeviceError(String);

impl FromStr for DeviceSpec {
    type Err = ParseDeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseDeviceError(text.to_owned());
        let index = |digits: &str| digits.parse().map_err(|_| error());
        match text {
            "flex" => Ok(Self::Flex),
            "libtorch" => Ok(Self::LibTorch),
            _ => match (
                text.strip_prefix("libtorch:cuda:"),
                text.strip_prefix("cuda:"),
            ) {
                (Some(digits), _) => Ok(Self::LibTorchCuda(index(digits)?)),
                (_, Some(digits)) => Ok(Self::Cuda(index(digits)?)),
                _ => Err(error()),
            },
        }
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flex => f.write_str("flex"),
            Self::LibTorch => f.write_str("libtorch"),
            Self::LibTorchCuda(index) => write!(f, "libtorch:cuda:{index}"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl DeviceSpec {
    /// The Burn device; an error where this executable or this machine lacks it.
    pub fn open(self) -> Result<Device, Error> {
        match self {
            Self::Flex => Ok(Device::flex()),
            Self::LibTorch | Self::LibTorchCuda(_) => libtorch::open(self),
            Self::Cuda(_) => Err(Error::NotBuiltIn {
                device: self,
                hint: "graphics cards are reached with `libtorch:cuda:N`",
            }),
        }
    }

    /// Whether rows are computed bit for bit the same in any batch.
    pub const fn is_exact(self) -> bool {
        matches!(self, Self::Flex)
    }

    /// Whether it computes with LibTorch.
    pub const fn is_libtorch(self) -> bool {
        matches!(self, Self::LibTorch | Self::LibTorchCuda(_))
    }

    /// Whether it is a graphics card, which wants large batches.
    pub const fn is_on_card(self) -> bool {
        matches!(self, Self::LibTorchCuda(_) | Self::Cuda(_))
    }
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
        DeviceSpec::Flex,
        DeviceSpec::LibTorch,
        DeviceSpec::LibTorchCuda(0),
        DeviceSpec::Cuda(0),
    ]
    .into_iter()
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

#[cfg(not(feature = "libtorch"))]
mod libtorch {
    use burn::tensor::Device;

    use super::{DeviceSpec, Error};

    /// This executable has no LibTorch.
    pub(super) fn open(device: DeviceSpec) -> Result<Device, Error> {
        Err(Error::NotBuiltIn {
            device,
            hint: "use `flex`, or build the worker beside it: `cargo build --release --features \
                   libtorch --bin trendmill-worker`",
        })
    }
}

#[cfg(feature = "libtorch")]
mod libtorch {
    use burn::tensor::Device;

    use super::{DeviceSpec, Error};

    /// LibTorch on the processor, or on a graphics card that answers.
    #[expect(
        deprecated,
        reason = "burn-tch is the graphics-card path of Burn 0.22; see the module's words on the way out"
    )]
    pub(super) fn open(spec: DeviceSpec) -> Result<Device, Error> {
        let DeviceSpec::LibTorchCuda(index) = spec else {
            return Ok(Device::libtorch());
        };
        let missing = |reason: String| Error::NotAvailable {
            device: spec,
            reason,
            instead: DeviceSpec::LibTorch,
        };
        // Asked first, because burn-tch panics where there is no card.
        let cards = usize::try_from(tch::Cuda::device_count()).unwrap_or(0);
        if !tch::Cuda::is_available() || cards == 0 {
            return Err(missing("LibTorch finds no graphics card".to_owned()));
        }
        if index >= cards {
            return Err(missing(format!("the cards are 0 to {}", cards - 1)));
        }
        let found = std::panic::catch_unwind(|| {
            let device = Device::libtorch_cuda(index);
            burn::tensor::Tensor::<1>::zeros([1], &device).into_data();
            device
        });
        found.map_err(|_| missing("it does not answer".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_devices_both_ways() {
        for (text, device) in [
            ("flex", DeviceSpec::Flex),
            ("libtorch", DeviceSpec::LibTorch),
            ("libtorch:cuda:1", DeviceSpec::LibTorchCuda(1)),
            ("cuda:0", DeviceSpec::Cuda(0)),
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
        ] {
            assert!(text.parse::<DeviceSpec>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_built_in_says_so() {
        assert!(DeviceSpec::Flex.open().is_ok());
        let error = DeviceSpec::Cuda(0).open().unwrap_err();
        assert!(error.to_string().contains("libtorch:cuda:N"), "{error}");
        #[cfg(not(feature = "libtorch"))]
        for spec in [DeviceSpec::LibTorch, DeviceSpec::LibTorchCuda(0)] {
            let error = spec.open().unwrap_err();
            assert!(error.to_string().contains("not built into"), "{error}");
        }
    }
}
