//! `records purge`: records that are to be gone everywhere in the home, for good.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;

use super::{failure::Failure, output::Output, remote::Remote};
use crate::{
    app::{App, PurgeDone, PurgeMeant},
    config::Settings,
    server::PurgeWanted,
    store::PurgedRows,
};

/// Remove records everywhere in this home, and keep them from coming back.
///
/// Their rows, images, captions, vectors and predictions go, and their rows in matrices,
/// evaluations, selections, logs and exports. A keyed hash of each id stays, so that no dump brings
/// it back. Model versions that learned from them stay and are named, and so are backups that hold
/// them. Where the daemon runs on the home, it does so beside the runs at work. Without a record to
/// purge, it goes on with purges that were cut off.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  trendmill records purge --id 1abcde --dry-run\n  trendmill records \
                  purge --author some_name --yes"
)]
pub(crate) struct Purge {
    /// The data set. The live source and all dumps count as one: their ids name the same posts.
    #[arg(long)]
    dataset: Option<String>,
    /// An id, or the address of a post; may be given more than once. One that is not here is kept
    /// away from now on.
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<String>,
    /// A file with an id a line; `-` for stdin. Lines that begin with `#` are remarks.
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
    let wanted = wanted(&purge)?;
    // What is meant is for whoever reads it; and opening makes databases where there are none, which
    // would hide a home given wrongly.
    let app = App::read(home, settings.clone()).await?;
    let meant = app.meant(&wanted).await?;
    if purge.dry_run {
        say_meant(&meant, output)?;
        return known(&meant.unknown);
    }
    if !meant.records.is_empty() && !purge.yes {
        ask(meant.records.len(), &meant.models)?;
    }
    let done = if let Some(remote) = Remote::of(home).await? {
        remote.post("/records/purge", &wanted).await?
    } else {
        let app = App::open(home, settings).await?;
        app.purge(&wanted).await?
    };
    say_done(&done, output)?;
    known(&done.unknown)
}

/// Whoever has mistyped an id must not believe that it is purged.
fn known(unknown: &[String]) -> Result<(), Failure> {
    if unknown.is_empty() {
        return Ok(());
    }
    let mut named = unknown[..unknown.len().min(NAMED)].join("`, `");
    if unknown.len() > NAMED {
        named = format!("{named}`, and {} more, as `--json", unknown.len() - NAMED);
    }
    Err(
        Failure::wrong_use(format!("no such record: `{named}`")).hint(
            "the ids are compared with those of `trendmill records export`; once purged, an id or \
             an author stays away, also where nothing of it was here",
        ),
    )
}

/// So many unknown ids are named.
const NAMED: usize = 20;

/// What the flags mean.
fn wanted(purge: &Purge) -> Result<PurgeWanted, Failure> {
    let mut ids = purge.ids.clone();
    if let Some(file) = &purge.ids_from {
        let mut text = String::new();
        if file.as_os_str() == "-" {
            io::stdin().lock().read_to_string(&mut text)?;
        } else {
            text = fs_err::read_to_string(file)
                .map_err(|error| Failure::wrong_use(error.to_string()))?;
        }
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        ids.extend(lines.map(str::to_owned));
        if ids.is_empty() {
            return Err(
                Failure::wrong_use(format!("there is no id in `{}`", file.display()))
                    .hint("write an id a line; lines that begin with `#` are remarks"),
            );
        }
    }
    Ok(PurgeWanted {
        dataset: purge.dataset.clone(),
        ids,
        author: purge.author.clone(),
        community: purge.community.clone(),
        dry_run: purge.dry_run,
    })
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

fn say_meant(meant: &PurgeMeant, output: Output) -> Result<(), Failure> {
    if output.json {
        return Ok(output.json(meant)?);
    }
    for key in &meant.records {
        output.data(format!("{} {}", key.dataset, key.id))?;
    }
    say_before(&meant.purged_before, output)?;
    say_models(&meant.models, output)?;
    let records = meant.records.len();
    Ok(output.say(format!("{records} records would be purged"))?)
}

fn say_before(purged: &[String], output: Output) -> Result<(), Failure> {
    for name in purged {
        output.data(format!("purged before: {name}"))?;
    }
    Ok(())
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

fn say_done(done: &PurgeDone, output: Output) -> Result<(), Failure> {
    if output.json {
        return Ok(output.json(done)?);
    }
    let purged = &done.purged;
    let removed = &purged.removed;
    output.data(format!(
        "{} records purged: {} readings, {} bodies of JSON, {} images, {} captions, {} vectors, {} predictions, {} \
         author readings; rows in {} matrices and {} other files, {} lines of logs",
        removed.records,
        removed.observations,
        removed.raw,
        removed.images,
        removed.captions,
        removed.embeddings,
        removed.predictions,
        removed.author_readings,
        purged.matrices,
        purged.files,
        purged.log_lines,
    ))?;
    say_before(&done.purged_before, output)?;
    say_models(&purged.models, output)?;
    for path in &purged.backups {
        output.data(format!("backup with such records: {}", path.display()))?;
    }
    for path in &purged.left {
        output.data(format!("names such a record still: {}", path.display()))?;
    }
    if purged.common_words > 0 {
        output.say(format!(
            "{} of their names, titles and ids are common words or numbers: in logs and reports \
             they went only where something tells that they are meant",
            purged.common_words
        ))?;
    }
    if purged.waiting > 0 {
        output.say(format!(
            "{} of them may have been read before by runs that are at work: the daemon looks again \
             once these have ended",
            purged.waiting
        ))?;
    }
    if purged.scrub_due {
        output.say(
            "not all bytes of them are overwritten yet: somebody else reads the databases, whose \
             logs can be emptied only after that; a daemon does so by itself, and `trendmill records \
             purge` tries again",
        )?;
    }
    Ok(())
}
