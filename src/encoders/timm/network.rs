//! A network of timm's with its own way of seeing pictures.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;

use super::TimmConfig;
use crate::encoders::{
    DeviceSpec, Error, ImageError, Precision, checkpoint,
    efficientnet::{self, EfficientNet},
    eva::{self, Eva},
    image::{Batches, Network, rows},
    resnet::{self, ResNet},
    transform::Transform,
    vit::{self, Vit},
};

/// The pixels that one batch holds at most on a processor: 8 pictures of 224 by 224 fill its
/// products, and leave its caches room.
const PIXELS_PER_JOB: usize = 8 * 224 * 224;
/// The same on a graphics card: 256 pictures of 224 by 224.
const PIXELS_PER_LAUNCH: usize = 256 * 224 * 224;

/// A checkpoint of timm's, loaded.
#[derive(Debug)]
pub(in crate::encoders) struct TimmNetwork {
    model: Model,
    transform: Transform,
    spec: DeviceSpec,
    device: Device,
}

/// The architectures.
#[derive(Debug)]
enum Model {
    Vit(Box<Vit>),
    Eva(Box<Eva>),
    ResNet(ResNet),
    EfficientNet(EfficientNet),
}

/// Whether an architecture of timm's is a transformer.
pub(in crate::encoders) fn is_transformer(architecture: &str) -> bool {
    vit::is_of_family(architecture) || eva::is_of_family(architecture)
}

impl TimmNetwork {
    /// Loads the checkpoint of a directory.
    pub(in crate::encoders) fn load(
        directory: &Path,
        spec: DeviceSpec,
        device: Device,
    ) -> Result<Self, Error> {
        let weights = checkpoint::file_in(directory)?;
        Self::of_files(&directory.join("config.json"), &weights, spec, device)
    }

    /// Loads a checkpoint of these two files.
    pub(in crate::encoders) fn of_files(
        path: &Path,
        weights: &Path,
        spec: DeviceSpec,
        device: Device,
    ) -> Result<Self, Error> {
        let unusable = |reason: String| Error::Checkpoint {
            path: path.to_owned(),
            reason,
        };
        let config = TimmConfig::read(path)?;
        let transform = config.pretrained_cfg.transform().map_err(unusable)?;
        let dtype = spec.precision().dtype();
        let model = if vit::is_of_family(&config.architecture) {
            Model::Vit(Box::new(vit::load(&config, weights, &device, dtype)?))
        } else if eva::is_of_family(&config.architecture) {
            Model::Eva(Box::new(eva::load(&config, weights, &device, dtype)?))
        } else if resnet::is_of_family(&config.architecture) {
            Model::ResNet(resnet::load(&config, weights, &device)?)
        } else if efficientnet::is_of_family(&config.architecture) {
            Model::EfficientNet(efficientnet::load(&config, weights, &device)?)
        } else {
            return Err(unusable(format!(
                "`architecture` is `{}`; vision transformers (`vit_…`, `deit_…`, `eva02_…`), \
                 residual networks (`resnet18`, `wide_resnet50_2`, `resnext50_32x4d`, …) and \
                 `tf_efficientnet_lite0` with its kin can be computed",
                config.architecture
            )));
        };
        Ok(Self {
            model,
            transform,
            spec,
            device,
        })
    }

    /// The numbers with which it computes.
    pub(in crate::encoders) fn precision(&self) -> Precision {
        match &self.model {
            Model::Vit(_) | Model::Eva(_) => self.spec.precision(),
            Model::ResNet(_) | Model::EfficientNet(_) => Precision::F32,
        }
    }

    /// The length of a vector.
    pub(in crate::encoders) fn dimension(&self) -> usize {
        match &self.model {
            Model::Vit(model) => model.dimension(),
            Model::Eva(model) => model.dimension(),
            Model::ResNet(model) => model.dimension(),
            Model::EfficientNet(model) => model.dimension(),
        }
    }
}

impl Network for TimmNetwork {
    fn prepare(&self, picture: &RgbImage) -> Result<Vec<f32>, ImageError> {
        self.transform.apply(picture)
    }

    fn compute(&self, numbers: Vec<f32>, count: usize) -> Result<Vec<Vec<f32>>, ImageError> {
        let [height, width] = self.transform.size();
        let pixels = TensorData::new(numbers, [count, 3, height, width]);
        let pixels = Tensor::from_data(pixels, &self.device);
        rows(match &self.model {
            Model::Vit(model) => model.forward(pixels),
            Model::Eva(model) => model.forward(pixels),
            Model::ResNet(model) => model.forward(pixels),
            Model::EfficientNet(model) => model.forward(pixels),
        })
    }

    fn batches(&self) -> Batches {
        let [height, width] = self.transform.size();
        let most = if self.spec.is_on_card() {
            PIXELS_PER_LAUNCH
        } else {
            PIXELS_PER_JOB
        };
        Batches::on(self.spec, (most / (height * width)).max(1))
    }
}
