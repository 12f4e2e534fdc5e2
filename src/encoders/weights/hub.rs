//! Weights from the Hugging Face hub, in the hub's own cache layout.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures::StreamExt;
use tokio::io::AsyncWriteExt;

use super::{
    Error, WeightsSettings,
    catalogue::{Hub, PinnedFile},
    files,
};

/// How long the hub may take to begin its answer.
const ANSWER: Duration = Duration::from_secs(3);
/// How long a download may stand still.
const SILENCE: Duration = Duration::from_secs(30);

/// Set where the hub did not answer: it is asked once per process.
static UNREACHABLE: AtomicBool = AtomicBool::new(false);

/// Why the hub did not give the files.
pub(super) enum Failure {
    /// The way is closed; another may be open.
    Unavailable(String),
    /// The hub gave something else than the pinned file.
    Mismatch(Error),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Where the hub's own tools keep the files of a revision.
pub(super) fn snapshot(hub: &Hub, settings: &WeightsSettings) -> PathBuf {
    let repository = format!("models--{}", hub.repository.replace('/', "--"));
    settings
        .hf_home
        .join("hub")
        .join(repository)
        .join("snapshots")
        .join(&hub.revision)
}

/// Downloads the pinned files into the hub's cache.
pub(super) fn download(
    hub: &Hub,
    pinned: &[PinnedFile],
    settings: &WeightsSettings,
) -> Result<BTreeMap<String, PathBuf>, Failure> {
    if UNREACHABLE.load(Ordering::Relaxed) {
        return Err(Failure::Unavailable("did not answer before".to_owned()));
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
            .unwrap_or_else(|_| Err(Failure::Unavailable("the download panicked".to_owned())))
    });
    if let Err(Failure::Unavailable(reason)) = &result {
        UNREACHABLE.store(true, Ordering::Relaxed);
        tracing::debug!(reason, "the hub is not asked again in this process");
    }
    result?;
    let folder = snapshot(hub, settings);
    match files::in_folder(&folder, pinned) {
        Ok(Some(files)) => Ok(files),
        Ok(None) => Err(Failure::Unavailable(format!(
            "`{}` was removed meanwhile",
            folder.display()
        ))),
        Err(error) => Err(Failure::Mismatch(error)),
    }
}

async fn download_all(
    hub: &Hub,
    pinned: &[PinnedFile],
    settings: &WeightsSettings,
) -> Result<(), Failure> {
    let client = reqwest::Client::builder()
        .user_agent(concat!("trendmill/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(ANSWER)
        .read_timeout(SILENCE)
        .build()
        .map_err(|error| Failure::Unavailable(chain(&error)))?;
    let folder = snapshot(hub, settings);
    for file in pinned {
        let place = folder.join(&file.path);
        if place.is_file() {
            continue;
        }
        let url = format!(
            "{}/{}/resolve/{}/{}",
            settings.hf_endpoint, hub.repository, hub.revision, file.path
        );
        let mut request = client.get(&url);
        if let Some(token) = &settings.hf_token {
            request = request.bearer_auth(token);
        }
        let response = tokio::time::timeout(ANSWER, request.send())
            .await
            .map_err(|_| Failure::Unavailable(format!("no answer within {} s", ANSWER.as_secs())))?
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| Failure::Unavailable(chain(&error)))?;
        tracing::info!(
            file = file.path,
            repository = hub.repository,
            "downloading weights from the hub"
        );
        save(response, file, &place).await?;
    }
    Ok(())
}

/// Streams a response into a file beside `place`, verifies it and puts it in place.
async fn save(response: reqwest::Response, file: &PinnedFile, place: &Path) -> Result<(), Failure> {
    let parent = place.parent().expect("the place lies in the cache");
    fs_err::create_dir_all(parent)?;
    let temporary = tempfile::NamedTempFile::new_in(parent)?;
    let mut target = tokio::fs::File::from_std(temporary.reopen()?);
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| Failure::Unavailable(chain(&error)))?;
        target.write_all(&chunk).await?;
    }
    target.sync_all().await?;
    files::verify(temporary.path(), file.sha256).map_err(Failure::Mismatch)?;
    temporary
        .persist(place)
        .map_err(|error| Failure::Unavailable(error.to_string()))?;
    Ok(())
}

/// An error with its causes, which reqwest leaves out.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
