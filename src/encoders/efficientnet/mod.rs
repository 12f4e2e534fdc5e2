//! EfficientNet-Lite0: photographs → 1280 pooled features, and the classifier that reads them.
//!
//! No squeeze-and-excitation and `ReLU6` instead of swish make the Lite family cheap on processors.

mod channels_last;
mod checkpoint;
mod fold;
mod model;
mod preprocess;
mod stages;
mod timm;

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use channels_last::ChannelsLast;
pub(super) use checkpoint::Classifier;
use image::RgbImage;
pub(super) use model::EfficientNet;
use preprocess::{SIDE, preprocess};
pub(super) use stages::FEATURES;
pub(super) use timm::{is_of_family, load};

use super::{
    DeviceSpec, Error, ImageError,
    image::{Batches, Network, rows},
};

/// The network of the file `path`: on Flex the one for a single core, elsewhere for batches.
pub(super) fn network(
    path: &Path,
    spec: DeviceSpec,
    device: Device,
) -> Result<Box<dyn Network>, Error> {
    let checkpoint = checkpoint::read(path)?;
    Ok(if spec.is_exact() {
        Box::new(ChannelsLast::fold(checkpoint))
    } else {
        Box::new(Batched {
            model: EfficientNet::fold(checkpoint, &device),
            spec,
            device,
        })
    })
}

/// The network on a device that takes many pictures at once.
#[derive(Debug)]
struct Batched {
    model: EfficientNet,
    spec: DeviceSpec,
    device: Device,
}

impl Network for Batched {
    fn prepare(&self, picture: &RgbImage) -> Result<Vec<f32>, ImageError> {
        preprocess(picture)
    }

    fn compute(&self, numbers: Vec<f32>, count: usize) -> Result<Vec<Vec<f32>>, ImageError> {
        let input = TensorData::new(numbers, [count, SIDE, SIDE, 3]);
        let pixels = Tensor::<4>::from_data(input, &self.device);
        rows(self.model.forward(pixels.permute([0, 3, 1, 2])))
    }

    fn batches(&self) -> Batches {
        Batches::on(self.spec, 256)
    }
}

impl Network for ChannelsLast {
    fn prepare(&self, picture: &RgbImage) -> Result<Vec<f32>, ImageError> {
        preprocess(picture)
    }

    fn compute(&self, numbers: Vec<f32>, _count: usize) -> Result<Vec<Vec<f32>>, ImageError> {
        Ok(vec![self.forward(&numbers)?])
    }

    fn batches(&self) -> Batches {
        Batches::Alone
    }
}

/// The classifier of the file `path`.
pub(super) fn load_classifier(path: &Path) -> Result<Classifier, Error> {
    Ok(checkpoint::read(path)?.classifier())
}
