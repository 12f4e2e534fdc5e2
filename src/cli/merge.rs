//! `merge`: the matrix of an earlier run, made again.

use std::path::Path;

use clap::Args;

use super::{
    failure::{FAILED, Failure, OK},
    output::Output,
};
use crate::{app::App, clock::Timestamp, config::Settings};

/// Make a matrix again that retention dropped: the same rows, and the same bytes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  trendmill merge reddit --as-of 2026-01-18T12:00:00Z\n\n\
                        `trendmill runs show RUN` tells the moment of a run."
)]
pub(super) struct Command {
    /// The pipeline's name.
    pipeline: String,
    /// The moment of its run.
    #[arg(long, value_name = "TIME")]
    as_of: Timestamp,
}

/// Does it; exit code 1 where the bytes are others than then.
///
/// # Errors
///
/// Where there is no such run.
pub(super) async fn run(
    command: Command,
    home: &Path,
    settings: Settings,
    output: Output,
) -> Result<u8, Failure> {
    let app = App::read(home, settings).await?;
    let rebuilt = app
        .rebuild_matrices(&command.pipeline, command.as_of)
        .await?;
    let same = rebuilt.iter().all(|matrix| matrix.same);
    if output.json {
        output.json(&rebuilt)?;
    } else {
        for matrix in &rebuilt {
            output.data(format!(
                "{}: {} rows × {} columns, sha256 {}",
                matrix.path.display(),
                matrix.rows,
                matrix.columns,
                matrix.sha256
            ))?;
        }
    }
    if !same {
        output.say(
            "these are not the bytes that the run made: records were purged, or this release \
             computes otherwise",
        )?;
        return Ok(FAILED);
    }
    Ok(OK)
}
