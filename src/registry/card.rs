//! The card of a version: what it is, for people who meet its folder without this program.
//!
//! After Mitchell et al. (2019), "Model Cards for Model Reporting", as far as a manifest can tell.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{Manifest, headline::headline};

/// The metrics that a card shows.
const SHOWN: [(&str, &str); 9] = [
    ("accuracy", "Most probable class is right"),
    ("macro_f1", "F1, mean of the classes"),
    (
        "macro_roc_auc",
        "Area under the ROC curve, mean of the classes",
    ),
    ("spearman", "Spearman"),
    ("spearman_within", "Spearman within communities"),
    ("pairwise_accuracy", "Pairs within 30 minutes in order"),
    ("r2", "R²"),
    ("mae", "Mean absolute error"),
    ("coverage", "Targets inside the interval"),
];

/// The card of a version, as Markdown.
pub(super) fn card(manifest: &Manifest) -> String {
    let evaluation = &manifest.evaluation;
    let mut text = format!("# {} {}\n\n", manifest.name, manifest.version);
    let window = match (manifest.data_window.from, manifest.data_window.to) {
        (Some(from), Some(to)) => format!("made between {from} and {to}"),
        _ => "without times".to_owned(),
    };
    let _ = writeln!(
        text,
        "Predicts `{}` of posts as those of the data set `{}`. Made at {} by run `{}` of trendmill \
         {}, from {} posts {window}.\n",
        manifest.target,
        manifest.dataset,
        manifest.created_at,
        manifest.run_id,
        manifest.code_version,
        manifest.matrix.rows,
    );
    if let Some(line) = evaluation["first_line"].as_str() {
        let _ = writeln!(text, "## How good it is\n\nIt was {line}.\n");
    }
    let _ = writeln!(
        text,
        "| metric | value | 95 % interval |\n|---|---|---|\n{}",
        metrics(evaluation)
    );
    let (metric, called) = headline(evaluation);
    let compared = ["models_compared", "baselines"];
    let mut rows = String::new();
    for (name, part) in compared
        .iter()
        .filter_map(|group| evaluation[*group].as_object())
        .flatten()
    {
        let difference = &part["difference"][metric];
        let _ = writeln!(
            rows,
            "| {name} | {} | {} |",
            number(&part["metrics"][metric]),
            interval(difference),
        );
    }
    if !rows.is_empty() {
        let _ = writeln!(
            text,
            "| compared with | its {called} | how much more this version has |\n|---|---|---|\n\
             {rows}"
        );
    }
    text += &inputs(evaluation, (metric, called));
    text.push_str("## What is behind it\n\n| block | encoder | fingerprint |\n|---|---|---|\n");
    for block in &manifest.encoders {
        let captions = block.captioner.as_ref();
        let captions = captions.map_or_else(String::new, |by| format!(", captions by {by}"));
        let _ = writeln!(
            text,
            "| {} | {}{captions} | `{}` |",
            block.block, block.encoder, block.fingerprint
        );
    }
    let settings: Map<String, Value> = manifest.training.as_object().cloned().unwrap_or_default();
    let settings: Vec<String> = ["head", "seed", "test", "embargo", "coverage"]
        .iter()
        .filter_map(|key| Some(format!("{key} = {}", settings.get(*key)?)))
        .collect();
    let _ = write!(
        text,
        "\nSettings: {}. Weights: SHA-256 `{}`. Rows: `{}`.\n",
        settings.join(", "),
        manifest.weights_sha256,
        manifest.row_set,
    );
    if let (Some(verdict), Some(cause)) = (
        manifest.gate["verdict"].as_str(),
        manifest.gate["cause"].as_str(),
    ) {
        let _ = write!(text, "\nThe gate: {verdict}, {cause}.\n");
    }
    text.push_str(
        "\n## What it is not for\n\nIt tells how posts of this kind did, not whether they are good \
         or true. It has learned what its communities favour, with their prejudices, and knows \
         nothing of people; do not rank or judge people by it.\n",
    );
    text
}

fn metrics(evaluation: &Value) -> String {
    let mut rows = String::new();
    for (metric, called) in SHOWN {
        let value = &evaluation["metrics"][metric];
        if value.is_number() {
            let within = &evaluation["intervals"][metric];
            let _ = writeln!(
                rows,
                "| {called} | {} | {} |",
                number(value),
                ends(within).unwrap_or_default()
            );
        }
    }
    rows
}

fn number(value: &Value) -> String {
    let value = value.as_f64();
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"))
}

fn interval(of: &Value) -> String {
    match ends(of) {
        Some(ends) => format!("{} ({ends})", number(&of["value"])),
        None => number(&of["value"]),
    }
}

/// What is lost without each input, and what each is worth.
fn inputs(evaluation: &Value, (metric, called): (&str, &str)) -> String {
    let mut text = String::new();
    let mut ablated = String::new();
    for part in evaluation["ablation"].as_array().into_iter().flatten() {
        let _ = writeln!(
            ablated,
            "| {} | {} | {} |",
            part["without"].as_str().unwrap_or("?"),
            number(&part["metrics"][metric]),
            interval(&part["difference"][metric]),
        );
    }
    if !ablated.is_empty() {
        let _ = writeln!(
            text,
            "## What it goes by\n\n| trained without | {called} | what is lost |\n|---|---|---|\n\
             {ablated}"
        );
    }
    let mut worth = String::new();
    for part in evaluation["worth"].as_array().into_iter().flatten() {
        let _ = writeln!(
            worth,
            "| {} | {} | {} |",
            part["input"].as_str().unwrap_or("?"),
            number(&part["alone"]),
            number(&part["part"]),
        );
    }
    if !worth.is_empty() {
        let _ = writeln!(
            text,
            "What each input tells by ridge regression: the Spearman of it alone, and the share of the \
             variance of ranks that it tells beside the others, in the mean over the orders of taking \
             inputs in:\n\n| input | alone | part |\n|---|---|---|\n{worth}"
        );
    }
    text
}

fn ends(of: &Value) -> Option<String> {
    Some(format!(
        "{:.4} to {:.4}",
        of["low"].as_f64()?,
        of["high"].as_f64()?
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry::made_up;

    #[test]
    fn a_card_tells_what_the_manifest_knows() {
        let mut manifest = made_up::manifest(3);
        let spread = |value: f64| json!({"value": value, "low": value - 0.1, "high": value + 0.1});
        manifest.evaluation = json!({
            "first_line": "tested on 40 rows",
            "metrics": {"spearman": 0.5, "mae": 1.25, "kendall": 0.3},
            "intervals": {"spearman": spread(0.5)},
            "baselines": {"community": {
                "metrics": {"spearman": 0.3}, "difference": {"spearman": spread(0.2)},
            }},
            "ablation": [{
                "without": "title", "metrics": {"spearman": 0.4},
                "difference": {"spearman": spread(0.1)},
            }],
            "worth": [{"input": "title", "alone": 0.2, "part": 0.1}],
        });
        manifest.training = json!({"head": "ridge", "seed": 7});
        manifest.gate = json!({"verdict": "promote", "cause": "the first version"});
        insta::assert_snapshot!(card(&manifest));
    }
}
