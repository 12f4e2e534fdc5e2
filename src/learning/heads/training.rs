//! How the fusion network is trained.

use burn::tensor::Device;

use super::{
    checkpoint::{Keeper, key},
    course::Course,
    network::{Answer, Network},
};
use crate::learning::{
    Error, TrainSettings,
    design::{Designed, Group},
    odds::log_loss,
    watch::{Progress, Watch},
};

/// The rows that a network learns from, and those that tell when it has learned enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task<'a> {
    /// The numbers of all rows.
    pub(crate) design: &'a Designed,
    /// The groups of its columns.
    pub(crate) groups: &'a [Group],
    /// The rows to learn from.
    pub(crate) train: Wanted<'a>,
}

/// Rows, and what a network should say of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// The rows.
    pub(crate) rows: &'a [usize],
    /// The number that it should answer to each; with odds, 1 where what is asked is so, else 0.
    pub(crate) targets: &'a [f64],
    /// The log-odds of each to which it adds its answer; nothing where the target is a number.
    pub(crate) odds: Option<&'a [f64]>,
}

/// When a network has learned enough.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop<'a> {
    /// Where it predicts these rows best.
    Validated(Wanted<'a>),
    /// After so many epochs, as an earlier training of most of the rows has found.
    After(usize),
}

impl Stop<'_> {
    /// The error of a network on the rows that tell; nothing without such rows.
    fn loss(self, design: &Designed, network: &Network, settings: &TrainSettings) -> Option<f64> {
        let Self::Validated(wanted) = self else {
            return None;
        };
        Some(loss(
            &network.answers(design, wanted.rows),
            wanted,
            settings,
        ))
    }

    /// The error of a network that answers zero; nothing without rows that tell.
    pub(super) fn loss_of_zero(self, settings: &TrainSettings) -> Option<f64> {
        let Self::Validated(wanted) = self else {
            return None;
        };
        let zero = Answer {
            value: 0.0,
            spread: [0.0; 2],
        };
        Some(loss(&vec![zero; wanted.rows.len()], wanted, settings))
    }
}

/// The mean squared error of answers; with ends of intervals their mean pinball losses are added. Of
/// what they add to log-odds it is the mean log loss.
fn loss(answers: &[Answer], wanted: Wanted<'_>, settings: &TrainSettings) -> f64 {
    if let Some(odds) = wanted.odds {
        let odds = odds.iter().zip(answers);
        let odds = odds.map(|(odds, answer)| odds + answer.value);
        return log_loss(odds.zip(wanted.targets.iter().copied()));
    }
    let both = || answers.iter().zip(wanted.targets);
    let square = mean(both().map(|(answer, wanted)| (answer.value - wanted).powi(2)));
    if !settings.quantiles {
        return square;
    }
    let pinball = |answer: &Answer, wanted: &f64| -> f64 {
        let ends = answer.spread.iter().zip(settings.tails());
        ends.map(|(end, share)| {
            let beyond = wanted - answer.value - end;
            f64::max(beyond * share, beyond * (share - 1.0))
        })
        .sum()
    };
    square + mean(both().map(|(answer, wanted)| pinball(answer, wanted)))
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

impl Learned {
    /// The same, with what it says in units so many times as large.
    pub(crate) fn in_units(self, unit: f64) -> Self {
        Self {
            network: self.network.times(unit as f32),
            ..self
        }
    }
}

/// One epoch of the training of one network.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Epoch {
    /// Which member of the ensemble, from 1.
    pub member: usize,
    /// Which pass over the training rows, from 1.
    pub epoch: usize,
    /// The mean Huber loss over its batches, with dropout; of flags the mean log loss.
    pub train_loss: f64,
    /// The mean squared error on the validation rows after it, on the scale that is learned, with
    /// the pinball losses of the ends of intervals where they are learned too; of flags the mean log
    /// loss. Nothing where the number of epochs was given.
    pub validation_loss: Option<f64>,
}

/// Trains one member of the ensemble.
///
/// The learning rate falls over all epochs of the settings, wherever a training stops. One that was
/// interrupted goes on after the last pass that was kept ([`Watch::checkpoints`]).
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
    let mut keeper = Keeper::new(watch, || key(task, stop, settings, member, device));
    if let Some(further) = keeper.find(&course, device) {
        course = further;
        let epoch = course.epoch;
        watch.progress(&Progress::Resumed { member, epoch });
    }
    let epochs = match stop {
        Stop::Validated(_) => settings.epochs,
        Stop::After(epochs) => epochs.min(settings.epochs),
    };
    while course.epoch < epochs && course.since < settings.patience {
        let train_loss = course.pass(task, settings, device, watch)?;
        let plain = course.to_plain();
        let told = Epoch {
            member,
            epoch: course.epoch,
            train_loss,
            validation_loss: stop.loss(task.design, &plain, settings),
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
        keeper.keep_if_due(&course)?;
    }
    keeper.end(&course)?;
    Ok(Learned {
        network: course.best,
        best_epoch: course.best_epoch,
        history: course.history,
    })
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
    sum / f64::max(count, 1.0)
}
