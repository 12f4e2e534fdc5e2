//! From a matrix to a trained head.

use std::{
    collections::BTreeMap,
    ops::Range,
    panic::resume_unwind,
    thread::{self, ScopedJoinHandle},
};

use burn::tensor::Device;

use super::{
    Error, Split, SplitBasis, TargetKind, TrainSettings,
    design::{Design, Designed, Group},
    heads::{Choice, Epoch, Forest, Head, Linear, Network, Problem, Products, Task, train_network},
    rank::{Ranked, spearman},
    splits::{Splits, split},
    target::{Curve, Reach, TargetScale},
    trees::{Inputs, Lesson, TreeSettings, boost},
    watch::{Progress, Watch},
};
use crate::corpus::{ContentHash, FeatureMatrix};

/// The least training rows for which the rank scale is considered.
const LEAST_FOR_RANKS: usize = 200;

/// A trained head and how it came to be.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The head.
    pub head: Head,
    /// The id and part of each labelled row that was not in the embargo.
    pub split: Vec<(String, Split)>,
    /// What the rows were split by.
    pub basis: SplitBasis,
    /// The hash of the labelled rows: ids, targets, ages, parts.
    pub rows_sha256: ContentHash,
    /// The passes of all members.
    pub history: Vec<Epoch>,
    /// What was chosen on the way.
    pub choices: Choices,
}

/// What a training chose by itself.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Choices {
    /// The penalty of the ridge regression.
    pub penalty: f64,
    /// The weight of each block and category in it.
    pub weights: BTreeMap<String, f64>,
    /// The scale on which the target was learned: `standard` or `rank`.
    pub target: TargetKind,
    /// How much of the networks' output is used, 0 to 1.
    pub blend: f64,
    /// How many trees there are, and how much of their output is used, 0 to 1.
    #[serde(default)]
    pub trees: (usize, f64),
}

/// Trains a head on the labelled rows of `matrix`.
///
/// 1. The rows are split by time; the design is fitted on the training rows.
/// 2. A ridge regression is fitted; its penalty is the one that predicts left-out folds of the
///    training rows (runs of neighbours in time) best.
/// 3. For `fusion_mlp` and `stack`, networks learn what the ridge leaves over on folds it had not
///    seen, and stop by the validation rows; for `trees` and `stack`, trees do the same. The
///    networks' mean and the trees are added as far as they help there.
/// 4. The validation rows tell how wide intervals are; then the ridge is fitted once more, with
///    them, and the trees are grown once more.
///
/// The test rows play no part. On Flex, equal arguments give equal bytes.
///
/// # Errors
///
/// See [`Error`]; [`Error::Cancelled`] soon after `watch` says so.
pub fn train(
    matrix: &FeatureMatrix,
    settings: &TrainSettings,
    device: &Device,
    watch: &dyn Watch,
) -> Result<Fitted, Error> {
    train_from(matrix, settings, None, &mut None, device, watch)
}

/// As [`train`]; with `known`, the scale and the weights of the groups are taken from an earlier
/// training of the same rows, not searched for again. `products` are those of an earlier training
/// of the same rows with the same groups or more; where there are none, this one leaves its own.
pub(crate) fn train_from(
    matrix: &FeatureMatrix,
    settings: &TrainSettings,
    known: Option<&Choices>,
    products: &mut Option<Products>,
    device: &Device,
    watch: &dyn Watch,
) -> Result<Fitted, Error> {
    settings.check()?;
    let splits = split(matrix, &settings.split())?;
    let fit = Fit::new(matrix, settings, &splits)?;
    let fitted = fit.run(settings, known, products, device, watch)?;
    let (head, history, choices) = fitted;
    let ids = matrix.rows.iter().zip(&splits.parts);
    Ok(Fitted {
        head,
        split: ids
            .filter_map(|(row, part)| Some((row.id.clone(), (*part)?)))
            .collect(),
        basis: splits.basis,
        rows_sha256: splits.rows_sha256,
        history,
        choices,
    })
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

/// The rows of one training, designed.
struct Fit {
    design: Design,
    rows: Designed,
    groups: Vec<Group>,
    targets: Vec<f64>,
    train: Vec<usize>,
    validation: Vec<usize>,
}

impl Fit {
    fn new(
        matrix: &FeatureMatrix,
        settings: &TrainSettings,
        splits: &Splits,
    ) -> Result<Self, Error> {
        let mut train = splits.rows(Split::Train);
        // Folds of neighbours are only worth their name in the order of time.
        train.sort_by_key(|&i| (matrix.rows[i].created_at, matrix.rows[i].id.as_str()));
        let design = Design::fit(matrix, &train, &settings.without)?;
        let mut targets: Vec<f64> = matrix
            .rows
            .iter()
            .map(|row| row.label.map_or(0.0, |label| label.target))
            .collect();
        let learned = train.iter().map(|&row| targets[row]);
        if let Some(most) = most_learned(learned, settings.winsorise) {
            for target in &mut targets {
                *target = target.min(most);
            }
        }
        Ok(Self {
            rows: design.apply(matrix)?,
            groups: design.groups(),
            design,
            targets,
            train,
            validation: splits.rows(Split::Validation),
        })
    }

    fn targets(&self, rows: &[usize]) -> Vec<f64> {
        rows.iter().map(|&row| self.targets[row]).collect()
    }

    fn run(
        self,
        settings: &TrainSettings,
        known: Option<&Choices>,
        products: &mut Option<Products>,
        device: &Device,
        watch: &dyn Watch,
    ) -> Result<(Head, Vec<Epoch>, Choices), Error> {
        watch.progress(&Progress::Stage("ridge".to_owned()));
        let (rows, groups) = (&self.rows, &self.groups);
        let problem = Problem::new(rows, groups, &self.train, products.as_ref());
        let (scale, kind, chosen) = self.choose(&problem, settings, known, watch)?;
        let on_scale = |rows: &[usize]| -> Vec<f64> {
            rows.iter()
                .map(|&row| scale.scaled(self.targets[row]))
                .collect()
        };
        let (train_targets, wanted) = (on_scale(&self.train), on_scale(&self.validation));
        let linear = problem.fit(&train_targets, &chosen.strength)?;
        let mut unseen = linear.predict_all(rows, &self.validation);

        let left = difference(&train_targets, &chosen.unseen);
        let left_to_validate = difference(&wanted, &unseen);
        let (mut members, mut history, mut by_networks) = (Vec::new(), Vec::new(), Vec::new());
        if settings.head.has_networks() {
            (members, history) = self.members(settings, &left, &left_to_validate, device, watch)?;
            by_networks = self.mean_of(&members, &self.validation);
        }
        let (mut grown, mut by_trees) = (None, Vec::new());
        if settings.head.has_trees() {
            watch.progress(&Progress::Stage("trees".to_owned()));
            let others = problem.fits_of_others(&train_targets, &chosen.strength)?;
            let woods = self.grow(settings, &left, &left_to_validate, &others, &linear, watch)?;
            by_trees.clone_from(&woods.validated);
            grown = Some(woods);
        }
        let [blend, share] = best_blend([&by_networks, &by_trees], &left_to_validate);
        for (added, part) in [(&by_networks, blend), (&by_trees, share)] {
            for (value, added) in unseen.iter_mut().zip(added) {
                *value += part * added;
            }
        }
        let forest = grown.map(|woods| woods.grown_again(settings, share, watch));
        let forest = forest.transpose()?.flatten();

        let reach = Reach::fit(&difference(&wanted, &unseen), settings.coverage);
        let curve = (kind == TargetKind::Rank).then(|| {
            let scaled = [chosen.unseen.as_slice(), &unseen].concat();
            let rows = [self.train.as_slice(), &self.validation].concat();
            Curve::fit(&scaled, &self.targets(&rows))
        });
        let all = [self.train.as_slice(), &self.validation].concat();
        let problem = problem.with_rows(&self.validation);
        let linear = problem.fit(&on_scale(&all), &chosen.strength)?;
        if products.is_none() {
            *products = problem.into_products(&self.groups);
        }
        let names = self.groups.iter().map(|group| group.name.clone());
        let choices = Choices {
            penalty: chosen.strength.penalty,
            weights: names.zip(chosen.strength.weights).collect(),
            target: kind,
            blend,
            trees: forest.as_ref().map_or((0, 0.0), |forest| {
                (forest.boosted.trees.len(), forest.share)
            }),
        };
        let head = Head {
            kind: settings.head,
            design: self.design,
            scale,
            curve,
            reach,
            linear,
            blend,
            members,
            forest,
        };
        Ok((head, history, choices))
    }

    /// The scale and penalty under which ridge orders and predicts unseen folds best.
    fn choose(
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
            .map(|(scale, _)| targets.iter().map(|&target| scale.scaled(target)).collect())
            .collect();
        let cancelled = || watch.cancelled();
        let weight = |group: &Group| {
            known
                .and_then(|known| known.weights.get(&group.name).copied())
                .unwrap_or(1.0)
        };
        let weights: Vec<f64> = self.groups.iter().map(weight).collect();
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

    fn members(
        &self,
        settings: &TrainSettings,
        left: &[f64],
        left_to_validate: &[f64],
        device: &Device,
        watch: &dyn Watch,
    ) -> Result<(Vec<Network>, Vec<Epoch>), Error> {
        let task = Task {
            design: &self.rows,
            groups: &self.groups,
            train: (&self.train, left),
            validation: (&self.validation, left_to_validate),
        };
        watch.progress(&Progress::Stage("members".to_owned()));
        let train = |member| train_network(&task, settings, member, device, watch);
        // Threads of their own: a thread of a pool that waits for others takes up what else there
        // is to do, another member perhaps, while it holds what that one needs.
        let trained: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (1..=settings.members)
                .map(|member| scope.spawn(move || train(member)))
                .collect();
            threads.into_iter().map(ScopedJoinHandle::join).collect()
        });
        let mut members = Vec::with_capacity(settings.members);
        let mut history = Vec::new();
        for member in trained {
            let (network, epochs) = member.unwrap_or_else(|panic| resume_unwind(panic))?;
            members.push(network);
            history.extend(epochs);
        }
        Ok((members, history))
    }

    /// Trees on what the line leaves: `others` are the fits that had not seen each fold of the
    /// training rows, `linear` is the one that had not seen the validation rows.
    fn grow(
        &self,
        settings: &TrainSettings,
        left: &[f64],
        left_to_validate: &[f64],
        others: &[(Range<usize>, Linear)],
        linear: &Linear,
        watch: &dyn Watch,
    ) -> Result<Woods, Error> {
        let (rows, trees) = (&self.rows, &settings.trees);
        let inputs = Inputs::fit(rows, &self.groups, &self.train, trees.components)?;
        let learned: Vec<(usize, &Linear)> = others
            .iter()
            .flat_map(|(fold, linear)| {
                self.train[fold.clone()]
                    .iter()
                    .map(move |&row| (row, linear))
            })
            .collect();
        let unseen: Vec<(usize, &Linear)> =
            self.validation.iter().map(|&row| (row, linear)).collect();
        let learned = inputs.lesson(rows, &learned, left);
        let unseen = inputs.lesson(rows, &unseen, left_to_validate);
        let boosted = boost(&learned, Some(&unseen), trees, settings.seed, watch)?;
        Ok(Woods {
            validated: boosted.predict_all(&unseen),
            count: boosted.trees.len(),
            inputs,
            lesson: learned.and(&unseen),
        })
    }

    fn mean_of(&self, members: &[Network], rows: &[usize]) -> Vec<f64> {
        let mut mean = vec![0.0; rows.len()];
        for member in members {
            for (sum, value) in mean.iter_mut().zip(member.predict_all(&self.rows, rows)) {
                *sum += value / members.len() as f64;
            }
        }
        mean
    }
}

/// Trees that were tried on the validation rows.
struct Woods {
    inputs: Inputs,
    /// The training and the validation rows.
    lesson: Lesson,
    /// How many trees predict the validation rows best.
    count: usize,
    /// What they say of them.
    validated: Vec<f64>,
}

impl Woods {
    /// As many trees once more, with the validation rows; none where they do not help.
    fn grown_again(
        self,
        settings: &TrainSettings,
        share: f64,
        watch: &dyn Watch,
    ) -> Result<Option<Forest>, Error> {
        if self.count == 0 || share == 0.0 {
            return Ok(None);
        }
        let trees = TreeSettings {
            count: self.count,
            ..settings.trees.clone()
        };
        let boosted = boost(&self.lesson, None, &trees, settings.seed, watch)?;
        Ok(Some(Forest {
            inputs: self.inputs,
            boosted,
            share,
        }))
    }
}

/// The shares of two learners' answers, each from 0 to 1, that together leave the least squared
/// error of `left`; an answer may be missing.
fn best_blend(answers: [&[f64]; 2], left: &[f64]) -> [f64; 2] {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let [a, b] = answers;
    let (aa, bb, ab) = (product(a, a), product(b, b), product(a, b));
    let (ay, by) = (product(a, left), product(b, left));
    let alone = |square: f64, with: f64| {
        if square > 0.0 {
            (with / square).clamp(0.0, 1.0)
        } else {
            0.0
        }
    };
    let error = |[p, q]: [f64; 2]| p * p * aa + q * q * bb + 2.0 * (p * q * ab - p * ay - q * by);
    // The least error of a square lies inside, or on one of its sides.
    let mut tried = vec![[alone(aa, ay), 0.0], [0.0, alone(bb, by)]];
    tried.push([alone(aa, ay - ab), 1.0]);
    tried.push([1.0, alone(bb, by - ab)]);
    let determinant = aa * bb - ab * ab;
    if determinant > 1e-12 * aa * bb {
        let inside = [
            (ay * bb - by * ab) / determinant,
            (by * aa - ay * ab) / determinant,
        ];
        if inside.iter().all(|share| (0.0..=1.0).contains(share)) {
            tried.push(inside);
        }
    }
    let missing = [a.is_empty(), b.is_empty()];
    tried
        .into_iter()
        .map(|shares| [0, 1].map(|at| if missing[at] { 0.0 } else { shares[at] }))
        .reduce(|best, other| {
            if error(other) < error(best) {
                other
            } else {
                best
            }
        })
        .expect("four were tried")
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}
