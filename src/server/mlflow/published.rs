//! A published version as a run.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    limits::LONGEST_PARAM,
    run::{Point, Run, USER},
};
use crate::registry::{Manifest, ModelVersion};

impl From<&ModelVersion> for Run {
    fn from(version: &ModelVersion) -> Self {
        let manifest = &version.manifest;
        let mut params = BTreeMap::new();
        flat(&json!(manifest.params), "", &mut |key, value| {
            params.insert(key, text(value));
        });
        flat(&manifest.training, "training", &mut |key, value| {
            params.insert(key, text(value));
        });
        params.insert("dataset".to_owned(), manifest.dataset.clone());
        params.insert("target".to_owned(), manifest.target.clone());
        for encoder in &manifest.encoders {
            params.insert(
                format!("encoder.{}", encoder.block),
                encoder.encoder.clone(),
            );
        }
        for value in params.values_mut() {
            if let Some((end, _)) = value.char_indices().nth(LONGEST_PARAM) {
                value.truncate(end);
            }
        }
        let point = |value| Point {
            value,
            at: manifest.created_at,
            step: manifest.version.into(),
        };
        let metrics = metrics(manifest).into_iter();
        let mut run = Self {
            id: manifest.run_id.clone(),
            name: format!("{}/{}", manifest.name, manifest.version),
            experiment: manifest.name.clone(),
            user: USER.to_owned(),
            status: "FINISHED".to_owned(),
            started: manifest.created_at,
            ended: Some(manifest.created_at),
            deleted: false,
            metrics: metrics.map(|(key, value)| (key, point(value))).collect(),
            params,
            tags: version.tags.clone(),
        };
        let mut tag = |key: &str, value: String| run.tags.insert(key.to_owned(), value);
        tag("mlflow.runName", run.name.clone());
        tag("mlflow.source.name", manifest.name.clone());
        tag("mlflow.source.type", "JOB".to_owned());
        tag("mlflow.user", USER.to_owned());
        tag("trendmill.model", manifest.name.clone());
        tag("trendmill.version", manifest.version.to_string());
        tag("trendmill.code_version", manifest.code_version.clone());
        tag("trendmill.as_of", manifest.as_of.to_string());
        tag(
            "trendmill.interval_start",
            manifest.interval_start.to_string(),
        );
        tag("trendmill.interval_end", manifest.interval_end.to_string());
        tag("trendmill.row_set", manifest.row_set.clone());
        tag("trendmill.rows", manifest.matrix.rows.to_string());
        tag(
            "trendmill.matrix_sha256",
            manifest.matrix.sha256.to_string(),
        );
        tag(
            "trendmill.weights_sha256",
            manifest.weights_sha256.to_string(),
        );
        if let Some(until) = manifest.trained_until {
            tag("trendmill.trained_until", until.to_string());
        }
        if let Some(decision) = manifest.gate["decision"].as_str() {
            tag("trendmill.gate", decision.to_owned());
        }
        run
    }
}

/// The metrics of a version; the ends of their intervals are `NAME.low` and `NAME.high`, those of
/// baselines begin with `baselines.`.
fn metrics(manifest: &Manifest) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    let mut take = |key: String, value: Option<f64>| {
        if let Some(value) = value {
            metrics.insert(key, value);
        }
    };
    for measured in manifest.measured() {
        let metric = match measured.baseline {
            Some(baseline) => format!("baselines.{baseline}.{}", measured.metric),
            None => measured.metric,
        };
        take(format!("{metric}.low"), measured.low);
        take(format!("{metric}.high"), measured.high);
        take(metric, measured.value);
    }
    metrics
}

/// The leaves of a document under the path of their keys.
fn flat(value: &Value, path: &str, take: &mut impl FnMut(String, &Value)) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                flat(value, &path, take);
            }
        }
        Value::Null => {}
        value => take(path.to_owned(), value),
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
