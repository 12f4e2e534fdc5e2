//! From a matrix to a trained head.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
};

use burn::tensor::Device;

use super::{
    Error, HeadKind, Split, SplitBasis, TargetKind, TrainSettings,
    classify::train_classes,
    design::Group,
    fit::{Fit, difference},
    heads::{Epoch, Head, Problem, Products, Stop, Strength},
    splits::split,
    target::{Curve, Reach},
    watch::{Progress, Watch},
    woods::Woods,
};
use crate::corpus::{ContentHash, FeatureMatrix};

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

impl Fitted {
    /// The ids of the rows that are kept apart for a quarter.
    pub(crate) fn held_out(&self) -> HashSet<&str> {
        let held = self
            .split
            .iter()
            .filter(|(_, part)| *part == Split::HoldOut);
        held.map(|(id, _)| id.as_str()).collect()
    }
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
    /// After how many epochs each network had learned most.
    #[serde(default)]
    pub epochs: Vec<usize>,
    /// What was chosen for each class, where classes are predicted; what stands beside it then is that
    /// of the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassChoices>,
}

/// What a training chose for the head of one class.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ClassChoices {
    /// The class.
    pub class: String,
    /// What was chosen.
    pub choices: Choices,
}

/// Trains a head on the labelled rows of `matrix`.
///
/// 1. The rows are split by time; the design is fitted on the training rows.
/// 2. A ridge regression is fitted; its penalty is the one that predicts left-out folds of the
///    training rows (runs of neighbours in time) best.
/// 3. For `fusion_mlp` and `stack`, networks learn what the ridge leaves over on folds it had not
///    seen, and stop by the validation rows; where the target is a flag, they learn what is missing
///    from the log-odds that the ridge gives it. For `trees` and `stack`, trees do the same with
///    what is left on the scale that is learned. The
///    networks' mean and the trees are added as far as they help there. With trees, what all of them
///    say of the left-out folds helps to tell how far that is: rows by which the number of trees
///    was chosen flatter them.
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
    let (learned, validation) = (splits.rows(Split::Train), splits.rows(Split::Validation));
    let fit = Fit::new(matrix, settings, learned, validation)?;
    let (head, history, choices) = match settings.classes {
        Some(membership) => train_classes(
            (fit, &matrix.rows),
            (membership, settings),
            known,
            products,
            device,
            watch,
        )?,
        None if settings.head == HeadKind::Mmrl => {
            let (head, choices) = original(fit, settings, device, watch)?;
            (head, Vec::new(), choices)
        }
        None => {
            let ran = run(fit, settings, known, products, device, watch)?;
            (ran.head, ran.history, ran.choices)
        }
    };
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

impl Choices {
    /// What was chosen for the line alone.
    fn of_line(groups: &[Group], strength: Strength, target: TargetKind) -> Self {
        let names = groups.iter().map(|group| group.name.clone());
        Self {
            penalty: strength.penalty,
            weights: names.zip(strength.weights).collect(),
            target,
            blend: 0.0,
            trees: (0, 0.0),
            epochs: Vec::new(),
            classes: Vec::new(),
        }
    }
}

/// What came of one training.
pub(super) struct Ran {
    pub(super) head: Head,
    pub(super) history: Vec<Epoch>,
    pub(super) choices: Choices,
    /// What was predicted of the validation rows before these were learned too, on the scale that was
    /// learned.
    pub(super) unseen: Vec<f64>,
}

pub(super) fn run(
    fit: Fit,
    settings: &TrainSettings,
    known: Option<&Choices>,
    products: &mut Option<Products>,
    device: &Device,
    watch: &dyn Watch,
) -> Result<Ran, Error> {
    watch.progress(&Progress::Stage("ridge".to_owned()));
    let (rows, groups) = (&fit.rows, &fit.groups);
    let problem = Problem::new(rows, groups, &fit.train, products.as_ref());
    let (scale, kind, chosen) = fit.choose(&problem, settings, known, watch)?;
    let train_targets = scale.all_scaled(&fit.targets(&fit.train));
    let truth = fit.targets(&fit.validation);
    let wanted = scale.all_scaled(&truth);
    let linear = problem.fit(&train_targets, &chosen.strength)?;
    let mut unseen = linear.predict_all(rows, &fit.validation);

    let odds = fit.odds(&chosen.unseen);
    let of_train = (train_targets.as_slice(), chosen.unseen.as_slice());
    let rest = fit.rest(&fit.train, of_train, odds.as_ref());
    let rest_to_validate = fit.rest(&fit.validation, (&wanted, &unseen), odds.as_ref());
    let mut members = Vec::new();
    if settings.head.has_networks() {
        let stop = Stop::Validated(rest_to_validate.wanted(&fit.validation));
        let stops = vec![stop; settings.members];
        members = fit.members(settings, &rest, &stops, device, watch)?;
    }
    let by_networks = fit.mean_of(&members, &fit.validation);
    let epochs: Vec<usize> = members.iter().map(|member| member.best_epoch).collect();
    let (mut woods, mut by_trees) = (None, Vec::new());
    let [blend, share] = if settings.head.has_trees() {
        watch.progress(&Progress::Stage("trees".to_owned()));
        let others = problem.fits_of_others(&train_targets, &chosen.strength)?;
        let both = (rest.left.as_slice(), rest_to_validate.left.as_slice());
        let grown = Woods::grow(&fit, &others, &linear, both, settings, watch)?;
        by_trees = grown.of_validation();
        let folds: Vec<Range<usize>> = others.into_iter().map(|(fold, _)| fold).collect();
        let by_trees = [
            grown.out_of_fold(&folds, settings, watch)?,
            by_trees.clone(),
        ]
        .concat();
        woods = Some(grown);
        let by_networks = if members.is_empty() {
            Vec::new()
        } else {
            let epochs = middle(&epochs);
            let seen = fit.networks_out_of_fold(settings, &rest, &folds, epochs, device, watch)?;
            [seen, by_networks.clone()].concat()
        };
        let all = rest.and(&rest_to_validate);
        all.best_blend([&by_networks, &by_trees])
    } else {
        rest_to_validate.best_blend([&by_networks, &[]])
    };
    add(&mut unseen, &by_networks, blend);
    add(&mut unseen, &by_trees, share);
    let forest = woods.map(|woods| woods.grown_again(share, settings, watch));
    let forest = forest.transpose()?.flatten();

    let reach = fit.reach(&members, &difference(&wanted, &unseen), settings);
    let curve = way_back(&fit, kind, &[chosen.unseen.as_slice(), &unseen].concat());
    let all = [fit.train.as_slice(), &fit.validation].concat();
    let problem = problem.with_rows(&fit.validation);
    let linear = problem.fit(&scale.all_scaled(&fit.lessons(&all)), &chosen.strength)?;
    if products.is_none() {
        *products = problem.into_products(&fit.groups);
    }
    let choices = Choices {
        blend,
        trees: forest.as_ref().map_or((0, 0.0), |forest| {
            (forest.boosted.trees.len(), forest.share)
        }),
        epochs,
        ..Choices::of_line(&fit.groups, chosen.strength, kind)
    };
    let history = members
        .iter()
        .flat_map(|member| member.history.clone())
        .collect();
    let mut head = Head {
        kind: settings.head,
        design: fit.design,
        scale,
        curve,
        smearing: None,
        reference: fit.reference,
        reach,
        linear,
        blend,
        members: members.into_iter().map(|member| member.network).collect(),
        forest,
        mmrl: None,
        classifier: None,
    };
    head.learn_smearing(settings, &unseen, &truth);
    Ok(Ran {
        head,
        history,
        choices,
        unseen,
    })
}

/// Adds a part of `answers` to `values`; nothing where there are no answers.
fn add(values: &mut [f64], answers: &[f64], part: f64) {
    for (value, answer) in values.iter_mut().zip(answers) {
        *value += part * answer;
    }
}

/// The way back to the targets from what was predicted of the training and validation rows while they
/// were unseen; nothing where the scale leads back by itself.
fn way_back(fit: &Fit, kind: TargetKind, unseen: &[f64]) -> Option<Curve> {
    // A probability has to mean what it says.
    (kind == TargetKind::Rank || fit.is_of_flags()).then(|| {
        let rows = [fit.train.as_slice(), &fit.validation].concat();
        Curve::fit(unseen, &fit.targets(&rows))
    })
}

/// Trains on given rows for training and validation, with what an earlier training has chosen.
///
/// # Errors
///
/// As [`train`].
pub(crate) fn train_rows(
    matrix: &FeatureMatrix,
    (rows, validation): (Vec<usize>, Vec<usize>),
    settings: &TrainSettings,
    known: Option<&Choices>,
    device: &Device,
    watch: &dyn Watch,
) -> Result<Head, Error> {
    let fit = Fit::new(matrix, settings, rows, validation)?;
    if let Some(membership) = settings.classes {
        let fit = (fit, matrix.rows.as_slice());
        let (head, ..) =
            train_classes(fit, (membership, settings), known, &mut None, device, watch)?;
        return Ok(head);
    }
    Ok(run(fit, settings, known, &mut None, device, watch)?.head)
}

/// The original's network by its own recipe; the validation rows tell how wide intervals are.
fn original(
    fit: Fit,
    settings: &TrainSettings,
    device: &Device,
    watch: &dyn Watch,
) -> Result<(Head, Choices), Error> {
    let mmrl = fit.mmrl(settings, device, watch)?;
    let found = mmrl.predict_all(&fit.rows, &fit.validation);
    let truth = fit.targets(&fit.validation);
    let missed = difference(&truth, &found);
    let reach = Reach::fit(&missed, settings.coverage);
    let none = Strength {
        penalty: 0.0,
        weights: Vec::new(),
    };
    let choices = Choices::of_line(&[], none, TargetKind::Standard);
    let mut head = Head::of_mmrl(fit.design, mmrl, reach);
    head.reference = fit.reference;
    head.learn_smearing(settings, &found, &truth);
    Ok((head, choices))
}

/// The middle one of some numbers; 0 where there are none.
fn middle(numbers: &[usize]) -> usize {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}
