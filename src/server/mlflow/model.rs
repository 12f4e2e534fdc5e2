//! A registered model and a model version as `MLflow` shows them.

use serde_json::{Map, Value, json};

use super::{
    filter::{Cell, Field, Searched},
    run::{NOTE, USER, artifact_uri, millis, pairs},
};
use crate::{clock::Timestamp, registry::ModelVersion};

/// One version of a model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Version(pub(super) ModelVersion);

impl Version {
    /// Where its files are said to lie.
    pub(super) fn source(&self) -> String {
        let manifest = &self.0.manifest;
        artifact_uri(&manifest.name, &manifest.run_id)
    }

    /// As lists show it: without the aliases that point at it, as `MLflow` does.
    pub(super) fn listed(&self) -> Value {
        let manifest = &self.0.manifest;
        let (status, told) = self.0.removed_at.map_or_else(
            || ("READY", String::new()),
            |at| {
                (
                    "FAILED_REGISTRATION",
                    format!("its files were removed at {at}"),
                )
            },
        );
        let mut tags = self.0.tags.clone();
        let description = tags.remove(NOTE).unwrap_or_default();
        let mut document = json!({
            "name": manifest.name,
            "version": manifest.version.to_string(),
            "creation_timestamp": manifest.created_at.as_millis(),
            "last_updated_timestamp": manifest.created_at.as_millis(),
            "user_id": USER,
            "current_stage": "None",
            "description": description,
            "source": self.source(),
            "run_id": manifest.run_id,
            "run_link": "",
            "status": status,
        });
        if !told.is_empty() {
            document["status_message"] = told.into();
        }
        if !tags.is_empty() {
            document["tags"] = pairs(&tags).into();
        }
        document
    }

    /// As it is shown alone: with its aliases.
    pub(super) fn document(&self) -> Value {
        let mut document = self.listed();
        if !self.0.aliases.is_empty() {
            document["aliases"] = json!(self.0.aliases);
        }
        document
    }
}

impl Searched for Version {
    const ATTRIBUTES: &'static [&'static str] = &[
        "name",
        "version",
        "version_number",
        "run_id",
        "source",
        "source_path",
        "creation_timestamp",
        "last_updated_timestamp",
    ];
    const NUMBERS: &'static [&'static str] = &["creation_timestamp", "last_updated_timestamp"];
    const EITHER: &'static [&'static str] = &["version", "version_number"];

    fn cell(&self, field: &Field) -> Option<Cell> {
        let manifest = &self.0.manifest;
        match field {
            Field::Tag(key) => self.0.tags.get(key).cloned().map(Cell::Text),
            Field::Attribute(name) => Some(match name.as_str() {
                "name" => Cell::Text(manifest.name.clone()),
                "version" | "version_number" => Cell::Number(manifest.version.into()),
                "run_id" => Cell::Text(manifest.run_id.clone()),
                "source" | "source_path" => Cell::Text(self.source()),
                _ => Cell::Number(millis(manifest.created_at)),
            }),
            Field::Metric(_) | Field::Param(_) => None,
        }
    }
}

/// A model with all its versions, oldest first; there is at least one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) versions: Vec<Version>,
}

impl Model {
    /// The versions of a list, by model.
    pub(super) fn all(versions: Vec<ModelVersion>) -> Vec<Self> {
        let mut models: Vec<Self> = Vec::new();
        for version in versions {
            let name = &version.manifest.name;
            match models.last_mut().filter(|model| model.name == *name) {
                Some(model) => model.versions.push(Version(version)),
                None => models.push(Self {
                    name: name.clone(),
                    versions: vec![Version(version)],
                }),
            }
        }
        models
    }

    /// The newest version that can be used.
    pub(super) fn latest(&self) -> Option<&Version> {
        let there = |version: &&Version| version.0.removed_at.is_none();
        self.versions.iter().rev().find(there)
    }

    fn created(&self) -> Timestamp {
        let times = self.versions.iter().map(|v| v.0.manifest.created_at);
        times.min().unwrap_or(Timestamp::from_millis(0))
    }

    fn updated(&self) -> Timestamp {
        let times = self.versions.iter().map(|v| v.0.manifest.created_at);
        times.max().unwrap_or(Timestamp::from_millis(0))
    }

    /// As it is sent.
    pub(super) fn document(&self) -> Value {
        let mut document = Map::new();
        document.insert("name".to_owned(), json!(self.name));
        let created = json!(self.created().as_millis());
        document.insert("creation_timestamp".to_owned(), created);
        let updated = json!(self.updated().as_millis());
        document.insert("last_updated_timestamp".to_owned(), updated);
        document.insert("user_id".to_owned(), USER.into());
        if let Some(latest) = self.latest() {
            let latest = json!([latest.listed()]);
            document.insert("latest_versions".to_owned(), latest);
        }
        let aliases = self.versions.iter().flat_map(|version| {
            let number = version.0.manifest.version.to_string();
            let aliases = version.0.aliases.iter();
            aliases.map(move |alias| json!({ "alias": alias, "version": number }))
        });
        let aliases: Vec<_> = aliases.collect();
        if !aliases.is_empty() {
            document.insert("aliases".to_owned(), aliases.into());
        }
        document.into()
    }
}

impl Searched for Model {
    const ATTRIBUTES: &'static [&'static str] = &[
        "name",
        "timestamp",
        "creation_timestamp",
        "last_updated_timestamp",
    ];
    const NUMBERS: &'static [&'static str] =
        &["timestamp", "creation_timestamp", "last_updated_timestamp"];

    fn cell(&self, field: &Field) -> Option<Cell> {
        match field {
            Field::Attribute(name) => Some(match name.as_str() {
                "name" => Cell::Text(self.name.clone()),
                "creation_timestamp" => Cell::Number(millis(self.created())),
                _ => Cell::Number(millis(self.updated())),
            }),
            _ => None,
        }
    }
}
