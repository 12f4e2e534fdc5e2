//! The shape of EfficientNet-Lite0.

/// One block: widen, filter each channel, narrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockShape {
    /// Channels in.
    pub input: usize,
    /// How many times wider the filtered channels are; with 1 nothing is widened.
    pub expansion: usize,
    /// The side of the filter.
    pub kernel: usize,
    /// The step of the filter.
    pub stride: usize,
    /// Channels out.
    pub output: usize,
}

impl BlockShape {
    /// The channels that are filtered.
    pub(super) const fn wide(self) -> usize {
        self.input * self.expansion
    }

    /// Whether the input is added to the output.
    pub(super) const fn is_residual(self) -> bool {
        self.stride == 1 && self.input == self.output
    }
}

/// Channels after the first convolution.
pub(super) const STEM: usize = 32;
/// Channels after the last convolution: the length of the feature vector.
pub(in crate::encoders) const FEATURES: usize = 1280;
/// The classes of ImageNet-1k.
pub(super) const CLASSES: usize = 1000;
/// The epsilon of the batch normalisations.
pub(super) const EPSILON: f64 = 1e-3;

/// Repeats, kernel, stride of the first, expansion, channels out.
pub(super) const STAGES: [[usize; 5]; 7] = [
    [1, 3, 1, 1, 16],
    [2, 3, 2, 6, 24],
    [2, 5, 2, 6, 40],
    [3, 3, 2, 6, 80],
    [3, 5, 1, 6, 112],
    [4, 5, 2, 6, 192],
    [1, 3, 1, 6, 320],
];

/// The blocks from the picture to the features.
pub(super) fn blocks() -> Vec<BlockShape> {
    let mut input = STEM;
    let mut blocks = Vec::new();
    for [repeats, kernel, stride, expansion, output] in STAGES {
        for repeat in 0..repeats {
            let stride = if repeat == 0 { stride } else { 1 };
            blocks.push(BlockShape {
                input,
                expansion,
                kernel,
                stride,
                output,
            });
            input = output;
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_blocks_end_in_320_channels() {
        let blocks = blocks();
        assert_eq!(blocks.len(), 16);
        assert_eq!(blocks[15].output, 320);
        assert_eq!(blocks.iter().filter(|block| block.is_residual()).count(), 9);
        assert_eq!(
            blocks.iter().map(|block| block.stride).product::<usize>(),
            16
        );
    }
}
