//! The weights of a fusion network as plain numbers, and what they compute.
//!
//! Training runs in Burn on any device; a finished network is these numbers. Prediction is done
//! here, so that a row's value depends on no other row, on no batch and no device, and that
//! `predict` starts without one. A test holds it against Burn's own forward pass.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::attention::{Attention, is_present};
use crate::learning::{
    TrainSettings,
    design::{Designed, Group},
    kinds::FusionKind,
};

/// How many rows share the reading of a network's weights.
const ROWS_AT_ONCE: usize = 16;

/// What is added to a variance before its root is taken.
pub(crate) const EPSILON: f32 = 1e-5;

/// A linear layer: `x·W + b`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dense {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// Shape `[inputs, outputs]`, row-major.
    pub(crate) weight: Vec<f32>,
    /// Shape `[outputs]`.
    pub(crate) bias: Vec<f32>,
}

/// Layer normalisation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Norm {
    /// Shape `[width]`.
    pub(crate) gamma: Vec<f32>,
    /// Shape `[width]`.
    pub(crate) beta: Vec<f32>,
}

/// `x + down(gelu(up(norm(x))))`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Residual {
    pub(crate) norm: Norm,
    pub(crate) up: Dense,
    pub(crate) down: Dense,
}

/// What a network is made of, beside the encoders of its groups.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// The width of each encoder and of what follows.
    pub(crate) hidden: usize,
    /// The number of residual blocks.
    pub(crate) blocks: usize,
    /// Whether there is an attention over the groups.
    pub(crate) attention: bool,
    /// Whether it also tells the ends of an interval.
    pub(crate) quantiles: bool,
}

/// What a network says of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Answer {
    /// What is expected.
    pub(crate) value: f64,
    /// How far from it the ends of an interval lie; 0 where the network does not tell.
    pub(crate) spread: [f64; 2],
}

impl Shape {
    pub(crate) fn of(settings: &TrainSettings) -> Self {
        Self {
            hidden: settings.hidden,
            blocks: settings.residual_blocks,
            attention: settings.fusion == FusionKind::Attention,
            quantiles: settings.quantiles,
        }
    }
}

/// One network: each group of columns gets an encoder, their outputs are joined, with what an
/// attention draws from them where there is one, and mixed, residual blocks follow, and a last layer
/// gives one number, or three.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Network {
    /// Per group: linear, layer norm, GELU.
    pub(crate) encoders: Vec<(Dense, Norm)>,
    pub(crate) attention: Option<Attention>,
    pub(crate) mix: Dense,
    pub(crate) blocks: Vec<Residual>,
    pub(crate) norm: Norm,
    pub(crate) last: Dense,
}

impl Dense {
    /// Weights of variance `1 / inputs`, so that outputs of standardised inputs are standard.
    pub(super) fn random(inputs: usize, outputs: usize, generator: &mut ChaCha8Rng) -> Self {
        let bound = (3.0 / inputs.max(1) as f32).sqrt();
        Self {
            inputs,
            outputs,
            weight: (0..inputs * outputs)
                .map(|_| (2.0 * generator.random::<f32>() - 1.0) * bound)
                .collect(),
            bias: vec![0.0; outputs],
        }
    }

    pub(super) fn zeros(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            outputs,
            weight: vec![0.0; inputs * outputs],
            bias: vec![0.0; outputs],
        }
    }

    pub(super) fn apply(&self, input: &[f32]) -> Vec<f32> {
        let mut outputs = self.apply_rows(&[input]);
        outputs.pop().expect("one row has one output")
    }

    /// The outputs of several rows, which read the weights together: each as if it were alone.
    pub(super) fn apply_rows(&self, inputs: &[&[f32]]) -> Vec<Vec<f32>> {
        let mut outputs = vec![self.bias.clone(); inputs.len()];
        for (at, weights) in self.weight.chunks_exact(self.outputs).enumerate() {
            for (input, output) in inputs.iter().zip(&mut outputs) {
                let value = input[at];
                for (sum, weight) in output.iter_mut().zip(weights) {
                    *sum += value * weight;
                }
            }
        }
        outputs
    }
}

impl Norm {
    fn new(width: usize) -> Self {
        Self {
            gamma: vec![1.0; width],
            beta: vec![0.0; width],
        }
    }

    fn apply(&self, input: &[f32]) -> Vec<f32> {
        let count = input.len() as f32;
        let mean = input.iter().sum::<f32>() / count;
        let variance = input.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / count;
        let inverse = (variance + EPSILON).sqrt().recip();
        input
            .iter()
            .zip(self.gamma.iter().zip(&self.beta))
            .map(|(x, (gamma, beta))| (x - mean) * inverse * gamma + beta)
            .collect()
    }
}

impl Network {
    /// A network that gives 0 for every row, ready to learn.
    pub(crate) fn random(groups: &[Group], shape: Shape, generator: &mut ChaCha8Rng) -> Self {
        let hidden = shape.hidden;
        let encoders: Vec<(Dense, Norm)> = groups
            .iter()
            .map(|group| {
                (
                    Dense::random(group.width, hidden, generator),
                    Norm::new(hidden),
                )
            })
            .collect();
        let attention = shape
            .attention
            .then(|| Attention::random(hidden, generator));
        let joined = encoders.len() + usize::from(shape.attention);
        let mix = Dense::random(hidden * joined, hidden, generator);
        let blocks = (0..shape.blocks)
            .map(|_| Residual {
                norm: Norm::new(hidden),
                up: Dense::random(hidden, 2 * hidden, generator),
                down: Dense::random(2 * hidden, hidden, generator),
            })
            .collect();
        Self {
            encoders,
            attention,
            mix,
            blocks,
            norm: Norm::new(hidden),
            last: Dense::zeros(hidden, if shape.quantiles { 3 } else { 1 }),
        }
    }

    /// Whether it tells the ends of intervals.
    pub(super) const fn tells_spread(&self) -> bool {
        self.last.outputs > 1
    }

    /// The values for the rows at `rows`.
    pub(crate) fn predict_all(&self, design: &Designed, rows: &[usize]) -> Vec<f64> {
        let answers = self.answers(design, rows).into_iter();
        answers.map(|answer| answer.value).collect()
    }

    /// What it says of the rows at `rows`.
    pub(crate) fn answers(&self, design: &Designed, rows: &[usize]) -> Vec<Answer> {
        rows.par_chunks(ROWS_AT_ONCE)
            .flat_map_iter(|rows| {
                let rows: Vec<&[f32]> = rows.iter().map(|&row| design.row(row)).collect();
                self.predict_rows(&rows)
            })
            .collect()
    }

    /// What it says of several rows of a design: quicker than one by one, and the same.
    pub(super) fn predict_rows(&self, rows: &[&[f32]]) -> Vec<Answer> {
        let mut joined = vec![Vec::with_capacity(self.mix.inputs); rows.len()];
        let mut present = vec![Vec::with_capacity(self.encoders.len()); rows.len()];
        let mut start = 0;
        for (dense, norm) in &self.encoders {
            let columns = start..start + dense.inputs;
            start = columns.end;
            let inputs: Vec<&[f32]> = rows.iter().map(|row| &row[columns.clone()]).collect();
            for (joined, output) in joined.iter_mut().zip(dense.apply_rows(&inputs)) {
                joined.extend(norm.apply(&output).into_iter().map(gelu));
            }
            for (present, input) in present.iter_mut().zip(inputs) {
                present.push(is_present(input));
            }
        }
        if let Some(attention) = &self.attention {
            for (joined, present) in joined.iter_mut().zip(present) {
                let pooled = attention.pooled(joined, &present);
                joined.extend(pooled);
            }
        }
        joined.iter().map(|joined| self.mixed(joined)).collect()
    }

    /// The answer to what the encoders gave.
    fn mixed(&self, joined: &[f32]) -> Answer {
        let mut state = self.mix.apply(joined);
        for block in &self.blocks {
            let wide = block.up.apply(&block.norm.apply(&state));
            let wide: Vec<f32> = wide.into_iter().map(gelu).collect();
            for (sum, value) in state.iter_mut().zip(block.down.apply(&wide)) {
                *sum += value;
            }
        }
        let outputs = self.last.apply(&self.norm.apply(&state));
        let output = |at: usize| outputs.get(at).copied().map_or(0.0, f64::from);
        Answer {
            value: output(0),
            spread: [output(1), output(2)],
        }
    }

    /// The same network, with all that it says so many times as large.
    pub(crate) fn times(mut self, factor: f32) -> Self {
        for number in self.last.weight.iter_mut().chain(&mut self.last.bias) {
            *number *= factor;
        }
        self
    }

    /// Every tensor with its name, for saving and loading.
    pub(crate) fn tensors_mut(&mut self) -> Vec<(String, &mut Vec<f32>)> {
        let mut all = Vec::new();
        for (at, (dense, norm)) in self.encoders.iter_mut().enumerate() {
            push_dense(&mut all, &format!("encoders.{at}"), dense);
            push_norm(&mut all, &format!("encoders.{at}.norm"), norm);
        }
        for (name, layer) in self.attention.iter_mut().flat_map(Attention::layers_mut) {
            push_dense(&mut all, name, layer);
        }
        push_dense(&mut all, "mix", &mut self.mix);
        for (at, block) in self.blocks.iter_mut().enumerate() {
            push_norm(&mut all, &format!("blocks.{at}.norm"), &mut block.norm);
            push_dense(&mut all, &format!("blocks.{at}.up"), &mut block.up);
            push_dense(&mut all, &format!("blocks.{at}.down"), &mut block.down);
        }
        push_norm(&mut all, "norm", &mut self.norm);
        push_dense(&mut all, "last", &mut self.last);
        all
    }
}

fn push_dense<'a>(all: &mut Vec<(String, &'a mut Vec<f32>)>, name: &str, dense: &'a mut Dense) {
    all.push((format!("{name}.weight"), &mut dense.weight));
    all.push((format!("{name}.bias"), &mut dense.bias));
}

fn push_norm<'a>(all: &mut Vec<(String, &'a mut Vec<f32>)>, name: &str, norm: &'a mut Norm) {
    all.push((format!("{name}.gamma"), &mut norm.gamma));
    all.push((format!("{name}.beta"), &mut norm.beta));
}

/// `x·Φ(x)`.
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// The error function to 1.5e-7 (Abramowitz and Stegun, 7.1.26).
fn erf(x: f32) -> f32 {
    const FACTORS: [f32; 5] = [
        1.061_405_4,
        -1.453_152,
        1.421_413_7,
        -0.284_496_74,
        0.254_829_6,
    ];
    let t = (1.0 + 0.327_591_1 * x.abs()).recip();
    let polynomial = FACTORS.iter().fold(0.0, |sum, factor| (sum + factor) * t);
    (1.0 - polynomial * (-x * x).exp()).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `SciPy`'s `special.erf`.
    #[test]
    fn the_error_function_is_close() {
        for (x, expected) in [
            (0.0, 0.0),
            (0.5, 0.520_499_9),
            (-1.0, -0.842_700_8),
            (3.0, 0.999_977_9),
        ] {
            assert!((erf(x) - expected).abs() < 1e-6, "{x}");
        }
    }
}
