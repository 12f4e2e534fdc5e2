//! A checkpoint → the network: normalisations disappear into the convolutions.

use burn::tensor::Device;

use super::{
    checkpoint::Checkpoint,
    model::{Block, Convolution, EfficientNet},
    stages::{EPSILON, blocks},
};

impl EfficientNet {
    /// The network on `device`.
    pub(super) fn fold(checkpoint: Checkpoint, device: &Device) -> Self {
        let Checkpoint {
            stem,
            blocks: parts,
            head,
            ..
        } = checkpoint;
        Self {
            stem: Convolution::new(stem.fold(EPSILON), 2, 1, device),
            blocks: blocks()
                .into_iter()
                .zip(parts)
                .map(|(shape, part)| Block {
                    expand: part
                        .expand
                        .map(|expand| Convolution::new(expand.fold(EPSILON), 1, 1, device)),
                    depthwise: Convolution::new(
                        part.depthwise.fold(EPSILON),
                        shape.stride,
                        shape.wide(),
                        device,
                    ),
                    project: Convolution::new(part.project.fold(EPSILON), 1, 1, device),
                    shape,
                })
                .collect(),
            head: Convolution::new(head.fold(EPSILON), 1, 1, device),
        }
    }
}
