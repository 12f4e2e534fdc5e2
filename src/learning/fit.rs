//! The rows of one training as numbers, and the learners on them.

use std::{
    ops::Range,
    panic::resume_unwind,
    thread::{self, ScopedJoinHandle},
};

use burn::tensor::Device;

use super::{
    Choices, Error, TargetKind, TrainSettings,
    design::{Design, Designed, Group},
    heads::{
        Choice, Learned, Mmrl, Problem, Stop, Strength, Task, Wanted, mean_spread, train_mmrl,
        train_network,
    },
    odds::Odds,
    rank::{Ranked, spearman},
    reference::{Reference, targets},
    rest::Rest,
    target::{Reach, TargetScale},
    watch::{Progress, Watch},
};
use crate::corpus::{FeatureMatrix, Row};

/// The least training rows for which the rank scale is considered.
const LEAST_FOR_RANKS: usize = 200;

/// The rows of one training, designed.
#[derive(Clone)]
pub(super) struct Fit {
    pub(super) design: Design,
    pub(super) rows: Designed,
    pub(super) groups: Vec<Group>,
    /// What relative targets are measured by.
    pub(super) reference: Option<Reference>,
    targets: Vec<f64>,
    /// The greatest target that is learned.
    most: f64,
    /// The rows to learn from, in the order of time.
    pub(super) train: Vec<usize>,
    /// The rows to choose by.
    pub(super) validation: Vec<usize>,
}

impl Fit {
    /// Designs all rows of `matrix` as the rows at `train` demand.
    pub(super) fn new(
        matrix: &FeatureMatrix,
        settings: &TrainSettings,
        mut train: Vec<usize>,
        validation: Vec<usize>,
    ) -> Result<Self, Error> {
        // Folds of neighbours are only worth their name in the order of time.
        train.sort_by_key(|&i| (matrix.rows[i].created_at, matrix.rows[i].id.as_str()));
        let design = Design::fit(matrix, &train, (&settings.without, settings.components()))?;
        let learned = || train.iter().map(|&row| &matrix.rows[row]);
        let reference = settings.relative.map(|of| Reference::fit(of, learned()));
        let targets = targets(reference.as_ref(), &matrix.rows).into_iter();
        let mut targets: Vec<f64> = targets.map(|target| target.unwrap_or(0.0)).collect();
        let learned = train.iter().map(|&row| targets[row]);
        let most = most_learned(learned, settings.winsorise).unwrap_or(f64::INFINITY);
        // What chooses and measures is as it is.
        for &row in &train {
            targets[row] = targets[row].min(most);
        }
        Ok(Self {
            rows: design.apply(matrix)?,
            groups: design.groups(),
            design,
            targets,
            most,
            reference,
            train,
            validation,
        })
    }

    /// The same rows, of which it is learned whether they belong to a class.
    pub(super) fn of_class(&self, rows: &[Row], class: &str) -> Self {
        let reference = Reference::Class {
            name: class.to_owned(),
        };
        let flags = targets(Some(&reference), rows).into_iter();
        Self {
            targets: flags.map(|flag| flag.unwrap_or(0.0)).collect(),
            most: f64::INFINITY,
            reference: Some(reference),
            ..self.clone()
        }
    }

    /// The targets of some rows.
    pub(super) fn targets(&self, rows: &[usize]) -> Vec<f64> {
        rows.iter().map(|&row| self.targets[row]).collect()
    }

    /// What is learned of some rows, be they otherwise those that choose.
    pub(super) fn lessons(&self, rows: &[usize]) -> Vec<f64> {
        let targets = self.targets(rows).into_iter();
        targets.map(|target| target.min(self.most)).collect()
    }

    /// The strength that was chosen by an earlier training; a group that it had not weighs 1.
    pub(super) fn strength(&self, known: &Choices) -> Strength {
        let weight = |group: &Group| known.weights.get(&group.name).copied().unwrap_or(1.0);
        Strength {
            penalty: known.penalty,
            weights: self.groups.iter().map(weight).collect(),
        }
    }

    /// The scale and penalty under which ridge orders and predicts unseen folds best.
    pub(super) fn choose(
        &self,
        problem: &Problem<'_>,
        settings: &TrainSettings,
        known: Option<&Choices>,
        watch: &dyn Watch,
    ) -> Result<(TargetScale, TargetKind, Choice), Error> {
        let wanted = known.map_or(settings.target, |known| known.target);
        let targets = self.targets(&self.train);
        let mut scales = Vec::new();
        if wanted != TargetKind::Rank {
            scales.push((TargetScale::standard(&targets), TargetKind::Standard));
        }
        let ranks = match wanted {
            TargetKind::Standard => false,
            TargetKind::Rank => true,
            TargetKind::Auto => targets.len() >= LEAST_FOR_RANKS,
        };
        if ranks {
            scales.push((TargetScale::rank(&targets), TargetKind::Rank));
        }
        let scaled: Vec<Vec<f64>> = scales
            .iter()
            .map(|(scale, _)| scale.all_scaled(&targets))
            .collect();
        let cancelled = || watch.cancelled();
        let weights = known.map_or_else(
            || vec![1.0; self.groups.len()],
            |known| self.strength(known).weights,
        );
        let chosen = problem.choose(&scaled, &weights, &cancelled)?;
        let truth = Ranked::new(&targets);
        let counts = vec![1; targets.len()];
        let order = |choice: &Choice| {
            spearman(&truth, &Ranked::new(&choice.unseen), &counts).unwrap_or(-1.0)
        };
        let tried = scales.into_iter().zip(scaled).zip(chosen);
        let best = tried.reduce(|best, other| {
            if order(&other.1) > order(&best.1) {
                other
            } else {
                best
            }
        });
        let (((scale, kind), scaled), mut choice) = best.expect("at least one scale is tried");
        if known.is_none() {
            choice = problem.refine(&scaled, choice, &cancelled)?;
        }
        Ok((scale, kind, choice))
    }

    /// Whether what is learned of a row is 1 or 0.
    pub(super) fn is_of_flags(&self) -> bool {
        self.reference.as_ref().is_some_and(Reference::is_flag)
    }

    /// The log-odds that a line's answers to the rows to learn from stand for, which it had not seen;
    /// nothing where numbers are learned.
    pub(super) fn odds(&self, unseen: &[f64]) -> Option<Odds> {
        self.is_of_flags()
            .then(|| Odds::fit(unseen, &self.targets(&self.train)))
    }

    /// What a line with these answers leaves of some rows, whose targets are `scaled`.
    pub(super) fn rest(
        &self,
        rows: &[usize],
        (scaled, answers): (&[f64], &[f64]),
        odds: Option<&Odds>,
    ) -> Rest {
        Rest::new(scaled, answers, odds.map(|odds| (odds, self.targets(rows))))
    }

    /// The networks of the ensemble on what the line leaves of the rows to learn from; `stops` says
    /// of each when it has learned enough.
    pub(super) fn members(
        &self,
        settings: &TrainSettings,
        rest: &Rest,
        stops: &[Stop<'_>],
        device: &Device,
        watch: &dyn Watch,
    ) -> Result<Vec<Learned>, Error> {
        watch.progress(&Progress::Stage("members".to_owned()));
        let task = self.task(rest.wanted(&self.train));
        let train = |(at, &stop)| {
            let learned = train_network(&task, stop, settings, at + 1, device, watch)?;
            Ok(learned.in_units(rest.unit()))
        };
        side_by_side(stops.iter().enumerate(), train).collect()
    }

    /// What networks say of each fold of the rows to learn from that have learned from the others,
    /// for so many epochs.
    pub(super) fn networks_out_of_fold(
        &self,
        settings: &TrainSettings,
        rest: &Rest,
        folds: &[Range<usize>],
        epochs: usize,
        device: &Device,
        watch: &dyn Watch,
    ) -> Result<Vec<f64>, Error> {
        watch.progress(&Progress::Stage("members out of fold".to_owned()));
        let answer = |fold: &Range<usize>| {
            let outside = |at: &usize| !fold.contains(at);
            let places: Vec<usize> = (0..self.train.len()).filter(outside).collect();
            let rows: Vec<usize> = places.iter().map(|&at| self.train[at]).collect();
            let of_others = rest.at(&places);
            let task = self.task(of_others.wanted(&rows));
            let stop = Stop::After(epochs);
            let learned = train_network(&task, stop, settings, 1, device, watch)?;
            let network = learned.in_units(rest.unit()).network;
            Ok(network.predict_all(&self.rows, &self.train[fold.clone()]))
        };
        let answers: Result<Vec<_>, Error> = side_by_side(folds.iter(), answer).collect();
        Ok(answers?.concat())
    }

    /// The original's network on the rows to learn from.
    pub(super) fn mmrl(
        &self,
        settings: &TrainSettings,
        device: &Device,
        watch: &dyn Watch,
    ) -> Result<Mmrl, Error> {
        let targets = self.targets(&self.train);
        let task = self.task(Wanted {
            rows: &self.train,
            targets: &targets,
            odds: None,
        });
        train_mmrl(&task, &self.design.vectors(), settings, device, watch)
    }

    fn task<'a>(&'a self, train: Wanted<'a>) -> Task<'a> {
        Task {
            design: &self.rows,
            groups: &self.groups,
            train,
        }
    }

    /// What the networks say of some rows, in the mean; nothing without networks.
    pub(super) fn mean_of(&self, members: &[Learned], rows: &[usize]) -> Vec<f64> {
        if members.is_empty() {
            return Vec::new();
        }
        let mut mean = vec![0.0; rows.len()];
        for member in members {
            let values = member.network.predict_all(&self.rows, rows);
            for (sum, value) in mean.iter_mut().zip(values) {
                *sum += value / members.len() as f64;
            }
        }
        mean
    }

    /// How far intervals reach, where the rows to choose by have missed their predictions by this.
    pub(super) fn reach(
        &self,
        members: &[Learned],
        missed: &[f64],
        settings: &TrainSettings,
    ) -> Reach {
        if !settings.quantiles || members.is_empty() {
            return Reach::fit(missed, settings.coverage);
        }
        let answers = members.iter();
        let answers = answers.map(|of| of.network.answers(&self.rows, &self.validation));
        let answers: Vec<_> = answers.collect();
        let spread = mean_spread(&answers, self.validation.len());
        Reach::of_spread(missed, &spread, settings.coverage)
    }
}

/// The target of the training rows below which `share` of them lie: one of theirs, so that what
/// lies beyond has no say in it; `None` where all are below.
fn most_learned(targets: impl Iterator<Item = f64>, share: f64) -> Option<f64> {
    if share >= 1.0 {
        return None;
    }
    let mut sorted: Vec<f64> = targets.collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    Some(sorted[(share * last as f64) as usize])
}

/// The results of `work`, each in a thread of its own.
///
/// A thread of a pool that waits for others takes up what else there is to do, another training
/// perhaps, while it holds what that one needs.
fn side_by_side<I: Send, T: Send>(
    inputs: impl Iterator<Item = I>,
    work: impl Fn(I) -> T + Sync,
) -> impl Iterator<Item = T> {
    let work = &work;
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = inputs
            .map(|input| scope.spawn(move || work(input)))
            .collect();
        threads.into_iter().map(ScopedJoinHandle::join).collect()
    });
    results
        .into_iter()
        .map(|result| result.unwrap_or_else(|panic| resume_unwind(panic)))
}

/// `a − b`, number by number.
pub(super) fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}
