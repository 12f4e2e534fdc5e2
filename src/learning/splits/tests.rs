//! Splits on small tables.

use proptest::prelude::*;

use super::*;
use crate::{clock::Timestamp, corpus::Label};

fn row(id: usize, time: Option<i64>, order: Option<f64>, author: Option<&str>) -> Row {
    Row {
        id: format!("r{id}"),
        created_at: time.map(|hours| Timestamp::from_millis(hours * 3_600_000)),
        community: None,
        author: author.map(str::to_owned),
        order,
        classes: Vec::new(),
        label: Some(Label {
            target: id as f64,
            age: LabelAge::Unknown,
        }),
    }
}

fn matrix(rows: Vec<Row>) -> FeatureMatrix {
    FeatureMatrix {
        rows,
        ..FeatureMatrix::default()
    }
}

fn settings(test: &str, embargo: u64) -> SplitSettings {
    SplitSettings {
        test: test.parse().unwrap(),
        validation: "15%".parse().unwrap(),
        embargo: Duration::from_secs(embargo * 3600),
        window: Duration::ZERO,
        holdout: Duration::ZERO,
        apart: Vec::new(),
    }
}

proptest! {
    /// Later parts are later, equal times are together, and the file's order plays no part.
    #[test]
    fn time_only_goes_forward(hours in prop::collection::vec(0_i64..40, 20..120)) {
        prop_assume!(hours.iter().collect::<std::collections::BTreeSet<_>>().len() > 12);
        let rows: Vec<Row> = (0..hours.len()).map(|i| row(i, Some(hours[i]), None, None)).collect();
        let forward = matrix(rows.clone());
        let found = split(&forward, &settings("20%", 0)).unwrap();
        let range = |part| {
            let mut of: Vec<i64> = found.rows(part).iter().map(|&i| hours[i]).collect();
            of.sort_unstable();
            (of[0], of[of.len() - 1], of.len())
        };
        let (train, validation, test) =
            (range(Split::Train), range(Split::Validation), range(Split::Test));
        prop_assert!(train.1 < validation.0 && validation.1 < test.0);
        prop_assert_eq!(train.2 + validation.2 + test.2, hours.len());

        let backward = matrix(rows.into_iter().rev().collect());
        let other = split(&backward, &settings("20%", 0)).unwrap();
        prop_assert_eq!(other.rows_sha256, found.rows_sha256);
        prop_assert_eq!(other.parts.into_iter().rev().collect::<Vec<_>>(), found.parts);
    }

    /// No author is on two sides.
    #[test]
    fn authors_stay_together(authors in prop::collection::vec(0_u8..60, 60..200)) {
        let rows = authors
            .iter()
            .enumerate()
            .map(|(i, a)| row(i, None, None, Some(&format!("author {a}"))))
            .collect();
        if let Ok(found) = split(&matrix(rows), &settings("20%", 0)) {
            prop_assert_eq!(found.basis, SplitBasis::Author);
            for (i, a) in authors.iter().enumerate() {
                let first = authors.iter().position(|b| a == b).unwrap();
                prop_assert_eq!(found.parts[i], found.parts[first]);
            }
        }
    }
}

#[test]
fn the_last_days_test() {
    let matrix = matrix(
        (0..240)
            .map(|i| row(i, i64::try_from(i).ok(), None, None))
            .collect(),
    );
    let found = split(&matrix, &settings("2d", 0)).unwrap();
    assert_eq!(found.rows(Split::Test), (192..240).collect::<Vec<_>>());
    assert_eq!(
        found.rows(Split::Validation),
        (163..192).collect::<Vec<_>>()
    );

    let with_embargo = split(&matrix, &settings("2d", 36)).unwrap();
    assert_eq!(with_embargo.rows(Split::Test), found.rows(Split::Test));
    assert!(with_embargo.parts[156..192].iter().all(Option::is_none));
    assert_ne!(with_embargo.rows_sha256, found.rows_sha256);
}

#[test]
fn without_times_the_order_decides_then_hashes() {
    let ordered = matrix(
        (0..50)
            .map(|i| row(i, None, Some(-(i as f64)), None))
            .collect(),
    );
    let found = split(&ordered, &settings("20%", 0)).unwrap();
    assert_eq!(found.basis, SplitBasis::Order);
    assert_eq!(found.rows(Split::Test), (0..10).collect::<Vec<_>>());

    let bare = matrix((0..200).map(|i| row(i, None, None, None)).collect());
    let found = split(&bare, &settings("20%", 0)).unwrap();
    assert_eq!(found.basis, SplitBasis::Id);
    assert!((25..55).contains(&found.rows(Split::Test).len()));
    let error = split(&bare, &settings("3d", 0)).unwrap_err().to_string();
    assert!(error.contains("no creation times"), "{error}");
}

#[test]
fn rows_of_one_moment_are_cut_anyway() {
    let found = split(
        &matrix((0..40).map(|i| row(i, Some(7), None, None)).collect()),
        &settings("20%", 0),
    )
    .unwrap();
    assert_eq!(found.rows(Split::Test).len(), 8);
}

#[test]
fn few_labels_are_refused_and_unlabelled_rows_are_in_no_part() {
    let mut rows: Vec<Row> = (0..12)
        .map(|i| row(i, i64::try_from(i).ok(), None, None))
        .collect();
    rows[5].label = None;
    assert_eq!(
        split(&matrix(rows.clone()), &settings("20%", 0))
            .unwrap()
            .parts[5],
        None
    );
    for row in &mut rows[..5] {
        row.label = None;
    }
    assert!(matches!(
        split(&matrix(rows), &settings("20%", 0)),
        Err(Error::TooFewLabels {
            labelled: 6,
            needed: 10
        })
    ));
}

#[test]
fn hold_outs_and_old_rows_are_neither_learned_nor_tested() {
    // A post an hour from the first of February to the tenth of May.
    let first = "2026-02-01T00:00:00Z".parse::<Timestamp>().unwrap();
    let first = first.as_millis() / 3_600_000;
    let rows = (first..).take(98 * 24).enumerate();
    let rows = rows.map(|(at, hour)| row(at, Some(hour), None, None));
    let matrix = matrix(rows.collect());
    let day = Duration::from_hours(24);
    let found = split(
        &matrix,
        &SplitSettings {
            window: 60 * day,
            holdout: 14 * day,
            ..settings("7d", 36)
        },
    )
    .unwrap();
    let days = |part| {
        let of = found.rows(part);
        let day = |at: Option<&usize>| matrix.rows[*at.unwrap()].created_at.unwrap().to_string();
        let ends = [day(of.first()), day(of.last())].map(|time| time[..10].to_owned());
        (ends, of.len())
    };
    let [from, to] = ["2026-03-18", "2026-03-31"].map(str::to_owned);
    assert_eq!(days(Split::HoldOut), ([from, to], 14 * 24));
    assert_eq!(days(Split::Train).0[0], "2026-03-04");
    assert_eq!(
        days(Split::Test).0,
        ["2026-05-03", "2026-05-09"].map(str::to_owned)
    );
    assert_eq!(days(Split::Validation).0[1], "2026-05-01");
    let unused = found.parts.iter().filter(|part| part.is_none()).count();
    assert_eq!(unused, 31 * 24 + 36);
}

#[test]
fn authors_of_tested_rows_can_be_kept_apart() {
    let author = |at: usize| {
        ["frequent", "early", "late"][if at.is_multiple_of(5) { 0 } else { 1 + at / 80 }]
    };
    let rows = (0..100).map(|at| row(at, i64::try_from(at).ok(), None, Some(author(at))));
    let matrix = matrix(rows.collect());
    let apart = SplitSettings {
        apart: vec!["author".to_owned()],
        ..settings("20%", 0)
    };
    let [usual, found] = [settings("20%", 0), apart].map(|of| split(&matrix, &of).unwrap());
    assert_eq!(found.rows(Split::Test), usual.rows(Split::Test));
    let learned = [Split::Train, Split::Validation]
        .map(|part| found.rows(part))
        .concat();
    assert_eq!(learned.len(), 64);
    assert!(learned.iter().all(|&at| author(at) == "early"));
}
