//! A training of a network under way.

use burn::{
    optim::{AdamWConfig, GradientsParams, ModuleOptimizer},
    tensor::{Device, Tensor, TensorData},
};
use rand_chacha::ChaCha8Rng;

use super::{
    attention::is_present,
    average::Average,
    fusion::{Fusion, Masks, numbers},
    network::{Network, Shape},
    training::{Epoch, Stop, Task, Wanted},
};
use crate::learning::{Error, TrainSettings, design::Group, seeds, watch::Watch};

/// The share of all steps over which the learning rate rises.
const WARM_UP: f64 = 0.05;
/// From which distance on a residual counts linearly, not squared.
const HUBER: f32 = 1.5;

/// A training under way, between two passes over its rows.
pub(super) struct Course {
    pub(super) model: Fusion,
    pub(super) optimizer: ModuleOptimizer,
    /// Where the settings want one.
    pub(super) average: Option<Average>,
    pub(super) generator: ChaCha8Rng,
    /// The rows as the last pass took them.
    pub(super) order: Vec<usize>,
    /// How many passes there were.
    pub(super) epoch: usize,
    pub(super) best: Network,
    /// The error of the best network, where there are rows that tell.
    pub(super) least: Option<f64>,
    pub(super) best_epoch: usize,
    /// How many passes there were since the best one.
    pub(super) since: usize,
    pub(super) history: Vec<Epoch>,
}

impl Course {
    pub(super) fn begin(
        task: &Task<'_>,
        stop: Stop<'_>,
        settings: &TrainSettings,
        member: usize,
        device: &Device,
    ) -> Self {
        let mut generator = seeds::generator(settings.seed, &format!("member {member}"));
        let best = Network::random(task.groups, Shape::of(settings), &mut generator);
        let model = Fusion::from_plain(&best, &device.clone().autodiff());
        let optimizer = AdamWConfig::new()
            .with_weight_decay(settings.weight_decay as f32)
            .with_epsilon(1e-8)
            .init();
        Self {
            average: (settings.ema > 0.0).then(|| Average::new(&model, settings.ema)),
            model,
            optimizer,
            generator,
            order: (0..task.train.rows.len()).collect(),
            epoch: 0,
            best,
            // The network begins as zero: training can only improve on what it is added to.
            least: stop.loss_of_zero(settings),
            best_epoch: 0,
            since: 0,
            history: Vec::new(),
        }
    }

    /// Learns every row once; the mean loss.
    pub(super) fn pass(
        &mut self,
        task: &Task<'_>,
        settings: &TrainSettings,
        device: &Device,
        watch: &dyn Watch,
    ) -> Result<f64, Error> {
        let Wanted {
            rows,
            targets,
            odds,
        } = task.train;
        let batch = settings.batch_of(rows.len());
        let steps = rows.len().div_ceil(batch);
        let total = steps * settings.epochs;
        seeds::shuffle(&mut self.order, &mut self.generator);
        let mut loss_sum = 0.0;
        for (at, chunk) in self.order.chunks(batch).enumerate() {
            if watch.cancelled() {
                return Err(Error::Cancelled);
            }
            let places = chunk.iter().map(|&at| rows[at]);
            let inputs = gather(task, places.clone(), device);
            let present = self.best.attention.as_ref();
            let present = present.map(|_| presence(task, places, device));
            let column = |values: &[f64]| {
                let values: Vec<f32> = chunk.iter().map(|&at| values[at] as f32).collect();
                Tensor::from_data(TensorData::new(values, [chunk.len(), 1]), device)
            };
            let wanted = column(targets);
            let generator = &mut self.generator;
            let masks = Masks::draw(task.groups, settings, chunk.len(), device, generator);
            let output = self.model.forward(inputs, present, Some(masks));
            let loss = match odds {
                Some(odds) => logistic(column(odds) + output, wanted),
                None if settings.quantiles => with_ends(output, wanted, settings.tails()),
                None => huber(output - wanted),
            };
            loss_sum += f64::from(numbers(loss.clone().inner())[0]) * chunk.len() as f64;
            let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
            let rate = settings.learning_rate * schedule(self.epoch * steps + at, total);
            let model = self.model.clone();
            self.model = self.optimizer.step(rate, model, gradients);
            if let Some(average) = &mut self.average {
                average.follow(&self.model);
            }
        }
        self.epoch += 1;
        Ok(loss_sum / rows.len() as f64)
    }

    /// What is measured, and kept where it is the best.
    pub(super) fn to_plain(&self) -> Network {
        match &self.average {
            Some(average) => average.to_plain(&self.model),
            None => self.model.to_plain(),
        }
    }

    /// Takes note of how a pass went, and of what it left.
    pub(super) fn take(&mut self, told: Epoch, plain: Network) {
        // Without rows that tell, every epoch is better than the one before.
        if told.validation_loss.is_none() || told.validation_loss < self.least {
            self.least = told.validation_loss;
            (self.best, self.best_epoch) = (plain, told.epoch);
            self.since = 0;
        } else {
            self.since += 1;
        }
        self.history.push(told);
    }
}

/// The columns of some rows, per group.
fn gather(
    task: &Task<'_>,
    rows: impl Iterator<Item = usize> + Clone,
    device: &Device,
) -> Vec<Tensor<2>> {
    let count = rows.clone().count();
    let of_group = |group: &Group| {
        let mut values = Vec::with_capacity(count * group.width);
        for row in rows.clone() {
            let row = task.design.row(row);
            values.extend_from_slice(&row[group.start..group.start + group.width]);
        }
        Tensor::from_data(TensorData::new(values, [count, group.width]), device)
    };
    task.groups.iter().map(of_group).collect()
}

/// Which groups some rows have, `[rows, groups]`.
fn presence(
    task: &Task<'_>,
    rows: impl ExactSizeIterator<Item = usize>,
    device: &Device,
) -> Tensor<2> {
    let shape = [rows.len(), task.groups.len()];
    let mut values = Vec::with_capacity(shape[0] * shape[1]);
    for row in rows {
        let row = task.design.row(row);
        let has = |group: &Group| is_present(&row[group.start..group.start + group.width]);
        values.extend(
            task.groups
                .iter()
                .map(|of| if has(of) { 1.0_f32 } else { 0.0 }),
        );
    }
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn huber(residual: Tensor<2>) -> Tensor<1> {
    let distance = residual.abs();
    let near = distance.clone().clamp_max(HUBER);
    (near.clone() * near.clone() * 0.5 + (distance - near) * HUBER).mean()
}

/// The log loss of flags under these log-odds, whatever their size.
fn logistic(odds: Tensor<2>, flags: Tensor<2>) -> Tensor<1> {
    let tail = odds.clone().abs().neg().exp().log1p();
    (odds.clone().clamp_min(0.0) - odds * flags + tail).mean()
}

/// The loss of what is expected, and of the ends of an interval that lie at these shares of what may
/// become of it.
fn with_ends(output: Tensor<2>, wanted: Tensor<2>, tails: [f64; 2]) -> Tensor<1> {
    let value = output.clone().narrow(1, 0, 1);
    // The ends are learned around what is expected, which they leave alone.
    let missed = (wanted.clone() - value.clone()).detach();
    let [low, high] = [1, 2].map(|at| missed.clone() - output.clone().narrow(1, at, 1));
    huber(value - wanted) + pinball(low, tails[0]) + pinball(high, tails[1])
}

/// The loss whose least mean is at the quantile of this share (Koenker and Bassett, 1978).
fn pinball(beyond: Tensor<2>, share: f64) -> Tensor<1> {
    (beyond.clone() * share)
        .max_pair(beyond * (share - 1.0))
        .mean()
}

/// The share of the learning rate at one step: linear up, then half a cosine down to 0.
fn schedule(step: usize, total: usize) -> f64 {
    let at = (step as f64 + 0.5) / total.max(1) as f64;
    if at < WARM_UP {
        at / WARM_UP
    } else {
        let down = (at - WARM_UP) / (1.0 - WARM_UP);
        0.5 * (1.0 + (std::f64::consts::PI * down).cos())
    }
}
