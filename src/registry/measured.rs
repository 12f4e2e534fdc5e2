//! What a version measured, as a list.

use std::collections::BTreeMap;

use serde_json::Value;

use super::version::Manifest;

/// One metric of a version, or of a baseline that was measured beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The baseline; nothing where it is the version itself.
    pub baseline: Option<String>,
    /// The metric, with dots where the evaluation has it in parts.
    pub metric: String,
    /// What was measured; nothing where it was not defined.
    pub value: Option<f64>,
    /// The lower end of its interval, where there is one.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
}

impl Manifest {
    /// What the version and the baselines measured, the version's metrics first, by name.
    pub fn measured(&self) -> Vec<Measured> {
        let evaluation = &self.evaluation;
        let mut own = BTreeMap::new();
        numbers(&evaluation["metrics"], "", &mut own);
        let mut measured: BTreeMap<String, Measured> = own
            .into_iter()
            .map(|(metric, value)| (metric.clone(), plain(None, metric, value)))
            .collect();
        for (name, interval) in evaluation["intervals"].as_object().into_iter().flatten() {
            let of = measured.entry(name.clone());
            let of = of.or_insert_with(|| plain(None, name.clone(), None));
            of.low = interval["low"].as_f64();
            of.high = interval["high"].as_f64();
        }
        let mut measured: Vec<Measured> = measured.into_values().collect();
        for (name, baseline) in evaluation["baselines"].as_object().into_iter().flatten() {
            let mut of = BTreeMap::new();
            numbers(&baseline["metrics"], "", &mut of);
            let name = Some(name.clone());
            let rows = of.into_iter();
            measured.extend(rows.map(|(metric, value)| plain(name.clone(), metric, value)));
        }
        measured
    }
}

const fn plain(baseline: Option<String>, metric: String, value: Option<f64>) -> Measured {
    Measured {
        baseline,
        metric,
        value,
        low: None,
        high: None,
    }
}

/// The numbers of a document under the path of their keys; what is null is not defined.
fn numbers(value: &Value, path: &str, found: &mut BTreeMap<String, Option<f64>>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                numbers(value, &path, found);
            }
        }
        Value::Number(number) => {
            found.insert(path.to_owned(), number.as_f64());
        }
        Value::Null if !path.is_empty() => {
            found.insert(path.to_owned(), None);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::registry::made_up;

    #[test]
    fn metrics_come_with_their_intervals_and_those_of_baselines() {
        let mut manifest = made_up::manifest(1);
        manifest.evaluation = json!({
            "metrics": { "spearman": 0.5, "kendall": null, "by": { "art": 0.25 }, "kind": "text" },
            "intervals": { "spearman": { "value": 0.5, "low": 0.25, "high": 0.75 } },
            "baselines": { "global": { "metrics": { "mae": 2 } } },
        });
        let rows = manifest.measured();
        let told: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row.baseline.as_deref(),
                    row.metric.as_str(),
                    row.value,
                    row.low,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (None, "by.art", Some(0.25), None),
                (None, "kendall", None, None),
                (None, "spearman", Some(0.5), Some(0.25)),
                (Some("global"), "mae", Some(2.0), None),
            ]
        );
        assert_eq!(rows[2].high, Some(0.75));
    }
}
