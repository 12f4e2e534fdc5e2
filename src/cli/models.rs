//! `models`: what the registry holds.

mod change;
mod plot;
mod report;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::{
    failure::Failure,
    output::{Output, number, table},
};
use crate::{
    app::{App, ComparedVersions, Verified},
    artifacts,
    config::Settings,
    registry::{ModelName, ModelOverview, headlines},
};

/// Ask the registry.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Look(Look),
    #[command(flatten)]
    Change(change::Change),
}

/// What only reads.
#[derive(Debug, Subcommand)]
pub(crate) enum Look {
    /// All versions of all models, or of one.
    List {
        /// The model's name.
        name: Option<String>,
    },
    /// One version: where it comes from and how good it is.
    #[command(
        after_help = "Examples:\n  trendmill models show reddit@champion\n  trendmill models \
                            show reddit/3 --predictions"
    )]
    Show {
        /// `NAME/VERSION` or `NAME@ALIAS`; a bare name means its champion.
        model: String,
        /// Print the evaluated rows as JSON lines: id, split, target, prediction.
        #[arg(long)]
        predictions: bool,
    },
    /// Whether a version's files are what was published, and whether it could be made again;
    /// exit code 1 where not.
    Verify {
        /// `NAME/VERSION` or `NAME@ALIAS`; a bare name means its champion.
        model: String,
    },
    /// How a metric went from version to version.
    #[command(after_help = "Example:\n  trendmill models history reddit --metric spearman")]
    History {
        /// The model's name.
        name: String,
        /// The metric.
        #[arg(long, default_value = "spearman")]
        metric: String,
        /// Draw it into this file too, as SVG.
        #[arg(long, value_name = "FILE.svg")]
        plot: Option<PathBuf>,
    },
    /// A version's report: one HTML page with plots, which needs nothing from elsewhere.
    #[command(after_help = "Example:\n  trendmill models report reddit@champion --out report.html")]
    Report {
        /// `NAME/VERSION` or `NAME@ALIAS`; a bare name means its champion.
        model: String,
        /// Write it into this file; else it is printed.
        #[arg(long, value_name = "FILE.html")]
        out: Option<PathBuf>,
    },
    /// Two versions on the rows that both were tested on, with intervals of the difference.
    #[command(after_help = "Example:\n  trendmill models compare reddit/3 reddit@champion")]
    Compare {
        /// `NAME/VERSION` or `NAME@ALIAS`; a bare name means its champion.
        a: String,
        /// The other one; the difference is this one's metric minus the first's.
        b: String,
    },
}

/// Runs the command.
///
/// # Errors
///
/// Where there is no such model, or the registry cannot be read or changed.
pub(crate) async fn run(
    command: Command,
    home: &Path,
    settings: Settings,
    output: Output,
) -> Result<(), Failure> {
    match command {
        Command::Look(command) => look(command, &App::read(home, settings).await?, output).await,
        Command::Change(command) => {
            change::run(command, &App::open(home, settings).await?, output).await
        }
    }
}

async fn look(command: Look, app: &App, output: Output) -> Result<(), Failure> {
    match command {
        Look::List { name } => list(app, name.as_deref(), output).await,
        Look::Show { model, predictions } => show(app, &model, predictions, output).await,
        Look::Verify { model } => verify(app, &model, output).await,
        Look::History { name, metric, plot } => {
            history(app, &name, &metric, plot.as_deref(), output).await
        }
        Look::Report { model, out } => report::run(app, &model, out.as_deref(), output).await,
        Look::Compare { a, b } => compare(app, &a, &b, output).await,
    }
}

async fn list(app: &App, name: Option<&str>, output: Output) -> Result<(), Failure> {
    let mut versions = app.registry().list(name).await?;
    versions.retain(|version| version.removed_at.is_none());
    if let (true, Some(name)) = (versions.is_empty(), name) {
        // This tells which names there are.
        app.registry().resolve(&name.parse()?).await?;
    }
    let listed: Vec<ModelOverview> = versions.iter().map(ModelOverview::from).collect();
    if output.json {
        return Ok(output.json(&listed)?);
    }
    let predicts_classes = |listed: &ModelOverview| listed.metrics["accuracy"].is_number();
    let mut metrics = vec!["spearman", "mae"];
    if listed.iter().any(predicts_classes) {
        metrics.extend(["accuracy", "macro_f1"]);
    }
    let mut rows = table(&[&["model", "aliases", "made", "rows"], metrics.as_slice()].concat());
    for (version, listed) in versions.iter().zip(&listed) {
        let facts = [
            format!("{}/{}", listed.name, listed.version),
            listed.aliases.join(", "),
            listed.created_at.to_string(),
            version.manifest.matrix.rows.to_string(),
        ];
        let measured = metrics
            .iter()
            .map(|metric| number(listed.metrics[*metric].as_f64()));
        rows.add_row(facts.into_iter().chain(measured));
    }
    if versions.is_empty() {
        output.say("the registry is empty; `trendmill run PIPELINE` makes a version")?;
        return Ok(());
    }
    Ok(output.data(rows.to_string())?)
}

async fn show(app: &App, model: &str, predictions: bool, output: Output) -> Result<(), Failure> {
    let name: ModelName = model.parse()?;
    let version = app.registry().resolve(&name).await?;
    if predictions {
        for row in version.evaluated_rows()? {
            output.json_line(&row)?;
        }
        return Ok(());
    }
    if output.json {
        return Ok(output.json(&version.document())?);
    }
    let manifest = &version.manifest;
    let mut facts = table(&["", ""]);
    facts.set_header(Vec::<String>::new());
    let window = match (manifest.data_window.from, manifest.data_window.to) {
        (Some(from), Some(to)) => format!("{from} to {to}"),
        _ => "rows without times".to_owned(),
    };
    for (name, value) in [
        ("model", format!("{}/{}", manifest.name, manifest.version)),
        ("aliases", version.aliases.join(", ")),
        (
            "made",
            format!("{} by run {}", manifest.created_at, manifest.run_id),
        ),
        (
            "interval",
            format!("{} to {}", manifest.interval_start, manifest.interval_end),
        ),
        ("data set", manifest.dataset.clone()),
        ("labels", window),
        ("target", manifest.target.clone()),
        (
            "matrix",
            format!(
                "{} rows × {} columns",
                manifest.matrix.rows, manifest.matrix.columns
            ),
        ),
        ("weights", manifest.weights_sha256.to_string()),
        (
            "trained until",
            manifest
                .trained_until
                .map(|time| time.to_string())
                .unwrap_or_default(),
        ),
        ("rows", version.not_reproducible().unwrap_or_default()),
        ("gate", gate_text(&manifest.gate)),
        ("tags", tags_text(&version.tags)),
        (
            "removed",
            version.removed_at.map_or_else(String::new, |at| {
                format!("its files, at {at}; the metrics stay")
            }),
        ),
    ] {
        let may_lack = ["trained until", "rows", "gate", "tags", "removed"];
        if value.is_empty() && may_lack.contains(&name) {
            continue;
        }
        facts.add_row([name.to_owned(), value]);
    }
    output.data(facts.to_string())?;
    output.data(metrics_table(&manifest.evaluation))?;
    Ok(())
}

/// Says whether a version is what was published, and what it learned from is there still.
async fn verify(app: &App, model: &str, output: Output) -> Result<(), Failure> {
    let Verified {
        version,
        probes,
        reason,
    } = app.verify_version(model).await?;
    let manifest = &version.manifest;
    if output.json {
        output.json(&json!({
            "name": manifest.name,
            "version": manifest.version,
            "reproducible": reason.is_none(),
            "reason": reason,
            "purged_rows": version.purged_rows,
            "probes": probes,
        }))?;
    }
    let named = format!("{}/{}", manifest.name, manifest.version);
    match reason {
        Some(reason) => Err(Failure::failed(format!("{named} is {reason}"))
            .hint("a new version learns from what is left: `trendmill run PIPELINE`")),
        None if output.json => Ok(()),
        None => Ok(output.data(format!(
            "{named}: its files are what was published, {probes} probes give what they gave, and none \
             of its rows is purged"
        ))?),
    }
}

/// Metrics beside the baselines, with their intervals.
pub(crate) fn metrics_table(evaluation: &Value) -> String {
    let shown = headlines(evaluation);
    let names = shown.iter().map(|(_, called)| *called);
    let mut rows = table(&std::iter::once("model").chain(names).collect::<Vec<_>>());
    let mut add = |name: &str, part: &Value| {
        let cells = shown.iter().map(|(metric, _)| {
            let value = number(part["metrics"][*metric].as_f64());
            let interval = &part["intervals"][*metric];
            match (interval["low"].as_f64(), interval["high"].as_f64()) {
                (Some(low), Some(high)) if *metric == shown[0].0 => {
                    format!("{value} [{} {}]", number(Some(low)), number(Some(high)))
                }
                _ => value,
            }
        });
        rows.add_row(std::iter::once(name.to_owned()).chain(cells));
    };
    add("this version", evaluation);
    for group in ["models_compared", "baselines"] {
        for (name, part) in evaluation[group].as_object().unwrap_or(&Map::new()) {
            add(name, part);
        }
    }
    for part in evaluation["ablation"].as_array().unwrap_or(&Vec::new()) {
        add(
            &format!("without {}", part["without"].as_str().unwrap_or("?")),
            part,
        );
    }
    let mut text = rows.to_string();
    if let Some(ceiling) = evaluation["metrics"]["spearman_ceiling"].as_f64() {
        text.push_str("\nspearman of the noise-free truth: ");
        text.push_str(&number(Some(ceiling)));
    }
    text
}

/// What the gate said of a version; empty where there was none.
fn gate_text(gate: &Value) -> String {
    match (gate["verdict"].as_str(), gate["cause"].as_str()) {
        (Some(verdict), Some(cause)) => format!("{verdict}: {cause}"),
        _ => String::new(),
    }
}

/// Tags as `key=value`, one a line.
fn tags_text(tags: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = tags
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    lines.join("\n")
}

async fn compare(app: &App, a: &str, b: &str, output: Output) -> Result<(), Failure> {
    let compared = app.compare_versions(a, b).await?;
    if output.json {
        return Ok(output.json(&compared)?);
    }
    let ComparedVersions {
        first,
        second,
        rows,
        comparison,
    } = &compared;
    let mut lines = table(&["metric", first, second, "difference", "95 % interval"]);
    for (metric, difference) in &comparison.difference {
        lines.add_row([
            metric.clone(),
            number(comparison.a[metric]),
            number(comparison.b[metric]),
            number(difference.value),
            format!("{} to {}", number(difference.low), number(difference.high)),
        ]);
    }
    output.data(lines.to_string())?;
    Ok(output.say(format!("on {rows} rows that both were tested on"))?)
}

async fn history(
    app: &App,
    name: &str,
    metric: &str,
    plot: Option<&Path>,
    output: Output,
) -> Result<(), Failure> {
    let points = app.registry().history(name, metric).await?;
    if let Some(path) = plot {
        let drawn = plot::history(&points, name, metric);
        artifacts::write_atomic(path, drawn.as_bytes())
            .map_err(|error| Failure::wrong_use(error.to_string()))?;
    }
    if output.json {
        return Ok(output.json(&points)?);
    }
    let mut rows = table(&["version", "interval", metric, "low", "high"]);
    for point in &points {
        rows.add_row([
            point.version.to_string(),
            point.interval_start.date().to_string(),
            number(point.value),
            number(point.low),
            number(point.high),
        ]);
    }
    Ok(output.data(rows.to_string())?)
}
