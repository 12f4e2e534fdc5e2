//! Trainings on rows that belong to classes.

use std::collections::BTreeSet;

use super::*;
use crate::{
    expression::Membership,
    learning::{Foresight, Opponent, Prediction, duel},
};

/// The rows of [`Planted::Line`], each of the class that its popularity gives, and a few of
/// a class that is too rare to be learned.
fn rows_of_one() -> FeatureMatrix {
    let mut matrix = matrix(Planted::Line);
    for (at, row) in matrix.rows.iter_mut().enumerate() {
        let label = row.label.as_mut().unwrap();
        let class = match label.target {
            _ if at % 140 == 7 => "rare",
            low if low < 0.0 => "low",
            middle if middle < 2.0 => "middle",
            _ => "high",
        };
        row.classes = vec![class.to_owned()];
        label.target = 1.0;
    }
    matrix
}

fn rows_of_several() -> FeatureMatrix {
    let mut matrix = matrix(Planted::Line);
    for (at, row) in matrix.rows.iter_mut().enumerate() {
        let label = row.label.as_mut().unwrap();
        let classes = [
            (label.target > 1.5, "high"),
            (at % 3 == 0, "art"),
            (label.target < -50.0, "never"),
        ];
        let own = classes.into_iter().filter(|(is_so, _)| *is_so);
        row.classes = own.map(|(_, class)| class.to_owned()).collect();
        label.target = row.classes.len() as f64;
    }
    matrix
}

fn of_classes(membership: Membership, head: HeadKind) -> TrainSettings {
    TrainSettings {
        classes: Some(membership),
        backtest: 1,
        resamples: 100,
        ..settings(head)
    }
}

#[test]
fn a_row_is_found_to_belong_to_one_class() {
    let (matrix, device) = (rows_of_one(), Device::flex());
    let settings = of_classes(Membership::One, HeadKind::Trees);
    let fitted = train(&matrix, &settings, &device, &Unwatched).unwrap();
    let head = &fitted.head;
    // Five rows are too few to learn a class from.
    assert_eq!(head.classes(), ["high", "low", "middle"]);
    assert_eq!(
        (head.membership(), head.threshold()),
        (Some(Membership::One), None)
    );

    let answers = head.predict(&matrix).unwrap();
    for of in head.class_probabilities(&answers, None) {
        let sum: f64 = of.iter().map(|of| of.probability.value).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{of:?}");
        assert_eq!(
            of.iter().map(|of| of.chosen).collect::<Vec<_>>(),
            [true, false, false]
        );
        assert!(of.is_sorted_by(|a, b| a.probability.value >= b.probability.value));
        for told in &of {
            let Prediction { value, low, high } = told.probability;
            assert!((0.0..=1.0).contains(&low) && low <= value && value <= high && high <= 1.0);
        }
    }
    let filed = head.to_safetensors().unwrap();
    assert_eq!(Head::from_safetensors(&filed).unwrap(), *head);

    let evaluation = evaluate(
        &matrix,
        &fitted,
        &settings,
        &Beside::default(),
        &device,
        &Unwatched,
    )
    .unwrap();
    let accuracy = evaluation.intervals["accuracy"];
    assert!(accuracy.value.unwrap() > 0.75, "{accuracy:?}");
    assert!(accuracy.low.unwrap() < accuracy.value.unwrap());
    let baseline = &evaluation.baselines["community_median"];
    assert!(baseline.metrics["accuracy"].unwrap() < 0.6, "{baseline:?}");
    assert!(baseline.difference["accuracy"].low.unwrap() > 0.0);
    assert!(!evaluation.models_compared.contains_key("mmrl"));
    let names: Vec<&str> = evaluation
        .classes
        .iter()
        .map(|of| of.class.as_str())
        .collect();
    assert_eq!(names, ["high", "low", "middle"]);
    let without_title = &evaluation
        .ablation
        .iter()
        .find(|of| of.without == "title")
        .unwrap();
    assert!(without_title.difference["accuracy"].low.unwrap() > 0.0);
    assert_eq!(evaluation.backtest.len(), 1);
    assert!(evaluation.communities.is_empty());
}

#[test]
fn a_row_is_found_to_belong_to_several_classes() {
    let (matrix, device) = (rows_of_several(), Device::flex());
    let settings = of_classes(Membership::Any, HeadKind::FusionMlp);
    let fitted = train(&matrix, &settings, &device, &Unwatched).unwrap();
    assert_eq!(fitted.head.classes(), ["art", "high"]);
    assert!(fitted.head.threshold().is_some());
    let evaluation = evaluate(
        &matrix,
        &fitted,
        &settings,
        &Beside::default(),
        &device,
        &Unwatched,
    )
    .unwrap();
    assert!(
        evaluation.metrics["macro_f1"].unwrap() > 0.9,
        "{:?}",
        evaluation.metrics
    );
    assert!(evaluation.metrics["macro_roc_auc"].unwrap() > 0.97);

    let published = refit(&matrix, &fitted, &settings, &device, &Unwatched).unwrap();
    assert_eq!(published.classes(), fitted.head.classes());
    assert_eq!(published.threshold(), fitted.head.threshold());
    assert_ne!(published, fitted.head);

    let answers = published.predict(&matrix).unwrap();
    let parts = published.parts(&matrix).unwrap();
    let told = published.class_probabilities(&answers, Some(0.0));
    for (of, parts) in told.iter().zip(parts) {
        assert!(of.iter().all(|of| of.chosen));
        let adds: f64 = parts.inputs.iter().map(|(_, adds)| adds).sum();
        let whole = parts.base + adds + parts.joint;
        assert!((whole - of[0].probability.value).abs() < 1e-9, "{parts:?}");
    }
}

#[test]
fn heads_of_other_classes_are_held_against_each_other() {
    let (matrix, device) = (rows_of_one(), Device::flex());
    let settings = of_classes(Membership::One, HeadKind::Ridge);
    let fitted = train(&matrix, &settings, &device, &Unwatched).unwrap();
    let mut fewer = matrix.clone();
    for row in &mut fewer.rows {
        if row.classes == ["middle"] {
            row.classes = vec!["low".to_owned()];
        }
    }
    let other = train(&fewer, &settings, &device, &Unwatched).unwrap();
    let opponent = Opponent {
        version: 3,
        foresight: Foresight::Head(Box::new(other.head)),
        learned: BTreeSet::new(),
    };
    let duels = duel(&matrix, &fitted, &settings, &[opponent]).unwrap();
    // It knows nothing of the middle.
    let more = duels[0].difference["macro_f1"];
    assert!(more.low.unwrap() > 0.0, "{more:?}");
    let slices: Vec<&str> = duels[0]
        .slices
        .iter()
        .map(|of| of.community.as_str())
        .collect();
    assert_eq!(slices, ["high", "low", "middle"]);
}

#[test]
fn what_cannot_be_told_apart_is_refused() {
    let (mut matrix, device) = (rows_of_one(), Device::flex());
    let settings = of_classes(Membership::One, HeadKind::Ridge);
    for row in &mut matrix.rows {
        row.classes = vec!["all".to_owned()];
    }
    let error = train(&matrix, &settings, &device, &Unwatched).unwrap_err();
    assert_eq!(
        error.to_string(),
        "of the classes 1 have at least 10 training rows each, and 2 are needed: wait for more \
         labels, or let the target give fewer classes"
    );
    let recipe = of_classes(Membership::One, HeadKind::Mmrl);
    let error = train(&matrix, &recipe, &device, &Unwatched).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("`head` is mmrl; it predicts numbers only"),
        "{error}"
    );
}
