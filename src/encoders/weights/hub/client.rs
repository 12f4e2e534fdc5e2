//! What the hub is asked.

use std::{collections::BTreeMap, time::Duration};

use reqwest::{StatusCode, header};
use serde::{Deserialize, de::DeserializeOwned};

use super::{Failure, is_commit};
use crate::{
    corpus::ContentHash,
    encoders::weights::{WeightsSettings, catalogue::Hub},
};

/// How long the hub may take to begin its answer.
const ANSWER: Duration = Duration::from_secs(3);
/// How long a download may stand still.
const SILENCE: Duration = Duration::from_secs(30);

/// Asks the hub; the token goes to it alone, and into no message.
pub(super) struct Client<'a> {
    client: reqwest::Client,
    settings: &'a WeightsSettings,
}

/// What the hub says of a file.
pub(super) struct Said {
    /// The name of its content in the hub's cache.
    pub(super) etag: String,
    /// Its SHA-256, of large files.
    pub(super) sha256: Option<ContentHash>,
}

impl<'a> Client<'a> {
    pub(super) fn new(settings: &'a WeightsSettings) -> Result<Self, Failure> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("trendmill/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(ANSWER)
            .read_timeout(SILENCE)
            .build()
            .map_err(|error| Failure::Unreachable(words(error)))?;
        Ok(Self { client, settings })
    }

    /// The commit at which a branch stands.
    pub(super) async fn commit_of(&self, hub: &Hub) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Revision {
            sha: String,
        }
        let path = format!("api/models/{}/revision/{}", hub.repository, hub.revision);
        let Revision { sha } = self.json(&path).await?;
        if is_commit(&sha) {
            Ok(sha)
        } else {
            Err(Failure::Refused(format!("`{path}` names no commit")))
        }
    }

    /// What the hub says of each file of a commit.
    pub(super) async fn tree(
        &self,
        hub: &Hub,
        commit: &str,
    ) -> Result<BTreeMap<String, Said>, Failure> {
        #[derive(Deserialize)]
        struct Entry {
            path: String,
            oid: String,
            #[serde(default)]
            lfs: Option<Large>,
        }
        #[derive(Deserialize)]
        struct Large {
            oid: ContentHash,
        }
        let path = format!("api/models/{}/tree/{commit}?recursive=true", hub.repository);
        let entries: Vec<Entry> = self.json(&path).await?;
        let said = entries.into_iter().map(|entry| {
            let sha256 = entry.lfs.map(|large| large.oid);
            let etag = sha256.map_or(entry.oid, |hash| hash.to_string());
            (entry.path, Said { etag, sha256 })
        });
        Ok(said.collect())
    }

    async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let response = self.get(path, 0).await?;
        let answer = tokio::time::timeout(SILENCE, response.json())
            .await
            .map_err(|_| Failure::Refused(format!("`{path}` stood still")))?;
        answer.map_err(|error| Failure::Refused(format!("`{path}`: {}", words(error))))
    }

    /// The answer to a question, from the byte `from` on.
    pub(super) async fn get(&self, path: &str, from: u64) -> Result<reqwest::Response, Failure> {
        let mut request = self
            .client
            .get(format!("{}/{path}", self.settings.hf_endpoint));
        if let Some(token) = &self.settings.hf_token {
            request = request.bearer_auth(token);
        }
        if from > 0 {
            // A packed answer has other bytes to count.
            request = request
                .header(header::RANGE, format!("bytes={from}-"))
                .header(header::ACCEPT_ENCODING, "identity");
        }
        let response = tokio::time::timeout(ANSWER, request.send())
            .await
            .map_err(|_| Failure::Unreachable(format!("no answer within {} s", ANSWER.as_secs())))?
            .map_err(|error| {
                if error.is_connect() {
                    Failure::Unreachable(words(error))
                } else {
                    Failure::Broken(words(error))
                }
            })?;
        let status = response.status();
        if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(response);
        }
        let help = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; is `HF_TOKEN` right?",
            _ => "",
        };
        Err(Failure::Refused(format!(
            "`{path}` is answered by {status}{help}"
        )))
    }
}

/// An error with its causes, which reqwest leaves out, and without its address, which may be signed.
pub(super) fn words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
