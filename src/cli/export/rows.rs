//! What is exported, as rows of cells.

use std::collections::HashMap;

use super::sheet::Sheet;
use crate::{
    artifacts::{Cell, Kind},
    clock::Timestamp,
    corpus::{Block, FeatureMatrix, LabelAge},
    registry::{EvaluatedRow, ModelVersion},
    store::StoredPrediction,
};

/// What stands between the classes of a record.
const BETWEEN_CLASSES: &str = "|";

/// The rows of a matrix, with the parts in which they were evaluated.
pub(super) fn features(matrix: &FeatureMatrix, evaluated: Vec<EvaluatedRow>) -> Sheet<'_> {
    let mut columns = vec![
        ("id".to_owned(), Kind::Text),
        ("created_at".to_owned(), Kind::Moment),
        ("community".to_owned(), Kind::Text),
        ("author".to_owned(), Kind::Text),
        ("split".to_owned(), Kind::Text),
        ("target".to_owned(), Kind::Number),
        ("label_age_seconds".to_owned(), Kind::Number),
    ];
    let has_classes = matrix.rows.iter().any(|row| !row.classes.is_empty());
    if has_classes {
        columns.push(("classes".to_owned(), Kind::Text));
    }
    for (name, _) in &matrix.categories {
        columns.push((format!("categories.{name}"), Kind::Text));
    }
    for block in &matrix.blocks {
        if block.columns.is_empty() {
            columns.push((block.name.clone(), Kind::Numbers));
        }
        for column in &block.columns {
            columns.push((format!("{}.{column}", block.name), Kind::Number));
        }
    }
    let evaluated = evaluated.into_iter();
    let splits: HashMap<String, String> = evaluated.map(|row| (row.id, row.split)).collect();
    let rows = matrix.rows.iter().enumerate().map(move |(at, row)| {
        let text = |text: &Option<String>| Cell::of(text.clone(), Cell::Text);
        let age = row.label.and_then(|label| match label.age {
            LabelAge::Known(age) => Some(age.as_secs_f64()),
            LabelAge::Unknown => None,
        });
        let mut cells = vec![
            Cell::Text(row.id.clone()),
            Cell::of(row.created_at.map(Timestamp::as_millis), Cell::Moment),
            text(&row.community),
            text(&row.author),
            Cell::of(splits.get(&row.id).cloned(), Cell::Text),
            Cell::of(row.label.map(|label| label.target), Cell::Number),
            Cell::of(age, Cell::Number),
        ];
        if has_classes {
            cells.push(Cell::Text(row.classes.join(BETWEEN_CLASSES)));
        }
        cells.extend(
            matrix
                .categories
                .iter()
                .map(|(_, values)| text(&values[at])),
        );
        cells.extend(
            matrix
                .blocks
                .iter()
                .flat_map(|block| block_cells(block, at)),
        );
        cells
    });
    Sheet::new(columns, rows)
}

/// A row of a block; nothing where the record lacks it.
fn block_cells(block: &Block, at: usize) -> Vec<Cell> {
    let count = block.columns.len().max(1);
    if !block.present[at] {
        return vec![Cell::Missing; count];
    }
    let values = block.row(at);
    if block.columns.is_empty() {
        return vec![Cell::Numbers(values.to_vec())];
    }
    let cells = values.iter();
    cells.map(|value| Cell::Number(f64::from(*value))).collect()
}

/// The predictions of a version.
pub(super) fn predictions(
    evaluated: Vec<EvaluatedRow>,
    waiting: Vec<StoredPrediction>,
) -> Sheet<'static> {
    let mut columns = vec![
        ("id".to_owned(), Kind::Text),
        ("split".to_owned(), Kind::Text),
        ("target".to_owned(), Kind::Number),
        ("prediction".to_owned(), Kind::Number),
        ("low".to_owned(), Kind::Number),
        ("high".to_owned(), Kind::Number),
    ];
    // One column for the record's classes, one for the probability of each that the model knows.
    let first = evaluated.first();
    let classes: Vec<String> =
        first.map_or_else(Vec::new, |row| row.probabilities.keys().cloned().collect());
    if !classes.is_empty() {
        columns.push(("classes".to_owned(), Kind::Text));
    }
    for class in &classes {
        columns.push((format!("probability.{class}"), Kind::Number));
    }
    let asked = classes.clone();
    let evaluated = evaluated.into_iter().map(move |row| {
        let mut cells = vec![
            Cell::Text(row.id),
            Cell::Text(row.split),
            Cell::Number(row.target),
            Cell::Number(row.prediction),
            Cell::Missing,
            Cell::Missing,
        ];
        if !classes.is_empty() {
            cells.push(Cell::Text(row.classes.join(BETWEEN_CLASSES)));
        }
        let told = classes
            .iter()
            .map(|class| row.probabilities.get(class).copied());
        cells.extend(told.map(|probability| Cell::of(probability, Cell::Number)));
        cells
    });
    let waiting = waiting.into_iter().map(move |prediction| {
        let mut cells = vec![
            Cell::Text(prediction.record_id),
            Cell::Text("waiting".to_owned()),
            Cell::Missing,
            Cell::Number(prediction.value),
            Cell::Number(prediction.low),
            Cell::Number(prediction.high),
        ];
        if !asked.is_empty() {
            cells.push(Cell::Missing);
        }
        let told = asked
            .iter()
            .map(|class| prediction.classes.get(class).copied());
        cells.extend(told.map(|probability| Cell::of(probability, Cell::Number)));
        cells
    });
    Sheet::new(columns, evaluated.chain(waiting))
}

/// The metrics of versions, a row each.
pub(super) fn metrics(versions: &[ModelVersion]) -> Sheet<'_> {
    let columns = vec![
        ("model".to_owned(), Kind::Text),
        ("version".to_owned(), Kind::Whole),
        ("run_id".to_owned(), Kind::Text),
        ("created_at".to_owned(), Kind::Moment),
        ("interval_start".to_owned(), Kind::Moment),
        ("baseline".to_owned(), Kind::Text),
        ("metric".to_owned(), Kind::Text),
        ("value".to_owned(), Kind::Number),
        ("low".to_owned(), Kind::Number),
        ("high".to_owned(), Kind::Number),
    ];
    let rows = versions.iter().flat_map(|version| {
        let manifest = &version.manifest;
        manifest.measured().into_iter().map(move |measured| {
            vec![
                Cell::Text(manifest.name.clone()),
                Cell::Whole(manifest.version.into()),
                Cell::Text(manifest.run_id.clone()),
                Cell::Moment(manifest.created_at.as_millis()),
                Cell::Moment(manifest.interval_start.as_millis()),
                Cell::of(measured.baseline, Cell::Text),
                Cell::Text(measured.metric),
                Cell::of(measured.value, Cell::Number),
                Cell::of(measured.low, Cell::Number),
                Cell::of(measured.high, Cell::Number),
            ]
        })
    });
    Sheet::new(columns, rows)
}
