//! The same network for processors: channels last, activations fused, one picture at a time.
//!
//! Flex computes convolutions with the channels first. On the small maps of the later stages (7 or
//! 14 pixels a row) its filters then work on runs too short for SIMD, and every bias and every
//! activation is one more pass through memory: 60 ms of one core for one picture. With the channels
//! last the inner loops run over 32 to 1152 neighbours, the pointwise convolutions are plain
//! products of matrices (which stay Burn's), and a filter adds its bias and cuts its result before
//! it is written.

use burn::tensor::{Device, Tensor, TensorData};

use super::{
    SIDE,
    checkpoint::Checkpoint,
    model::same,
    stages::{BlockShape, EPSILON, blocks},
};
use crate::encoders::{ImageError, normalized::Folded};

/// The channels that a filter's inner loop holds in registers; divides every width that is
/// filtered.
const LANES: usize = 16;

/// EfficientNet-Lite without its classifier, on Flex.
#[derive(Debug)]
pub(in crate::encoders) struct ChannelsLast {
    stem: Stem,
    blocks: Vec<Block>,
    head: Pointwise,
}

/// One block: widen, filter each channel, narrow.
#[derive(Debug)]
struct Block {
    expand: Option<Pointwise>,
    depthwise: Depthwise,
    project: Pointwise,
    shape: BlockShape,
}

/// A square picture or its features: `[side * side, channels]`, row-major.
struct Map {
    values: Vec<f32>,
    side: usize,
}

/// A convolution of one pixel: a product of matrices.
#[derive(Debug)]
struct Pointwise {
    /// `[in, out]`
    weight: Tensor<2>,
    /// `[out]`
    bias: Vec<f32>,
}

/// A filter on each channel alone.
#[derive(Debug)]
struct Depthwise {
    /// `[kernel * kernel, channels]`, row-major.
    weight: Vec<f32>,
    /// `[channels]`
    bias: Vec<f32>,
    kernel: usize,
    stride: usize,
}

/// The first convolution: every second 3 × 3 × 3 cube of the picture becomes one row of a matrix.
#[derive(Debug)]
struct Stem(Pointwise);

impl ChannelsLast {
    /// The network with the normalisations folded into the convolutions.
    pub(super) fn fold(checkpoint: Checkpoint) -> Self {
        let Checkpoint {
            stem,
            blocks: parts,
            head,
            ..
        } = checkpoint;
        Self {
            stem: Stem::new(stem.fold(EPSILON)),
            blocks: blocks()
                .into_iter()
                .zip(parts)
                .map(|(shape, part)| Block {
                    expand: part
                        .expand
                        .map(|expand| Pointwise::new(expand.fold(EPSILON))),
                    depthwise: Depthwise::new(part.depthwise.fold(EPSILON), shape),
                    project: Pointwise::new(part.project.fold(EPSILON)),
                    shape,
                })
                .collect(),
            head: Pointwise::new(head.fold(EPSILON)),
        }
    }

    /// The pooled features of one picture.
    ///
    /// # Shapes
    /// - pixels: `[SIDE * SIDE, 3]`, row-major
    /// - output: `[FEATURES]`
    pub(in crate::encoders) fn forward(&self, pixels: &[f32]) -> Result<Vec<f32>, ImageError> {
        let mut map = self.stem.forward(pixels)?;
        for block in &self.blocks {
            map = block.forward(map)?;
        }
        let mut features = self.head.forward(map)?;
        self.head.add_bias_and_cut(&mut features);
        Ok(mean(&features.values, self.head.bias.len()))
    }
}

impl Block {
    fn forward(&self, map: Map) -> Result<Map, ImageError> {
        let residual = self.shape.is_residual().then(|| map.values.clone());
        let wide = match &self.expand {
            Some(expand) => {
                let mut wide = expand.forward(map)?;
                expand.add_bias_and_cut(&mut wide);
                wide
            }
            None => map,
        };
        let mut narrow = self.project.forward(self.depthwise.forward(&wide))?;
        self.project.add_bias(&mut narrow);
        if let Some(residual) = residual {
            for (value, residual) in narrow.values.iter_mut().zip(residual) {
                *value += residual;
            }
        }
        Ok(narrow)
    }
}

impl Pointwise {
    fn new(folded: Folded) -> Self {
        let [outputs, inputs, ..] = folded.shape;
        Self::from_rows(&folded.weight, [outputs, inputs], folded.bias)
    }

    /// `weight` is `[out, in]`, as checkpoints have it.
    fn from_rows(weight: &[f32], [outputs, inputs]: [usize; 2], bias: Vec<f32>) -> Self {
        Self {
            weight: Tensor::from_data(
                TensorData::new(transposed(weight, inputs), [inputs, outputs]),
                &Device::flex(),
            ),
            bias,
        }
    }

    /// The product alone; the bias follows with what else is done to each value.
    fn forward(&self, map: Map) -> Result<Map, ImageError> {
        let [inputs, _] = self.weight.dims();
        let data = TensorData::new(map.values, [map.side * map.side, inputs]);
        let product = Tensor::<2>::from_data(data, &Device::flex()).matmul(self.weight.clone());
        let values = product
            .try_into_vec_as::<f32>()
            .map_err(|error| ImageError::Compute(error.to_string()))?;
        Ok(Map {
            values,
            side: map.side,
        })
    }

    fn add_bias(&self, map: &mut Map) {
        for pixel in map.values.chunks_exact_mut(self.bias.len()) {
            for (value, bias) in pixel.iter_mut().zip(&self.bias) {
                *value += bias;
            }
        }
    }

    fn add_bias_and_cut(&self, map: &mut Map) {
        for pixel in map.values.chunks_exact_mut(self.bias.len()) {
            for (value, bias) in pixel.iter_mut().zip(&self.bias) {
                *value = relu6(*value + bias);
            }
        }
    }
}

impl Depthwise {
    fn new(folded: Folded, shape: BlockShape) -> Self {
        let [channels, _, kernel, _] = folded.shape;
        debug_assert!(channels.is_multiple_of(LANES));
        Self {
            weight: transposed(&folded.weight, kernel * kernel),
            bias: folded.bias,
            kernel,
            stride: shape.stride,
        }
    }

    /// Filter, bias and activation in one go.
    fn forward(&self, map: &Map) -> Map {
        let (channels, kernel, stride) = (self.bias.len(), self.kernel, self.stride);
        let side = map.side.div_ceil(stride);
        let (before, _) = same(map.side, kernel, stride);
        // The part of the filter that lies on the map, where it begins at `start` (less `before`).
        let inside =
            |start: usize| before.saturating_sub(start)..kernel.min(map.side + before - start);
        let mut values = vec![0.0; side * side * channels];
        let (input, _) = map.values.as_chunks::<LANES>();
        let (weight, _) = self.weight.as_chunks::<LANES>();
        let (bias, _) = self.bias.as_chunks::<LANES>();
        let (output, _) = values.as_chunks_mut::<LANES>();
        let groups = channels / LANES;
        for y in 0..side {
            let rows = inside(y * stride);
            for group in 0..groups {
                for x in 0..side {
                    let columns = inside(x * stride);
                    let mut sums = bias[group];
                    for row in rows.clone() {
                        let pixels = (y * stride + row - before) * map.side;
                        for column in columns.clone() {
                            let pixel = pixels + x * stride + column - before;
                            let value = &input[pixel * groups + group];
                            let factor = &weight[(row * kernel + column) * groups + group];
                            for lane in 0..LANES {
                                sums[lane] += value[lane] * factor[lane];
                            }
                        }
                    }
                    output[(y * side + x) * groups + group] = sums.map(relu6);
                }
            }
        }
        Map { values, side }
    }
}

impl Stem {
    fn new(folded: Folded) -> Self {
        let [outputs, inputs, kernel, _] = folded.shape;
        // Checkpoints order a filter by channel, row, column; the cubes below by row, column,
        // channel.
        let area = kernel * kernel;
        let weight: Vec<f32> = folded
            .weight
            .chunks_exact(inputs * area)
            .flat_map(|filter| transposed(filter, area))
            .collect();
        Self(Pointwise::from_rows(
            &weight,
            [outputs, inputs * area],
            folded.bias,
        ))
    }

    fn forward(&self, pixels: &[f32]) -> Result<Map, ImageError> {
        const KERNEL: usize = 3;
        const STRIDE: usize = 2;
        const CHANNELS: usize = 3;
        let side = SIDE.div_ceil(STRIDE);
        let (before, _) = same(SIDE, KERNEL, STRIDE);
        debug_assert_eq!(before, 0);
        let mut cubes = vec![0.0; side * side * KERNEL * KERNEL * CHANNELS];
        for (index, cube) in cubes
            .chunks_exact_mut(KERNEL * KERNEL * CHANNELS)
            .enumerate()
        {
            let (y, x) = (index / side * STRIDE, index % side * STRIDE);
            let width = CHANNELS * KERNEL.min(SIDE - x);
            for (row, run) in cube.chunks_exact_mut(KERNEL * CHANNELS).enumerate() {
                // What lies outside the picture stays zero.
                if y + row < SIDE {
                    let start = ((y + row) * SIDE + x) * CHANNELS;
                    run[..width].copy_from_slice(&pixels[start..start + width]);
                }
            }
        }
        let mut map = self.0.forward(Map {
            values: cubes,
            side,
        })?;
        self.0.add_bias_and_cut(&mut map);
        Ok(map)
    }
}

/// A row-major matrix with `width` columns, turned.
fn transposed(matrix: &[f32], width: usize) -> Vec<f32> {
    (0..width)
        .flat_map(|column| matrix.iter().skip(column).step_by(width))
        .copied()
        .collect()
}

/// The mean over the pixels, per channel.
fn mean(values: &[f32], channels: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f32; channels];
    for pixel in values.chunks_exact(channels) {
        for (sum, value) in sums.iter_mut().zip(pixel) {
            *sum += value;
        }
    }
    let count = (values.len() / channels) as f32;
    for sum in &mut sums {
        *sum /= count;
    }
    sums
}

fn relu6(value: f32) -> f32 {
    value.clamp(0.0, 6.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random and are the same everywhere.
    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * 12.9898).sin()).collect()
    }

    #[test]
    fn filters_as_burn_does() {
        for (side, kernel, stride) in [(7, 3, 1), (8, 3, 2), (7, 5, 1), (14, 5, 2), (9, 5, 2)] {
            let channels = 2 * LANES;
            let shape = BlockShape {
                input: channels,
                expansion: 1,
                kernel,
                stride,
                output: 0,
            };
            let folded = Folded {
                weight: numbers(channels * kernel * kernel),
                shape: [channels, 1, kernel, kernel],
                bias: numbers(channels),
            };
            let map = numbers(side * side * channels);
            let device = Device::flex();
            let tensor = |data: &[f32], shape: [usize; 4]| {
                Tensor::<4>::from_data(TensorData::new(data.to_vec(), shape), &device)
            };
            let (before, after) = same(side, kernel, stride);
            let expected: Vec<f32> = burn::tensor::module::conv2d(
                tensor(&map, [1, side, side, channels]).permute([0, 3, 1, 2]),
                tensor(&folded.weight, folded.shape),
                Some(Tensor::from_data(
                    TensorData::new(folded.bias.clone(), [channels]),
                    &device,
                )),
                burn::tensor::ops::ConvOptions::new_with_padding(
                    [stride; 2],
                    [(before, after); 2],
                    [1, 1],
                    channels,
                ),
            )
            .clamp(0.0, 6.0)
            .permute([0, 2, 3, 1])
            .into_data()
            .try_into_vec()
            .unwrap();
            let found = Depthwise::new(folded, shape).forward(&Map { values: map, side });
            assert_eq!(found.values.len(), expected.len());
            for (found, expected) in found.values.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
            }
        }
    }
}
