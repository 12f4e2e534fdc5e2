//! `db check`: whether everything that is kept fits together.

use serde_json::json;

use super::{failure::Failure, output::Output};
use crate::app::App;

/// Prints every contradiction between rows, and between rows and the files of model versions.
///
/// # Errors
///
/// Where there is one, or something cannot be read.
pub(super) async fn run(app: &App, output: Output) -> Result<(), Failure> {
    let mut faults = app.store().faults().await?;
    faults.extend(app.registry().faults().await?);
    if output.json {
        output.json(&json!({ "sound": faults.is_empty(), "faults": faults }))?;
    } else {
        for fault in &faults {
            output.data(&fault.message)?;
        }
    }
    if faults.is_empty() {
        if !output.json {
            output.data("sound: no row contradicts another")?;
        }
        return Ok(());
    }
    let message = match faults.len() {
        1 => "there is one contradiction".to_owned(),
        many => format!("there are {many} contradictions"),
    };
    Err(Failure::failed(message).hint(
        "keep a copy of the home and report it: this is a fault of the disk or of this program",
    ))
}
