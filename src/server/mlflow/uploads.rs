//! The files that clients log: streamed to the disk, whole or not there.

use std::io;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, header},
};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    super::{Fault, SharedHost},
    artifacts::place,
    refusal::Refusal,
    tracking::version_of_run,
};
use crate::{engine::DiskRoom, registry::LoggedFiles};

/// How many pieces of a file wait for the disk at once.
const WAITING: usize = 4;

/// What is sent to the thread that writes.
enum Piece {
    Bytes(Bytes),
    /// The file is whole; without it, nothing of it is kept.
    End,
}

/// Refuses where the run is not one that others log, or is deleted.
async fn may_change(host: &SharedHost, path: &str) -> Result<(), Refusal> {
    let run = path.trim_matches('/').split('/').nth(1).unwrap_or_default();
    match host.store().logged_run(run).await? {
        Some(found) if found.deleted => Err(Refusal::invalid(format!(
            "The run {run} must be in the 'active' state. Current state is deleted."
        ))),
        Some(_) => Ok(()),
        None => {
            version_of_run(host, run).await?;
            Err(Refusal::unsupported(format!(
                "`{path}` is not taken: the files of versions are those that their runs published"
            )))
        }
    }
}

/// Refuses where `more` bytes would take what the disk must keep free.
fn has_room(disk: DiskRoom, more: u64) -> Result<(), Refusal> {
    let left = disk.free_bytes.map(|free| free.saturating_sub(more));
    if disk.full || left.is_some_and(|left| left < disk.needed_bytes) {
        return Err(Fault::disk_full(format!(
            "the file is not taken: the disk is full, or would be with it; {} MB must stay free \
             (`engine.disk_reserve`)",
            disk.needed_bytes / 1_000_000
        ))
        .into());
    }
    Ok(())
}

/// Keeps a file of a run; the same request again replaces it.
pub(super) async fn put(
    State(host): State<SharedHost>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Refusal> {
    may_change(&host, &path).await?;
    let to = place(&host, &path).await?;
    let files = LoggedFiles::of(host.data_dir());
    files.check(&to).map_err(|error| refused(&path, &error))?;
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    has_room(host.engine().disk(), length.unwrap_or(0))?;

    let (sender, mut pieces) = mpsc::channel(WAITING);
    let writing = tokio::task::spawn_blocking(move || {
        files.write(&to, |file| {
            loop {
                match pieces.blocking_recv() {
                    Some(Piece::Bytes(bytes)) => file.write_all(&bytes)?,
                    Some(Piece::End) => return Ok(()),
                    None => return Err(io::ErrorKind::UnexpectedEof.into()),
                }
            }
        })
    });
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            Refusal::invalid(format!("`{path}` did not come as a whole: {error}"))
        })?;
        has_room(host.engine().disk(), 0)?;
        // Where the writer has ended it says why.
        if sender.send(Piece::Bytes(chunk)).await.is_err() {
            break;
        }
    }
    let _ = sender.send(Piece::End).await;
    finished(writing.await, &path)
}

/// Clients that would send a large file in several parts send it whole when they read these words.
pub(super) async fn no_parts() -> Refusal {
    Refusal::not_implemented(
        "Multipart upload is not supported for the current artifact repository: send the file whole",
    )
}

/// Removes a file of a run, or a folder with all it holds.
pub(super) async fn delete(
    State(host): State<SharedHost>,
    Path(path): Path<String>,
) -> Result<Json<Value>, Refusal> {
    may_change(&host, &path).await?;
    let gone = place(&host, &path).await?;
    let files = LoggedFiles::of(host.data_dir());
    let removing = tokio::task::spawn_blocking(move || files.remove(&gone));
    finished(removing.await, &path)
}

fn finished(
    done: Result<io::Result<()>, tokio::task::JoinError>,
    path: &str,
) -> Result<Json<Value>, Refusal> {
    done.map_err(|error| Refusal::internal(error.to_string()))?
        .map_err(|error| refused(path, &error))?;
    Ok(Json(json!({})))
}

/// What the disk says, as clients read it.
fn refused(path: &str, error: &io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::NotFound => Refusal::unknown(format!("there is no file `{path}`")),
        io::ErrorKind::IsADirectory => Refusal::invalid(format!(
            "Invalid path: `{path}` is a folder already; name a file"
        )),
        io::ErrorKind::NotADirectory => Refusal::invalid(format!(
            "Invalid path: a part of `{path}` is a file and cannot be a folder too"
        )),
        io::ErrorKind::InvalidFilename => Refusal::invalid(format!(
            "Invalid path: a name in `{path}` is longer than the disk allows"
        )),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Fault::disk_full(format!("`{path}` is not kept: the disk is full")).into()
        }
        _ => Refusal::internal(format!("`{path}`: {error}")),
    }
}
