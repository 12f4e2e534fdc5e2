//! `records purge`: records that are to be gone everywhere in the home, for good.

use std::{
    collections::BTreeSet,
    io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Value, json};

use super::{failure::Failure, output::Output};
use crate::{
    app::App,
    config::Settings,
    operators::Purged,
    store::{PurgeWish, PurgedRows, RecordKey, family},
};

/// Remove records everywhere in this home, and keep them from coming back.
///
/// Their rows, images, captions, vectors and predictions go, and their rows in matrices,
/// evaluations, selections, logs and exports. A keyed hash of each id stays, so that no dump brings
/// it back. Model versions that learned from them stay and are named, and so are backups that hold
/// them. Without a record to purge, it goes on with purges that were cut off.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  trendmill records purge --id 1abcde --dry-run\n  trendmill records \
                  purge --author some_name --yes"
)]
pub(crate) struct Purge {
    /// The data set. The live source and all dumps count as one: their ids name the same posts.
    #[arg(long)]
    dataset: Option<String>,
    /// An id; may be given more than once.
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<String>,
    /// A file with an id a line; `-` for stdin.
    #[arg(long, value_name = "FILE")]
    ids_from: Option<PathBuf>,
    /// Everything by this author, and whatever comes by them later.
    #[arg(long)]
    author: Option<String>,
    /// Everything in this community.
    #[arg(long)]
    community: Option<String>,
    /// Only say what would be removed.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Runs the command.
///
/// # Errors
///
/// Where it is not clear what is meant, nobody agrees, or another process is at work on the home.
pub(super) async fn run(
    purge: Purge,
    home: &Path,
    settings: Settings,
    output: Output,
) -> Result<(), Failure> {
    if purge.dry_run {
        let app = App::read(home, settings).await?;
        let (keys, models) = app.meant(&wish(&app, &purge).await?).await?;
        return say_meant(&keys, &models, output);
    }
    // It makes databases where there are none, which would hide a home given wrongly.
    App::read(home, settings.clone()).await?;
    let app = App::open(home, settings).await?;
    let goes_on = purge.ids.is_empty()
        && purge.ids_from.is_none()
        && purge.author.is_none()
        && purge.community.is_none();
    let wish = if goes_on {
        PurgeWish::default()
    } else {
        wish(&app, &purge).await?
    };
    let keys = if goes_on {
        Vec::new()
    } else {
        let (keys, models) = app.meant(&wish).await?;
        if keys.is_empty() {
            output.say("there is no such record")?;
        } else if !purge.yes {
            ask(keys.len(), &models)?;
        }
        keys
    };
    let purged = app
        .purge(&wish, &keys, "asked for by `records purge`")
        .await?;
    say_purged(&keys, &purged, output)
}

/// What the flags mean.
async fn wish(app: &App, purge: &Purge) -> Result<PurgeWish, Failure> {
    let mut ids = purge.ids.clone();
    if let Some(file) = &purge.ids_from {
        let mut text = String::new();
        if file.as_os_str() == "-" {
            io::stdin().lock().read_to_string(&mut text)?;
        } else {
            text = fs_err::read_to_string(file)
                .map_err(|error| Failure::wrong_use(error.to_string()))?;
        }
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        ids.extend(lines.map(str::to_owned));
    }
    Ok(PurgeWish {
        dataset: dataset(app, purge.dataset.as_deref()).await?,
        ids,
        author: purge.author.clone(),
        community: purge.community.clone(),
    })
}

/// The data set that is meant: it is guessed only where there is nothing to be mistaken.
async fn dataset(app: &App, wanted: Option<&str>) -> Result<String, Failure> {
    let datasets = app.store().datasets().await?;
    let names: Vec<String> = datasets.into_iter().map(|(dataset, _)| dataset).collect();
    if let Some(wanted) = wanted {
        // Ids of what is not here yet may be kept away too.
        return Ok(wanted.to_owned());
    }
    let families: BTreeSet<&str> = names.iter().map(|name| family(name)).collect();
    match (names.first(), families.len()) {
        (Some(only), 1) => Ok(only.clone()),
        (None, _) => Err(Failure::wrong_use("the store has no records yet")
            .hint("say by `--dataset` of which data set the ids are")),
        _ => Err(
            Failure::wrong_use("there are several data sets; say which by `--dataset`")
                .hint(format!("the data sets are: `{}`", names.join("`, `"))),
        ),
    }
}

fn ask(records: usize, models: &[PurgedRows]) -> Result<(), Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(
            Failure::wrong_use("a purge cannot be undone, and nobody can be asked")
                .hint("give `--yes`, or `--dry-run` to see what would go"),
        );
    }
    let mut stderr = io::stderr().lock();
    let learned = match models.len() {
        0 => String::new(),
        many => format!(" {many} model versions have learned from them or were measured by them."),
    };
    write!(
        stderr,
        "{records} records go for good, with everything that this home has of them.{learned} \
         Purge them? [y/N] "
    )?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::failed("nothing was purged"))
}

fn say_meant(keys: &[RecordKey], models: &[PurgedRows], output: Output) -> Result<(), Failure> {
    if output.json {
        let document = json!({ "dry_run": true, "records": keys, "models": models });
        return Ok(output.json(&document)?);
    }
    for key in keys {
        output.data(format!("{} {}", key.dataset, key.id))?;
    }
    say_models(models, output)?;
    Ok(output.say(format!("{} records would be purged", keys.len()))?)
}

fn say_models(models: &[PurgedRows], output: Output) -> Result<(), Failure> {
    for PurgedRows {
        name,
        version,
        rows,
        learned,
    } in models
    {
        output.data(format!(
            "model {name}/{version}: learned from {learned} of {rows} such rows"
        ))?;
    }
    Ok(())
}

fn say_purged(keys: &[RecordKey], purged: &Purged, output: Output) -> Result<(), Failure> {
    if output.json {
        let mut document = json!(purged);
        document["dry_run"] = Value::Bool(false);
        document["records"] = json!(keys);
        return Ok(output.json(&document)?);
    }
    let removed = &purged.removed;
    output.data(format!(
        "{} records purged: {} readings, {} images, {} captions, {} vectors, {} predictions, {} \
         author readings; rows in {} matrices and {} other files, {} lines of logs",
        removed.records,
        removed.observations,
        removed.images,
        removed.captions,
        removed.embeddings,
        removed.predictions,
        removed.author_readings,
        purged.matrices,
        purged.files,
        purged.log_lines,
    ))?;
    say_models(&purged.models, output)?;
    for path in &purged.backups {
        output.data(format!("backup with such records: {}", path.display()))?;
    }
    for path in &purged.left {
        output.data(format!("names such a record still: {}", path.display()))?;
    }
    if purged.scrub_due {
        output.say(
            "free pages of the databases may hold bytes of them: somebody else was reading; \
             `trendmill records purge` tries again",
        )?;
    }
    Ok(())
}
