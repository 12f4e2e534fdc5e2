//! The report of a version: one page that a person reads in two minutes, plots included.
//!
//! It is made of the manifest alone, so a version of an older release has one too; what its
//! evaluation did not tell of is left out.

mod elsewhere;
mod page;
mod parts;
mod plots;
mod tables;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use page::escaped;

use self::page::{page, section};
use super::{Manifest, ModelVersion, headline::headline};

impl ModelVersion {
    /// The report of the version, as an HTML page that needs nothing from elsewhere.
    pub fn report(&self) -> String {
        report(&self.manifest)
    }
}

/// The page of a manifest.
pub(super) fn report(manifest: &Manifest) -> String {
    let evaluation = &manifest.evaluation;
    let calibration = &evaluation["calibration"];
    let (_, called) = headline(evaluation);
    let body = [
        parts::headline(manifest),
        section(
            "How well it ranks, beside others",
            &format!("{called} of the tested rows with 95 % intervals; further right is better."),
            &parts::ranking(evaluation),
        ),
        section(
            "The metrics",
            "Of the tested rows, which the measured fit has not learned.",
            &tables::metrics(evaluation),
        ),
        section(
            "Whether predictions mean what they say",
            &parts::coverage(calibration),
            &parts::calibration(calibration),
        ),
        section(
            "What it goes by",
            &format!(
                "How much {called} is lost where the model is trained without an input; where the \
                 interval holds zero, that may be chance."
            ),
            &parts::ablation(evaluation),
        ),
        section(
            "What each input is worth",
            "By ridge regression. Alone: Spearman of this input alone. Part: the share of the variance \
             of ranks that it tells beside the others, in the mean over the orders of taking inputs \
             in; the parts make up the square of the Spearman of all.",
            &tables::worth(evaluation),
        ),
        section(
            "By community",
            "Those with the most tested rows first. Bias: by how much predictions are too high.",
            &tables::communities(evaluation),
        ),
        section(
            "By class",
            "Precision: how many of those predicted to a class belong to it. Recall: how many of those \
             that belong to it were predicted to it.",
            &tables::classes(evaluation),
        ),
        section(
            "Whether more rows would help",
            &format!(
                "Ridge regression on growing parts of the training rows, the newest ones: {called} of \
                 the tested rows with 95 % intervals."
            ),
            &parts::learning_curve(evaluation),
        ),
        section(
            "On other rows",
            &elsewhere::note(evaluation),
            &elsewhere::plot(evaluation),
        ),
        section(
            "How the rows have changed",
            &parts::since(&evaluation["drift"]),
            &parts::drift(&evaluation["drift"]["drift"]),
        ),
        section(
            "What became of earlier predictions",
            "Predictions that were filed before their labels were known, by the champions of then. \
             They are not of the fit that the other figures are of.",
            &tables::forward(&evaluation["prequential"]),
        ),
        section("Where it comes from", "", &tables::lineage(manifest)),
    ];
    page(
        &format!("{}, version {}", manifest.name, manifest.version),
        &body.concat(),
    )
}

/// A value with the ends of its interval.
#[derive(Clone, Copy)]
struct Spread {
    value: f64,
    ends: Option<(f64, f64)>,
}

impl Spread {
    /// As an evaluation files it; nothing without a value.
    fn of(filed: &Value) -> Option<Self> {
        Some(Self {
            value: filed["value"].as_f64()?,
            ends: ends(filed),
        })
    }

    /// A metric of a part of an evaluation.
    fn metric(part: &Value, metric: &str) -> Option<Self> {
        Some(Self {
            value: part["metrics"][metric].as_f64()?,
            ends: ends(&part["intervals"][metric]),
        })
    }

    /// Its interval in words; empty without one.
    fn between(self) -> String {
        let words = |(low, high)| format!("{} to {}", number(low), number(high));
        self.ends.map_or_else(String::new, words)
    }

    /// In words, its interval in parentheses.
    fn told(self) -> String {
        match self.ends {
            Some(_) => format!("{} ({})", number(self.value), self.between()),
            None => number(self.value),
        }
    }
}

fn ends(filed: &Value) -> Option<(f64, f64)> {
    Some((filed["low"].as_f64()?, filed["high"].as_f64()?))
}

/// A number with three decimals, or one where it is large.
fn number(value: f64) -> String {
    fixed(value, if value.abs() < 100.0 { 3 } else { 1 })
}

/// A number with so many decimals, and no sign before a zero.
fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.to_owned(),
        _ => text,
    }
}

/// A share in percent.
fn percent(share: f64) -> String {
    format!("{} %", fixed(100.0 * share, 1))
}
