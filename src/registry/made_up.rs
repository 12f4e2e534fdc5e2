//! Versions for tests.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, json};

use super::{Candidate, DataWindow, EvaluatedRow, Manifest, MatrixSummary, Registry};
use crate::{clock::Timestamp, corpus::ContentHash, store::Store};

/// The manifest of a version of `reddit`, made by run `r<version>`.
pub(super) fn manifest(version: u32) -> Manifest {
    let at: Timestamp = "2026-01-17T08:00:00Z".parse().unwrap();
    Manifest {
        name: "reddit".to_owned(),
        version,
        run_id: format!("r{version}"),
        created_at: at,
        interval_start: at,
        interval_end: at,
        as_of: at,
        dataset: "sandbox".to_owned(),
        code_version: "test".to_owned(),
        params: Map::new(),
        training: json!({}),
        target: "score".to_owned(),
        encoders: Vec::new(),
        schema: json!({}),
        matrix: MatrixSummary {
            rows: 1,
            columns: 1,
            sha256: ContentHash::of(b"matrix"),
        },
        data_window: DataWindow {
            from: None,
            to: None,
        },
        row_set: "rows".to_owned(),
        weights_sha256: ContentHash::of(b"weights"),
        evaluated_sha256: None,
        trained_until: None,
        evaluation: json!({ "metrics": { "spearman": 0.5 } }),
        profile: serde_json::Value::Null,
        gate: serde_json::Value::Null,
    }
}

/// A registry in which so many versions were published, each the champion in its turn.
pub(super) async fn registry(home: &Path, versions: u32) -> Registry {
    let store = Store::in_memory().await.unwrap();
    let registry = Registry::new(home.join("model_registry"), store);
    for version in 1..=versions {
        let row = EvaluatedRow {
            id: "a".to_owned(),
            split: "test".to_owned(),
            target: 1.0,
            prediction: 0.5,
            classes: Vec::new(),
            probabilities: BTreeMap::new(),
        };
        let candidate = Candidate {
            manifest: manifest(version),
            content_key: version.to_string(),
            weights: b"weights".to_vec(),
            more: Vec::new(),
            rows: vec![row],
            promote: Some("a test".to_owned()),
        };
        let published = registry.publish(candidate).await.unwrap();
        assert_eq!(published.version, version);
    }
    registry
}
