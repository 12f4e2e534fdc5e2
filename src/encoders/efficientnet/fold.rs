//! A checkpoint → the network: normalisations disappear into the convolutions.

use burn::tensor::Device;

use super::{
    checkpoint::Checkpoint,
    model::{Block, Convolution, EfficientNet, Padding},
    stages::{EPSILON, blocks},
};
use crate::encoders::{maps::MapPool, normalized::Normalized};

impl EfficientNet {
    /// The network on `device`.
    pub(super) fn fold(checkpoint: Checkpoint, device: &Device) -> Self {
        let Checkpoint {
            stem,
            blocks: parts,
            head,
            ..
        } = checkpoint;
        let convolution = |part: &Normalized, stride, groups| {
            Convolution::new(part.fold(EPSILON), stride, groups, Padding::Same, device)
        };
        Self {
            stem: convolution(&stem, 2, 1),
            blocks: blocks()
                .into_iter()
                .zip(parts)
                .map(|(shape, part)| Block {
                    expand: part.expand.as_ref().map(|part| convolution(part, 1, 1)),
                    depthwise: convolution(&part.depthwise, shape.stride, shape.wide()),
                    project: convolution(&part.project, 1, 1),
                    shape,
                })
                .collect(),
            head: convolution(&head, 1, 1),
            pool: MapPool::Mean,
        }
    }
}
