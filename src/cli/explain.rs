//! `runs explain`: why a task stands where it does.

use std::io::Write;

use super::runs::{Error, Scene};
use crate::{
    engine::{self, Explanation},
    store::RunRow,
};

/// Explains one task of a run.
///
/// # Errors
///
/// Where there is no such task or the store fails.
pub(super) async fn run(
    scene: Scene<'_>,
    run: &RunRow,
    task: &str,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let explanation = Explanation::load(scene.store, &run.id, task, scene.slots, scene.disk)
        .await
        .map_err(|error| match error {
            engine::Error::UnknownTask { .. } => Error::Usage(error.to_string()),
            other => Error::Engine(other),
        })?;
    let text = if scene.json {
        serde_json::to_string(&explanation).map_err(anyhow::Error::from)?
    } else {
        explanation.sentence
    };
    writeln!(out, "{text}").map_err(|error| Error::Other(error.into()))
}
