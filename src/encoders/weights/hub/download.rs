//! One file into the hub's cache, in as many pieces as the way allows.

use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use reqwest::{StatusCode, header};
use tokio::io::AsyncWriteExt as _;

use super::{
    Failure,
    client::{Client, words},
};
use crate::{
    corpus::ContentHash,
    encoders::weights::{Error, catalogue::Hub, files},
};

/// How often a download that broke is taken up again.
const TRIES: usize = 4;

/// A file that is wanted.
pub(super) struct Wanted<'a> {
    pub(super) path: &'a str,
    /// The hash that it must have, where somebody says so.
    pub(super) sha256: Option<ContentHash>,
    /// The name of its content in the hub's cache, where the hub said so.
    pub(super) etag: Option<&'a str>,
}

/// Downloads a file of a commit into the repository's folder.
///
/// What arrived of a download that broke stays, under the name by which the hub's own tools take
/// it up, too.
pub(super) async fn file(
    client: &Client<'_>,
    hub: &Hub,
    commit: &str,
    wanted: &Wanted<'_>,
    folder: &Path,
) -> Result<(), Failure> {
    let blobs = folder.join("blobs");
    fs_err::create_dir_all(&blobs)?;
    tracing::info!(
        file = wanted.path,
        repository = hub.repository,
        "downloading weights from the hub"
    );
    // Without a name from the hub the hash is one: it is the name of large files anyway.
    let name = match (wanted.etag, wanted.sha256) {
        (Some(etag), _) => etag.to_owned(),
        (None, Some(hash)) => hash.to_string(),
        (None, None) => ContentHash::of(format!("{commit}/{}", wanted.path)).to_string(),
    };
    let _lock = lock(folder, &name)?;
    let blob = blobs.join(&name);
    if !blob.is_file() {
        let partial = blobs.join(format!("{name}.incomplete"));
        let address = format!("{}/resolve/{commit}/{}", hub.repository, wanted.path);
        fetch(client, &address, &partial).await?;
        if let Some(expected) = wanted.sha256
            && let Err(error) = files::verify(&partial, expected)
        {
            // Nothing good can be added to it.
            fs_err::remove_file(&partial)?;
            return Err(Failure::Fatal(error));
        }
        fs_err::rename(&partial, &blob)?;
    }
    link(folder, commit, wanted.path, &name)?;
    Ok(())
}

/// Keeps other processes from the same content, as the hub's own tools do.
fn lock(folder: &Path, name: &str) -> Result<std::fs::File, Failure> {
    let locks = folder.with_file_name(".locks");
    let locks = locks.join(folder.file_name().unwrap_or_default());
    fs_err::create_dir_all(&locks)?;
    let path = locks.join(format!("{name}.lock"));
    let file = fs_err::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    let file = file.into_file();
    file.lock()?;
    Ok(file)
}

/// Brings `partial` to its end.
async fn fetch(client: &Client<'_>, address: &str, partial: &Path) -> Result<(), Failure> {
    let mut reason = String::new();
    for _ in 0..TRIES {
        let have = partial.metadata().map_or(0, |about| about.len());
        let response = match client.get(address, have).await {
            Ok(response) => response,
            Err(Failure::Broken(words)) => {
                reason = words;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let status = response.status();
        let mut options = fs_err::tokio::OpenOptions::new();
        options.create(true).write(true);
        match status {
            StatusCode::PARTIAL_CONTENT if begins_at(&response, have) => options.append(true),
            // All of it was there already, or more than all.
            StatusCode::RANGE_NOT_SATISFIABLE if has_all(&response, have) => return Ok(()),
            StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT => {
                fs_err::remove_file(partial)?;
                "the hub has other bytes than it had before".clone_into(&mut reason);
                continue;
            }
            _ => options.truncate(true),
        };
        let mut file = options.open(partial).await?;
        let mut stream = response.bytes_stream();
        let broken = loop {
            match stream.next().await {
                None => break None,
                Some(Ok(piece)) => file.write_all(&piece).await?,
                Some(Err(error)) => break Some(words(error)),
            }
        };
        file.flush().await?;
        file.sync_all().await?;
        match broken {
            None => return Ok(()),
            Some(words) => {
                tracing::debug!(address, words, "a download broke");
                reason = words;
            }
        }
    }
    Err(Failure::Broken(format!(
        "`{address}` broke {TRIES} times ({reason}); what arrived is kept, and the next try goes \
         on from there"
    )))
}

/// The header that says which bytes an answer holds: `bytes 5-9/10`, `bytes */10`.
fn range(response: &reqwest::Response) -> Option<&str> {
    let range = response.headers().get(header::CONTENT_RANGE)?;
    range.to_str().ok()?.strip_prefix("bytes ")
}

fn begins_at(response: &reqwest::Response, byte: u64) -> bool {
    let start = range(response).and_then(|range| range.split_once('-'));
    start.is_some_and(|(start, _)| start.parse() == Ok(byte))
}

fn has_all(response: &reqwest::Response, have: u64) -> bool {
    let length = range(response).and_then(|range| range.strip_prefix("*/"));
    length.is_some_and(|length| length.parse() == Ok(have))
}

/// Puts a content in place, as a link to it from the commit's folder.
fn link(folder: &Path, commit: &str, path: &str, name: &str) -> Result<(), Failure> {
    let place = folder.join("snapshots").join(commit).join(path);
    let parent = place
        .parent()
        .ok_or_else(|| Failure::Refused(format!("`{path}` is no path")))?;
    fs_err::create_dir_all(parent)?;
    // `snapshots/COMMIT` and the folders of the path lie between.
    let mut target = PathBuf::from("../..");
    for _ in Path::new(path)
        .parent()
        .into_iter()
        .flat_map(Path::components)
    {
        target.push("..");
    }
    target.push("blobs");
    target.push(name);
    let temporary = place.with_extension(format!("link-{}", std::process::id()));
    fs_err::os::unix::fs::symlink(&target, &temporary)?;
    fs_err::rename(temporary, place)?;
    Ok(())
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}
