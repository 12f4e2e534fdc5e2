//! From rows that belong to classes to a head of classes.

use std::collections::BTreeMap;

use burn::tensor::Device;

use super::{
    Error, TrainSettings,
    class_metrics::best_threshold,
    fit::Fit,
    heads::{Epoch, Head, Products},
    train::{Choices, ClassChoices, Ran, run},
    watch::{Progress, Watch},
};
use crate::{corpus::Row, expression::Membership};

/// The least training rows of a class that is learned.
pub(super) const LEAST_ROWS: usize = 10;

/// The classes to which enough of `learned` belong, in the order of their names.
///
/// # Errors
///
/// [`Error::TooFewClasses`] where there is nothing to tell apart.
fn classes_of(
    rows: &[Row],
    learned: &[usize],
    membership: Membership,
) -> Result<Vec<String>, Error> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for class in learned.iter().flat_map(|&row| &rows[row].classes) {
        *counts.entry(class).or_default() += 1;
    }
    let (enough, few): (Vec<_>, Vec<_>) = counts
        .into_iter()
        .partition(|(_, count)| *count >= LEAST_ROWS);
    if !few.is_empty() {
        let few: Vec<&str> = few.into_iter().map(|(class, _)| class).collect();
        tracing::warn!(
            classes = few.join(", "),
            "fewer than {LEAST_ROWS} training rows belong to these classes: they are not learned"
        );
    }
    let needed = match membership {
        Membership::One => 2,
        Membership::Any => 1,
    };
    if enough.len() < needed {
        return Err(Error::TooFewClasses {
            found: enough.len(),
            needed,
            rows: LEAST_ROWS,
        });
    }
    Ok(enough
        .into_iter()
        .map(|(class, _)| class.to_owned())
        .collect())
}

/// Trains a head for each class on the rows of `fit`; with `known`, for those of an earlier training,
/// with what it has chosen.
///
/// The threshold of rows that belong to several classes is the one by which the validation rows are
/// told best, before these are learned too.
///
/// # Errors
///
/// As [`train`](super::train()); [`Error::TooFewClasses`].
pub(super) fn train_classes(
    (fit, rows): (Fit, &[Row]),
    (membership, settings): (Membership, &TrainSettings),
    known: Option<&Choices>,
    products: &mut Option<Products>,
    device: &Device,
    watch: &dyn Watch,
) -> Result<(Head, Vec<Epoch>, Choices), Error> {
    let names = match known {
        Some(known) => known.classes.iter().map(|of| of.class.clone()).collect(),
        None => classes_of(rows, &fit.train, membership)?,
    };
    let (mut heads, mut history, mut classes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut truth, mut unseen) = (Vec::new(), Vec::new());
    for (at, name) in names.iter().enumerate() {
        let place = format!("{} of {}", at + 1, names.len());
        watch.progress(&Progress::Stage(format!("class {name}, {place}")));
        let of_class = fit.of_class(rows, name);
        truth.extend(of_class.targets(&fit.validation));
        let known = known.map(|known| &known.classes[at].choices);
        let ran: Ran = run(of_class, settings, known, products, device, watch)?;
        let probability = |scaled: &f64| ran.head.prediction(*scaled, [0.0; 2]).value;
        unseen.extend(ran.unseen.iter().map(probability));
        history.extend(ran.history);
        heads.push((name.clone(), ran.head));
        classes.push(ClassChoices {
            class: name.clone(),
            choices: ran.choices,
        });
    }
    let threshold = best_threshold(&truth, &unseen);
    let choices = Choices {
        classes: classes.clone(),
        ..classes[0].choices.clone()
    };
    let head = Head::of_classes((membership, threshold), heads);
    Ok((head, history, choices))
}
