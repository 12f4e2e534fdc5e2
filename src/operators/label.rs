//! What is to be learned of a record: the target's value of its label's reading.

use serde_json::{Map, Value, json};

use super::{evaluation::value_or_reason, selection::record_names};
use crate::{
    corpus::{Label, LabelAge, Record},
    engine::TaskError,
    expression::Expression,
    store::{Horizon, LabelReading},
};

/// What is to be learned of a record.
#[derive(Debug, PartialEq)]
pub(super) struct Lesson {
    pub label: Label,
    /// The classes that it belongs to, where the target gives classes.
    pub classes: Vec<String>,
}

/// What is to be learned of a record: nothing where there is no reading, an `Err` with the reason
/// where the target's expression has no value.
///
/// Classes need no reading, since a record may tell them itself; one that does not tell them waits.
pub(super) fn lesson_of(
    target: &Expression,
    record: &Record,
    reading: Option<&LabelReading>,
    horizon: Option<Horizon>,
) -> Result<Result<Option<Lesson>, String>, TaskError> {
    if target.membership().is_some() {
        return classes_of(target, record, reading, horizon);
    }
    let Some(reading) = reading else {
        return Ok(Ok(None));
    };
    let names = names_of(record, reading, horizon);
    Ok(match value_or_reason("target", target.number(&names))? {
        Err(reason) => Err(reason),
        Ok(target) if target.is_finite() => Ok(Some(Lesson {
            label: Label {
                target,
                age: at_horizon(reading.age, horizon),
            },
            classes: Vec::new(),
        })),
        Ok(_) => Err("target_not_finite".to_owned()),
    })
}

fn classes_of(
    target: &Expression,
    record: &Record,
    reading: Option<&LabelReading>,
    horizon: Option<Horizon>,
) -> Result<Result<Option<Lesson>, String>, TaskError> {
    let names = match reading {
        Some(reading) => names_of(record, reading, horizon),
        None => record_names(record),
    };
    let lesson = |classes: Vec<String>| Lesson {
        label: Label {
            target: classes.len() as f64,
            age: reading.map_or(LabelAge::Unknown, |of| at_horizon(of.age, horizon)),
        },
        classes,
    };
    Ok(match target.classes(&names) {
        Ok(Err(_)) => Ok(None),
        told => value_or_reason("target", told)?.map(|classes| Some(lesson(classes))),
    })
}

/// What a target may name: all of the record, and all that was read with its score.
fn names_of(
    record: &Record,
    reading: &LabelReading,
    horizon: Option<Horizon>,
) -> Map<String, Value> {
    let mut names = record_names(record);
    names.extend(reading.values.clone());
    names.insert("score".to_owned(), json!(reading.score));
    if let LabelAge::Known(age) = at_horizon(reading.age, horizon) {
        names.insert("age_hours".to_owned(), json!(age.as_secs_f64() / 3600.0));
    }
    names
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
            let lesson = lesson_of(&target, &record, Some(reading), Some(horizon)).unwrap();
            lesson.map(|lesson| lesson.unwrap().label.target)
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

    #[test]
    fn classes_are_told_by_the_record_or_by_its_reading() {
        let record = |fields: Value| Record {
            id: "a".to_owned(),
            community: None,
            author: None,
            title: None,
            created_at: None,
            media: Vec::new(),
            fields: fields.as_object().unwrap().clone(),
        };
        let of = |target: &str, fields: Value| {
            let target = Expression::compile(target).unwrap();
            let lesson = lesson_of(&target, &record(fields), None, None).unwrap();
            lesson.map(|lesson| lesson.map(|lesson| (lesson.label.target, lesson.classes)))
        };
        let named = |classes: &[&str]| {
            let classes: Vec<String> = classes.iter().map(ToString::to_string).collect();
            Ok(Some((classes.len() as f64, classes)))
        };
        assert_eq!(of("class(tier)", json!({"tier": 2})), named(&["2"]));
        assert_eq!(
            of("classes(genres)", json!({"genres": ["b", "a", "b"]})),
            named(&["a", "b"])
        );
        assert_eq!(
            of(
                "classes(items(genres))",
                json!({"genres": "['Drama', \"Sci-Fi\"]"})
            ),
            named(&["Drama", "Sci-Fi"])
        );
        assert_eq!(of("classes(genres)", json!({"genres": []})), named(&[]));
        assert_eq!(of("class(tier)", json!({})), Ok(None));
        assert_eq!(
            of("class(tier)", json!({"tier": " "})),
            Err("undefined:target".to_owned())
        );
    }
}
