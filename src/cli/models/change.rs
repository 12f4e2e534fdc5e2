//! `models promote|rollback|tag|export|rm`: what people do with versions.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
};

use clap::Subcommand;
use serde_json::json;

use super::super::{failure::Failure, output::Output};
use crate::{
    app::{App, Tagging},
    registry::{ModelName, Moved},
};

/// What changes the registry.
#[derive(Debug, Subcommand)]
pub(crate) enum Change {
    /// Make a version the champion, whatever the gate said of it.
    #[command(
        after_help = "Example:\n  trendmill models promote reddit/3 --because \"the gate asked, \
                      and the slice is known\""
    )]
    Promote {
        /// `NAME/VERSION` or `NAME@ALIAS`.
        model: String,
        /// Why; it is kept.
        #[arg(long, value_name = "TEXT", default_value = "promoted by hand")]
        because: String,
    },
    /// Make the version champion again that was it before; at once.
    #[command(after_help = "Example:\n  trendmill models rollback reddit")]
    Rollback {
        /// The model's name.
        name: String,
        /// Why; it is kept.
        #[arg(long, value_name = "TEXT", default_value = "rolled back by hand")]
        because: String,
    },
    /// Note something of a version, or give it another name.
    #[command(
        after_help = "Examples:\n  trendmill models tag reddit/3 reviewed=yes owner=team\n  \
                      trendmill models tag reddit/3 --alias staging\n  trendmill models tag \
                      reddit/3 --remove owner"
    )]
    Tag {
        /// `NAME/VERSION` or `NAME@ALIAS`; a bare name means its champion.
        model: String,
        /// A tag and its value; may be given several times.
        #[arg(value_name = "KEY=VALUE", value_parser = super::super::run::key_value)]
        tags: Vec<(String, String)>,
        /// Take a tag away.
        #[arg(long, value_name = "KEY")]
        remove: Vec<String>,
        /// Point this alias at the version.
        #[arg(long, value_name = "ALIAS")]
        alias: Vec<String>,
        /// Take this alias away.
        #[arg(long, value_name = "ALIAS")]
        remove_alias: Vec<String>,
    },
    /// Copy the files of a version into a new folder: weights, manifest, evaluated rows.
    #[command(after_help = "Example:\n  trendmill models export reddit@champion --out champion")]
    Export {
        /// `NAME/VERSION` or `NAME@ALIAS`; a bare name means its champion.
        model: String,
        /// The folder; it must not be there.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Remove the files of a version; its metrics stay for ever.
    Rm {
        /// `NAME/VERSION`.
        model: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// Runs the command.
///
/// # Errors
///
/// Where there is no such version, or it cannot be changed so.
pub(crate) async fn run(command: Change, app: &App, output: Output) -> Result<(), Failure> {
    match command {
        Change::Promote { model, because } => promote(app, &model, &because, output).await,
        Change::Rollback { name, because } => roll_back(app, &name, &because, output).await,
        Change::Tag {
            model,
            tags,
            remove,
            alias,
            remove_alias,
        } => {
            let set = tags.into_iter().map(|(key, value)| (key, Some(value)));
            let tagging = Tagging {
                tags: set
                    .chain(remove.into_iter().map(|key| (key, None)))
                    .collect(),
                aliases: alias,
                without_aliases: remove_alias,
            };
            tag(app, &model, &tagging, output).await
        }
        Change::Export { model, out } => {
            let (_, files) = app.export_version(&model, &out).await?;
            if output.json {
                return Ok(output.json(&json!({ "files": files }))?);
            }
            for file in files {
                output.data(file.display().to_string())?;
            }
            Ok(())
        }
        Change::Rm { model, yes } => remove(app, &model, yes, output).await,
    }
}

async fn promote(app: &App, model: &str, because: &str, output: Output) -> Result<(), Failure> {
    // A bare name means the champion, which needs no promotion.
    if !model.contains(['/', '@']) {
        return Err(
            Failure::wrong_use(format!("`{model}` names no version")).hint(format!(
                "write `{model}/VERSION`; `trendmill models list {model}` shows them"
            )),
        );
    }
    say_moved(&app.promote(model, because).await?, output)
}

async fn roll_back(app: &App, name: &str, because: &str, output: Output) -> Result<(), Failure> {
    say_moved(&app.roll_back(name, because).await?, output)
}

fn say_moved(moved: &Moved, output: Output) -> Result<(), Failure> {
    if output.json {
        return Ok(output.json(moved)?);
    }
    let Moved { name, from, to, .. } = moved;
    let word = |version: &Option<u32>| version.map_or_else(|| "none".to_owned(), |v| v.to_string());
    Ok(output.say(if from == to {
        format!("version {} of `{name}` was the champion before", word(to))
    } else {
        format!(
            "the champion of `{name}` is version {} (it was {})",
            word(to),
            word(from)
        )
    })?)
}

async fn tag(app: &App, model: &str, tagging: &Tagging, output: Output) -> Result<(), Failure> {
    if *tagging == Tagging::default() {
        return Err(Failure::wrong_use("there is nothing to note")
            .hint("write KEY=VALUE, `--alias ALIAS`, `--remove KEY` or `--remove-alias ALIAS`"));
    }
    let version = app.tag_version(model, tagging).await?;
    if output.json {
        return Ok(output.json(&json!({
            "name": version.manifest.name,
            "version": version.manifest.version,
            "aliases": version.aliases,
            "tags": version.tags,
        }))?);
    }
    let named = format!("{}/{}", version.manifest.name, version.manifest.version);
    let mut words = Vec::new();
    if !version.aliases.is_empty() {
        words.push(format!("aliases: {}", version.aliases.join(", ")));
    }
    if !version.tags.is_empty() {
        words.push(format!(
            "tags: {}",
            super::tags_text(&version.tags).replace('\n', ", ")
        ));
    }
    if words.is_empty() {
        words.push("no aliases, no tags".to_owned());
    }
    Ok(output.say(format!("{named}: {}", words.join("; ")))?)
}

async fn remove(app: &App, model: &str, yes: bool, output: Output) -> Result<(), Failure> {
    let name: ModelName = model.parse()?;
    if !matches!(name, ModelName::Version(..)) {
        return Err(Failure::wrong_use(
            "only a version can be removed, and no alias may point at it",
        )
        .hint("write `NAME/VERSION`"));
    }
    let version = app.registry().resolve(&name).await?;
    if !yes && version.removed_at.is_none() {
        ask(&name)?;
    }
    let version = app.remove_version(model).await?;
    let manifest = &version.manifest;
    if output.json {
        let answer = json!({
            "name": manifest.name, "version": manifest.version, "removed": true,
        });
        return Ok(output.json(&answer)?);
    }
    Ok(output.say(format!("the files of {name} are gone; its metrics stay"))?)
}

fn ask(name: &ModelName) -> Result<(), Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::wrong_use(
            "weights that are removed cannot be had back, and nobody can be asked",
        )
        .hint("give `--yes`"));
    }
    let mut stderr = io::stderr().lock();
    write!(
        stderr,
        "The weights and evaluated rows of {name} go for good. Remove them? [y/N] "
    )?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::failed("nothing was removed"))
}
