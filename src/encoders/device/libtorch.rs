//! LibTorch, where it is built in.

use burn::tensor::Device;

use super::{DeviceKind, Error};

#[cfg(not(feature = "libtorch"))]
/// This executable has no LibTorch.
pub(super) fn open(device: DeviceKind) -> Result<Device, Error> {
    Err(Error::NotBuiltIn {
        device,
        hint: "use `flex`, or build the worker beside it: `cargo build --release --features \
               libtorch --bin trendmill-worker`",
    })
}

#[cfg(feature = "libtorch")]
/// LibTorch on the processor, or on a graphics card that answers.
#[expect(
    deprecated,
    reason = "burn-tch is the graphics-card path of Burn 0.22; see the module's words on the way out"
)]
pub(super) fn open(kind: DeviceKind) -> Result<Device, Error> {
    let DeviceKind::LibTorchCuda(index) = kind else {
        return Ok(Device::libtorch());
    };
    let missing = |reason: String| Error::NotAvailable {
        device: kind,
        reason,
        instead: DeviceKind::LibTorch,
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
