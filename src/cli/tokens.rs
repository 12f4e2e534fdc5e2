//! `tokens`: what callers of the daemon's API prove themselves with.

use clap::Subcommand;
use serde_json::json;

use super::{
    failure::Failure,
    output::{Output, table},
};
use crate::app::App;

/// Tokens for the daemon's API: make, list, revoke.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a token and print it; it is not shown again.
    Create {
        /// Whom or what it is for.
        name: String,
    },
    /// List all tokens, without what proves them.
    List,
    /// Make a token worthless, at once.
    Revoke {
        /// Its name.
        name: String,
    },
}

/// Runs the command.
///
/// # Errors
///
/// Where a name is taken or unknown, or the store fails.
pub(crate) async fn run(command: Command, app: &App, output: Output) -> Result<(), Failure> {
    match command {
        Command::Create { name } => {
            let token = app.create_token(&name).await?;
            if output.json {
                return Ok(output.json(&json!({ "name": name, "token": token }))?);
            }
            output.say("keep it: it is not shown again")?;
            Ok(output.data(token)?)
        }
        Command::List => {
            let tokens = app.tokens().await?;
            if output.json {
                return Ok(output.json(&tokens)?);
            }
            let mut rows = table(&["token", "made", "revoked"]);
            for token in tokens {
                let revoked = token.revoked_at.map(|at| at.to_string());
                rows.add_row([
                    token.name,
                    token.created_at.to_string(),
                    revoked.unwrap_or_default(),
                ]);
            }
            Ok(output.data(rows.to_string())?)
        }
        Command::Revoke { name } => {
            app.revoke_token(&name).await?;
            if output.json {
                return Ok(output.json(&json!({ "name": name, "revoked": true }))?);
            }
            Ok(output.say(format!("token {name} is worthless now"))?)
        }
    }
}
