//! Files of runs that others log: sent, replaced, deleted.

use std::{io, path::PathBuf};

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
};
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::{
    super::{Fault, SharedHost},
    artifacts::{below, no_artifacts, parted},
    refusal::Refusal,
    tracking::version_of_run,
};
use crate::artifacts::{Incoming, remove_directory};

/// Below the folder of all logged files: where a file waits until it is whole.
pub const INCOMING: &str = ".incoming";
/// After how many bytes it is looked at again whether the disk has room.
const LOOK_AGAIN: usize = 16 * 1024 * 1024;

/// Takes a file, of any size, in place of one that is there. It is on the disk when the answer is sent,
/// and until then nothing of it is seen.
pub(super) async fn upload(
    State(host): State<SharedHost>,
    Path(path): Path<String>,
    body: Body,
) -> Result<Json<Value>, Refusal> {
    let (folder, file) = place(&host, &path).await?;
    if file == folder {
        return Err(Refusal::invalid(format!(
            "Invalid path: `{path}` names no file"
        )));
    }
    has_room(&host)?;
    let waiting = host.data_dir().join("logged").join(INCOMING);
    let failed = |error: io::Error| refused(&path, &error);
    let mut incoming = blocking(move || Incoming::begin(&waiting))
        .await
        .map_err(failed)?;
    let mut pieces = body.into_data_stream();
    let mut unlooked = 0;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| {
            Refusal::invalid(format!("`{path}` did not come through whole: {error}"))
        })?;
        unlooked += piece.len();
        if unlooked >= LOOK_AGAIN {
            has_room(&host)?;
            unlooked = 0;
        }
        incoming = blocking(move || {
            incoming.add(&piece)?;
            Ok(incoming)
        })
        .await
        .map_err(failed)?;
    }
    blocking(move || incoming.finish(&file))
        .await
        .map_err(failed)?;
    Ok(Json(json!({})))
}

/// Deletes a file, a folder, or all files of a run.
pub(super) async fn delete(
    State(host): State<SharedHost>,
    Path(path): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let (_, place) = place(&host, &path).await?;
    let gone = blocking(move || {
        if fs_err::symlink_metadata(&place)?.is_dir() {
            remove_directory(&place)
        } else {
            fs_err::remove_file(&place)
        }
    });
    gone.await.map_err(|error| refused(&path, &error))?;
    Ok(Json(json!({})))
}

/// The folder of the files of a run that others log and that is not deleted, and the place in it.
async fn place(host: &SharedHost, path: &str) -> Result<(PathBuf, PathBuf), Refusal> {
    let (experiment, run_id, rest) = parted(path)?;
    let Some(run) = host.store().logged_run(run_id).await? else {
        version_of_run(host, run_id).await?;
        return Err(Refusal::unsupported(format!(
            "`{path}` is not taken: the files of the run {run_id} are those of the version that it \
             published; log files to a run of your own"
        )));
    };
    if run.experiment.to_string() != experiment {
        return Err(no_artifacts(path));
    }
    if run.deleted {
        return Err(Refusal::invalid(format!(
            "The run {run_id} must be in the 'active' state. Current state is deleted."
        )));
    }
    let folder = host.data_dir().join("logged").join(&run.run_id);
    let place = below(&folder, rest)?;
    Ok((folder, place))
}

fn has_room(host: &SharedHost) -> Result<(), Refusal> {
    let disk = host.engine().disk();
    if disk.full {
        let told = format!("no file is taken: {}", disk.in_words());
        return Err(Fault::disk_full(told).into());
    }
    Ok(())
}

/// Why a file could not be written or removed.
fn refused(path: &str, error: &io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::NotFound => Refusal::unknown(format!("there is no file `{path}`")),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Fault::disk_full(format!("`{path}` is not taken: the disk is full")).into()
        }
        io::ErrorKind::NotADirectory => {
            Refusal::invalid(format!("Invalid path: a part of `{path}` is a file"))
        }
        io::ErrorKind::IsADirectory => {
            Refusal::invalid(format!("Invalid path: `{path}` is a folder"))
        }
        io::ErrorKind::InvalidFilename => {
            Refusal::invalid(format!("Invalid path: a name in `{path}` is too long"))
        }
        _ => Refusal::internal(format!("`{path}`: {error}")),
    }
}

/// Works with files on a thread of its own, so that the server stays free.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
