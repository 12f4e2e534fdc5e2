//! The head of the original system, and the recipe that trained it: `src/t08_train.py` of
//! `DistilledCode/mmrl`, at its last commit (95bdc9a).
//!
//! It is kept to be measured against. Layers of 2048, 512, 256 and 128 numbers, each with batch
//! normalisation and a rectifier, see the vectors as the encoders gave them; Adam's learning rate of
//! 1e-4 is multiplied with 0.4 after every step, which its author took for every pass. After some
//! twenty steps no weight changes any more, and only the means and variances of the layers do.

use burn::{
    module::{Module, Param},
    nn::{Linear, LinearConfig},
    optim::{AdamConfig, GradientsParams},
    tensor::{Device, Tensor, TensorData, activation::relu},
};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{
    fusion::{numbers, parameter},
    network::Dense,
    training::Task,
};
use crate::learning::{
    Error, TrainSettings,
    design::{Designed, VectorColumns},
    seeds,
    watch::{Progress, Watch},
};

const WIDTHS: [usize; 4] = [2048, 512, 256, 128];
const EPOCHS: usize = 5;
const BATCH: usize = 32;
const RATE: f64 = 1e-4;
const DECAY: f64 = 0.4;
/// What the squares of the weights of all layers but the last are multiplied with.
const L2: f64 = 2e-4;
/// What is added to a variance, and how much of a running mean stays at each step.
const EPSILON: f64 = 1e-3;
const MOMENTUM: f32 = 0.99;
/// At a lower rate no weight changes: a step is at most a few rates long, and a weight of 1e-4 has no
/// shorter step.
const LEAST_RATE: f64 = 1e-12;
/// Running means have forgotten (0.99^1000) what was longer ago than so many steps. Steps before
/// them that change no weight are left out.
const REMEMBERED: usize = 1000;

/// The trained network as plain numbers: normalisation and the scale of the inputs are in the weights.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mmrl {
    /// A rectifier stands between two.
    layers: Vec<Dense>,
}

impl Mmrl {
    /// A network of zeros, to be filled.
    pub(super) fn zeros(inputs: usize) -> Self {
        let mut layers = Vec::new();
        let mut before = inputs;
        for width in WIDTHS.into_iter().chain([1]) {
            layers.push(Dense::zeros(before, width));
            before = width;
        }
        Self { layers }
    }

    /// The values for the rows at `rows`.
    pub(crate) fn predict_all(&self, design: &Designed, rows: &[usize]) -> Vec<f64> {
        let value = |rows: &[usize]| {
            let mut state: Vec<Vec<f32>> = Vec::new();
            for (at, layer) in self.layers.iter().enumerate() {
                let inputs: Vec<&[f32]> = if at == 0 {
                    rows.iter().map(|&row| design.row(row)).collect()
                } else {
                    state.iter_mut().for_each(|row| rectify(row));
                    state.iter().map(Vec::as_slice).collect()
                };
                state = layer.apply_rows(&inputs);
            }
            state
                .into_iter()
                .map(|row| f64::from(row[0]))
                .collect::<Vec<_>>()
        };
        rows.par_chunks(BATCH).flat_map_iter(value).collect()
    }

    /// Every tensor with its name, for saving and loading.
    pub(super) fn tensors_mut(&mut self) -> Vec<(String, &mut Vec<f32>)> {
        let layers = self.layers.iter_mut().enumerate();
        layers
            .flat_map(|(at, layer)| {
                [
                    (format!("mmrl.{at}.weight"), &mut layer.weight),
                    (format!("mmrl.{at}.bias"), &mut layer.bias),
                ]
            })
            .collect()
    }
}

fn rectify(row: &mut [f32]) {
    for value in row {
        *value = value.max(0.0);
    }
}

/// A layer in training.
#[derive(Module, Debug)]
struct Layer {
    linear: Linear,
    gamma: Param<Tensor<1>>,
    beta: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Network {
    layers: Vec<Layer>,
    last: Linear,
}

/// The mean and the variance of one layer's outputs over a batch.
type Moments = (Tensor<1>, Tensor<1>);

impl Network {
    fn random(inputs: usize, device: &Device, generator: &mut ChaCha8Rng) -> Self {
        let mut before = inputs;
        let mut layer = |width| {
            let linear = glorot(before, width, device, generator);
            before = width;
            linear
        };
        let layers = WIDTHS.map(|width| Layer {
            linear: layer(width),
            gamma: parameter(&vec![1.0; width], [width], device),
            beta: parameter(&vec![0.0; width], [width], device),
        });
        Self {
            layers: layers.into(),
            last: layer(1),
        }
    }

    /// The outputs `[batch, 1]` of inputs `[batch, width]`, with what each layer was normalised by.
    fn forward(&self, inputs: Tensor<2>) -> (Tensor<2>, Vec<Moments>) {
        let mut moments = Vec::with_capacity(self.layers.len());
        let mut state = inputs;
        for layer in &self.layers {
            let out = layer.linear.forward(state);
            let mean = out.clone().mean_dim(0);
            let centred = out - mean.clone();
            let variance = (centred.clone() * centred.clone()).mean_dim(0);
            let scale = (variance.clone() + EPSILON).sqrt().recip();
            let gamma = layer.gamma.val().unsqueeze::<2>();
            let beta = layer.beta.val().unsqueeze::<2>();
            state = relu(centred * scale * gamma + beta);
            moments.push((mean.squeeze_dim(0), variance.squeeze_dim(0)));
        }
        (self.last.forward(state), moments)
    }

    /// What large weights cost.
    fn penalty(&self) -> Tensor<1> {
        let squares = self.layers.iter().map(|layer| {
            let weight = layer.linear.weight.val();
            (weight.clone() * weight).sum()
        });
        let sum = squares.reduce(|sum, squares| sum + squares);
        sum.expect("there are four layers") * L2
    }
}

/// Weights as Keras draws them (Glorot and Bengio 2010), and no bias.
fn glorot(inputs: usize, outputs: usize, device: &Device, generator: &mut ChaCha8Rng) -> Linear {
    let bound = (6.0 / (inputs + outputs) as f32).sqrt();
    let weights: Vec<f32> = (0..inputs * outputs)
        .map(|_| (2.0 * generator.random::<f32>() - 1.0) * bound)
        .collect();
    let mut linear = LinearConfig::new(inputs, outputs).init(device);
    linear.weight = parameter(&weights, [inputs, outputs], device);
    linear.bias = Some(parameter(&vec![0.0; outputs], [outputs], device));
    linear
}

/// The running mean and variance of a layer.
struct Running {
    mean: Vec<f32>,
    variance: Vec<f32>,
}

impl Running {
    fn new(width: usize) -> Self {
        Self {
            mean: vec![0.0; width],
            variance: vec![1.0; width],
        }
    }

    fn take(&mut self, (mean, variance): Moments) {
        for (kept, new) in [(&mut self.mean, mean), (&mut self.variance, variance)] {
            for (kept, new) in kept.iter_mut().zip(numbers(new)) {
                *kept = MOMENTUM * *kept + (1.0 - MOMENTUM) * new;
            }
        }
    }
}

/// Trains the original's network on the vectors of a design, by the original's recipe.
///
/// A row without one of the vectors has the mean of the others; the original left such rows out.
///
/// # Errors
///
/// [`Error::Cancelled`]; [`Error::Schema`] where there is no vector to learn from;
/// [`Error::Numerics`] where the loss is not finite.
pub(crate) fn train_mmrl(
    task: &Task<'_>,
    vectors: &[VectorColumns<'_>],
    settings: &TrainSettings,
    device: &Device,
    watch: &dyn Watch,
) -> Result<Mmrl, Error> {
    let width = vectors.iter().map(|vector| vector.mean.len()).sum();
    if width == 0 {
        return Err(Error::Schema(
            "the head `mmrl` learns from vectors alone, and there are none".to_owned(),
        ));
    }
    watch.progress(&Progress::Stage("the original's recipe".to_owned()));
    let mut generator = seeds::generator(settings.seed, "mmrl");
    let training = device.clone().autodiff();
    let mut network = Network::random(width, &training, &mut generator);
    let mut adam = AdamConfig::new().with_epsilon(1e-7).init();
    let mut running = WIDTHS.map(Running::new);
    let (rows, targets) = (task.train.rows, task.train.targets);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let steps = rows.len().div_ceil(BATCH) * EPOCHS;
    let mut step = 0;
    for epoch in 0..EPOCHS {
        seeds::shuffle(&mut order, &mut generator);
        for chunk in order.chunks(BATCH) {
            if watch.cancelled() {
                return Err(Error::Cancelled);
            }
            let steps_at_rate = if settings.decay_per_step { step } else { epoch };
            let rate = RATE * DECAY.powi(i32::try_from(steps_at_rate).unwrap_or(i32::MAX));
            step += 1;
            let learns = rate >= LEAST_RATE;
            if !learns && step + REMEMBERED < steps {
                continue;
            }
            let places = chunk.iter().map(|&at| rows[at]);
            let inputs = gather(task.design, vectors, places, width, device);
            let (output, moments) = network.forward(inputs);
            for (running, moments) in running.iter_mut().zip(moments) {
                running.take(moments);
            }
            if !learns {
                continue;
            }
            let wanted: Vec<f32> = chunk.iter().map(|&at| targets[at] as f32).collect();
            let wanted = Tensor::from_data(TensorData::new(wanted, [chunk.len(), 1]), device);
            let miss = output - wanted;
            let loss = (miss.clone() * miss).mean() + network.penalty();
            if !numbers(loss.clone().inner())[0].is_finite() {
                return Err(Error::Numerics(format!(
                    "the loss of step {step} of the original's recipe is not finite"
                )));
            }
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = adam.step(rate, network, gradients);
        }
    }
    Ok(folded(&network, &running, vectors, task.design.width))
}

/// The vectors of some rows as the encoders gave them, `[rows, width]`.
fn gather(
    design: &Designed,
    vectors: &[VectorColumns<'_>],
    rows: impl ExactSizeIterator<Item = usize>,
    width: usize,
    device: &Device,
) -> Tensor<2> {
    let count = rows.len();
    let mut values = Vec::with_capacity(count * width);
    for row in rows {
        let row = design.row(row);
        for vector in vectors {
            let scaled = &row[vector.start..vector.start + vector.mean.len()];
            let raw = scaled.iter().zip(vector.mean).zip(vector.inverse);
            values.extend(raw.map(|((scaled, mean), inverse)| {
                if *inverse > 0.0 {
                    mean + scaled / inverse
                } else {
                    *mean
                }
            }));
        }
    }
    Tensor::from_data(TensorData::new(values, [count, width]), device)
}

/// The same network on the columns of the design, with the normalisation in the weights.
fn folded(
    network: &Network,
    running: &[Running],
    vectors: &[VectorColumns<'_>],
    columns: usize,
) -> Mmrl {
    let mut mmrl = Mmrl::zeros(columns);
    let (last, layers) = mmrl.layers.split_last_mut().expect("there are five");
    fill(last, &network.last);
    for (at, ((plain, layer), running)) in layers
        .iter_mut()
        .zip(&network.layers)
        .zip(running)
        .enumerate()
    {
        if at == 0 {
            fill_first(plain, &layer.linear, vectors);
        } else {
            fill(plain, &layer.linear);
        }
        let (gamma, beta) = (numbers(layer.gamma.val()), numbers(layer.beta.val()));
        let scales: Vec<f32> = gamma
            .iter()
            .zip(&running.variance)
            .map(|(gamma, variance)| gamma / (variance + EPSILON as f32).sqrt())
            .collect();
        for weights in plain.weight.chunks_exact_mut(plain.outputs) {
            for (weight, scale) in weights.iter_mut().zip(&scales) {
                *weight *= scale;
            }
        }
        let shifts = running.mean.iter().zip(&scales).zip(&beta);
        for (bias, ((mean, scale), beta)) in plain.bias.iter_mut().zip(shifts) {
            *bias = (*bias - mean) * scale + beta;
        }
    }
    mmrl
}

fn bias_of(linear: &Linear) -> Vec<f32> {
    let bias = linear.bias.as_ref().expect("every layer was given a bias");
    numbers(bias.val())
}

fn fill(plain: &mut Dense, linear: &Linear) {
    plain.weight = numbers(linear.weight.val());
    plain.bias = bias_of(linear);
}

/// The first layer sees vectors as they came; a design holds them standardised, among others.
fn fill_first(plain: &mut Dense, linear: &Linear, vectors: &[VectorColumns<'_>]) {
    let weights = numbers(linear.weight.val());
    plain.bias = bias_of(linear);
    let outputs = plain.outputs;
    let mut raw = weights.chunks_exact(outputs);
    for vector in vectors {
        let columns = vector.mean.iter().zip(vector.inverse).enumerate();
        for ((at, (mean, inverse)), weights) in columns.zip(&mut raw) {
            for (bias, weight) in plain.bias.iter_mut().zip(weights) {
                *bias += weight * mean;
            }
            if *inverse > 0.0 {
                let start = (vector.start + at) * outputs;
                let scaled = &mut plain.weight[start..start + outputs];
                for (scaled, weight) in scaled.iter_mut().zip(weights) {
                    *scaled = weight / inverse;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `gamma · (x·W + b − mean) / √(variance + ε) + beta`, rectified, layer by layer.
    fn by_definition(network: &Network, running: &[Running], raw: &[f32]) -> f64 {
        let dense = |linear: &Linear, input: &[f64]| -> Vec<f64> {
            let weights = numbers(linear.weight.val());
            let mut out: Vec<f64> = bias_of(linear).into_iter().map(f64::from).collect();
            for (value, weights) in input.iter().zip(weights.chunks_exact(out.len())) {
                for (sum, weight) in out.iter_mut().zip(weights) {
                    *sum += value * f64::from(*weight);
                }
            }
            out
        };
        let mut state: Vec<f64> = raw.iter().map(|&value| f64::from(value)).collect();
        for (layer, running) in network.layers.iter().zip(running) {
            let (gamma, beta) = (numbers(layer.gamma.val()), numbers(layer.beta.val()));
            state = dense(&layer.linear, &state);
            for (at, value) in state.iter_mut().enumerate() {
                let [mean, variance] = [running.mean[at], running.variance[at]].map(f64::from);
                let normal = (*value - mean) / (variance + EPSILON).sqrt();
                *value = (f64::from(gamma[at]) * normal + f64::from(beta[at])).max(0.0);
            }
        }
        dense(&network.last, &state)[0]
    }

    #[test]
    fn what_is_folded_computes_what_was_trained() {
        let device = Device::flex();
        let mut generator = seeds::generator(3, "test");
        let mut network = Network::random(5, &device, &mut generator);
        let mut draw = |count: usize, least: f32| -> Vec<f32> {
            (0..count)
                .map(|_| least + generator.random::<f32>())
                .collect()
        };
        let mut running = Vec::new();
        for (layer, width) in network.layers.iter_mut().zip(WIDTHS) {
            layer.gamma = parameter(&draw(width, 0.5), [width], &device);
            layer.beta = parameter(&draw(width, -0.5), [width], &device);
            running.push(Running {
                mean: draw(width, -0.5),
                variance: draw(width, 0.2),
            });
        }
        // A group of other numbers lies before, between and behind the vectors; one column of the
        // second is constant.
        let (mean, inverse) = ([0.5, -1.0, 2.0, 0.0, 7.0], [2.0, 0.25, 1.0, 4.0, 0.0]);
        let vectors = [(1, 0..2), (4, 2..5)].map(|(start, of)| VectorColumns {
            start,
            mean: &mean[of.clone()],
            inverse: &inverse[of],
        });
        let rows = 3;
        let design = Designed {
            rows,
            width: 8,
            values: draw(rows * 8, -0.5),
        };
        let folded = folded(&network, &running, &vectors, design.width);
        let found = folded.predict_all(&design, &[0, 1, 2]);
        for (row, found) in found.into_iter().enumerate() {
            let places = [1, 2, 4, 5, 6].into_iter().zip(mean.iter().zip(&inverse));
            let raw: Vec<f32> = places
                .map(|(at, (mean, inverse))| match *inverse {
                    0.0 => *mean,
                    inverse => mean + design.row(row)[at] / inverse,
                })
                .collect();
            let expected = by_definition(&network, &running, &raw);
            assert!(
                (found - expected).abs() < 1e-4 * expected.abs().max(1.0),
                "{found} {expected}"
            );
            let gathered = gather(&design, &vectors, [row].into_iter(), 5, &device);
            assert_eq!(numbers(gathered), raw);
        }
    }
}
