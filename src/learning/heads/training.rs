//! How the fusion network is trained.

use burn::{
    optim::{AdamWConfig, GradientsParams, ModuleOptimizer},
    tensor::{Device, Tensor, TensorData},
};
use rand_chacha::ChaCha8Rng;

use super::{
    average::Average,
    fusion::{Fusion, Masks, numbers},
    network::Network,
};
use crate::learning::{
    Error, TrainSettings,
    design::{Designed, Group},
    seeds,
    watch::{Progress, Watch},
};

/// The share of all steps over which the learning rate rises.
const WARM_UP: f64 = 0.05;
/// From which distance on a residual counts linearly, not squared.
const HUBER: f32 = 1.5;

/// The rows that a network learns from, and those that tell when it has learned enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task<'a> {
    /// The numbers of all rows.
    pub(crate) design: &'a Designed,
    /// The groups of its columns.
    pub(crate) groups: &'a [Group],
    /// The rows to learn from, and what to learn of each.
    pub(crate) train: (&'a [usize], &'a [f64]),
}

/// When a network has learned enough.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop<'a> {
    /// Where it predicts these rows best; what should be predicted of each.
    Validated(&'a [usize], &'a [f64]),
    /// After so many epochs, as an earlier training of most of the rows has found.
    After(usize),
}

impl Stop<'_> {
    /// The mean squared error of a network on the rows that tell; nothing without such rows.
    fn loss(self, design: &Designed, network: &Network) -> Option<f64> {
        let Self::Validated(rows, wanted) = self else {
            return None;
        };
        let found = network.predict_all(design, rows).into_iter();
        Some(mean_square(
            found.zip(wanted).map(|(found, wanted)| found - wanted),
        ))
    }

    /// The error of a network that answers zero; nothing without rows that tell.
    fn loss_of_zero(self) -> Option<f64> {
        match self {
            Self::Validated(_, wanted) => Some(mean_square(wanted.iter().copied())),
            Self::After(_) => None,
        }
    }
}

/// A trained network.
#[derive(Clone, Debug)]
pub(crate) struct Learned {
    /// With the weights of its best epoch.
    pub(crate) network: Network,
    /// After which epoch that was; 0 where no epoch was better than answering zero.
    pub(crate) best_epoch: usize,
    /// All epochs.
    pub(crate) history: Vec<Epoch>,
}

/// One epoch of the training of one network.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Epoch {
    /// Which member of the ensemble, from 1.
    pub member: usize,
    /// Which pass over the training rows, from 1.
    pub epoch: usize,
    /// The mean Huber loss over its batches, with dropout.
    pub train_loss: f64,
    /// The mean squared error on the validation rows after it, on the scale that is learned;
    /// nothing where the number of epochs was given.
    pub validation_loss: Option<f64>,
}

/// Trains one member of the ensemble.
///
/// The learning rate falls over all epochs of the settings, wherever a training stops.
///
/// # Errors
///
/// [`Error::Cancelled`]; [`Error::Numerics`] where the loss is not finite.
pub(crate) fn train(
    task: &Task<'_>,
    stop: Stop<'_>,
    settings: &TrainSettings,
    member: usize,
    device: &Device,
    watch: &dyn Watch,
) -> Result<Learned, Error> {
    let mut course = Course::begin(task, stop, settings, member, device);
    let epochs = match stop {
        Stop::Validated(..) => settings.epochs,
        Stop::After(epochs) => epochs.min(settings.epochs),
    };
    while course.epoch < epochs && course.since < settings.patience {
        let train_loss = course.pass(task, settings, device, watch)?;
        let plain = course.to_plain();
        let told = Epoch {
            member,
            epoch: course.epoch,
            train_loss,
            validation_loss: stop.loss(task.design, &plain),
        };
        if !told.train_loss.is_finite() || !told.validation_loss.is_none_or(f64::is_finite) {
            return Err(Error::Numerics(format!(
                "the loss of epoch {} is not finite; lower `learning_rate` (now {})",
                told.epoch, settings.learning_rate
            )));
        }
        watch.progress(&Progress::Epoch {
            epoch: told.epoch,
            epochs,
            train_loss: told.train_loss,
            validation_loss: told.validation_loss,
        });
        course.take(told, plain);
    }
    Ok(Learned {
        network: course.best,
        best_epoch: course.best_epoch,
        history: course.history,
    })
}

/// A training under way, between two passes over its rows.
struct Course {
    model: Fusion,
    optimizer: ModuleOptimizer,
    /// Where the settings want one.
    average: Option<Average>,
    generator: ChaCha8Rng,
    /// The rows as the last pass took them.
    order: Vec<usize>,
    /// How many passes there were.
    epoch: usize,
    best: Network,
    /// The error of the best network, where there are rows that tell.
    least: Option<f64>,
    best_epoch: usize,
    /// How many passes there were since the best one.
    since: usize,
    history: Vec<Epoch>,
}

impl Course {
    fn begin(
        task: &Task<'_>,
        stop: Stop<'_>,
        settings: &TrainSettings,
        member: usize,
        device: &Device,
    ) -> Self {
        let mut generator = seeds::generator(settings.seed, &format!("member {member}"));
        let best = Network::random(
            task.groups,
            settings.hidden,
            settings.residual_blocks,
            &mut generator,
        );
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
            order: (0..task.train.0.len()).collect(),
            epoch: 0,
            best,
            // The network begins as zero: training can only improve on what it is added to.
            least: stop.loss_of_zero(),
            best_epoch: 0,
            since: 0,
            history: Vec::new(),
        }
    }

    /// Learns every row once; the mean loss.
    fn pass(
        &mut self,
        task: &Task<'_>,
        settings: &TrainSettings,
        device: &Device,
        watch: &dyn Watch,
    ) -> Result<f64, Error> {
        let (rows, targets) = task.train;
        let batch = settings.batch_of(rows.len());
        let steps = rows.len().div_ceil(batch);
        let total = steps * settings.epochs;
        seeds::shuffle(&mut self.order, &mut self.generator);
        let mut loss_sum = 0.0;
        for (at, chunk) in self.order.chunks(batch).enumerate() {
            if watch.cancelled() {
                return Err(Error::Cancelled);
            }
            let inputs = gather(task, chunk.iter().map(|&at| rows[at]), device);
            let wanted: Vec<f32> = chunk.iter().map(|&at| targets[at] as f32).collect();
            let wanted = Tensor::from_data(TensorData::new(wanted, [chunk.len(), 1]), device);
            let generator = &mut self.generator;
            let masks = Masks::draw(task.groups, settings, chunk.len(), device, generator);
            let output = self.model.forward(inputs, Some(masks));
            let loss = huber(output - wanted);
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
    fn to_plain(&self) -> Network {
        match &self.average {
            Some(average) => average.to_plain(&self.model),
            None => self.model.to_plain(),
        }
    }

    /// Takes note of how a pass went, and of what it left.
    fn take(&mut self, told: Epoch, plain: Network) {
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

fn huber(residual: Tensor<2>) -> Tensor<1> {
    let distance = residual.abs();
    let near = distance.clone().clamp_max(HUBER);
    (near.clone() * near.clone() * 0.5 + (distance - near) * HUBER).mean()
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

fn mean_square(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), v| (sum + v * v, count + 1.0));
    sum / f64::max(count, 1.0)
}
