//! A run as `MLflow` shows it: of a published version, or one that others log.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::filter::{Cell, Field, Searched};
use crate::{
    clock::Timestamp,
    store::{LoggedMetric, LoggedRun},
};

/// The tag of a version in which its description is kept.
pub(super) const NOTE: &str = "mlflow.note.content";

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) experiment: String,
    pub(super) user: String,
    pub(super) status: String,
    pub(super) started: Timestamp,
    pub(super) ended: Option<Timestamp>,
    pub(super) deleted: bool,
    pub(super) metrics: BTreeMap<String, Point>,
    pub(super) params: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
}

/// Whose the runs of pipelines are.
pub(super) const USER: &str = "trendmill";

impl Run {
    /// As it is sent.
    pub(super) fn document(&self) -> Value {
        json!({ "info": self.info(), "data": self.data(), "inputs": {}, "outputs": {} })
    }

    /// Without what is logged in it.
    pub(super) fn info(&self) -> Value {
        let mut info = json!({
            "run_uuid": self.id,
            "run_id": self.id,
            "run_name": self.name,
            "experiment_id": self.experiment,
            "user_id": self.user,
            "status": self.status,
            "start_time": self.started.as_millis(),
            "artifact_uri": artifact_uri(&self.experiment, &self.id),
            "lifecycle_stage": if self.deleted { "deleted" } else { "active" },
        });
        if let Some(ended) = self.ended {
            info["end_time"] = ended.as_millis().into();
        }
        info
    }

    fn data(&self) -> Value {
        let metrics = self.metrics.iter();
        let metrics: Vec<_> = metrics.map(|(key, point)| point.document(key)).collect();
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
}

/// A point of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) value: f64,
    pub(super) at: Timestamp,
    pub(super) step: i64,
}

impl Point {
    /// As it is sent; JSON has no NaN.
    pub(super) fn document(&self, key: &str) -> Value {
        let value = if self.value.is_nan() {
            json!("NaN")
        } else {
            json!(self.value)
        };
        json!({
            "key": key,
            "value": value,
            "timestamp": self.at.as_millis(),
            "step": self.step,
        })
    }
}

impl From<&LoggedMetric> for Point {
    fn from(logged: &LoggedMetric) -> Self {
        Self {
            value: logged.value,
            at: logged.at,
            step: logged.step,
        }
    }
}

impl From<LoggedRun> for Run {
    fn from(logged: LoggedRun) -> Self {
        let metrics = logged.metrics.iter();
        Self {
            id: logged.run_id,
            name: logged.name,
            experiment: logged.experiment.to_string(),
            user: logged.user,
            status: logged.status,
            started: logged.started_at,
            ended: logged.ended_at,
            deleted: logged.deleted,
            metrics: metrics
                .map(|metric| (metric.key.clone(), Point::from(metric)))
                .collect(),
            params: logged.params,
            tags: logged.tags,
        }
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
        "run name",
        "Run name",
        "Run Name",
    ];
    const NUMBERS: &'static [&'static str] = &["start_time", "end_time", "created", "Created"];
    const IS_MEASURED: bool = true;

    fn cell(&self, field: &Field) -> Option<Cell> {
        let text = |text: &str| Some(Cell::Text(text.to_owned()));
        match field {
            Field::Metric(key) => self.metrics.get(key).map(|point| Cell::Number(point.value)),
            Field::Param(key) => self.params.get(key).cloned().map(Cell::Text),
            Field::Tag(key) => self.tags.get(key).cloned().map(Cell::Text),
            Field::Attribute(name) => match name.as_str() {
                "run_id" | "run_uuid" => text(&self.id),
                "run_name" | "run name" | "Run name" | "Run Name" => text(&self.name),
                "experiment_id" => text(&self.experiment),
                "status" => text(&self.status),
                "user_id" => text(&self.user),
                "artifact_uri" => text(&artifact_uri(&self.experiment, &self.id)),
                "end_time" => self.ended.map(millis).map(Cell::Number),
                _ => Some(Cell::Number(millis(self.started))),
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
