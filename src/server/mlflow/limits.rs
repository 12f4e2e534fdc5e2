//! What may be logged: names, lengths and sizes, as `MLflow`'s server limits them.

use super::{asked::Asked, refusal::Refusal};
use crate::{clock::Timestamp, store::LoggedMetric};

/// The longest name of a metric, parameter or tag, in characters.
const LONGEST_KEY: usize = 250;
/// The longest value of a parameter; longer ones are cut off there.
pub(super) const LONGEST_PARAM: usize = 6000;
/// The longest value of a run's tag; longer ones are cut off there.
const LONGEST_TAG: usize = 8000;
/// The longest value of an experiment's tag.
const LONGEST_EXPERIMENT_TAG: usize = 20_000;
/// The longest name of an experiment.
const LONGEST_EXPERIMENT: usize = 500;

/// A name of something that is logged.
fn key(path: &str, asked: &Asked) -> Result<String, Refusal> {
    let name = if path == "metric" {
        "Metric name"
    } else {
        "key"
    };
    let key = asked
        .maybe_empty("key")
        .ok_or_else(|| Refusal::invalid("Missing value for required parameter 'key'."))?;
    let wrong = |told: &str| {
        Refusal::invalid(format!(
            "Invalid value {key:?} for parameter '{path}' supplied: {told}"
        ))
    };
    if !key
        .chars()
        .all(|c| c.is_alphanumeric() || "/_.- :".contains(c))
    {
        return Err(wrong(
            "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), \
             spaces ( ), colon(:) and slashes (/).",
        ));
    }
    let is_plain = key
        .split('/')
        .all(|part| !part.is_empty() && part != "." && part != "..");
    if !is_plain || key.starts_with("..") {
        return Err(wrong(
            "Names may be treated as files in certain cases, and must not resolve to other names \
             when treated as such.",
        ));
    }
    if key.chars().count() > LONGEST_KEY {
        return Err(too_long(name, LONGEST_KEY));
    }
    Ok(key.to_owned())
}

fn too_long(what: &str, longest: usize) -> Refusal {
    Refusal::invalid(format!(
        "'{what}' exceeds the maximum length of {longest} characters"
    ))
}

fn cut(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}

/// A parameter.
pub(super) fn param(asked: &Asked) -> Result<(String, String), Refusal> {
    let value = asked.maybe_empty("value").unwrap_or_default();
    Ok((key("param", asked)?, cut(value, LONGEST_PARAM)))
}

/// A tag of a run.
pub(super) fn tag(asked: &Asked) -> Result<(String, String), Refusal> {
    let value = asked.maybe_empty("value").unwrap_or_default();
    Ok((key("tag", asked)?, cut(value, LONGEST_TAG)))
}

/// A tag of an experiment.
pub(super) fn experiment_tag(asked: &Asked) -> Result<(String, String), Refusal> {
    let value = asked.maybe_empty("value").unwrap_or_default();
    if value.chars().count() > LONGEST_EXPERIMENT_TAG {
        return Err(too_long("value", LONGEST_EXPERIMENT_TAG));
    }
    Ok((key("tag", asked)?, value.to_owned()))
}

/// A point of a metric. What is infinite becomes the largest number, as in `MLflow`.
pub(super) fn metric(asked: &Asked) -> Result<LoggedMetric, Refusal> {
    let key = key("metric", asked)?;
    let value = asked.float("value")?;
    let at = asked
        .number("timestamp")?
        .ok_or_else(|| Refusal::invalid("Missing value for required parameter 'timestamp'."))?;
    if at < 0 {
        return Err(Refusal::invalid(format!(
            "Invalid value {at} for parameter 'timestamp' supplied: metric '{key}' (value={value}). \
             Timestamp must be a nonnegative long (64-bit integer)"
        )));
    }
    Ok(LoggedMetric {
        key,
        value: value.clamp(f64::MIN, f64::MAX),
        at: Timestamp::from_millis(at),
        step: asked.number("step")?.unwrap_or_default(),
    })
}

/// A name of an experiment.
pub(super) fn experiment_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err(Refusal::invalid("Invalid experiment name: ''"));
    }
    if name.chars().count() > LONGEST_EXPERIMENT {
        return Err(too_long("name", LONGEST_EXPERIMENT));
    }
    Ok(())
}

/// A name for a model version.
pub(super) fn alias(alias: &str) -> Result<(), Refusal> {
    let longest = 255;
    if !alias
        .chars()
        .all(|c| c.is_alphanumeric() || "_-".contains(c))
    {
        return Err(Refusal::invalid(format!(
            "Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_), \
             and dashes (-)."
        )));
    }
    if alias.chars().count() > longest {
        return Err(too_long("Registered model alias name", longest));
    }
    let is_numbered = alias
        .strip_prefix(['v', 'V'])
        .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|digit| digit.is_ascii_digit()));
    if alias.eq_ignore_ascii_case("latest") || is_numbered {
        return Err(Refusal::invalid(format!(
            "`{alias}` is no alias: `latest` and `v` with a number are reserved"
        )));
    }
    Ok(())
}

/// How much one batch holds.
pub(super) fn batch(metrics: usize, params: usize, tags: usize) -> Result<(), Refusal> {
    let parts = [
        ("metrics", metrics, 1000),
        ("params", params, 100),
        ("tags", tags, 100),
        ("metrics, params, and tags", metrics + params + tags, 1000),
    ];
    for (what, count, most) in parts {
        if count > most {
            return Err(Refusal::invalid(format!(
                "A batch logging request can contain at most {most} {what}. Got {count} {what}. \
                 Please split up {what} across multiple requests and try again."
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tagged(key: &str) -> Result<(String, String), Refusal> {
        tag(&Asked::of(json!({ "key": key, "value": "v" })).unwrap())
    }

    #[test]
    fn names_are_those_of_mlflow() {
        let longest = "k".repeat(250);
        for good in [
            "a",
            "a/b.c-d e:f_1",
            "mlflow.note.content",
            "größe",
            &longest,
        ] {
            assert!(tagged(good).is_ok(), "{good}");
        }
        let too_long = "k".repeat(251);
        for bad in [
            "", "a//b", "/a", "a/", "../a", "..a", "a/./b", "a,b", "a\n", &too_long,
        ] {
            assert!(tagged(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_or_refused() {
        let long = json!({ "key": "k", "value": "ü".repeat(30_000) });
        let long = Asked::of(long).unwrap();
        assert_eq!(param(&long).unwrap().1.chars().count(), 6000);
        assert_eq!(tag(&long).unwrap().1.chars().count(), 8000);
        assert!(experiment_tag(&long).is_err());
        assert!(experiment_name(&"n".repeat(501)).is_err());
        assert!(batch(900, 50, 50).is_ok());
        for (metrics, params, tags) in [(1001, 0, 0), (0, 101, 0), (0, 0, 101), (901, 50, 50)] {
            assert!(batch(metrics, params, tags).is_err());
        }
    }

    #[test]
    fn aliases_are_plain_words() {
        for good in ["champion", "a-b_c", "v", "v1a"] {
            assert!(alias(good).is_ok(), "{good}");
        }
        for bad in [
            "latest",
            "Latest",
            "v7",
            "V7",
            "a b",
            "a/b",
            &"x".repeat(256),
        ] {
            assert!(alias(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_of_metrics_are_numbers() {
        let point = |value: serde_json::Value| {
            let asked = json!({ "key": "m", "value": value, "timestamp": "7" });
            metric(&Asked::of(asked).unwrap()).map(|metric| metric.value)
        };
        assert_eq!(point(json!(1)).unwrap().to_bits(), 1.0_f64.to_bits());
        assert!(point(json!("NaN")).unwrap().is_nan());
        assert_eq!(
            point(json!("Infinity")).unwrap().to_bits(),
            f64::MAX.to_bits()
        );
        assert_eq!(
            point(json!("-Infinity")).unwrap().to_bits(),
            f64::MIN.to_bits()
        );
        for bad in [json!("x"), json!(true), json!(null), json!([])] {
            assert!(point(bad).is_err());
        }
    }
}
