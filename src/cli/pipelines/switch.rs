//! `pipelines switch`: another profile from now on.

use std::path::Path;

use clap::Args;
use serde_json::json;

use crate::{
    app::{App, RunRequest},
    cli::{
        failure::{Failure, OK},
        output::Output,
    },
    config::Settings,
};

/// Let a pipeline's runs use another profile from now on, where they do not say.
///
/// It holds for its schedules too, until it is switched again; `--profile` of a run still wins.
/// Refused, with counts, while contents lack results that they have under the profile of today:
/// `encoders fill` makes them. Versions go on with the encoders that they were trained with.
#[derive(Clone, Debug, Args)]
pub(crate) struct Switch {
    /// The pipeline's name.
    name: String,
    /// The profile.
    #[arg(long, required_unless_present = "clear", value_name = "NAME")]
    profile: Option<String>,
    /// Return to the profile of the file.
    #[arg(long, conflicts_with_all = ["profile", "force", "source"])]
    clear: bool,
    /// Switch though results are missing; the next run makes them.
    #[arg(long)]
    force: bool,
    /// Whose records are looked at; default: what the pipeline and its schedules say.
    #[arg(long, value_name = "KIND[:PATH]")]
    source: Option<String>,
}

/// Runs the command; the answer is its exit code.
///
/// # Errors
///
/// Where there is no such pipeline or profile, or results are missing.
pub(crate) async fn run(
    command: Switch,
    home: &Path,
    settings: Settings,
    output: Output,
) -> Result<u8, Failure> {
    let app = App::open(home, settings).await?;
    let name = &command.name;
    let Some(profile) = command.profile else {
        let changed = app.clear_profile(name).await?;
        if output.json {
            output.json(&json!({ "pipeline": name, "profile": null, "changed": changed }))?;
        } else if changed {
            output.say(format!("`{name}` uses the profile of its file again"))?;
        } else {
            output.say(format!("`{name}` was not switched"))?;
        }
        return Ok(OK);
    };
    let request = RunRequest {
        pipeline: name.clone(),
        source: command.source,
        ..RunRequest::default()
    };
    let missing = app
        .switch_profile(&request, &profile, command.force)
        .await?;
    if output.json {
        output.json(&json!({
            "pipeline": name, "profile": profile, "changed": true, "missing": missing,
        }))?;
    } else {
        output.say(format!("`{name}` uses profile {profile} from now on"))?;
    }
    Ok(OK)
}
