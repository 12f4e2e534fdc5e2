//! Intervals that are as wide as a post is uncertain.

use burn::tensor::Device;
use rand::RngExt as _;

use crate::{
    clock::Timestamp,
    corpus::{Block, FeatureMatrix, Label, LabelAge, Row},
    learning::{
        Head, HeadKind, Split, TargetKind, TrainSettings, Unwatched,
        rank::{Ranked, spearman},
        refit, seeds, train,
    },
};

const ROWS: usize = 3000;
const WIDTH: usize = 4;

/// Rows whose first column tells what to expect, and whose second how far off that may be.
fn uneven() -> FeatureMatrix {
    let mut generator = seeds::generator(3, "uneven");
    let mut normal = || {
        let sum: f32 = (0..12).map(|_| generator.random::<f32>()).sum();
        sum - 6.0
    };
    let values: Vec<f32> = (0..ROWS * WIDTH).map(|_| normal()).collect();
    let row = |(at, columns): (usize, &[f32])| Row {
        id: format!("r{at:04}"),
        created_at: Some(Timestamp::from_seconds(at as f64 * 600.0)),
        community: None,
        author: None,
        order: None,
        classes: Vec::new(),
        label: Some(Label {
            target: f64::from(columns[0] + noise_of(columns) * normal()),
            age: LabelAge::Unknown,
        }),
    };
    FeatureMatrix {
        rows: values.chunks(WIDTH).enumerate().map(row).collect(),
        blocks: vec![Block {
            name: "title".to_owned(),
            columns: Vec::new(),
            width: WIDTH,
            values,
            present: vec![true; ROWS],
        }],
        categories: Vec::new(),
    }
}

/// The deviation of a row's target from what is expected of it.
fn noise_of(columns: &[f32]) -> f32 {
    if columns[1] > 0.0 { 2.0 } else { 0.3 }
}

/// Of the tested rows: the share inside their interval, the mean width, and how well the widths
/// follow the noise.
fn intervals(matrix: &FeatureMatrix, head: &Head, split: &[(String, Split)]) -> (f64, f64, f64) {
    let predictions = head.predict(matrix).unwrap();
    let tested: Vec<usize> = (0..ROWS)
        .filter(|&row| split[row].1 == Split::Test)
        .collect();
    let count = tested.len() as f64;
    let inside = tested.iter().filter(|&&row| {
        let target = matrix.rows[row].label.unwrap().target;
        (predictions[row].low..=predictions[row].high).contains(&target)
    });
    let inside = inside.count() as f64 / count;
    let width = |row: &usize| predictions[*row].high - predictions[*row].low;
    let widths: Vec<f64> = tested.iter().map(width).collect();
    let noise = |row: &usize| f64::from(noise_of(matrix.blocks[0].row(*row)));
    let noises: Vec<f64> = tested.iter().map(noise).collect();
    let (widths, noises, ones) = (
        Ranked::new(&widths),
        Ranked::new(&noises),
        vec![1; tested.len()],
    );
    let mean = tested.iter().map(width).sum::<f64>() / count;
    (
        inside,
        mean,
        spearman(&widths, &noises, &ones).unwrap_or(0.0),
    )
}

#[test]
fn intervals_hold_what_they_promise_and_follow_the_noise() {
    let (matrix, device) = (uneven(), Device::flex());
    for head in [HeadKind::FusionMlp, HeadKind::Stack] {
        let mut constant = TrainSettings {
            head,
            members: 2,
            hidden: 16,
            epochs: 12,
            dropout: 0.1,
            input_dropout: 0.0,
            modality_dropout: 0.0,
            target: TargetKind::Standard,
            ..TrainSettings::default()
        };
        constant.trees.count = 20;
        let quantiles = TrainSettings {
            quantiles: true,
            ..constant.clone()
        };
        let [constant, own] = [&constant, &quantiles].map(|settings| {
            let fitted = train(&matrix, settings, &device, &Unwatched).unwrap();
            let filed = fitted.head.to_safetensors().unwrap();
            assert_eq!(Head::from_safetensors(&filed).unwrap(), fitted.head);
            let alone = fitted.head.predict(&matrix.select(&[7])).unwrap();
            assert_eq!(alone[0], fitted.head.predict(&matrix).unwrap()[7]);
            let published = refit(&matrix, &fitted, settings, &device, &Unwatched).unwrap();
            // The published head knows the tested rows; its widths still follow the noise.
            let (.., follows) = intervals(&matrix, &published, &fitted.split);
            assert_eq!(follows > 0.8, settings.quantiles, "{head:?}: {follows}");
            intervals(&matrix, &fitted.head, &fitted.split)
        });
        let (inside, width, follows) = own;
        assert!((inside - 0.8).abs() < 0.06, "{head:?}: {inside}");
        assert!(
            follows > 0.8 && constant.2.abs() < 0.3,
            "{head:?}: {own:?} {constant:?}"
        );
        assert!(width < 0.95 * constant.1, "{head:?}: {own:?} {constant:?}");
    }
}
