//! What lists tell of model versions; the field names are part of the command line's contract.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{Error, ModelName, ModelVersion, Registry};
use crate::clock::Timestamp;

/// One line of `models list`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ModelOverview {
    /// The model's name.
    pub name: String,
    /// 1, 2, 3 … per name.
    pub version: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// The run that made it.
    pub run_id: String,
    /// The aliases that point at it.
    pub aliases: Vec<String>,
    /// How good it is, by metric.
    #[schema(value_type = Object)]
    pub metrics: Value,
}

/// One point of `models history`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct HistoryPoint {
    /// The version.
    pub version: u32,
    /// The first instant of its run's data interval.
    pub interval_start: Timestamp,
    /// The metric's value.
    pub value: Option<f64>,
    /// The lower end of its interval.
    pub low: Option<f64>,
    /// The upper end of its interval.
    pub high: Option<f64>,
}

impl Registry {
    /// The version in which a run ended, as `run --json` tells it; none where it made none.
    ///
    /// # Errors
    ///
    /// Where the version's files cannot be read or the database fails.
    pub async fn model_of(&self, run_id: &str) -> Result<Option<Value>, Error> {
        let Some((name, number)) = self.store.model_version_of_run(run_id).await? else {
            return Ok(None);
        };
        let version = self.resolve(&ModelName::Version(name, number)).await?;
        let manifest = version.manifest;
        let mut model = manifest.evaluation;
        let facts = json!({
            "name": manifest.name,
            "version": manifest.version,
            "reused": manifest.run_id != run_id,
            "matrix": manifest.matrix,
            "weights_sha256": manifest.weights_sha256,
            "trained_until": manifest.trained_until,
        });
        if let (Some(model), Value::Object(facts)) = (model.as_object_mut(), facts) {
            model.extend(facts);
        }
        Ok(Some(model))
    }
}

impl From<&ModelVersion> for ModelOverview {
    fn from(version: &ModelVersion) -> Self {
        let manifest = &version.manifest;
        Self {
            name: manifest.name.clone(),
            version: manifest.version,
            created_at: manifest.created_at,
            run_id: manifest.run_id.clone(),
            aliases: version.aliases.clone(),
            metrics: manifest.evaluation["metrics"].clone(),
        }
    }
}

impl ModelVersion {
    /// The manifest with the aliases, as `models show --json` prints it.
    pub fn document(&self) -> Value {
        let mut document = json!(self.manifest);
        document["aliases"] = json!(self.aliases);
        document["purged_rows"] = json!(self.purged_rows);
        document["tags"] = json!(self.tags);
        document["removed_at"] = json!(self.removed_at);
        document
    }

    fn point(&self, metric: &str) -> Result<HistoryPoint, Error> {
        let evaluation = &self.manifest.evaluation;
        let metrics = evaluation["metrics"].as_object();
        let Some(value) = metrics.and_then(|metrics| metrics.get(metric)) else {
            return Err(Error::UnknownMetric {
                metric: metric.to_owned(),
                known: metrics.into_iter().flat_map(Map::keys).cloned().collect(),
            });
        };
        let interval = &evaluation["intervals"][metric];
        Ok(HistoryPoint {
            version: self.manifest.version,
            interval_start: self.manifest.interval_start,
            value: value.as_f64(),
            low: interval["low"].as_f64(),
            high: interval["high"].as_f64(),
        })
    }
}

impl Registry {
    /// How a metric went from version to version, by the time of their data.
    ///
    /// # Errors
    ///
    /// Where there is no such model or metric.
    pub async fn history(&self, name: &str, metric: &str) -> Result<Vec<HistoryPoint>, Error> {
        let mut versions = self.list(Some(name)).await?;
        if versions.is_empty() {
            // This tells which names there are.
            let wanted = ModelName::Alias(name.to_owned(), "champion".to_owned());
            self.resolve(&wanted).await?;
        }
        versions.sort_by_key(|version| (version.manifest.interval_start, version.manifest.version));
        versions
            .iter()
            .map(|version| version.point(metric))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        registry::made_up,
        store::{NewModelVersion, Store},
    };

    #[tokio::test]
    async fn a_damaged_version_is_no_matter_of_the_others() {
        let store = Store::in_memory().await.unwrap();
        let registry = Registry::new("registry".into(), store.clone());
        let at: Timestamp = "2026-01-17T08:00:00Z".parse().unwrap();
        let whole = json!(made_up::manifest(2));
        for (version, run_id, manifest) in
            [(1, "r1", "{}".to_owned()), (2, "r2", whole.to_string())]
        {
            let new = NewModelVersion {
                name: "reddit",
                version,
                run_id,
                created_at: at,
                interval_start: at,
                content_key: run_id,
                manifest: &manifest,
                alias: Some(("champion", "a test")),
            };
            store.add_model_version(new).await.unwrap();
        }
        let model = registry.model_of("r2").await.unwrap().unwrap();
        assert_eq!(model["version"], 2);
        let damaged = registry.model_of("r1").await.unwrap_err();
        assert!(matches!(damaged, Error::Damaged { .. }), "{damaged}");
        let champion = registry.resolve(&"reddit".parse().unwrap()).await.unwrap();
        assert_eq!(champion.aliases, ["champion"]);
        let unknown = registry.resolve(&"reddit/3".parse().unwrap()).await;
        let told = unknown.unwrap_err().to_string();
        assert!(told.contains("the versions 1 to 2"), "{told}");
    }
}
