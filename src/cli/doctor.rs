//! `doctor`: what is missing, and the command that mends it.

use std::path::Path;

use super::{
    failure::{FAILED, Failure, OK},
    output::Output,
};
use crate::{
    app::{self, Standing},
    config::Settings,
};

/// Looks at everything; the exit code says whether work can be done.
///
/// # Errors
///
/// Where it cannot look.
pub(super) async fn run(home: &Path, settings: Settings, output: Output) -> Result<u8, Failure> {
    let found = app::doctor(home, settings).await?;
    let code = if found.is_fit() { OK } else { FAILED };
    if output.json {
        output.json(&found)?;
        return Ok(code);
    }
    for check in &found.checks {
        let mark = match check.standing {
            Standing::Ok => "ok",
            Standing::Warning => "warning",
            Standing::Fault => "FAULT",
        };
        output.data(format!("{mark:<8} {:<12} {}", check.name, check.message))?;
        if let Some(hint) = &check.hint {
            output.data(format!("{:<21} → {hint}", ""))?;
        }
    }
    Ok(code)
}
