//! Two versions on the rows that both were tested on.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize as _, Serialize};

use super::{App, Error};
use crate::{
    corpus::{Label, LabelAge, Record, Row},
    expression::Membership,
    learning::{ClassQuestions, Comparison, Head, TrainSettings, compare},
    registry::{EvaluatedRow, Fit, ModelVersion},
};

/// The least rows that say something of a difference.
const LEAST_ROWS: usize = 30;

/// Two versions on the rows that both were tested on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparedVersions {
    /// The first, as `NAME/VERSION`.
    pub first: String,
    /// The second.
    pub second: String,
    /// How many rows both were tested on.
    pub rows: usize,
    /// How they do there.
    #[serde(flatten)]
    pub comparison: Comparison,
}

/// What two versions were asked, and what they said.
#[derive(Default)]
struct Answers {
    rows: Vec<Row>,
    targets: Vec<f64>,
    a: Vec<f64>,
    b: Vec<f64>,
}

impl App {
    /// Compares two versions on the rows that both were tested on, and neither learned from.
    ///
    /// # Errors
    ///
    /// Where there is no such version, they predict different targets, or too few rows are common
    /// to their tests.
    pub async fn compare_versions(&self, a: &str, b: &str) -> Result<ComparedVersions, Error> {
        let (a, b) = (self.version(a).await?, self.version(b).await?);
        let named = |v: &ModelVersion| format!("{}/{}", v.manifest.name, v.manifest.version);
        let (first, second) = (named(&a), named(&b));
        if (&a.manifest.target, &a.manifest.dataset) != (&b.manifest.target, &b.manifest.dataset) {
            return Err(Error::wrong(
                format!(
                    "{first} predicts `{}` of `{}`, {second} `{}` of `{}`",
                    a.manifest.target, a.manifest.dataset, b.manifest.target, b.manifest.dataset
                ),
                "compare versions with one target on one data set".to_owned(),
            ));
        }
        let tested = a.evaluated_rows()?.into_iter();
        let tested: HashMap<String, EvaluatedRow> = tested
            .filter(|row| row.split == "test")
            .map(|row| (row.id.clone(), row))
            .collect();
        let mut common: Vec<EvaluatedRow> = b.evaluated_rows()?;
        common.retain(|row| row.split == "test" && tested.contains_key(&row.id));
        if common.len() < LEAST_ROWS {
            return Err(Error::wrong(
                format!(
                    "{} rows are in the tests of both {first} and {second}; at least {LEAST_ROWS} \
                     are needed",
                    common.len()
                ),
                "compare versions of neighbouring days, or of one day".to_owned(),
            ));
        }
        let ids: Vec<String> = common.iter().map(|row| row.id.clone()).collect();
        let dataset = &b.manifest.dataset;
        let records = self.store().records_by_id(dataset, &ids).await?;
        let records: HashMap<&str, &Record> = records.iter().map(|r| (r.id.as_str(), r)).collect();
        let training = TrainSettings::deserialize(&b.manifest.training).map_err(|error| {
            Error::Failed(format!("the manifest of {second} cannot be read: {error}"))
        })?;
        let row_of = |row: &EvaluatedRow| row_of(row, records.get(row.id.as_str()).copied());
        let pairs: Vec<(&EvaluatedRow, &EvaluatedRow)> =
            common.iter().map(|row| (&tested[&row.id], row)).collect();
        let (answers, classes) = match training.classes {
            None => (of_numbers(&pairs, row_of), None),
            Some(membership) => {
                let (answers, per_record) = of_classes(&pairs, row_of);
                let belongs: Vec<bool> = common.iter().map(|row| !row.classes.is_empty()).collect();
                let decided = |version| {
                    Ok::<_, Error>(ClassQuestions {
                        per_record,
                        threshold: threshold(version, membership)?,
                        belongs: belongs.clone(),
                    })
                };
                (answers, Some([decided(&a)?, decided(&b)?]))
            }
        };
        let rows: Vec<&Row> = answers.rows.iter().collect();
        let both = (answers.a.as_slice(), answers.b.as_slice());
        let chance = (training.inverse, training.seed);
        let comparison = compare(&rows, &answers.targets, both, classes, chance)
            .map_err(|error| Error::wrong(error.to_string(), None))?;
        Ok(ComparedVersions {
            first,
            second,
            rows: common.len(),
            comparison,
        })
    }
}

/// From which probability on the fit of a version that was measured takes a record for one of a class.
fn threshold(version: &ModelVersion, membership: Membership) -> Result<Option<f64>, Error> {
    if membership == Membership::One {
        return Ok(None);
    }
    let head = Head::from_safetensors(&version.weights_of(Fit::Evaluated)?)
        .map_err(|error| Error::Failed(error.to_string()))?;
    Ok(head.threshold())
}

fn row_of(row: &EvaluatedRow, record: Option<&Record>) -> Row {
    Row {
        id: row.id.clone(),
        created_at: record.and_then(|record| record.created_at),
        community: record.and_then(|record| record.community.clone()),
        author: None,
        order: None,
        classes: Vec::new(),
        label: Some(Label {
            target: row.target,
            age: LabelAge::Unknown,
        }),
    }
}

fn of_numbers(
    pairs: &[(&EvaluatedRow, &EvaluatedRow)],
    row_of: impl Fn(&EvaluatedRow) -> Row,
) -> Answers {
    let mut answers = Answers::default();
    for (a, b) in pairs {
        answers.rows.push(row_of(b));
        answers.targets.push(b.target);
        answers.a.push(a.prediction);
        answers.b.push(b.prediction);
    }
    answers
}

/// Each row is asked about once per class that either version knows, and how many these are. A class
/// that a version does not know is never so to it.
fn of_classes(
    pairs: &[(&EvaluatedRow, &EvaluatedRow)],
    row_of: impl Fn(&EvaluatedRow) -> Row,
) -> (Answers, usize) {
    let known = pairs.iter().flat_map(|(a, b)| [a, b]);
    let classes: BTreeSet<&String> = known.flat_map(|row| row.probabilities.keys()).collect();
    let mut answers = Answers::default();
    for (a, b) in pairs {
        for class in &classes {
            let is_so = f64::from(u8::from(b.classes.contains(class)));
            let told = |row: &EvaluatedRow| row.probabilities.get(*class).copied().unwrap_or(0.0);
            let mut row = row_of(b);
            row.community = Some((*class).clone());
            answers.rows.push(row);
            answers.targets.push(is_so);
            answers.a.push(told(a));
            answers.b.push(told(b));
        }
    }
    (answers, classes.len())
}
