//! Whole trainings on rows whose popularity is known.

mod flags;
mod quantiles;
mod resume;

use burn::tensor::Device;
use rand::RngExt;

use super::{
    Beside, FusionKind, Head, HeadKind, Inverse, Split, TargetKind, TrainSettings, Unwatched,
    evaluate,
    rank::{self, Ranked},
    refit, seeds, train,
};
use crate::{
    clock::Timestamp,
    corpus::{Block, FeatureMatrix, Label, LabelAge, Row},
    encoders::{DeviceSpec, device_support},
    expression::Relative,
};

mod classes;

/// Rows, and the odd width of their vectors.
const ROWS: usize = 700;
const WIDTH: usize = 9;

/// What a post's popularity is made of, beside noise.
#[derive(Clone, Copy)]
enum Planted {
    /// A sum over columns and the community.
    Line,
    /// The product of two columns, of which a line sees nothing.
    Product,
}

/// Rows of two blocks and a category, one an hour, of which each eleventh lacks its second block.
fn matrix(planted: Planted) -> FeatureMatrix {
    let mut generator = seeds::generator(5, "rows");
    let mut normal = || {
        let sum: f32 = (0..12).map(|_| generator.random::<f32>()).sum();
        sum - 6.0
    };
    let title: Vec<f32> = (0..ROWS * WIDTH).map(|_| normal()).collect();
    let present: Vec<bool> = (0..ROWS).map(|row| row % 11 != 3).collect();
    let numbers: Vec<f32> = (0..ROWS * 2)
        .map(|at| if present[at / 2] { normal() } else { 0.0 })
        .collect();
    let communities = ["art", "aww", "pics"];
    let rows = (0..ROWS)
        .map(|row| {
            let (x, y) = (title[row * WIDTH], title[row * WIDTH + 4]);
            let signal = match planted {
                Planted::Line => x + 0.5 * y + numbers[row * 2] + (row % 3) as f32,
                Planted::Product => 2.0 * x * y,
            };
            Row {
                id: format!("r{row:04}"),
                created_at: Some(Timestamp::from_seconds(row as f64 * 3600.0)),
                community: Some(communities[row % 3].to_owned()),
                author: None,
                order: None,
                classes: Vec::new(),
                label: Some(Label {
                    target: f64::from(signal + 0.3 * normal()),
                    age: LabelAge::Unknown,
                }),
            }
        })
        .collect();
    let block = |name: &str, width, values, present| Block {
        name: name.to_owned(),
        columns: Vec::new(),
        width,
        values,
        present,
    };
    FeatureMatrix {
        rows,
        blocks: vec![
            block("title", WIDTH, title, vec![true; ROWS]),
            block("numbers", 2, numbers, present),
        ],
        categories: vec![(
            "community".to_owned(),
            (0..ROWS)
                .map(|row| Some(communities[row % 3].to_owned()))
                .collect(),
        )],
    }
}

fn settings(head: HeadKind) -> TrainSettings {
    TrainSettings {
        head,
        members: 1,
        hidden: 16,
        dropout: 0.1,
        input_dropout: 0.0,
        modality_dropout: 0.0,
        ..TrainSettings::default()
    }
}

/// The devices of this executable, with their names.
fn devices() -> Vec<(DeviceSpec, Device)> {
    device_support()
        .into_iter()
        .filter(|support| support.usable)
        .map(|support| (support.device, support.device.open().unwrap()))
        .collect()
}

/// The rank correlation of a head's predictions with the targets of the rows it has not seen.
fn spearman(matrix: &FeatureMatrix, settings: &TrainSettings, device: &Device) -> f64 {
    let fitted = train(matrix, settings, device, &Unwatched).unwrap();
    let predictions = fitted.head.predict(matrix).unwrap();
    let (mut found, mut wanted) = (Vec::new(), Vec::new());
    for ((row, prediction), (id, part)) in matrix.rows.iter().zip(predictions).zip(&fitted.split) {
        assert_eq!(row.id, *id);
        if *part == Split::Test {
            found.push(prediction.value);
            wanted.push(row.label.unwrap().target);
        }
    }
    assert_eq!(found.len(), ROWS / 5);
    let ones = vec![1; found.len()];
    rank::spearman(&Ranked::new(&found), &Ranked::new(&wanted), &ones).unwrap()
}

#[test]
fn a_line_is_found_by_both_heads_and_a_product_by_the_network_alone() {
    for (name, device) in devices() {
        let of = |planted, head| spearman(&matrix(planted), &settings(head), &device);
        let line = [HeadKind::Ridge, HeadKind::FusionMlp].map(|head| of(Planted::Line, head));
        assert!(line.iter().all(|found| *found > 0.95), "{name}: {line:?}");
        let ridge = of(Planted::Product, HeadKind::Ridge);
        let network = of(Planted::Product, HeadKind::FusionMlp);
        assert!(ridge.abs() < 0.3, "{name}: {ridge}");
        assert!(network > 0.7, "{name}: {network}");
    }
}

#[test]
fn what_lies_above_the_share_is_learned_as_the_highest_below_it() {
    let (matrix, device) = (matrix(Planted::Line), Device::flex());
    let mut wilder = matrix.clone();
    // The highest of the rows that are learned from; the last ones are not.
    let learned = &mut wilder.rows[..ROWS / 2];
    let highest = learned
        .iter_mut()
        .filter_map(|row| row.label.as_mut())
        .max_by(|a, b| a.target.total_cmp(&b.target))
        .unwrap();
    highest.target += 500.0;
    let head = |matrix: &FeatureMatrix, winsorise| {
        let settings = TrainSettings {
            winsorise,
            ..settings(HeadKind::Ridge)
        };
        train(matrix, &settings, &device, &Unwatched).unwrap().head
    };
    assert_eq!(head(&matrix, 0.98), head(&wilder, 0.98));
    assert_ne!(head(&matrix, 1.0), head(&wilder, 1.0));
}

#[test]
fn equal_trainings_give_equal_heads_that_survive_being_filed() {
    let (matrix, settings) = (matrix(Planted::Line), settings(HeadKind::FusionMlp));
    for (name, device) in devices() {
        let heads = [0, 1].map(|_| train(&matrix, &settings, &device, &Unwatched).unwrap().head);
        let filed = heads[0].to_safetensors().unwrap();
        assert_eq!(Head::from_safetensors(&filed).unwrap(), heads[0]);
        if name.is_exact() {
            assert_eq!(filed, heads[1].to_safetensors().unwrap());
        }
        let [once, again] = heads.map(|head| head.predict(&matrix).unwrap());
        for (once, again) in once.iter().zip(&again) {
            assert!(
                (once.value - again.value).abs() < 1e-5,
                "{name}: {once:?} {again:?}"
            );
        }
    }
}

#[test]
fn averaged_weights_are_what_is_kept() {
    let (matrix, device) = (matrix(Planted::Product), Device::flex());
    let plain = settings(HeadKind::FusionMlp);
    let averaged = TrainSettings {
        ema: 0.9,
        ..plain.clone()
    };
    let trained = |settings| train(&matrix, settings, &device, &Unwatched).unwrap();
    let fitted = [&plain, &averaged, &averaged].map(trained);
    // The first pass learns the same: it is the weights that are measured which differ.
    let [first, other, _] = [0, 1, 2].map(|at| fitted[at].history[0]);
    assert_eq!(first.train_loss, other.train_loss);
    assert_ne!(first.validation_loss, other.validation_loss);
    let [found, averaged, again] = fitted.map(|fitted| fitted.head.to_safetensors().unwrap());
    assert_eq!(averaged, again);
    assert_ne!(averaged, found);
    let (matrix, settings) = (&matrix, TrainSettings { ema: 0.9, ..plain });
    assert!(spearman(matrix, &settings, &device) > 0.7);
}

#[test]
fn an_attention_over_blocks_learns_and_survives_being_filed() {
    let (matrix, device) = (matrix(Planted::Product), Device::flex());
    let settings = TrainSettings {
        fusion: FusionKind::Attention,
        modality_dropout: 0.1,
        ..settings(HeadKind::FusionMlp)
    };
    assert!(spearman(&matrix, &settings, &device) > 0.7);
    let head = train(&matrix, &settings, &device, &Unwatched).unwrap().head;
    let filed = head.to_safetensors().unwrap();
    assert_eq!(Head::from_safetensors(&filed).unwrap(), head);
    let whole = head.predict(&matrix).unwrap();
    let alone = head.predict(&matrix.select(&[3])).unwrap();
    assert_eq!(alone[0], whole[3]);
}

/// The mean squared error of a head on some rows.
fn error(matrix: &FeatureMatrix, head: &Head, rows: &[usize]) -> f64 {
    let predictions = head.predict(matrix).unwrap();
    let miss = |&row: &usize| {
        let target = matrix.rows[row].label.unwrap().target;
        (predictions[row].value - target).powi(2)
    };
    rows.iter().map(miss).sum::<f64>() / rows.len() as f64
}

#[test]
fn what_is_published_has_learned_the_newest_rows_too() {
    let mut matrix = matrix(Planted::Line);
    // Since the last days another column counts, of which the rows before tell nothing.
    let newest: Vec<usize> = (ROWS - ROWS / 5..ROWS).collect();
    let title = matrix.block("title").unwrap().clone();
    for &row in &newest {
        let label = matrix.rows[row].label.as_mut().unwrap();
        label.target += 3.0 * f64::from(title.row(row)[7]);
    }
    for kind in [HeadKind::Ridge, HeadKind::FusionMlp, HeadKind::Stack] {
        let (settings, device) = (settings(kind), Device::flex());
        let fitted = train(&matrix, &settings, &device, &Unwatched).unwrap();
        let published = refit(&matrix, &fitted, &settings, &device, &Unwatched).unwrap();
        let (before, after) = (
            error(&matrix, &fitted.head, &newest),
            error(&matrix, &published, &newest),
        );
        assert!(after < 0.9 * before, "{kind:?}: {after} of {before}");
        let again = refit(&matrix, &fitted, &settings, &device, &Unwatched).unwrap();
        assert_eq!(again, published);
        let filed = published.to_safetensors().unwrap();
        assert_eq!(Head::from_safetensors(&filed).unwrap(), published);
    }
}

#[test]
fn the_original_learns_next_to_nothing_unless_its_rate_falls_as_was_meant() {
    let matrix = matrix(Planted::Line);
    let of = |decay_per_step| TrainSettings {
        decay_per_step,
        ..settings(HeadKind::Mmrl)
    };
    for (name, device) in devices() {
        let [recipe, meant] = [true, false].map(|step| spearman(&matrix, &of(step), &device));
        assert!(recipe < 0.6 && meant > recipe, "{name}: {recipe} {meant}");
        let fitted = train(&matrix, &of(true), &device, &Unwatched).unwrap();
        let filed = fitted.head.to_safetensors().unwrap();
        assert_eq!(Head::from_safetensors(&filed).unwrap(), fitted.head);
        // A row's value is its own: nothing of the batch is left in it.
        let whole = fitted.head.predict(&matrix).unwrap();
        let alone = fitted.head.predict(&matrix.select(&[41])).unwrap();
        assert_eq!(alone[0], whole[41]);
    }
}

#[test]
fn trees_that_learn_noise_are_not_used() {
    let mut matrix = matrix(Planted::Line);
    let mut generator = seeds::generator(11, "noise");
    for row in &mut matrix.rows {
        row.label.as_mut().unwrap().target = generator.random::<f64>();
    }
    let settings = settings(HeadKind::Trees);
    let fitted = train(&matrix, &settings, &Device::flex(), &Unwatched).unwrap();
    let (count, share) = fitted.choices.trees;
    assert!(count as f64 * share < 8.0, "{count} trees at {share}");
}

#[test]
fn an_evaluation_says_what_each_block_is_worth_beside_the_baselines() {
    let (matrix, settings) = (matrix(Planted::Line), settings(HeadKind::Ridge));
    let device = Device::flex();
    let fitted = train(&matrix, &settings, &device, &Unwatched).unwrap();
    let beside = Beside {
        truth: None,
        // Of a modality that is whole, or of which only one block is there, nothing more is said.
        modalities: vec![
            ["title", "community"].map(str::to_owned).to_vec(),
            ["numbers", "image"].map(str::to_owned).to_vec(),
            ["title", "numbers", "community"]
                .map(str::to_owned)
                .to_vec(),
        ],
    };
    let evaluation = evaluate(&matrix, &fitted, &settings, &beside, &device, &Unwatched).unwrap();
    let whole = evaluation.metrics["spearman"].unwrap();
    for without in ["title", "numbers", "community"] {
        let ablation = evaluation.ablation.iter().find(|a| a.without == without);
        let rest = ablation.unwrap().metrics["spearman"].unwrap();
        assert!(rest < whole - 0.02, "without {without}: {rest} of {whole}");
    }
    let (several, single): (Vec<_>, Vec<_>) = evaluation
        .ablation
        .iter()
        .partition(|of| of.without.contains('+'));
    assert_eq!((several.len(), single.len()), (1, 3));
    assert_eq!(several[0].without, "title + community");
    for of in single.iter().filter(|of| of.without != "numbers") {
        assert!(several[0].metrics["spearman"] < of.metrics["spearman"]);
    }
    let worth: Vec<&str> = evaluation
        .worth
        .iter()
        .map(|of| of.input.as_str())
        .collect();
    assert_eq!(worth, ["title + community", "numbers"]);
    let parts: f64 = evaluation.worth.iter().map(|of| of.part).sum();
    assert!((parts - whole * whole).abs() < 1e-9, "{parts} of {whole}");
    // The same head at earlier moments, on as many rows, with less to learn from.
    assert_eq!(evaluation.backtest.len(), 3);
    for pair in evaluation.backtest.windows(2) {
        assert!(pair[1].to < pair[0].from && pair[1].learned < pair[0].learned);
    }
    for origin in &evaluation.backtest {
        assert_eq!(origin.rows, ROWS / 5);
        assert!(origin.metrics["spearman"].unwrap() > 0.9, "{origin:?}");
    }
    let curve: Vec<usize> = evaluation
        .learning_curve
        .iter()
        .map(|point| point.rows)
        .collect();
    assert!(curve.len() == 4 && curve.is_sorted(), "{curve:?}");
    assert!(evaluation.new_authors.is_none() && evaluation.hold_outs.is_empty());
    let median = &evaluation.baselines["community_median"];
    assert!(median.metrics["spearman"].unwrap() < whole);
}

#[test]
fn a_few_components_of_a_wide_vector_tell_what_it_tells() {
    let mut matrix = matrix(Planted::Line);
    // Four times as many columns that say the same, with a little noise.
    let mut generator = seeds::generator(13, "wide");
    let title = &mut matrix.blocks[0];
    let values = title.values.chunks(WIDTH).flat_map(|row| row.repeat(4));
    title.values = values
        .map(|value| value + 0.05 * generator.random::<f32>())
        .collect();
    title.width = 4 * WIDTH;
    let few = |head| TrainSettings {
        components: WIDTH,
        ..settings(head)
    };
    let device = Device::flex();
    assert!(spearman(&matrix, &few(HeadKind::Ridge), &device) > 0.95);
    for head in [HeadKind::Stack, HeadKind::Mmrl] {
        let fitted = train(&matrix, &few(head), &device, &Unwatched).unwrap();
        let filed = fitted.head.to_safetensors().unwrap();
        assert_eq!(Head::from_safetensors(&filed).unwrap(), fitted.head);
        assert_eq!(fitted.head.design.has_components(), head == HeadKind::Stack);
        let alone = fitted.head.predict(&matrix.select(&[41])).unwrap();
        assert_eq!(alone[0], fitted.head.predict(&matrix).unwrap()[41]);
    }
}

/// Where there is nothing to be found, intervals hold the value of a guess as often as they promise.
#[test]
fn a_shuffled_signal_is_not_found() {
    let (mut matrix, device) = (matrix(Planted::Line), Device::flex());
    // Six rows an hour, so that there are pairs to be put in order.
    for (at, row) in matrix.rows.iter_mut().enumerate() {
        row.created_at = Some(Timestamp::from_seconds(at as f64 * 600.0));
    }
    let guesses = [
        ("spearman", 0.0),
        ("spearman_within", 0.0),
        ("kendall", 0.0),
        ("pairwise_accuracy", 0.5),
        ("top_decile_precision", 0.1),
    ];
    let mut left = Vec::new();
    for seed in 0..20 {
        let mut labels: Vec<_> = matrix.rows.iter().map(|row| row.label).collect();
        seeds::shuffle(&mut labels, &mut seeds::generator(seed, "labels"));
        for (row, label) in matrix.rows.iter_mut().zip(labels) {
            row.label = label;
        }
        let settings = TrainSettings {
            ablation: false,
            backtest: 0,
            without: vec!["title".to_owned()],
            seed,
            ..settings(HeadKind::Ridge)
        };
        let fitted = train(&matrix, &settings, &device, &Unwatched).unwrap();
        let evaluation = evaluate(
            &matrix,
            &fitted,
            &settings,
            &Beside::default(),
            &device,
            &Unwatched,
        )
        .unwrap();
        for (metric, guess) in guesses {
            let interval = evaluation.intervals[metric];
            // A constant prediction has no rank correlation and leaves nothing.
            if let (Some(low), Some(high)) = (interval.low, interval.high)
                && !(low..=high).contains(&guess)
            {
                left.push((seed, metric, low, high));
            }
        }
    }
    // Five of the hundred are expected by chance.
    assert!(left.len() <= 5, "{left:?}");
}

#[test]
fn where_a_row_stands_among_others_can_be_learned() {
    let (matrix, device) = (matrix(Planted::Line), Device::flex());
    for (relative, metric) in [
        (Relative::CommunityQuantile, "spearman"),
        (Relative::TopDecile, "roc_auc"),
        (Relative::Pairs, "spearman_within"),
    ] {
        let settings = TrainSettings {
            relative: Some(relative),
            inverse: Inverse::Expm1,
            ablation: false,
            ..settings(HeadKind::FusionMlp)
        };
        let fitted = train(&matrix, &settings, &device, &Unwatched).unwrap();
        let evaluation = evaluate(
            &matrix,
            &fitted,
            &settings,
            &Beside::default(),
            &device,
            &Unwatched,
        )
        .unwrap();
        let found = evaluation.metrics[metric].unwrap();
        assert!(found > 0.85, "{relative:?}: {metric} {found}");
        let of_flags = evaluation.metrics.contains_key("brier");
        assert_eq!(of_flags, relative == Relative::TopDecile);
        let filed = fitted.head.to_safetensors().unwrap();
        assert_eq!(Head::from_safetensors(&filed).unwrap(), fitted.head);
        for prediction in fitted.head.predict(&matrix).unwrap() {
            assert!(prediction.low <= prediction.value && prediction.value <= prediction.high);
            let share = 0.0..=1.0;
            let inside = share.contains(&prediction.low) && share.contains(&prediction.high);
            assert!(inside || relative == Relative::Pairs, "{prediction:?}");
            assert_eq!(fitted.head.original(&prediction), None);
        }
        let published = refit(&matrix, &fitted, &settings, &device, &Unwatched).unwrap();
        assert_ne!(published.targets(&matrix.rows), vec![None; ROWS]);
        if relative == Relative::CommunityQuantile {
            // Measured by more rows than the head that was evaluated.
            let both = [&fitted.head, &published].map(|head| head.targets(&matrix.rows));
            assert_ne!(both[0], both[1]);
        }
    }
}

#[test]
fn the_expected_score_is_more_than_the_score_at_the_expected_logarithm() {
    let mut matrix = matrix(Planted::Line);
    let mut generator = seeds::generator(12, "tails");
    for row in &mut matrix.rows {
        row.label.as_mut().unwrap().target += 2.0 * generator.random::<f64>();
    }
    let settings = TrainSettings {
        inverse: Inverse::Exp,
        ..settings(HeadKind::Ridge)
    };
    let fitted = train(&matrix, &settings, &Device::flex(), &Unwatched).unwrap();
    let (mut plain, mut expected, mut truth) = (0.0, 0.0, 0.0);
    let predictions = fitted.head.predict(&matrix).unwrap();
    for ((prediction, row), (_, part)) in predictions.iter().zip(&matrix.rows).zip(&fitted.split) {
        if *part == Split::Test {
            let original = fitted.head.original(prediction).unwrap();
            assert!(original.low <= original.value && original.value <= original.high);
            plain += prediction.value.exp();
            expected += original.value;
            truth += row.label.unwrap().target.exp();
        }
    }
    let off = |sum: f64| (sum / truth - 1.0).abs();
    assert!(
        off(expected) < 0.8 * off(plain),
        "{plain} {expected} {truth}"
    );
}

#[test]
fn what_inputs_add_makes_up_the_prediction_and_tells_which_matters() {
    let device = Device::flex();
    let (line, product) = (matrix(Planted::Line), matrix(Planted::Product));
    for (matrix, head, exact) in [
        (&line, HeadKind::Ridge, true),
        (&product, HeadKind::FusionMlp, false),
    ] {
        let settings = TrainSettings {
            target: TargetKind::Standard,
            ..settings(head)
        };
        let fitted = train(matrix, &settings, &device, &Unwatched).unwrap();
        let predictions = fitted.head.predict(matrix).unwrap();
        let parts = fitted.head.parts(matrix).unwrap();
        let mut told = [0.0; 3];
        for (row, (parts, prediction)) in parts.iter().zip(predictions).enumerate() {
            let names: Vec<&str> = parts.inputs.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["title", "numbers", "community"]);
            let sum: f64 = parts.inputs.iter().map(|(_, adds)| adds).sum();
            assert!((parts.base + sum + parts.joint - prediction.value).abs() < 1e-9);
            if exact {
                assert!(
                    parts.joint.abs() < 1e-4,
                    "a line has nothing joint: {parts:?}"
                );
            }
            for (told, (_, adds)) in told.iter_mut().zip(&parts.inputs) {
                *told += adds.abs();
            }
            if exact && row % 11 == 3 {
                let adds = parts.inputs[1].1.abs();
                assert!(adds < 0.5, "what a row lacks adds little: {parts:?}");
            }
        }
        assert!(told[0] > told[1] && told[0] > told[2], "{head:?}: {told:?}");
    }
}
