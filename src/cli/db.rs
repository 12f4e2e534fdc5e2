//! `db`: the databases as files: copied, brought up to date, made small.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::{check, failure::Failure, output::Output};
use crate::{
    app::App,
    artifacts,
    config::Settings,
    engine::HomeLock,
    store::{SchemaVersions, Store},
};

/// Look after the databases.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say which rows or files contradict each other; exit code 1 where some do.
    ///
    /// Works beside a live run too, and changes nothing.
    Check,
    /// Copy the databases, also while the daemon runs.
    ///
    /// FILE gets `state.db` (runs, schedules, model versions); `content.db` (records, vectors) is
    /// copied beside it, as FILE with `.content` before its ending. To go back, stop the daemon,
    /// remove `data/state.db*` and `data/content.db*`, and copy both to their places there.
    Backup {
        /// Where the copy of `state.db` goes.
        file: PathBuf,
        /// Leave `content.db` out.
        #[arg(long)]
        state_only: bool,
        /// Replace files that are there.
        #[arg(long)]
        force: bool,
    },
    /// Bring the databases to this release's schema; a copy of the old state is kept.
    Migrate,
    /// Remove what has had its time (`[retention]`), and give back the space.
    Vacuum,
}

/// Does a command.
///
/// # Errors
///
/// Where the databases cannot be had, or somebody else is at work on them.
pub(super) async fn run(
    command: Command,
    home: &Path,
    settings: Settings,
    output: Output,
) -> Result<(), Failure> {
    match command {
        Command::Check => check::run(&App::read(home, settings).await?, output).await,
        Command::Backup {
            file,
            state_only,
            force,
        } => {
            let content = (!state_only).then(|| content_beside(&file));
            for path in [Some(&file), content.as_ref()].into_iter().flatten() {
                check_target(path, home, force)?;
            }
            let app = App::read(home, settings).await?;
            backup(&app, &file, content.as_deref(), output).await
        }
        Command::Migrate => migrate(home, settings, output).await,
        Command::Vacuum => vacuum(&App::open(home, settings).await?, output).await,
    }
}

/// Where the content goes whose state goes to `file`.
fn content_beside(file: &Path) -> PathBuf {
    let mut name = file.file_stem().unwrap_or_default().to_owned();
    name.push(".content");
    if let Some(ending) = file.extension() {
        name.push(".");
        name.push(ending);
    }
    file.with_file_name(name)
}

/// Refuses to replace what nobody asked to replace.
fn check_target(path: &Path, home: &Path, force: bool) -> Result<(), Failure> {
    let Ok(there) = fs_err::canonicalize(path) else {
        return Ok(());
    };
    let live = fs_err::canonicalize(home.join("data"))
        .is_ok_and(|data| there == data.join("state.db") || there == data.join("content.db"));
    if live || there.is_dir() {
        return Err(Failure::wrong_use(format!(
            "`{}` is no place for a copy: it is {}",
            path.display(),
            if live {
                "the database itself"
            } else {
                "a folder"
            }
        )));
    }
    if !force {
        return Err(
            Failure::wrong_use(format!("`{}` is there already", path.display()))
                .hint("give another name, or replace it with `--force`"),
        );
    }
    Ok(())
}

async fn backup(
    app: &App,
    file: &Path,
    content: Option<&Path>,
    output: Output,
) -> Result<(), Failure> {
    if let Some(content) = content {
        let folder = content
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        fs_err::create_dir_all(folder)?;
        // A purge names the backups that hold the record still.
        let copy = artifacts::Copy {
            path: fs_err::canonicalize(folder)?.join(content.file_name().unwrap_or_default()),
            kind: artifacts::CopyKind::Backup,
            dataset: None,
        };
        artifacts::note_copy(app.data_dir(), &copy)?;
    }
    let made = app.store().backup(file, content).await?;
    if output.json {
        return Ok(output.json(&made)?);
    }
    output.data(format!(
        "{}: {}, {} runs, {} model versions",
        made.state.display(),
        bytes(made.state_bytes),
        made.runs,
        made.model_versions,
    ))?;
    if let (Some(content), Some(records)) = (&made.content, made.records) {
        output.data(format!(
            "{}: {}, {records} records",
            content.display(),
            bytes(made.content_bytes),
        ))?;
    }
    // What a whole home also needs.
    output.say(
        "not in it: images (data/media), model files (model_registry), pipelines, and the key \
         of purged records (data/purge.key)",
    )?;
    Ok(())
}

async fn migrate(home: &Path, settings: Settings, output: Output) -> Result<(), Failure> {
    let data = home.join("data");
    let before = match Store::open_read_only(&data).await {
        Ok(store) => store.schema_versions().await?,
        // A home without databases gets new ones.
        Err(crate::store::Error::Missing(_)) => SchemaVersions::default(),
        Err(error) => return Err(error.into()),
    };
    // It takes the lock where there is something to migrate.
    let app = App::open(home, settings).await?;
    let after = app.store().schema_versions().await?;
    let kept = data
        .join("backups")
        .join(format!("state-{}.db", before.state));
    let kept = (before.state != after.state && kept.exists()).then_some(kept);
    if output.json {
        return Ok(output.json(&json!({"before": before, "after": after, "backup": kept}))?);
    }
    for (name, from, to) in [
        ("state.db", before.state, after.state),
        ("content.db", before.content, after.content),
    ] {
        output.data(if from == to {
            format!("{name}: up to date ({to})")
        } else {
            format!("{name}: {from} → {to}")
        })?;
    }
    if let Some(kept) = kept {
        output.say(format!("the old state is kept at {}", kept.display()))?;
    }
    Ok(())
}

async fn vacuum(app: &App, output: Output) -> Result<(), Failure> {
    let data = app.home().join("data");
    let lock = HomeLock::acquire(&data, app.clock().now())?;
    let size = || -> u64 {
        ["state.db", "content.db"]
            .iter()
            .filter_map(|name| fs_err::metadata(data.join(name)).ok())
            .map(|file| file.len())
            .sum()
    };
    let before = size();
    let removed = app.retain().await?;
    app.store().vacuum().await?;
    let after = size();
    drop(lock);
    if output.json {
        let document = json!({"removed": removed, "bytes_before": before, "bytes_after": after});
        return Ok(output.json(&document)?);
    }
    output.data(format!(
        "removed: {} runs, {} of files (logs of {} runs, files of {}, {} matrices, {} images), \
         {} model versions, JSON of {} records, {} runs that others had logged",
        removed.runs,
        bytes(removed.bytes),
        removed.logs,
        removed.artifacts,
        removed.matrices,
        removed.originals,
        removed.models,
        removed.raw,
        removed.logged,
    ))?;
    output.data(format!("databases: {} → {}", bytes(before), bytes(after)))?;
    Ok(())
}

/// A size for people.
pub(super) fn bytes(bytes: u64) -> String {
    let units = ["bytes", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} bytes")
    } else {
        format!("{value:.1} {}", units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_lies_beside_the_state() {
        for (file, content) in [
            ("/b/monday.db", "/b/monday.content.db"),
            ("monday", "monday.content"),
        ] {
            assert_eq!(content_beside(Path::new(file)), Path::new(content));
        }
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(12_345_678), "12.3 MB");
    }
}
