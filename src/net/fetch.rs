//! Fetches images from addresses that came with the data.
//!
//! What it hands back is bytes, not yet an image: `media` looks into them. What it refuses has one
//! of the reason codes of `corpus::MediaOutcome`: useless to try again are `bad_url`,
//! `blocked_address`, `redirects` (too many), `gone`, `forbidden`, `noai`, `html` and
//! `too_big`; worth another run are `unreachable`, `timeout`, `server_error`, `rate_limited` and
//! `pending`.
//! `host_not_allowed` is too: the settings may allow the host by then, and nobody is asked until they
//! do.
//!
//! Nothing asks whether an image has changed (`If-None-Match`): one that is stored is not asked for
//! again, and where there is none no tag is known that could be sent. A run with `--force` wants the
//! bytes themselves.

use std::{error::Error as StdError, net::SocketAddr, sync::Arc};

use reqwest::{
    Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue},
    redirect::Policy,
};
use tokio::sync::Semaphore;
use url::{Host, Url};

use super::{
    Error, NetSettings, builder,
    guard::{Blocked, Guard, OtherHost},
    hosts::{HostBook, Resolver, Unresolved},
};
use crate::corpus::{MediaLocation, MediaOutcome};

/// Addresses at which an image host shows a placeholder for what is no longer there.
const PLACEHOLDERS: [(&str, &str); 1] = [("i.imgur.com", "/removed.png")];

/// How images are fetched.
#[derive(Clone, Debug)]
pub struct FetchSettings {
    /// User agent, time limits and redirects.
    pub net: NetSettings,
    /// The largest body, in bytes.
    pub max_bytes: u64,
    /// Addresses with ports that may be asked although they are not public or the port is not
    /// the web's: a sandbox on `127.0.0.1:PORT`. They are named by number, never by a host name.
    pub allow_addresses: Vec<SocketAddr>,
    /// The only hosts that are asked, besides `allow_addresses`; none: all.
    pub hosts: Option<Vec<String>>,
    /// How many fetches may ask one host at a time.
    pub per_host: usize,
    /// How many fetches may be under way at a time.
    pub at_once: usize,
    /// Whether the proxy of the environment is used. The proxy then resolves the names, so that
    /// names that point into its own network are its business to refuse.
    pub use_proxy: bool,
}

impl Default for FetchSettings {
    fn default() -> Self {
        Self {
            net: NetSettings::default(),
            max_bytes: 25_000_000,
            allow_addresses: Vec::new(),
            hosts: None,
            per_host: 8,
            at_once: 64,
            use_proxy: false,
        }
    }
}

/// The body of an answer.
#[derive(Clone, Debug)]
pub struct Body {
    /// The bytes, whole.
    pub bytes: Vec<u8>,
    /// Where they came from in the end, after redirects.
    pub url: Url,
}

/// Why there are no bytes; the codes are listed at the head of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Trying again is useless.
    Refused(&'static str),
    /// A later run may try again.
    Unavailable(&'static str),
}

impl From<Failure> for MediaOutcome {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(reason) => Self::Refused(reason),
            Failure::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}

/// Fetches images for one run; cheap to clone.
///
/// It limits itself: callers may start as many fetches as they like, though each holds its body
/// in memory once it is under way. There is no retry inside a run; a host that fails again and
/// again is closed by the [`HostBook`].
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: reqwest::Client,
    guard: Arc<Guard>,
    book: Arc<HostBook>,
    at_once: Arc<Semaphore>,
    max_bytes: u64,
    use_proxy: bool,
}

impl Fetcher {
    /// A fetcher for one run.
    pub fn new(settings: &FetchSettings) -> Result<Self, Error> {
        Self::with_book(settings, HostBook::new(settings.per_host))
    }

    /// A fetcher that keeps what it learns of hosts in `book`.
    pub fn with_book(settings: &FetchSettings, book: HostBook) -> Result<Self, Error> {
        let book = Arc::new(book);
        let guard = Arc::new(Guard {
            allowed: settings.allow_addresses.clone(),
            hosts: settings.hosts.clone(),
        });
        // No `text/html`, which makes some image hosts answer with a page.
        let accept =
            HeaderValue::from_static("image/jpeg,image/png,image/webp,image/gif,*/*;q=0.5");
        let mut client = builder(&settings.net)
            .default_headers(HeaderMap::from_iter([(ACCEPT, accept)]))
            .no_gzip()
            .redirect(redirects(Arc::clone(&guard), settings.net.redirects));
        if !settings.use_proxy {
            client = client
                .no_proxy()
                .dns_resolver(Arc::new(Resolver(Arc::clone(&book))));
        }
        Ok(Self {
            client: client.build().map_err(Error)?,
            guard,
            book,
            at_once: Arc::new(Semaphore::new(settings.at_once.max(1))),
            max_bytes: settings.max_bytes,
            use_proxy: settings.use_proxy,
        })
    }

    /// What this run has learned of the hosts that it asks.
    pub fn hosts(&self) -> &HostBook {
        &self.book
    }

    /// The bytes at `location`, after waiting for a place at its host.
    pub async fn fetch(&self, location: &str) -> Result<Body, Failure> {
        let Ok(url) = Url::parse(location) else {
            return Err(Failure::Refused("bad_url"));
        };
        if let Err(blocked) = self.guard.check(&url) {
            tracing::debug!(%blocked, "an image is refused");
            return Err(Failure::Refused("blocked_address"));
        }
        if self.guard.host(&url).is_err() {
            return Err(Failure::Unavailable("host_not_allowed"));
        }
        let host = host_of(&url);
        self.open(&host)?;
        let slots = self.book.slots(&host);
        let _at_host = slots.acquire().await.expect("the slots are never closed");
        // Those before us may have found that the host is not there.
        self.open(&host)?;
        if !self.use_proxy && matches!(url.host(), Some(Host::Domain(_))) {
            match self.book.resolve(&host).await {
                Ok(_) => {}
                Err(Unresolved::Failed) => return Err(Failure::Unavailable("unreachable")),
                Err(Unresolved::Blocked) => return Err(Failure::Refused("blocked_address")),
            }
        }
        let _at_all = self.at_once.acquire().await.expect("it is never closed");
        match self.client.get(url).send().await {
            Ok(response) => self.read(&host, response).await.map_err(|failure| {
                if failure == Failure::Refused("gone") && location.ends_with(MediaLocation::PENDING)
                {
                    Failure::Unavailable("pending")
                } else {
                    failure
                }
            }),
            Err(error) => Err(self.explain(&host, &error)),
        }
    }

    fn open(&self, host: &str) -> Result<(), Failure> {
        match self.book.closed_for(host) {
            Some(reason) => Err(Failure::Unavailable(reason)),
            None => Ok(()),
        }
    }

    async fn read(&self, host: &str, mut response: Response) -> Result<Body, Failure> {
        if let Some(failure) = refusal(&response) {
            match failure {
                Failure::Unavailable(reason @ "rate_limited") => self.book.failed(host, reason),
                _ => self.book.answered(host),
            }
            return Err(failure);
        }
        let declared = response.content_length().unwrap_or(0);
        if declared > self.max_bytes {
            self.book.answered(host);
            return Err(Failure::Refused("too_big"));
        }
        let url = response.url().clone();
        let says_html = says_html(response.headers());
        let mut bytes = Vec::with_capacity(usize::try_from(declared).unwrap_or(0));
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    if (bytes.len() + chunk.len()) as u64 > self.max_bytes {
                        self.book.answered(host);
                        return Err(Failure::Refused("too_big"));
                    }
                    bytes.extend_from_slice(&chunk);
                }
                Ok(None) => break,
                Err(error) => return Err(self.explain(host, &error)),
            }
        }
        self.book.answered(host);
        if says_html && bytes.trim_ascii_start().first().is_none_or(|&b| b == b'<') {
            return Err(Failure::Refused("html"));
        }
        Ok(Body { bytes, url })
    }

    fn explain(&self, host: &str, error: &reqwest::Error) -> Failure {
        tracing::debug!(
            host,
            error = error as &dyn StdError,
            "an image did not come"
        );
        if cause::<Blocked>(error).is_some() {
            return Failure::Refused("blocked_address");
        }
        if cause::<OtherHost>(error).is_some() {
            return Failure::Unavailable("host_not_allowed");
        }
        if cause::<TooManyRedirects>(error).is_some() {
            return Failure::Refused("redirects");
        }
        match cause::<Unresolved>(error) {
            Some(Unresolved::Blocked) => return Failure::Refused("blocked_address"),
            Some(Unresolved::Failed) => return Failure::Unavailable("unreachable"),
            None => {}
        }
        let reason = if error.is_connect() {
            "unreachable"
        } else if error.is_timeout() {
            "timeout"
        } else {
            // The connection broke, or what came over it was not HTTP.
            "server_error"
        };
        // After a redirect it is another host that has failed.
        let failed = error.url().map(host_of);
        self.book.failed(failed.as_deref().unwrap_or(host), reason);
        Failure::Unavailable(reason)
    }
}

/// The name under which a host is known: with the port where that is not the web's own.
fn host_of(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) if !matches!(port, 80 | 443) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    }
}

/// A refusal that shows in the head of an answer.
fn refusal(response: &Response) -> Option<Failure> {
    let status = response.status();
    let url = response.url();
    let placeholder = PLACEHOLDERS
        .iter()
        .any(|(host, path)| url.host_str() == Some(*host) && url.path() == *path);
    Some(match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Failure::Refused("gone"),
        StatusCode::TOO_MANY_REQUESTS => Failure::Unavailable("rate_limited"),
        StatusCode::REQUEST_TIMEOUT => Failure::Unavailable("timeout"),
        status if status.is_server_error() => Failure::Unavailable("server_error"),
        status if status.is_client_error() => Failure::Refused("forbidden"),
        _ if placeholder => Failure::Refused("gone"),
        _ if forbids_learning(response.headers()) => Failure::Refused("noai"),
        status if status.is_success() => return None,
        _ => Failure::Refused("redirects"),
    })
}

/// Whether the host says that nothing may be learned from what it sends.
fn forbids_learning(headers: &HeaderMap) -> bool {
    let values = headers.get_all("x-robots-tag").iter();
    values.filter_map(|value| value.to_str().ok()).any(|value| {
        // `directive, directive`, each perhaps with the robot that is meant before it.
        value.split([',', ':']).any(|word| {
            let word = word.trim();
            word.eq_ignore_ascii_case("noai") || word.eq_ignore_ascii_case("noimageai")
        })
    })
}

fn says_html(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    value.is_some_and(|v| v.trim_start().to_ascii_lowercase().starts_with("text/html"))
}

#[derive(Debug, thiserror::Error)]
#[error("too many redirects")]
struct TooManyRedirects;

/// Follows at most `most` redirects, each of which must pass the guard.
fn redirects(guard: Arc<Guard>, most: usize) -> Policy {
    Policy::custom(move |attempt| {
        if attempt.previous().len() > most {
            return attempt.error(TooManyRedirects);
        }
        if let Err(blocked) = guard.check(attempt.url()) {
            return attempt.error(blocked);
        }
        match guard.host(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(other) => attempt.error(other),
        }
    })
}

/// The first error of type `E` among the causes of `error`.
fn cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "ssrf_tests.rs"]
mod ssrf_tests;
