//! `runs explain`: why a task stands where it does.

use std::io::Write;

use crate::{
    engine::{Error, Explanation, Slots},
    store::{RunRow, Store},
};

/// Explains one task of a run.
///
/// # Errors
///
/// Where there is no such task or the store fails.
pub(super) async fn run(
    store: &Store,
    run: &RunRow,
    task: &str,
    slots: &Slots,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), super::runs::Error> {
    let explanation = Explanation::load(store, &run.id, task, slots)
        .await
        .map_err(|error| match error {
            Error::UnknownTask { .. } => super::runs::Error::Usage(error.to_string()),
            other => super::runs::Error::Engine(other),
        })?;
    let text = if json {
        serde_json::to_string(&explanation).map_err(anyhow::Error::from)?
    } else {
        explanation.sentence
    };
    writeln!(out, "{text}").map_err(|error| super::runs::Error::Other(error.into()))
}
