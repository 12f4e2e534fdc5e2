//! Weights from the Hugging Face hub, in the hub's own cache layout.
//!
//! Below `models--ORGANISATION--NAME` lie the files under `blobs`, each named by its hash, links to
//! them under `snapshots/COMMIT`, and under `refs` the commit that a branch stood at. The hub's own
//! tools find there what was downloaded here, and the other way round.
//!
//! Source: `file_download.py` of `huggingface_hub`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, PoisonError},
};

use super::{
    Error, WeightsSettings,
    catalogue::{Hub, PinnedFile},
    files::{self, Located},
    lock::Locks,
};

mod client;
mod download;

use client::Client;

/// The hubs that did not answer: each is asked once per process.
static UNREACHABLE: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(Mutex::default);

/// Why the hub did not give the files.
#[derive(Debug)]
pub(super) enum Failure {
    /// The hub does not answer; another way may be open.
    Unreachable(String),
    /// The hub has no such file for us; another way may be open.
    Refused(String),
    /// The way broke; it may hold at the next try.
    Broken(String),
    /// The hub gave something else than the pinned file, or the cache is broken.
    Fatal(Error),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Fatal(Error::Io(error))
    }
}

/// Where the hub's own tools keep a repository.
pub(super) fn repository(hub: &Hub, settings: &WeightsSettings) -> PathBuf {
    let name = format!("models--{}", hub.repository.replace('/', "--"));
    settings.hf_home.join("hub").join(name)
}

/// Where the files of a commit are.
pub(super) fn snapshot(hub: &Hub, commit: &str, settings: &WeightsSettings) -> PathBuf {
    repository(hub, settings).join("snapshots").join(commit)
}

/// The commit that the catalogue names, or at which its branch stood when it was first asked for:
/// by us, or by the hub's own tools. `None` where nobody has asked.
pub(super) fn commit(hub: &Hub, locks: &Locks, settings: &WeightsSettings) -> Option<String> {
    if hub.is_pinned() {
        return Some(hub.revision.clone());
    }
    let locked = locks.commit(hub).map(str::to_owned);
    locked.or_else(|| {
        let reference = repository(hub, settings).join("refs").join(&hub.revision);
        let commit = fs_err::read_to_string(reference).ok()?;
        let commit = commit.trim();
        is_commit(commit).then(|| commit.to_owned())
    })
}

/// Whether a text is the hash of a commit.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The pinned files in the hub's cache; `None` where one is not there.
pub(super) fn cached(
    hub: &Hub,
    pinned: &[PinnedFile],
    settings: &WeightsSettings,
) -> Result<Option<Located>, Error> {
    let mut locks = Locks::read(&settings.cache_dir)?;
    let Some(commit) = commit(hub, &locks, settings) else {
        return Ok(None);
    };
    files::in_snapshot(hub, &commit, pinned, settings, &mut locks)
}

/// Downloads the pinned files into the hub's cache.
pub(super) fn download(
    hub: &Hub,
    pinned: &[PinnedFile],
    settings: &WeightsSettings,
) -> Result<Located, Failure> {
    let unreachable = || UNREACHABLE.lock().unwrap_or_else(PoisonError::into_inner);
    if unreachable().contains(&settings.hf_endpoint) {
        return Err(Failure::Unreachable("did not answer before".to_owned()));
    }
    // The caller may be inside an async runtime, where another cannot run: take a thread of its own.
    let result = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(download_all(hub, pinned, settings))
            })
            .join()
            .unwrap_or_else(|_| Err(Failure::Refused("the download panicked".to_owned())))
    });
    if let Err(Failure::Unreachable(reason)) = &result {
        unreachable().insert(settings.hf_endpoint.clone());
        tracing::debug!(reason, "the hub is not asked again in this process");
    }
    result
}

async fn download_all(
    hub: &Hub,
    pinned: &[PinnedFile],
    settings: &WeightsSettings,
) -> Result<Located, Failure> {
    let client = Client::new(settings)?;
    let mut locks = Locks::read(&settings.cache_dir).map_err(Failure::Fatal)?;
    let commit = match commit(hub, &locks, settings) {
        Some(commit) => commit,
        None => client.commit_of(hub).await?,
    };
    let unpinned = pinned
        .iter()
        .any(|file| file.expected(hub, &locks).is_none());
    // What the hub says of its files is asked for only where the catalogue says too little.
    let said = if unpinned {
        client.tree(hub, &commit).await?
    } else {
        BTreeMap::new()
    };
    let folder = repository(hub, settings);
    for file in pinned {
        let place = snapshot(hub, &commit, settings).join(&file.path);
        if place.is_file() {
            continue;
        }
        let wanted = download::Wanted {
            path: &file.path,
            sha256: file
                .expected(hub, &locks)
                .or_else(|| said.get(&file.path).and_then(|said| said.sha256)),
            etag: said.get(&file.path).map(|said| said.etag.as_str()),
        };
        download::file(&client, hub, &commit, &wanted, &folder).await?;
    }
    if !hub.is_pinned() {
        write_reference(&folder, &hub.revision, &commit)?;
        locks.learn_commit(hub, &commit).map_err(Failure::Fatal)?;
    }
    match files::in_snapshot(hub, &commit, pinned, settings, &mut locks) {
        Ok(Some(located)) => Ok(located),
        Ok(None) => Err(Failure::Refused(format!(
            "`{}` was removed meanwhile",
            folder.display()
        ))),
        Err(error) => Err(Failure::Fatal(error)),
    }
}

/// Writes where a branch stood, as the hub's own tools do.
fn write_reference(folder: &Path, branch: &str, commit: &str) -> std::io::Result<()> {
    let place = folder.join("refs").join(branch);
    if let Some(parent) = place.parent() {
        fs_err::create_dir_all(parent)?;
    }
    fs_err::write(place, commit)
}
