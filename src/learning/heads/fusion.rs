//! The fusion network as a Burn module, and what drops out of it in training.

use burn::{
    module::{Module, Param},
    nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{Device, Tensor, TensorData, activation::gelu},
};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::{
    attention::GatedAttention,
    network::{Dense, EPSILON, Network, Norm, Residual},
};
use crate::learning::{TrainSettings, design::Group, kinds::FusionKind};

/// The network as a Burn module; see [`Network`] for what it computes.
#[derive(Module, Debug)]
pub(super) struct Fusion {
    encoders: Vec<Encoder>,
    attention: Option<GatedAttention>,
    mix: Linear,
    blocks: Vec<Block>,
    norm: LayerNorm,
    last: Linear,
}

#[derive(Module, Debug)]
struct Encoder {
    linear: Linear,
    norm: LayerNorm,
}

#[derive(Module, Debug)]
struct Block {
    norm: LayerNorm,
    up: Linear,
    down: Linear,
}

/// What is multiplied with activations in a training step; drawn from a generator of our own.
pub(super) struct Masks {
    /// Per group `[batch, width]`.
    inputs: Vec<Tensor<2>>,
    /// `[batch, groups × hidden]`: whole groups and single activations.
    joined: Tensor<2>,
    /// `[batch, groups]`: 0 for a whole group that is left out; only where there is an attention.
    whole: Option<Tensor<2>>,
    /// Per block `[batch, 2 × hidden]`.
    blocks: Vec<Tensor<2>>,
}

impl Fusion {
    /// # Shapes
    ///
    /// - inputs: per group `[batch, width]`
    /// - present: `[batch, groups]`, 1 where a row has the group, else 0; only an attention asks
    /// - output: `[batch, 1]`, or 3 with the ends of an interval
    pub(super) fn forward(
        &self,
        inputs: Vec<Tensor<2>>,
        mut present: Option<Tensor<2>>,
        masks: Option<Masks>,
    ) -> Tensor<2> {
        let (inputs, joined_mask, block_masks) = match masks {
            Some(masks) => {
                let masked = inputs.into_iter().zip(masks.inputs);
                let kept = present.zip(masks.whole);
                present = kept.map(|(present, whole)| present * whole);
                (
                    masked.map(|(x, mask)| x * mask).collect(),
                    Some(masks.joined),
                    masks.blocks.into_iter().map(Some).collect(),
                )
            }
            None => (inputs, None, vec![None; self.blocks.len()]),
        };
        let encoded = self
            .encoders
            .iter()
            .zip(inputs)
            .map(|(encoder, x): (&Encoder, Tensor<2>)| {
                gelu(encoder.norm.forward(encoder.linear.forward(x)))
            })
            .collect();
        let mut joined = Tensor::cat(encoded, 1);
        if let Some(mask) = joined_mask {
            joined = joined * mask;
        }
        if let (Some(attention), Some(present)) = (&self.attention, present) {
            joined = attention.forward(joined, present);
        }
        let mut state = self.mix.forward(joined);
        for (block, mask) in self.blocks.iter().zip(block_masks) {
            let mut wide = gelu(block.up.forward(block.norm.forward(state.clone())));
            if let Some(mask) = mask {
                wide = wide * mask;
            }
            state = state + block.down.forward(wide);
        }
        self.last.forward(self.norm.forward(state))
    }

    pub(super) fn from_plain(network: &Network, device: &Device) -> Self {
        Self {
            encoders: network
                .encoders
                .iter()
                .map(|(dense, norm)| Encoder {
                    linear: linear(dense, device),
                    norm: layer_norm(norm, device),
                })
                .collect(),
            attention: network
                .attention
                .as_ref()
                .map(|plain| GatedAttention::from_plain(plain, device)),
            mix: linear(&network.mix, device),
            blocks: network
                .blocks
                .iter()
                .map(|block| Block {
                    norm: layer_norm(&block.norm, device),
                    up: linear(&block.up, device),
                    down: linear(&block.down, device),
                })
                .collect(),
            norm: layer_norm(&network.norm, device),
            last: linear(&network.last, device),
        }
    }

    pub(super) fn to_plain(&self) -> Network {
        Network {
            encoders: self
                .encoders
                .iter()
                .map(|encoder| (dense(&encoder.linear), norm(&encoder.norm)))
                .collect(),
            attention: self.attention.as_ref().map(GatedAttention::to_plain),
            mix: dense(&self.mix),
            blocks: self
                .blocks
                .iter()
                .map(|block| Residual {
                    norm: norm(&block.norm),
                    up: dense(&block.up),
                    down: dense(&block.down),
                })
                .collect(),
            norm: norm(&self.norm),
            last: dense(&self.last),
        }
    }
}

pub(super) fn parameter<const D: usize>(
    values: &[f32],
    shape: [usize; D],
    device: &Device,
) -> Param<Tensor<D>> {
    Param::from_data(TensorData::new(values.to_vec(), shape), device)
}

pub(super) fn linear(dense: &Dense, device: &Device) -> Linear {
    let mut linear = LinearConfig::new(dense.inputs, dense.outputs).init(device);
    linear.weight = parameter(&dense.weight, [dense.inputs, dense.outputs], device);
    linear.bias = Some(parameter(&dense.bias, [dense.outputs], device));
    linear
}

fn layer_norm(norm: &Norm, device: &Device) -> LayerNorm {
    let width = norm.gamma.len();
    let mut layer = LayerNormConfig::new(width)
        .with_epsilon(f64::from(EPSILON))
        .init(device);
    layer.gamma = parameter(&norm.gamma, [width], device);
    layer.beta = Some(parameter(&norm.beta, [width], device));
    layer
}

pub(super) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let data = tensor.into_data().convert::<f32>();
    data.try_into_vec().expect("the data were converted to f32")
}

pub(super) fn dense(linear: &Linear) -> Dense {
    let [inputs, outputs] = linear.weight.val().dims();
    let bias = linear.bias.as_ref();
    Dense {
        inputs,
        outputs,
        weight: numbers(linear.weight.val()),
        bias: bias.map_or_else(|| vec![0.0; outputs], |bias| numbers(bias.val())),
    }
}

fn norm(layer: &LayerNorm) -> Norm {
    let gamma = numbers(layer.gamma.val());
    let beta = layer.beta.as_ref();
    Norm {
        beta: beta.map_or_else(|| vec![0.0; gamma.len()], |beta| numbers(beta.val())),
        gamma,
    }
}

impl Masks {
    pub(super) fn draw(
        groups: &[Group],
        settings: &TrainSettings,
        batch: usize,
        device: &Device,
        generator: &mut ChaCha8Rng,
    ) -> Self {
        let hidden = settings.hidden;
        let tensor =
            |values, width| Tensor::from_data(TensorData::new(values, [batch, width]), device);
        let inputs = groups
            .iter()
            .map(|group| {
                // Few columns are all needed; a vector of many is redundant.
                let rate = if group.width >= 64 {
                    settings.input_dropout
                } else {
                    0.0
                };
                tensor(mask(batch * group.width, rate, generator), group.width)
            })
            .collect();
        let mut joined = mask(batch * groups.len() * hidden, settings.dropout, generator);
        let whole = mask(batch * groups.len(), settings.modality_dropout, generator);
        for (values, keep) in joined.chunks_mut(hidden).zip(&whole) {
            values.iter_mut().for_each(|value| *value *= keep);
        }
        let is_left = |keep: &f32| if *keep > 0.0 { 1.0_f32 } else { 0.0 };
        let whole = (settings.fusion == FusionKind::Attention)
            .then(|| tensor(whole.iter().map(is_left).collect(), groups.len()));
        let blocks = (0..settings.residual_blocks)
            .map(|_| {
                tensor(
                    mask(batch * 2 * hidden, settings.dropout, generator),
                    2 * hidden,
                )
            })
            .collect();
        Self {
            inputs,
            joined: tensor(joined, groups.len() * hidden),
            whole,
            blocks,
        }
    }
}

/// `count` numbers that are 0 with probability `rate`, else as much above 1 as keeps the mean.
fn mask(count: usize, rate: f64, generator: &mut ChaCha8Rng) -> Vec<f32> {
    if rate <= 0.0 {
        return vec![1.0; count];
    }
    let keep = (1.0 / (1.0 - rate)) as f32;
    let limit = (rate * 65_536.0) as u16;
    // Whole words: how much is drawn does not depend on how it is drawn.
    let mut bytes = vec![0; count.div_ceil(2) * 4];
    generator.fill_bytes(&mut bytes);
    let halves = bytes.as_chunks::<2>().0.iter().take(count);
    halves
        .map(|half| match u16::from_le_bytes(*half) {
            low if low < limit => 0.0,
            _ => keep,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;
    use crate::{
        encoders::device_support,
        learning::{
            heads::{attention::is_present, network::Shape},
            seeds,
        },
    };

    /// What `tests/reference/fusion.py` wrote: the groups' widths, the hidden width, the blocks.
    const MIX: &[u8] = include_bytes!("../../../tests/fixtures/fusion.safetensors");
    const ATTENTION: &[u8] = include_bytes!("../../../tests/fixtures/fusion_attention.safetensors");
    const WIDTHS: [usize; 3] = [3, 7, 1];
    const HIDDEN: usize = 5;
    const BLOCKS: usize = 2;

    fn read(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
        let (numbers, rest) = file.tensor(name).unwrap().data().as_chunks::<4>();
        assert!(rest.is_empty());
        numbers
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect()
    }

    fn groups() -> [Group; 3] {
        let mut start = 0;
        WIDTHS.map(|width| {
            start += width;
            Group {
                name: String::new(),
                start: start - width,
                width,
            }
        })
    }

    #[test]
    fn computes_what_pytorch_does_by_row_and_on_every_device() {
        compare(MIX, false);
        compare(ATTENTION, true);
    }

    fn compare(fixture: &[u8], attention: bool) {
        let file = SafeTensors::deserialize(fixture).unwrap();
        let mut generator = seeds::generator(0, "test");
        let shape = Shape {
            hidden: HIDDEN,
            blocks: BLOCKS,
            attention,
            quantiles: false,
        };
        let mut network = Network::random(&groups(), shape, &mut generator);
        for (name, values) in network.tensors_mut() {
            let expected = read(&file, &name);
            assert_eq!(values.len(), expected.len(), "{name}");
            *values = expected;
        }
        let (rows, expected) = (read(&file, "rows"), read(&file, "expected"));
        let width: usize = WIDTHS.iter().sum();
        let is_close = |found: f64, expected: f32, by: &str| {
            assert!(
                (found - f64::from(expected)).abs() < 1e-5,
                "{by}: {found} is not {expected}"
            );
        };
        let rows: Vec<&[f32]> = rows.chunks_exact(width).collect();
        let one_by_one = rows.iter().flat_map(|&row| network.predict_rows(&[row]));
        let one_by_one: Vec<_> = one_by_one.collect();
        assert_eq!(network.predict_rows(&rows), one_by_one);
        for (found, expected) in one_by_one.iter().zip(&expected) {
            is_close(found.value, *expected, "by row");
        }
        for support in device_support().iter().filter(|support| support.usable) {
            let device = support.device.open().unwrap();
            let inputs = groups()
                .iter()
                .map(|group| {
                    let columns = group.start..group.start + group.width;
                    let values: Vec<f32> = rows
                        .iter()
                        .flat_map(|row| &row[columns.clone()])
                        .copied()
                        .collect();
                    let shape = [expected.len(), group.width];
                    Tensor::from_data(TensorData::new(values, shape), &device)
                })
                .collect();
            let present: Vec<f32> = rows
                .iter()
                .flat_map(|row| groups().map(|of| &row[of.start..of.start + of.width]))
                .map(|columns| f32::from(u8::from(is_present(columns))))
                .collect();
            let shape = [expected.len(), WIDTHS.len()];
            let present = Tensor::from_data(TensorData::new(present, shape), &device);
            let model = Fusion::from_plain(&network, &device);
            let found = numbers(model.forward(inputs, Some(present), None));
            for (found, expected) in found.iter().zip(&expected) {
                is_close(f64::from(*found), *expected, &support.device.to_string());
            }
        }
    }
}
