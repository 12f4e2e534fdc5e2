//! Designs of small tables.

use super::*;
use crate::corpus::Row;

fn matrix() -> FeatureMatrix {
    let rows = 12;
    FeatureMatrix {
        rows: (0..rows)
            .map(|i| Row {
                id: i.to_string(),
                created_at: None,
                community: None,
                author: None,
                order: None,
                classes: Vec::new(),
                label: None,
            })
            .collect(),
        blocks: vec![Block {
            name: "title".to_owned(),
            columns: Vec::new(),
            width: 2,
            values: (0..rows).flat_map(|i| [i as f32, 7.0]).collect(),
            present: (0..rows).map(|i| i != 3).collect(),
        }],
        categories: vec![(
            "community".to_owned(),
            (0..rows)
                .map(|i| match i {
                    11 => None,
                    10 => Some("new".to_owned()),
                    _ => Some(if i % 2 == 0 { "a" } else { "b" }.to_owned()),
                })
                .collect(),
        )],
    }
}

#[test]
fn training_columns_are_standard_and_the_rest_plays_no_part() {
    let mut matrix = matrix();
    let train: Vec<usize> = (0..10).collect();
    let design = Design::fit(&matrix, &train, (&[], 0)).unwrap();
    let found = design.apply(&matrix).unwrap();
    for column in 0..found.width {
        let of: Vec<f32> = train.iter().map(|&i| found.row(i)[column]).collect();
        let mean = of.iter().sum::<f32>() / 10.0;
        assert!(mean.abs() < 1e-5, "column {column}: {mean}");
    }
    // Title: two columns, of which one is constant, and the mask.
    let groups = design.groups();
    assert_eq!((groups[0].width, groups[1].start), (3, 3));
    assert!(found.row(0)[1] == 0.0 && found.row(3)[..2] == [0.0, 0.0]);
    // A value that no training row has goes to the last column, a missing one to none.
    let code = |row: usize| &found.row(row)[3..];
    assert!(code(10)[2] > 0.0 && code(10)[0] < 0.0);
    assert!(code(11).iter().all(|&value| value <= 0.0));

    matrix.blocks[0].values[22] = 1e9;
    assert_eq!(Design::fit(&matrix, &train, (&[], 0)).unwrap(), design);
    assert_eq!(design.apply(&matrix).unwrap().row(11)[0], REACH);
    assert_eq!(
        design.apply(&matrix.select(&[4])).unwrap().row(0),
        found.row(4)
    );
}

#[test]
fn what_does_not_fit_is_named() {
    let train: Vec<usize> = (0..10).collect();
    let mut matrix = matrix();
    let design = Design::fit(&matrix, &train, (&[], 0)).unwrap();
    let without = Design::fit(&matrix, &train, (&["title".to_owned()], 0)).unwrap();
    assert_eq!(without.groups().len(), 1);
    let error = Design::fit(&matrix, &train, (&["image".to_owned()], 0)).unwrap_err();
    assert!(error.to_string().contains("title, community"), "{error}");
    matrix.blocks.clear();
    let error = design.apply(&matrix).unwrap_err().to_string();
    assert!(error.contains("`title`"), "{error}");
    assert!(without.apply(&matrix).is_ok());
}
