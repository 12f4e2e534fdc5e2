//! What a head is worth: metrics of the test rows beside baselines, a plainer model, and the same
//! head without each of its blocks.

use std::collections::{BTreeMap, HashMap};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::{
    Error, HeadKind, Split, SplitBasis, TrainSettings,
    backtest::{Origin, backtest},
    baselines,
    bootstrap::{Drawn, Intervals},
    calibration::{Calibration, CommunityMetrics, by_community, calibration},
    class_metrics::ClassMetrics,
    heads::Products,
    holdout::{HoldOut, on_hold_outs},
    judge::{Judge, judged, values},
    metrics::{Metrics, spearman_ceiling},
    train::{Fitted, train_from, train_rows},
    watch::{Progress, Watch},
    worth::{Worth, worth},
};
use crate::corpus::FeatureMatrix;

/// Metrics with their intervals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The metrics of the test rows.
    pub metrics: Metrics,
    /// Their 95 % intervals; see [`Bootstrap`](super::Bootstrap).
    pub intervals: Intervals,
    /// The head's metrics minus these, with 95 % intervals.
    #[serde(default)]
    pub difference: Intervals,
}

/// The head without one block or category, or without several that tell of one modality.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ablation {
    /// What was left out; several names are joined by ` + `.
    pub without: String,
    /// The metrics of the test rows.
    pub metrics: Metrics,
    /// The head's metrics minus these, with 95 % intervals.
    #[serde(default)]
    pub difference: Intervals,
}

/// The metrics that belong to a part of the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// How many rows that are: of a learning curve, of those that were learned.
    pub rows: usize,
    /// The metrics.
    pub metrics: Metrics,
    /// Their 95 % intervals.
    pub intervals: Intervals,
}

/// How many rows play which part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitSizes {
    /// What the rows were split by.
    pub basis: SplitBasis,
    /// Rows that were learned.
    pub train: usize,
    /// Rows that chose.
    pub validation: usize,
    /// Rows that judge.
    pub test: usize,
    /// Labelled rows in the embargo.
    pub unused: usize,
}

/// How many labels were read at a known age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelAges {
    /// At a known one.
    pub known: usize,
    /// At an unknown one.
    pub unknown: usize,
}

/// What a head is worth, with the names of the command line's JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// What the rows were split by and how old the labels are, in one sentence.
    pub first_line: String,
    /// How many rows play which part.
    pub split: SplitSizes,
    /// How many labels were read at a known age.
    pub label_ages: LabelAges,
    /// The metrics of the test rows; with `spearman_ceiling` where the truth is known, and
    /// `coverage`, the share of test targets inside their interval.
    pub metrics: Metrics,
    /// Their 95 % intervals.
    pub intervals: Intervals,
    /// Medians, learned from the training and validation rows.
    pub baselines: BTreeMap<String, Judged>,
    /// Plainer models on the same features, and `mmrl`, the original's recipe on its vectors.
    pub models_compared: BTreeMap<String, Judged>,
    /// The head trained again without each of its inputs, with one member; where several tell of one
    /// modality, also without all of these.
    pub ablation: Vec<Ablation>,
    /// What each input is worth to a ridge regression, the most first; not told of classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worth: Vec<Worth>,
    /// Whether predictions and intervals mean what they say.
    #[serde(default)]
    pub calibration: Option<Calibration>,
    /// How the head does in each community, the one with the most rows first.
    #[serde(default)]
    pub communities: Vec<CommunityMetrics>,
    /// How the head does in each class, where it predicts classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassMetrics>,
    /// Ridge regression on growing parts of the training rows, the newest ones: whether more rows
    /// would help.
    #[serde(default)]
    pub learning_curve: Vec<CurvePoint>,
    /// The test rows of authors that were not learned of; nothing where they are too few, or no row
    /// has an author.
    #[serde(default)]
    pub new_authors: Option<CurvePoint>,
    /// The head on rows that are kept apart for a quarter of a year.
    #[serde(default)]
    pub hold_outs: Vec<HoldOut>,
    /// The head at earlier moments, the newest first.
    #[serde(default)]
    pub backtest: Vec<Origin>,
}

/// By record id, the noise-free value that a simulated source tells.
pub type Truth = HashMap<String, f64>;

/// What an evaluation knows beside the rows.
#[derive(Clone, Debug, Default)]
pub struct Beside<'a> {
    /// The noise-free value of each id, where a simulated source tells it.
    pub truth: Option<&'a Truth>,
    /// Blocks that tell of one modality, such as an image's vector and that of its caption: what is
    /// left out together too, since each tells much of what the others tell.
    pub modalities: Vec<Vec<String>>,
}

/// Judges `fitted`, which [`train`](super::train()) made of `matrix` under `settings`.
///
/// # Errors
///
/// As [`train`](super::train()); [`Error::Schema`] where `fitted` is not of this matrix.
pub fn evaluate(
    matrix: &FeatureMatrix,
    fitted: &Fitted,
    settings: &TrainSettings,
    beside: &Beside<'_>,
    device: &Device,
    watch: &dyn Watch,
) -> Result<Evaluation, Error> {
    let judge = Judge::new(matrix, fitted, settings)?;
    watch.progress(&Progress::Stage("intervals".to_owned()));
    let predictions = fitted.head.predict(&judge.test)?;
    let scorer = judge.scorer(&values(&predictions))?;
    let mut metrics = scorer.metrics();
    let drawn = judge.questions.draw(&scorer);
    if watch.cancelled() {
        return Err(Error::Cancelled);
    }
    metrics.insert("coverage".to_owned(), judge.coverage(&predictions));
    // The noise-free value is no ceiling of where a row stands in its community.
    if let (Some(truth), None, None) = (beside.truth, settings.relative, settings.classes) {
        let rows = judge.test.rows.iter();
        let expected: Vec<Option<f64>> = rows.map(|row| truth.get(&row.id).copied()).collect();
        let ceiling = spearman_ceiling(&judge.questions.targets, &expected);
        metrics.insert("spearman_ceiling".to_owned(), ceiling);
    }

    let mut known = judge.part(Split::Train);
    known.extend(judge.part(Split::Validation));
    let mut compared = BTreeMap::new();
    let rows = fitted.head.asked(&matrix.rows);
    let asked = |of: &[usize]| questions_of(of, rows.len() / matrix.rows.len());
    let (known, test) = (asked(&known), asked(&judge.tested()));
    for (name, predictions) in baselines::predict(&rows, &known, &test) {
        compared.insert(name.to_owned(), judge.judge(&predictions, &drawn)?);
    }
    let baselines = std::mem::take(&mut compared);
    // What a training without a block multiplies is a part of what one with all blocks does.
    let mut products = None;
    if settings.head != HeadKind::Ridge {
        watch.progress(&Progress::Stage("ridge alone".to_owned()));
        let ridge = TrainSettings {
            head: HeadKind::Ridge,
            ..settings.clone()
        };
        let ridge = train_from(
            matrix,
            &ridge,
            Some(&fitted.choices),
            &mut products,
            device,
            watch,
        )?
        .head;
        compared.insert(
            "ridge".to_owned(),
            judge.judge(&judge.values(&ridge)?, &drawn)?,
        );
    }
    // The original predicts no classes.
    let has_recipe = settings.head != HeadKind::Mmrl && settings.classes.is_none();
    if has_recipe && fitted.head.has_vectors() {
        let recipe = TrainSettings {
            head: HeadKind::Mmrl,
            ..settings.clone()
        };
        let mmrl = train_from(matrix, &recipe, None, &mut None, device, watch)?.head;
        let judged = judge.judge(&judge.values(&mmrl)?, &drawn)?;
        compared.insert("mmrl".to_owned(), judged);
    }

    let ablation = ablation(
        (&judge, &drawn),
        (fitted, settings),
        &beside.modalities,
        &mut products,
        device,
        watch,
    )?;
    let worth = worth(
        &judge,
        (fitted, settings),
        &beside.modalities,
        &mut products,
        device,
        watch,
    )?;
    let questions = &judge.questions;
    let calibration = calibration(&predictions, &questions.targets, settings.coverage);
    let classes = scorer.by_class(fitted.head.classes());
    let communities = match settings.classes {
        Some(_) => Vec::new(),
        None => by_community(&questions.rows, &predictions, &questions.targets),
    };
    let learning_curve = learning_curve(&judge, fitted, settings, device, watch)?;
    Ok(Evaluation {
        first_line: judge.first_line(settings),
        split: judge.sizes(),
        label_ages: judge.label_ages(),
        metrics,
        intervals: drawn.intervals(),
        baselines,
        models_compared: compared,
        ablation,
        worth,
        calibration: Some(calibration),
        communities,
        classes,
        learning_curve,
        new_authors: new_authors(&judge, fitted, settings)?,
        hold_outs: on_hold_outs(matrix, fitted, settings)?,
        backtest: backtest(&judge, fitted, settings, device, watch)?,
    })
}

/// The head trained again without each of its inputs, and without the blocks of each modality, with
/// one member; `drawn` are its own metrics.
fn ablation(
    (judge, drawn): (&Judge<'_>, &Drawn),
    (fitted, settings): (&Fitted, &TrainSettings),
    modalities: &[Vec<String>],
    products: &mut Option<Products>,
    device: &Device,
    watch: &dyn Watch,
) -> Result<Vec<Ablation>, Error> {
    let inputs = fitted.head.inputs();
    if !settings.ablation || inputs.len() < 2 {
        return Ok(Vec::new());
    }
    let mut left_out: Vec<Vec<String>> = inputs.iter().map(|name| vec![name.clone()]).collect();
    for modality in modalities {
        let mut together = inputs.clone();
        together.retain(|name| modality.contains(name));
        if together.len() > 1 && together.len() < inputs.len() {
            left_out.push(together);
        }
    }
    let without = |names: Vec<String>| {
        let called = names.join(" + ");
        watch.progress(&Progress::Stage(format!("without {called}")));
        let mut without = settings.clone();
        without.members = 1;
        without.without.extend(names);
        let known = Some(&fitted.choices);
        let head = train_from(judge.matrix, &without, known, products, device, watch)?.head;
        let Judged {
            metrics,
            difference,
            ..
        } = judge.judge(&judge.values(&head)?, drawn)?;
        Ok(Ablation {
            without: called,
            metrics,
            difference,
        })
    };
    left_out.into_iter().map(without).collect()
}

/// The questions about some rows, where there are so many about each.
fn questions_of(rows: &[usize], per_row: usize) -> Vec<usize> {
    let about = |&row: &usize| row * per_row..(row + 1) * per_row;
    rows.iter().flat_map(about).collect()
}

/// The least test rows of new authors that say something.
const LEAST_NEW: usize = 20;

fn new_authors(
    judge: &Judge<'_>,
    fitted: &Fitted,
    settings: &TrainSettings,
) -> Result<Option<CurvePoint>, Error> {
    let (rows, known) = judge.of_new_authors();
    if known == 0 || rows.rows.len() < LEAST_NEW {
        return Ok(None);
    }
    let (metrics, intervals) = judged(&rows, &fitted.head, settings)?;
    Ok(Some(CurvePoint {
        rows: rows.rows.len(),
        metrics,
        intervals,
    }))
}

/// The shares of the training rows that are learned for the learning curve, and the least rows.
const CURVE: [f64; 4] = [0.125, 0.25, 0.5, 1.0];
const LEAST_CURVE_ROWS: usize = 40;

fn learning_curve(
    judge: &Judge<'_>,
    fitted: &Fitted,
    settings: &TrainSettings,
    device: &Device,
    watch: &dyn Watch,
) -> Result<Vec<CurvePoint>, Error> {
    if !settings.ablation || settings.head == HeadKind::Mmrl {
        return Ok(Vec::new());
    }
    watch.progress(&Progress::Stage("learning curve".to_owned()));
    let ridge = TrainSettings {
        head: HeadKind::Ridge,
        ..settings.clone()
    };
    let mut points = Vec::new();
    for share in CURVE {
        let (train, validation) = judge.newest(share);
        if train.len() < LEAST_CURVE_ROWS {
            continue;
        }
        let rows = train.len() + validation.len();
        let known = Some(&fitted.choices);
        let head = train_rows(
            judge.matrix,
            (train, validation),
            &ridge,
            known,
            device,
            watch,
        )?;
        let scorer = judge.scorer(&judge.values(&head)?)?;
        points.push(CurvePoint {
            rows,
            metrics: scorer.metrics(),
            intervals: judge.questions.draw(&scorer).intervals(),
        });
    }
    Ok(points)
}
