//! What an expression is worth for one record.

use serde_json::{Map, Value};

use crate::{
    engine::TaskError,
    expression::{ErrorKind, Expression, Outcome},
};

/// The value of the setting `name` for a record with these names, else the reason to drop it: one
/// record with a zero or a gap must not end the work on the others.
///
/// # Errors
///
/// Operands whose types do not go together: the expression is wrong for every record.
pub(super) fn value_of(
    name: &str,
    expression: &Expression,
    names: &Map<String, Value>,
) -> Result<Result<Value, String>, TaskError> {
    match expression.evaluate(names) {
        Ok(Outcome::Value(value)) => Ok(Ok(value)),
        Ok(Outcome::Missing(fields)) => Ok(Err(format!("missing:{}", fields.join(",")))),
        Err(error) if error.kind == ErrorKind::Domain => {
            tracing::debug!(%error, "`{name}` has no value for a record");
            Ok(Err(format!("undefined:{name}")))
        }
        Err(error) => Err(TaskError::fail(error)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_without_a_value_is_dropped_for_a_reason() {
        let of = |text: &str, score: Value| {
            let expression = Expression::compile(text).unwrap();
            let names = Map::from_iter([("score".to_owned(), score)]);
            value_of("target", &expression, &names).map_err(|error| error.to_string())
        };
        assert_eq!(of("1 / score", json!(4)), Ok(Ok(json!(0.25))));
        assert_eq!(
            of("1 / score", json!(0)),
            Ok(Err("undefined:target".to_owned()))
        );
        assert_eq!(
            of("log1p(score)", json!(-3)),
            Ok(Err("undefined:target".to_owned()))
        );
        assert_eq!(
            of("score", Value::Null),
            Ok(Err("missing:score".to_owned()))
        );
        assert!(of("1 / score", json!("many")).is_err());
    }
}
