//! `predict`: scores for new records.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{
    failure::Failure,
    output::{Output, number, table},
};
use crate::{
    app::{App, Telling, record_from_words},
    registry::{self, ModelName},
    server::PredictedRow,
};

/// How many posts are told with `--explain`.
const USUALLY: u16 = 3;

/// Score new records with a model.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  trendmill predict reddit@champion --input posts.jsonl\n  \
                        trendmill records export --format jsonl | trendmill predict reddit --input -\n  \
                        trendmill predict reddit --text 'My first oil painting' --image it.jpg \
                        --set community=art"
)]
pub(crate) struct Command {
    /// `NAME/VERSION` or `NAME@ALIAS`; a bare name means its champion.
    model: String,
    /// By which of its two fits: `published` has learned every row, `evaluated` is the one whose
    /// metrics `models show` prints.
    #[arg(long, value_enum, default_value_t)]
    fit: Fit,
    /// JSON lines, CSV or GeoJSON with the records; `-` reads JSON lines from stdin.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["text", "image", "set"])]
    input: Option<PathBuf>,
    /// An image of one record.
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,
    /// The title of one record.
    #[arg(long)]
    text: Option<String>,
    /// A field of one record: `community=art`, `created_at=2026-01-31T08:00:00Z`.
    #[arg(long, value_name = "K=V", value_parser = key_value)]
    set: Vec<(String, Value)>,
    /// Tell what each input adds to each prediction, and the posts that are most like the record; as
    /// tables, or in the lines with `--json`.
    #[arg(long)]
    explain: bool,
    /// How many such posts; 3 with `--explain`, none without.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(0..=50))]
    nearest: Option<u16>,
    /// Of a model that predicts classes, tell the K most probable ones; by default all.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(1..))]
    top_k: Option<u16>,
    /// Of a model that predicts classes: from which probability on a record counts as one of a class
    /// (`chosen`); by default as the validation rows told best, or the most probable one alone.
    #[arg(long, value_name = "P", value_parser = probability)]
    threshold: Option<f64>,
}

/// The fits of a version.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Fit {
    #[default]
    Published,
    Evaluated,
}

/// A number from 0 to 1.
fn probability(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    let number = number.filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| format!("`{text}` is no probability: give 0 to 1, such as 0.3"))
}

/// `K=V`, where V is JSON if it reads as JSON and text otherwise.
fn key_value(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is not `K=V`"))?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((key.to_owned(), value))
}

/// Runs the command: JSON lines `{id, prediction, low, high}`, or tables of what makes them up.
///
/// # Errors
///
/// Where there is no such model or the input cannot be read.
pub(crate) async fn run(command: Command, app: &App, output: Output) -> Result<(), Failure> {
    let name: ModelName = command.model.parse()?;
    let fit = match command.fit {
        Fit::Published => registry::Fit::Published,
        Fit::Evaluated => registry::Fit::Evaluated,
    };
    let mut predictor = app.predictor(&name, fit).await?;
    let records = match &command.input {
        Some(path) => app.records_of_file(path)?,
        None if command.text.is_none() && command.image.is_empty() && command.set.is_empty() => {
            return Err(Failure::wrong_use("there is nothing to predict")
                .hint("give `--input FILE`, or `--text`, `--image` and `--set` for one record"));
        }
        None => vec![record_from_words(
            command.text.as_deref(),
            &command.image,
            &command.set,
        )?],
    };
    let usual = if command.explain && predictor.has_vectors() {
        USUALLY
    } else {
        0
    };
    let telling = Telling {
        parts: command.explain,
        nearest: command.nearest.unwrap_or(usual).into(),
        top_k: command.top_k.map(usize::from),
        threshold: command.threshold,
    };
    for row in predictor.predict(&records, telling).await? {
        if command.explain && !output.json {
            output.data(explained(&row))?;
        } else {
            output.json_line(&row)?;
        }
    }
    Ok(())
}

/// One prediction for people: what each input adds, the weightiest first, and the posts like it.
fn explained(row: &PredictedRow) -> String {
    let shown = |value: f64| number(Some(value));
    let mut text = format!(
        "{}: {} ({} to {})",
        row.id,
        shown(row.prediction),
        shown(row.low),
        shown(row.high)
    );
    if !row.classes.is_empty() {
        let mut lines = table(&["class", "probability", "chosen"]);
        for of in &row.classes {
            let chosen = if of.chosen { "yes" } else { "" };
            lines.add_row([of.class.as_str(), &shown(of.probability), chosen]);
        }
        text = format!("{text}\n{lines}");
    }
    if let Some(parts) = &row.contributions {
        let mut adds: Vec<(&str, f64)> = parts
            .inputs
            .iter()
            .map(|(name, adds)| (name.as_str(), *adds))
            .collect();
        adds.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        let mut lines = table(&["input", "adds"]);
        lines.add_row(["all as on average", &shown(parts.base)]);
        for (name, adds) in adds {
            lines.add_row([name, &shown(adds)]);
        }
        lines.add_row(["together", &shown(parts.joint)]);
        text = format!("{text}\n{lines}");
    }
    if !row.nearest.is_empty() {
        let mut lines = table(&["like it", "score", "similarity", "title"]);
        for post in &row.nearest {
            let score = number(post.score);
            let title = post.title.as_deref().unwrap_or("–");
            lines.add_row([&post.id, &score, &shown(post.similarity), title]);
        }
        text = format!("{text}\n{lines}");
    }
    text
}
