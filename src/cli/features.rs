//! `features`: what can be computed, and since when.

use std::path::Path;

use clap::Subcommand;

use super::{
    encoders::Wanted,
    failure::Failure,
    output::{Output, counted, table},
};
use crate::{
    app::{FeatureCheck, FeatureSpan},
    clock::Timestamp,
    config::Settings,
};

/// What features can be computed of, and since when.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say of each feature how many records have it, can get it, or lack it, and since when.
    ///
    /// Counts what a run of the pipeline would select now: vectors and captions, the record's own
    /// fields, the label and other readings, what was read of authors and communities, and the
    /// fields of the JSON that is kept of each record as it came (`[retention] raw`), from which a
    /// new feature can be computed. `since` is the publication of the oldest record with it; from
    /// `whole since` on no record lacks it.
    #[command(
        after_help = "Examples:\n  trendmill features check reddit\n  trendmill features \
                            check reddit --field upvote_ratio --field /media_metadata"
    )]
    Check {
        #[command(flatten)]
        wanted: Wanted,
        /// A field of the JSON by its name, or by its place as a JSON pointer (`/preview/enabled`);
        /// may be given several times. Default: all outermost ones.
        #[arg(long, value_name = "PATH")]
        field: Vec<String>,
    },
}

/// Runs the command.
///
/// # Errors
///
/// Where the pipeline is not known, or the store fails.
pub(crate) async fn run(
    command: Command,
    home: &Path,
    settings: Settings,
    output: Output,
) -> Result<(), Failure> {
    let Command::Check { wanted, field } = command;
    let app = super::encoders::reading(home, settings).await?;
    let check = app.check_features(&wanted.request(), &field).await?;
    if output.json {
        return Ok(output.json(&check)?);
    }
    output.say(about(&check))?;
    output.data(features(&check.features))?;
    if let Some(before) = check.raw_removed_before {
        output.say(format!(
            "JSON that was stored before {before} had had its time (`[retention] raw`)"
        ))?;
    }
    if !check.raw_fields.is_empty() {
        output.data(fields(&check))?;
    }
    Ok(())
}

fn about(check: &FeatureCheck) -> String {
    let with = check.profile.as_ref();
    let with = with.map_or_else(String::new, |profile| format!(" with profile {profile}"));
    let dataset = check.dataset.as_ref();
    let dataset = dataset.map_or_else(String::new, |dataset| format!(" of {dataset}"));
    let times = check.oldest.zip(check.newest);
    let times = times.map_or_else(String::new, |(oldest, newest)| {
        format!(", published from {oldest} to {newest}")
    });
    format!(
        "{}{with}: {}{dataset}{times}",
        check.pipeline,
        counted(check.records, "record")
    )
}

fn features(spans: &[FeatureSpan]) -> String {
    let mut rows = table(&[
        "feature",
        "kind",
        "of",
        "have",
        "can",
        "lack",
        "since",
        "whole since",
        "why",
    ]);
    for span in spans {
        let reasons = span.reasons.iter();
        let reasons: Vec<String> = reasons.map(|(code, n)| format!("{code} {n}")).collect();
        rows.add_row([
            span.name.clone(),
            span.kind.to_owned(),
            span.of.clone().unwrap_or_default(),
            span.records.to_string(),
            span.computable.to_string(),
            span.lacking.to_string(),
            moment(span.since),
            moment(span.whole_since),
            reasons.join(", "),
        ]);
    }
    rows.to_string()
}

fn fields(check: &FeatureCheck) -> String {
    let mut rows = table(&[
        "field of the JSON",
        "bodies",
        "with a value",
        "received since",
    ]);
    for field in &check.raw_fields {
        rows.add_row([
            field.field.clone(),
            field.bodies.to_string(),
            field.with_value.to_string(),
            moment(field.since),
        ]);
    }
    rows.to_string()
}

fn moment(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "–".to_owned(), |at| at.to_string())
}
