//! What is to be learned of a record: the target's value of its label's reading.

use serde_json::json;

use super::{evaluation::value_or_reason, selection::record_names};
use crate::{
    corpus::{Label, LabelAge, Record},
    engine::TaskError,
    expression::Expression,
    store::{Horizon, LabelReading},
};

/// The label of a record: none where there is no reading, an `Err` with the reason where the
/// target's expression has no value.
pub(super) fn label_of(
    target: &Expression,
    record: &Record,
    reading: Option<&LabelReading>,
    horizon: Option<Horizon>,
) -> Result<Result<Option<Label>, String>, TaskError> {
    let Some(reading) = reading else {
        return Ok(Ok(None));
    };
    let mut names = record_names(record);
    names.extend(reading.values.clone());
    names.insert("score".to_owned(), json!(reading.score));
    if let LabelAge::Known(age) = at_horizon(reading.age, horizon) {
        names.insert("age_hours".to_owned(), json!(age.as_secs_f64() / 3600.0));
    }
    Ok(match value_or_reason("target", target.number(&names))? {
        Err(reason) => Err(reason),
        Ok(target) if target.is_finite() => Ok(Some(Label {
            target,
            age: at_horizon(reading.age, horizon),
        })),
        Ok(_) => Err("target_not_finite".to_owned()),
    })
}

/// A reading within the tolerance counts as one at the horizon: when within it the reading was
/// made is chance, and equal posts must make equal rows.
fn at_horizon(age: LabelAge, horizon: Option<Horizon>) -> LabelAge {
    match (age, horizon) {
        (LabelAge::Known(_), Some(horizon)) => LabelAge::Known(horizon.age),
        _ => age,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Map, Value};

    use super::*;

    #[test]
    fn targets_are_expressions_over_the_reading_and_the_record() {
        let record = Record {
            id: "a".to_owned(),
            community: None,
            author: None,
            title: None,
            created_at: None,
            media: Vec::new(),
            fields: Map::from_iter([("subscribers".to_owned(), json!(2000))]),
        };
        let horizon = Horizon {
            age: Duration::from_hours(36),
            tolerance: Duration::from_hours(1),
        };
        let reading = |score: f64, subscribers: Value| LabelReading {
            age: LabelAge::Known(Duration::from_mins(36 * 60 + 7)),
            score: Some(score),
            values: Map::from_iter([("subscribers".to_owned(), subscribers)]),
        };
        let of = |target: &str, reading: &LabelReading| {
            let target = Expression::compile(target).unwrap();
            let label = label_of(&target, &record, Some(reading), Some(horizon)).unwrap();
            label.map(|label| label.unwrap().target)
        };
        let read = reading(9.0, json!(3000));
        assert_eq!(of("log1p(score)", &read), Ok(10.0_f64.ln()));
        // What was read with the score goes before what was told at first sight.
        assert_eq!(of("score / subscribers * 1000", &read), Ok(3.0));
        assert_eq!(of("score / age_hours", &read), Ok(0.25));
        assert_eq!(of("score > 5", &read), Ok(1.0));
        assert_eq!(
            of("score / subscribers * 1000", &reading(9.0, json!(0))),
            Err("undefined:target".to_owned())
        );
    }
}
