//! The parts of a report that are tables.

use serde_json::{Map, Value};

use super::{
    Manifest, Spread, number,
    page::{Cells, paragraph, table},
    parts::best_baseline,
    percent,
};

/// The metrics that are shown, in the order of reading.
const METRICS: [(&str, &str); 17] = [
    ("accuracy", "Most probable class is right"),
    ("top3_accuracy", "One of the three most probable is right"),
    ("macro_f1", "F1, mean of the classes"),
    (
        "macro_roc_auc",
        "Area under the ROC curve, mean of the classes",
    ),
    ("log_loss", "Log loss"),
    ("spearman", "Spearman"),
    ("spearman_within", "Spearman within communities"),
    ("pairwise_accuracy", "Pairs within 30 minutes in order"),
    (
        "top_decile_precision",
        "Of the tenth predicted best, truly in it",
    ),
    ("roc_auc", "Area under the ROC curve"),
    ("average_precision", "Average precision"),
    ("brier", "Brier score"),
    ("r2", "R²"),
    ("mae", "Mean absolute error"),
    ("mae_original", "Mean absolute error in the original unit"),
    ("mdape", "Median absolute error, relative"),
    ("coverage", "Targets inside the interval"),
];

/// The metrics of the tested rows, beside those of the best baseline.
pub(super) fn metrics(evaluation: &Value) -> String {
    let best = best_baseline(evaluation);
    let called = best.map(|(name, ..)| format!("baseline {name}"));
    let mut header = vec!["", "this version", "95 % interval"];
    header.extend(called.as_deref());
    let beside = |metric: &str| {
        let (_, part, _) = best?;
        let value = part["metrics"][metric].as_f64();
        Some(value.map_or_else(|| "–".to_owned(), number))
    };
    table(&header, &shown(evaluation, beside), Cells::Numbers)
}

/// The metrics of predictions that were filed before their labels were known.
pub(super) fn forward(prequential: &Value) -> String {
    let header = ["", "value", "95 % interval"];
    let mut text = table(&header, &shown(prequential, |_| None), Cells::Numbers);
    if let (Some(rows), false) = (prequential["rows"].as_u64(), text.is_empty()) {
        let versions = prequential["versions"].as_object().into_iter().flatten();
        let versions: Vec<String> = versions
            .map(|(version, rows)| format!("{rows} by version {version}"))
            .collect();
        text += &paragraph(&format!("{rows} rows: {}.", versions.join(", ")));
    }
    text
}

/// A row for each metric that a part of an evaluation has, with one more cell of `beside`.
fn shown(part: &Value, beside: impl Fn(&str) -> Option<String>) -> Vec<Vec<String>> {
    let row = |&(metric, called): &(&str, &str)| {
        let of = Spread::metric(part, metric)?;
        let mut row = vec![called.to_owned(), number(of.value), of.between()];
        row.extend(beside(metric));
        Some(row)
    };
    METRICS.iter().filter_map(row).collect()
}

/// What each input is worth, alone and as its part of the whole.
pub(super) fn worth(evaluation: &Value) -> String {
    let filed = evaluation["worth"].as_array();
    let of = |row: &Value| {
        let told = |name: &str| row[name].as_f64().map_or_else(|| "–".to_owned(), number);
        Some(vec![
            row["input"].as_str()?.to_owned(),
            told("alone"),
            row["part"].as_f64().map_or_else(String::new, percent),
        ])
    };
    let rows: Vec<Vec<String>> = filed.into_iter().flatten().filter_map(of).collect();
    table(&["input", "alone", "part"], &rows, Cells::Numbers)
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

/// How it does in each class.
pub(super) fn classes(evaluation: &Value) -> String {
    let filed = evaluation["classes"].as_array();
    let of = |row: &Value| {
        let told = |name: &str| row[name].as_f64().map_or_else(|| "–".to_owned(), number);
        Some(vec![
            row["class"].as_str()?.to_owned(),
            row["rows"].to_string(),
            row["predicted"].to_string(),
            told("precision"),
            told("recall"),
            told("f1"),
            told("roc_auc"),
        ])
    };
    let rows: Vec<Vec<String>> = filed.into_iter().flatten().filter_map(of).collect();
    let header = [
        "class",
        "rows",
        "predicted",
        "precision",
        "recall",
        "F1",
        "ROC AUC",
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
