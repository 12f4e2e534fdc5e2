//! Rows, blocks and categories put together in one order.

use std::{cmp::Ordering, collections::HashSet};

use super::{FeatureSchema, Known, METADATA_BLOCK, Past, category_of, numbers_of};
use crate::{
    corpus::{Block, FeatureMatrix, ImageStatistics, Label, MediaInfo, Record, Row},
    learning::Error,
};

/// What one row of a matrix is made of.
#[derive(Clone, Debug)]
pub struct RowInput<'a> {
    /// The record.
    pub record: &'a Record,
    /// Its images that are stored, in the author's order.
    pub media: &'a [MediaInfo],
    /// For each block of the schema its vector; `None` where there is none. Of several images the
    /// caller gives the mean.
    pub vectors: Vec<Option<Vec<f32>>>,
    /// How the first of its images looks, where that is asked for.
    pub statistics: Option<ImageStatistics>,
    /// What was known when it was published.
    pub past: Past,
    /// The classes that it belongs to, where these are to be learned.
    pub classes: Vec<String>,
    /// What is to be learned; `None` where the label is not mature.
    pub label: Option<Label>,
    /// The value of the source's `order` expression.
    pub order: Option<f64>,
}

/// Makes the matrix of `rows`, in the order of creation time, `order` and id.
///
/// Rows without a time come first, and so do rows without an order among those of one time. The
/// result does not depend on the order of `rows`.
///
/// # Errors
///
/// [`Error::Row`] where a vector is missing from the list, has another length than the schema's,
/// or holds a number that is not finite, and where an id occurs twice.
pub fn assemble(rows: Vec<RowInput<'_>>, schema: &FeatureSchema) -> Result<FeatureMatrix, Error> {
    let mut rows = rows;
    rows.sort_by(compare);
    let mut ids = HashSet::with_capacity(rows.len());
    for row in &rows {
        if !ids.insert(row.record.id.as_str()) {
            return Err(refuse(row, "it occurs twice".to_owned()));
        }
        check(row, schema)?;
    }

    // Before the vectors are taken.
    let numbers: Vec<f32> = rows.iter().flat_map(|row| numbers(row, schema)).collect();
    let mut blocks: Vec<Block> = schema
        .blocks
        .iter()
        .enumerate()
        .map(|(at, block)| {
            let mut values = Vec::with_capacity(rows.len() * block.width);
            let mut present = Vec::with_capacity(rows.len());
            for row in &mut rows {
                // Taken, so that a large matrix is not there twice.
                let vector = row.vectors[at].take();
                present.push(vector.is_some());
                match vector {
                    Some(vector) => values.extend(vector),
                    None => values.resize(values.len() + block.width, 0.0),
                }
            }
            Block {
                name: block.name.clone(),
                columns: Vec::new(),
                width: block.width,
                values,
                present,
            }
        })
        .collect();
    let columns = schema.metadata.columns();
    if !columns.is_empty() {
        blocks.push(Block {
            name: METADATA_BLOCK.to_owned(),
            width: columns.len(),
            columns,
            values: numbers,
            present: vec![true; rows.len()],
        });
    }

    let mut categories: Vec<(String, Vec<Option<String>>)> = schema
        .metadata
        .category_names()
        .into_iter()
        .map(|name| (name, Vec::with_capacity(rows.len())))
        .collect();
    for row in &rows {
        let values = category_of(&schema.metadata, row.record);
        for ((_, column), value) in categories.iter_mut().zip(values) {
            column.push(value);
        }
    }

    Ok(FeatureMatrix {
        rows: rows
            .iter()
            .map(|row| Row {
                id: row.record.id.clone(),
                created_at: row.record.created_at,
                community: row.record.community.clone(),
                author: row.record.author.clone(),
                order: row.order,
                classes: row.classes.clone(),
                label: row.label,
            })
            .collect(),
        blocks,
        categories,
    })
}

fn numbers(row: &RowInput<'_>, schema: &FeatureSchema) -> Vec<f32> {
    let vector = |name: &str| {
        let at = schema.blocks.iter().position(|block| block.name == name)?;
        row.vectors[at].as_deref()
    };
    let known = Known {
        record: row.record,
        media: row.media,
        past: &row.past,
        statistics: row.statistics,
        vector: &vector,
    };
    numbers_of(&schema.metadata, &known)
}

fn compare(a: &RowInput<'_>, b: &RowInput<'_>) -> Ordering {
    let order = |row: &RowInput<'_>| row.order.unwrap_or(f64::NEG_INFINITY);
    a.record
        .created_at
        .cmp(&b.record.created_at)
        .then_with(|| order(a).total_cmp(&order(b)))
        .then_with(|| a.record.id.cmp(&b.record.id))
}

fn check(row: &RowInput<'_>, schema: &FeatureSchema) -> Result<(), Error> {
    if row.vectors.len() != schema.blocks.len() {
        let (has, needs) = (row.vectors.len(), schema.blocks.len());
        return Err(refuse(
            row,
            format!("it has {has} vectors for {needs} blocks"),
        ));
    }
    for (vector, block) in row.vectors.iter().zip(&schema.blocks) {
        let Some(vector) = vector else { continue };
        let (name, width) = (&block.name, block.width);
        if vector.len() != width {
            let has = vector.len();
            return Err(refuse(
                row,
                format!("its `{name}` vector has {has} numbers; the schema says {width}"),
            ));
        }
        if let Some(bad) = vector.iter().find(|value| !value.is_finite()) {
            return Err(refuse(row, format!("its `{name}` vector holds {bad}")));
        }
    }
    Ok(())
}

fn refuse(row: &RowInput<'_>, reason: String) -> Error {
    Error::Row {
        id: row.record.id.clone(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        corpus::Fingerprint,
        learning::features::{BlockSchema, MetadataSchema},
    };

    fn record(id: &str, day: Option<&str>) -> Record {
        Record {
            id: id.to_owned(),
            community: Some("pics".to_owned()),
            author: None,
            title: Some(format!("title of {id}")),
            created_at: day.map(|day| day.parse().unwrap()),
            media: Vec::new(),
            fields: serde_json::Map::new(),
        }
    }

    fn input(record: &Record, vector: Option<Vec<f32>>, order: Option<f64>) -> RowInput<'_> {
        RowInput {
            record,
            media: &[],
            vectors: vec![vector],
            statistics: None,
            past: Past::default(),
            classes: Vec::new(),
            label: None,
            order,
        }
    }

    fn schema() -> FeatureSchema {
        FeatureSchema {
            blocks: vec![BlockSchema {
                name: "title".to_owned(),
                width: 2,
                encoder: Fingerprint::of(&[]),
            }],
            metadata: MetadataSchema::new(&["title_length"], &["community"]).unwrap(),
            history: None,
        }
    }

    #[test]
    fn rows_lie_in_time_whatever_order_they_come_in() {
        let records = [
            record("c", Some("2026-01-02")),
            record("b", Some("2026-01-01")),
            record("a", Some("2026-01-02")),
            record("d", None),
        ];
        let inputs = |places: [usize; 4]| {
            places
                .map(|i| input(&records[i], (i != 1).then(|| vec![i as f32, 1.0]), None))
                .to_vec()
        };
        let found = assemble(inputs([0, 1, 2, 3]), &schema()).unwrap();
        let ids: Vec<&str> = found.rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, ["d", "b", "a", "c"]);
        let title = found.block("title").unwrap();
        assert_eq!(title.values, [3.0, 1.0, 0.0, 0.0, 2.0, 1.0, 0.0, 1.0]);
        assert_eq!(title.present, [true, false, true, true]);
        assert_eq!(found.block(METADATA_BLOCK).unwrap().columns.len(), 2);
        assert_eq!(found.categories[0].1.len(), 4);
        assert_eq!(found, assemble(inputs([3, 2, 1, 0]), &schema()).unwrap());
    }

    #[test]
    fn rows_that_do_not_fit_are_named() {
        let one = record("one", None);
        for (vectors, word) in [
            (vec![Some(vec![1.0])], "1 numbers"),
            (vec![Some(vec![1.0, f32::NAN])], "NaN"),
            (vec![], "0 vectors"),
        ] {
            let mut row = input(&one, None, None);
            row.vectors = vectors;
            let error = assemble(vec![row], &schema()).unwrap_err().to_string();
            assert!(error.contains("`one`") && error.contains(word), "{error}");
        }
        let twice = vec![input(&one, None, None), input(&one, None, Some(1.0))];
        assert!(
            assemble(twice, &schema())
                .unwrap_err()
                .to_string()
                .contains("twice")
        );
    }
}
