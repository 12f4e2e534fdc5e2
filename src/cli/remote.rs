//! The daemon of a home, as the command line asks it.

use std::{error::Error as _, path::Path, time::Duration};

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::failure::Failure;
use crate::{
    app::{DaemonFile, daemon_client},
    server::ErrorBody,
};

/// How long the daemon may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// What shows that a daemon is the one of its file; one of another release may say more or less.
#[derive(Debug, Deserialize)]
struct Who {
    pid: u32,
}

/// The daemon of a home.
#[derive(Debug)]
pub(crate) struct Remote {
    client: reqwest::Client,
    file: DaemonFile,
}

impl Remote {
    /// The daemon that lives on this home, where one does.
    ///
    /// # Errors
    ///
    /// Where it lives and does not answer as it should.
    pub(crate) async fn of(home: &Path) -> Result<Option<Self>, Failure> {
        let Some(file) = DaemonFile::read(home) else {
            return Ok(None);
        };
        let remote = Self {
            client: daemon_client()?,
            file,
        };
        match remote.who().await {
            Ok(who) if who.pid == remote.file.pid => Ok(Some(remote)),
            Err(error) if error.is_timeout() => {
                let file = &remote.file;
                Err(Failure::unfit(format!(
                    "the daemon at {} (process {}) does not answer",
                    file.url, file.pid
                ))
                .hint("wait, or end it and start it again: `trendmill up`"))
            }
            // Nobody there, or somebody else: what a daemon left that was killed says nothing.
            Ok(_) | Err(_) => Ok(None),
        }
    }

    async fn who(&self) -> reqwest::Result<Who> {
        let asked = self.request(Method::GET, "/daemon").timeout(PATIENCE);
        asked.send().await?.json().await
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.file.url
    }

    /// Asks how something stands.
    ///
    /// # Errors
    ///
    /// Its refusal, as the command itself would have refused.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let response = self.stream(path).await?;
        response.json().await.map_err(|error| self.lost(&error))
    }

    /// Asks for something to be done.
    ///
    /// # Errors
    ///
    /// Its refusal, as the command itself would have refused.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let response = self
            .request(Method::POST, path)
            .json(body)
            .send()
            .await
            .map_err(|error| self.lost(&error))?;
        let response = self.accepted(response).await?;
        response.json().await.map_err(|error| self.lost(&error))
    }

    /// Reads something as it comes.
    ///
    /// # Errors
    ///
    /// Its refusal.
    pub(crate) async fn stream(&self, path: &str) -> Result<Response, Failure> {
        let response = self
            .request(Method::GET, path)
            .send()
            .await
            .map_err(|error| self.lost(&error))?;
        self.accepted(response).await
    }

    /// What is said where the daemon goes away while it is asked, or speaks as another release.
    pub(crate) fn lost(&self, error: &reqwest::Error) -> Failure {
        // A body that breaks off cannot be decoded either.
        if error
            .source()
            .is_some_and(<dyn std::error::Error>::is::<serde_json::Error>)
        {
            return Failure::failed(format!(
                "the daemon at {} answers what this release does not know: {}",
                self.file.url,
                super::failure::chain(error)
            ))
            .hint("where it is of another release, end it and start it again: `trendmill up`");
        }
        Failure::failed(format!(
            "the daemon at {} does not answer any more: {}",
            self.file.url,
            super::failure::chain(error)
        ))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}/api/v1{path}", self.file.url))
            .bearer_auth(&self.file.token)
    }

    async fn accepted(&self, response: Response) -> Result<Response, Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.unwrap_or_default();
        match serde_json::from_str::<ErrorBody>(&text) {
            Ok(body) => Err(refused(status, body)),
            Err(_) => Err(Failure::failed(format!(
                "the daemon at {} answered {status}",
                self.file.url
            ))),
        }
    }
}

/// A text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    let mut url = url::Url::parse("http://localhost").expect("a URL");
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.push(text);
    }
    url.path().trim_start_matches('/').to_owned()
}

/// A refusal with the exit code of the command that does the same without a daemon.
fn refused(status: StatusCode, body: ErrorBody) -> Failure {
    let error = body.error;
    let failure = match (status.as_u16(), error.code.as_str()) {
        (_, "unfit") | (503, _) => Failure::unfit(error.message),
        (_, "several_runs" | "run_unfinished" | "nothing_to_clear" | "backfill_ended")
        | (400 | 404 | 422, _) => Failure::wrong_use(error.message),
        _ => Failure::failed(error.message),
    };
    match error.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// One server-sent event.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sent {
    /// Its name.
    pub(crate) event: String,
    /// Its data.
    pub(crate) data: Value,
}

/// Puts server-sent events together from pieces.
#[derive(Debug, Default)]
pub(crate) struct Events(Vec<u8>);

impl Events {
    /// Takes a piece; gives the events that are whole by now.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Vec<Sent> {
        self.0.extend_from_slice(piece);
        let mut events = Vec::new();
        while let Some(end) = self.0.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.0.drain(..end + 2).collect();
            let mut sent = Sent::default();
            for line in String::from_utf8_lossy(&block).lines() {
                if let Some(name) = line.strip_prefix("event:") {
                    name.trim().clone_into(&mut sent.event);
                } else if let Some(data) = line.strip_prefix("data:") {
                    sent.data = serde_json::from_str(data.trim()).unwrap_or_default();
                }
            }
            if !sent.data.is_null() {
                events.push(sent);
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_events_together_however_they_are_cut() {
        let text = ":\n\nid: 7\nevent: state\ndata: {\"to\":\"läuft\"}\n\nid: 8\n";
        for cut in 0..text.len() {
            let mut events = Events::default();
            let mut seen = events.take(&text.as_bytes()[..cut]);
            seen.extend(events.take(&text.as_bytes()[cut..]));
            assert_eq!(seen.len(), 1, "cut at {cut}");
            assert_eq!(seen[0].data["to"], "läuft");
        }
    }
}
