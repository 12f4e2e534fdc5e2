//! `models report`: how good a version is, as a page.

use std::path::Path;

use serde_json::json;

use super::super::{failure::Failure, output::Output};
use crate::{app::App, artifacts};

/// Writes the report of a version into a file, or prints it.
pub(super) async fn run(
    app: &App,
    model: &str,
    out: Option<&Path>,
    output: Output,
) -> Result<(), Failure> {
    let version = app.registry().resolve(&model.parse()?).await?;
    let page = version.report();
    let Some(path) = out else {
        if output.json {
            return Ok(output.json(&json!({ "html": page }))?);
        }
        return Ok(output.data(page.trim_end())?);
    };
    artifacts::write_atomic(path, page.as_bytes())
        .map_err(|error| Failure::wrong_use(error.to_string()))?;
    if output.json {
        return Ok(output.json(&json!({ "file": path }))?);
    }
    Ok(output.data(path.display().to_string())?)
}
