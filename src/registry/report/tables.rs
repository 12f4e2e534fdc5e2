//! The parts of a report that are tables.

use serde_json::{Map, Value};

use super::{
    super::card::SHOWN,
    Manifest, Spread, number,
    page::{Cells, paragraph, table},
    percent,
};

/// The metrics of the hold-out, beside those of the forward test where there is one.
pub(super) fn metrics(evaluation: &Value) -> String {
    let forward = &evaluation["prequential"];
    let is_forward = forward["metrics"].is_object();
    let mut header = vec!["metric", "hold-out", "95 % interval"];
    if is_forward {
        header.extend(["forward", "95 % interval"]);
    }
    let mut rows = Vec::new();
    for (metric, called) in SHOWN {
        let cells = |part: &Value| {
            let of = Spread::metric(part, metric);
            of.map(|of| [number(of.value), of.between()])
        };
        let (held, forward) = (cells(evaluation), cells(forward));
        if held.is_none() && forward.is_none() {
            continue;
        }
        let mut row = vec![called.to_owned()];
        row.extend(held.unwrap_or_default());
        if is_forward {
            row.extend(forward.unwrap_or_default());
        }
        rows.push(row);
    }
    let mut text = table(&header, &rows, Cells::Numbers);
    if let (Some(rows), false) = (forward["rows"].as_u64(), text.is_empty()) {
        let versions: Vec<String> = forward["versions"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(version, rows)| format!("{rows} by version {version}"))
            .collect();
        text += &paragraph(&format!(
            "The forward test has {rows} rows: {}.",
            versions.join(", ")
        ));
    }
    text
}

/// How it does in each community.
pub(super) fn communities(evaluation: &Value) -> String {
    let filed = evaluation["communities"].as_array();
    let of = |row: &Value| {
        let told = |name: &str| row[name].as_f64().map_or_else(|| "–".to_owned(), number);
        Some(vec![
            row["community"].as_str()?.to_owned(),
            row["rows"].to_string(),
            told("spearman"),
            told("mae"),
            told("bias"),
            row["coverage"].as_f64().map_or_else(String::new, percent),
        ])
    };
    let rows: Vec<Vec<String>> = filed.into_iter().flatten().filter_map(of).collect();
    let header = [
        "community",
        "rows",
        "Spearman",
        "mean absolute error",
        "bias",
        "within the interval",
    ];
    table(&header, &rows, Cells::Numbers)
}

/// Run, data, encoders, settings and hashes.
pub(super) fn lineage(manifest: &Manifest) -> String {
    let mut facts = vec![
        ("run", manifest.run_id.clone()),
        ("made", manifest.created_at.to_string()),
        ("by", format!("trendmill {}", manifest.code_version)),
        (
            "interval",
            format!("{} to {}", manifest.interval_start, manifest.interval_end),
        ),
        ("knowledge as of", manifest.as_of.to_string()),
        ("data set", manifest.dataset.clone()),
    ];
    if let Some(until) = manifest.trained_until {
        facts.push(("learned posts until", until.to_string()));
    }
    facts.extend([
        (
            "feature matrix",
            format!(
                "{} rows × {} columns, SHA-256 {}",
                manifest.matrix.rows, manifest.matrix.columns, manifest.matrix.sha256
            ),
        ),
        ("rows and split", manifest.row_set.clone()),
        ("weights", format!("SHA-256 {}", manifest.weights_sha256)),
    ]);
    if let Some(hash) = manifest.evaluated_sha256 {
        facts.push(("measured weights", format!("SHA-256 {hash}")));
    }
    let empty = Map::new();
    facts.extend([
        ("parameters", settings(&manifest.params)),
        (
            "settings of the training",
            settings(manifest.training.as_object().unwrap_or(&empty)),
        ),
    ]);
    facts.retain(|(_, value)| !value.is_empty());
    let facts: Vec<Vec<String>> = facts
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    let encoders: Vec<Vec<String>> = manifest
        .encoders
        .iter()
        .map(|block| {
            let captions = match (&block.captioner, &block.captioner_fingerprint) {
                (Some(by), Some(print)) => format!("{by}, {print}"),
                (Some(by), None) => by.clone(),
                (None, _) => String::new(),
            };
            vec![
                block.block.clone(),
                block.encoder.clone(),
                block.fingerprint.to_string(),
                captions,
            ]
        })
        .collect();
    let header = ["block", "encoder", "fingerprint", "captions by"];
    table(&["", ""], &facts, Cells::Text) + &table(&header, &encoders, Cells::Text)
}

fn settings(of: &Map<String, Value>) -> String {
    let told: Vec<String> = of
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| match value.as_str() {
            Some(text) => format!("{key} = {text}"),
            None => format!("{key} = {value}"),
        })
        .collect();
    told.join("; ")
}
