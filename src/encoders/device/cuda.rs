//! Burn's own kernels for graphics cards, where they are built in.

#[cfg(feature = "cuda")]
use std::path::Path;

use burn::tensor::Device;

use super::{DeviceKind, Error};

#[cfg(not(feature = "cuda"))]
/// This executable has no kernels for cards.
pub(super) fn open(index: usize) -> Result<Device, Error> {
    Err(Error::NotBuiltIn {
        device: DeviceKind::Cuda(index),
        hint: "use `libtorch:cuda:N`, or build it in: `cargo build --release --features cuda`",
    })
}

#[cfg(feature = "cuda")]
/// Burn's own kernels on a card that answers.
pub(super) fn open(index: usize) -> Result<Device, Error> {
    let missing = |reason: String| Error::NotAvailable {
        device: DeviceKind::Cuda(index),
        reason,
        instead: DeviceKind::Flex,
    };
    // Asked first, because the crate panics, with many words, where there is no driver. The
    // second file is the card of a Linux under Windows.
    let card = format!("/dev/nvidia{index}");
    if ![card.as_str(), "/dev/dxg"]
        .iter()
        .any(|file| Path::new(file).exists())
    {
        return Err(missing(format!(
            "the driver shows no card, there is no `{card}`"
        )));
    }
    let found = std::panic::catch_unwind(|| {
        let device = Device::cuda(index);
        burn::tensor::Tensor::<1>::zeros([1], &device).into_data();
        device
    });
    found.map_err(|_| {
        missing("it does not answer, or NVRTC or CUDA's headers are missing".to_owned())
    })
}
