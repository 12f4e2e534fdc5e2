//! EfficientNet-Lite0: photographs → 1280 pooled features, and the classifier that reads them.
//!
//! No squeeze-and-excitation and `ReLU6` instead of swish make the Lite family cheap on processors.

mod channels_last;
mod checkpoint;
mod fold;
mod model;
mod preprocess;
mod stages;

use std::path::Path;

use burn::tensor::Device;

pub(super) use channels_last::ChannelsLast;
pub(super) use checkpoint::Classifier;
pub(super) use model::EfficientNet;
pub(super) use preprocess::{SIDE, preprocess};

use super::Error;

/// The network of the file `path`, on `device`.
pub(super) fn load(path: &Path, device: &Device) -> Result<EfficientNet, Error> {
    Ok(EfficientNet::fold(checkpoint::read(path)?, device))
}

/// The network of the file `path`, for one core of a processor.
pub(super) fn load_channels_last(path: &Path) -> Result<ChannelsLast, Error> {
    Ok(ChannelsLast::fold(checkpoint::read(path)?))
}

/// The classifier of the file `path`.
pub(super) fn load_classifier(path: &Path) -> Result<Classifier, Error> {
    Ok(checkpoint::read(path)?.classifier())
}
