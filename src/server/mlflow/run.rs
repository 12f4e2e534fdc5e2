//! A run and an experiment as `MLflow` shows them: a run for each published version, an experiment
//! for each model.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::filter::{Cell, Field, Searched};
use crate::{clock::Timestamp, registry::ModelVersion};

/// The tag of a version in which its description is kept.
pub(super) const NOTE: &str = "mlflow.note.content";

/// The longest value of a parameter that clients take, in characters.
const LONGEST_PARAM: usize = 6000;

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) experiment: String,
    pub(super) at: Timestamp,
    pub(super) step: i64,
    pub(super) metrics: BTreeMap<String, f64>,
    pub(super) params: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
}

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
        let mut run = Self {
            id: manifest.run_id.clone(),
            name: format!("{}/{}", manifest.name, manifest.version),
            experiment: manifest.name.clone(),
            at: manifest.created_at,
            step: manifest.version.into(),
            metrics: metrics(&manifest.evaluation),
            params,
            tags: BTreeMap::new(),
        };
        run.tags = version.tags.clone();
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

/// Whose runs they are.
pub(super) const USER: &str = "trendmill";

/// The metrics of an evaluation; the ends of their intervals are `NAME.low` and `NAME.high`.
fn metrics(evaluation: &Value) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    let mut take = |key: String, value: &Value| {
        if let Some(value) = value.as_f64() {
            metrics.insert(key, value);
        }
    };
    for (name, baseline) in evaluation["baselines"].as_object().into_iter().flatten() {
        let path = format!("baselines.{name}");
        flat(&baseline["metrics"], &path, &mut take);
    }
    for (name, interval) in evaluation["intervals"].as_object().into_iter().flatten() {
        for end in ["low", "high"] {
            take(format!("{name}.{end}"), &interval[end]);
        }
    }
    flat(&evaluation["metrics"], "", &mut take);
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

impl Run {
    /// As it is sent.
    pub(super) fn document(&self) -> Value {
        json!({ "info": self.info(), "data": self.data(), "inputs": {}, "outputs": {} })
    }

    fn info(&self) -> Value {
        json!({
            "run_uuid": self.id,
            "run_id": self.id,
            "run_name": self.name,
            "experiment_id": self.experiment,
            "user_id": USER,
            "status": "FINISHED",
            "start_time": self.at.as_millis(),
            "end_time": self.at.as_millis(),
            "artifact_uri": artifact_uri(&self.experiment, &self.id),
            "lifecycle_stage": "active",
        })
    }

    fn data(&self) -> Value {
        let metrics: Vec<_> = self
            .metrics
            .keys()
            .filter_map(|key| self.point(key))
            .collect();
        let mut data = Map::new();
        for (name, list) in [
            ("metrics", metrics),
            ("params", pairs(&self.params)),
            ("tags", pairs(&self.tags)),
        ] {
            if !list.is_empty() {
                data.insert(name.to_owned(), list.into());
            }
        }
        data.into()
    }

    /// A metric with its moment.
    pub(super) fn point(&self, key: &str) -> Option<Value> {
        let value = self.metrics.get(key)?;
        Some(json!({
            "key": key,
            "value": value,
            "timestamp": self.at.as_millis(),
            "step": self.step,
        }))
    }
}

impl Searched for Run {
    const ATTRIBUTES: &'static [&'static str] = &[
        "run_id",
        "run_uuid",
        "run_name",
        "experiment_id",
        "status",
        "user_id",
        "artifact_uri",
        "start_time",
        "end_time",
        "created",
        "Created",
    ];

    fn cell(&self, field: &Field) -> Option<Cell> {
        let text = |text: &str| Some(Cell::Text(text.to_owned()));
        match field {
            Field::Metric(key) => self.metrics.get(key).copied().map(Cell::Number),
            Field::Param(key) => self.params.get(key).cloned().map(Cell::Text),
            Field::Tag(key) => self.tags.get(key).cloned().map(Cell::Text),
            Field::Attribute(name) => match name.as_str() {
                "run_id" | "run_uuid" => text(&self.id),
                "run_name" => text(&self.name),
                "experiment_id" => text(&self.experiment),
                "status" => text("FINISHED"),
                "user_id" => text(USER),
                "artifact_uri" => text(&artifact_uri(&self.experiment, &self.id)),
                _ => Some(Cell::Number(millis(self.at))),
            },
        }
    }
}

/// Where the files of a run are said to lie.
pub(super) fn artifact_uri(experiment: &str, run: &str) -> String {
    format!("mlflow-artifacts:/{experiment}/{run}/artifacts")
}

/// Milliseconds since 1970, to compare with.
#[expect(clippy::cast_precision_loss, reason = "no moment is 2^53 ms away")]
pub(super) fn millis(at: Timestamp) -> f64 {
    at.as_millis() as f64
}

/// Keys and values as `MLflow` lists them.
pub(super) fn pairs(map: &BTreeMap<String, String>) -> Vec<Value> {
    map.iter()
        .map(|(key, value)| json!({ "key": key, "value": value }))
        .collect()
}

/// An experiment: the versions of one model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Experiment {
    /// Its name and its id.
    pub(super) name: String,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
}

impl Experiment {
    /// As it is sent.
    pub(super) fn document(&self) -> Value {
        json!({
            "experiment_id": self.name,
            "name": self.name,
            "artifact_location": format!("mlflow-artifacts:/{}", self.name),
            "lifecycle_stage": "active",
            "creation_time": self.created.as_millis(),
            "last_update_time": self.updated.as_millis(),
        })
    }
}

impl Searched for Experiment {
    const ATTRIBUTES: &'static [&'static str] =
        &["name", "experiment_id", "creation_time", "last_update_time"];

    fn cell(&self, field: &Field) -> Option<Cell> {
        let Field::Attribute(name) = field else {
            return None;
        };
        Some(match name.as_str() {
            "creation_time" => Cell::Number(millis(self.created)),
            "last_update_time" => Cell::Number(millis(self.updated)),
            _ => Cell::Text(self.name.clone()),
        })
    }
}
