//! What an attempt said, whole or as it is said.

#![expect(unused_qualifications, reason = "the descriptions' macro writes them")]

use std::{io::SeekFrom, path::PathBuf, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use futures::stream;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        Fault, SharedHost,
        extract::{Asked, Path},
    },
    paths::{OfRun, OfTask},
};
use crate::{engine::find_run, store::AttemptRow};

/// How much is sent at once.
const CHUNK: usize = 64 * 1024;
/// How often a log that grows is looked at.
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::new()
        .routes(routes!(attempts))
        .routes(routes!(log))
}

/// Which attempts are listed.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AttemptsWanted {
    /// Only those of this task.
    task: Option<String>,
}

/// The attempts of a run, in the order of tasks and tries.
#[utoipa::path(
    get,
    path = "/runs/{run}/attempts",
    tag = "runs",
    params(
        OfRun,
        AttemptsWanted,
    ),
    responses(
        (status = 200, body = [AttemptRow]),
    )
)]
async fn attempts(
    State(host): State<SharedHost>,
    Path(OfRun { run }): Path<OfRun>,
    Asked(wanted): Asked<AttemptsWanted>,
) -> Result<axum::Json<Vec<AttemptRow>>, Fault> {
    let row = find_run(host.store(), &run).await?;
    let attempts = host
        .store()
        .attempts(&row.id, wanted.task.as_deref())
        .await?;
    Ok(axum::Json(attempts))
}

/// Which log, and how much of it.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LogWanted {
    /// Which attempt, from 1; the last one by default.
    #[param(minimum = 1)]
    attempt: Option<u32>,
    /// Go on until the attempt has ended.
    #[serde(default)]
    follow: bool,
}

/// What an attempt of a task said.
#[utoipa::path(
    get,
    path = "/runs/{run}/tasks/{task}/log",
    tag = "runs",
    params(
        OfTask,
        LogWanted,
    ),
    responses(
        (status = 200, description = "lines of text", body = String, content_type = "text/plain; charset=utf-8"),
    )
)]
async fn log(
    State(host): State<SharedHost>,
    Path(OfTask { run, task }): Path<OfTask>,
    Asked(wanted): Asked<LogWanted>,
) -> Result<Response, Fault> {
    let row = find_run(host.store(), &run).await?;
    let attempts = host.store().attempts(&row.id, Some(&task)).await?;
    let attempt = match wanted.attempt {
        None => attempts.last(),
        Some(number) => attempts.iter().find(|attempt| attempt.number == number),
    };
    let Some(attempt) = attempt else {
        let message = match wanted.attempt {
            Some(number) => format!(
                "task `{task}` of run `{}` has no attempt {number}; it has {}",
                row.id,
                attempts.len()
            ),
            None => format!(
                "no attempt of a task `{task}` was started in run `{}`",
                row.id
            ),
        };
        return Err(Fault::unknown("unknown_attempt", message));
    };
    let reader = Reader {
        path: host.data_dir().join(&attempt.log),
        attempt: attempt.id.clone(),
        follow: wanted.follow && attempt.ended_at.is_none(),
        read: 0,
        host,
    };
    let chunks = stream::unfold(reader, |mut reader| async move {
        let chunk = reader.next().await.transpose()?;
        Some((chunk, reader))
    });
    Ok((
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        Body::from_stream(chunks),
    )
        .into_response())
}

/// Reads a log that may grow.
struct Reader {
    host: SharedHost,
    path: PathBuf,
    attempt: String,
    follow: bool,
    read: u64,
}

impl Reader {
    /// The next piece; none at the end.
    async fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        loop {
            // Asked before the log is read, so that its last lines are read too.
            let ended = !self.follow || self.ended().await;
            let chunk = self.chunk().await?;
            if !chunk.is_empty() {
                self.read += chunk.len() as u64;
                return Ok(Some(chunk));
            }
            if ended {
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn chunk(&self) -> std::io::Result<Bytes> {
        let mut file = match fs_err::tokio::File::open(&self.path).await {
            Ok(file) => file,
            // An attempt that has said nothing has no log.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Bytes::new()),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(self.read)).await?;
        let mut bytes = Vec::new();
        file.take(CHUNK as u64).read_to_end(&mut bytes).await?;
        Ok(bytes.into())
    }

    /// Whether nothing more will be said: the attempt has ended, or nobody watches over it now.
    async fn ended(&self) -> bool {
        if self.host.phase() == super::super::Phase::Ended {
            return true;
        }
        match self.host.store().attempt(&self.attempt).await {
            Ok(attempt) => attempt.is_none_or(|attempt| attempt.ended_at.is_some()),
            Err(_) => true,
        }
    }
}
