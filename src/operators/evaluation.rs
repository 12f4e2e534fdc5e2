//! What an expression is worth for one record.

use crate::{
    engine::TaskError,
    expression::{Error, ErrorKind},
};

/// What the setting `name` gave for a record, else the reason to drop it: one record with a zero or
/// a gap must not end the work on the others.
///
/// # Errors
///
/// Operands or results of a wrong type: the expression is wrong for every record.
pub(super) fn value_or_reason<T>(
    name: &str,
    evaluated: Result<Result<T, Vec<String>>, Error>,
) -> Result<Result<T, String>, TaskError> {
    match evaluated {
        Ok(Ok(value)) => Ok(Ok(value)),
        Ok(Err(missing)) => Ok(Err(format!("missing:{}", missing.join(",")))),
        Err(error) if error.kind == ErrorKind::Domain => {
            tracing::debug!(%error, "`{name}` has no value for a record");
            Ok(Err(format!("undefined:{name}")))
        }
        Err(error) => Err(TaskError::fail(
            anyhow::Error::new(error).context(format!("the setting `{name}`")),
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::expression::Expression;

    #[test]
    fn a_record_without_a_value_is_dropped_for_a_reason() {
        let of = |text: &str, score: Value| {
            let names = Map::from_iter([("score".to_owned(), score)]);
            let evaluated = Expression::compile(text).unwrap().number(&names);
            value_or_reason("target", evaluated).map_err(|error| error.to_string())
        };
        let undefined = || Ok(Err("undefined:target".to_owned()));
        assert_eq!(of("1 / score", json!(4)), Ok(Ok(0.25)));
        assert_eq!(of("score > 3", json!(4)), Ok(Ok(1.0)));
        assert_eq!(of("1 / score", json!(0)), undefined());
        assert_eq!(of("log1p(score)", json!(-3)), undefined());
        assert_eq!(
            of("score", Value::Null),
            Ok(Err("missing:score".to_owned()))
        );
        assert!(of("1 / score", json!("many")).is_err());
        assert!(of("score", json!("many")).is_err());
    }
}
