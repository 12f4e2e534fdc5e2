//! The network: the one HTTP client builder, and the fetcher of images.
//!
//! [`client`] is for services that the user named in the settings (an API, a hub). [`Fetcher`] is
//! for addresses that came with the data: it is told nothing about them that it believes.

mod fetch;
mod guard;
mod hosts;

use std::time::Duration;

pub use fetch::{Body, Failure, FetchSettings, Fetcher};
pub use guard::is_public;
pub use hosts::{HostBook, Lookup};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use url::{Host, Url};

/// How the client behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetSettings {
    /// Who runs this installation, for the user agent: a URL or an address that a server's
    /// operator can turn to.
    pub contact: String,
    /// The limit for reaching a server.
    pub connect_timeout: Duration,
    /// The limit for a silence between two pieces of an answer.
    pub idle_timeout: Duration,
    /// The limit for a whole answer.
    pub total_timeout: Duration,
    /// How many redirects are followed; with 0 a redirect is handed back as the answer.
    pub redirects: usize,
}

impl Default for NetSettings {
    fn default() -> Self {
        Self {
            contact: "no contact given".to_owned(),
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(15),
            total_timeout: Duration::from_mins(1),
            redirects: 3,
        }
    }
}

impl NetSettings {
    /// The user agent: the product, its version and whom to turn to.
    pub fn user_agent(&self) -> String {
        // A header value is visible ASCII; brackets would end the comment early.
        let contact: String = self
            .contact
            .chars()
            .filter(|c| matches!(c, ' '..='~') && !matches!(c, '(' | ')' | '\\'))
            .collect();
        format!("trendmill/{} (+{contact})", env!("CARGO_PKG_VERSION"))
    }
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client could not be set up; are the certificates of this machine readable?")]
pub struct Error(#[source] reqwest::Error);

/// A client with these settings.
pub fn client(settings: &NetSettings) -> Result<reqwest::Client, Error> {
    let redirects = match settings.redirects {
        0 => reqwest::redirect::Policy::none(),
        most => reqwest::redirect::Policy::limited(most),
    };
    builder(settings).redirect(redirects).build().map_err(Error)
}

/// A client for one server, that of the user's own at `url`: it follows no redirect, so that a key
/// goes nowhere else, and what goes to this machine goes past the proxy of the environment.
pub fn client_of(url: &Url, settings: &NetSettings) -> Result<reqwest::Client, Error> {
    one_server(url, builder(settings))
}

/// The same with a user agent of the server's own form.
pub fn api_client(
    url: &Url,
    user_agent: &str,
    settings: &NetSettings,
) -> Result<reqwest::Client, Error> {
    one_server(url, builder(settings).user_agent(user_agent))
}

/// The same for somebody who does not send the token with each request: the client does.
pub fn token_client(
    url: &Url,
    user_agent: &str,
    token: &str,
    settings: &NetSettings,
) -> Result<reqwest::Client, Error> {
    let mut headers = HeaderMap::new();
    // A token that is no header is none that a server has given, which will say so.
    if let Ok(mut bearer) = HeaderValue::try_from(format!("Bearer {token}")) {
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    let client = builder(settings).user_agent(user_agent);
    one_server(url, client.default_headers(headers))
}

fn one_server(url: &Url, client: reqwest::ClientBuilder) -> Result<reqwest::Client, Error> {
    let client = client.redirect(reqwest::redirect::Policy::none());
    let client = if is_here(url) {
        client.no_proxy()
    } else {
        client
    };
    client.build().map_err(Error)
}

/// Whether an address is on this machine.
pub fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A client for a server on this machine: without a proxy, and without a limit for answers that
/// go on for as long as something runs.
pub fn local_client() -> Result<reqwest::Client, Error> {
    reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(Duration::from_secs(2))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(Error)
}

/// What all clients have in common.
fn builder(settings: &NetSettings) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(settings.user_agent())
        .connect_timeout(settings.connect_timeout)
        .read_timeout(settings.idle_timeout)
        .timeout(settings.total_timeout)
        .referer(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_agent_says_who_asks() {
        let settings = NetSettings {
            contact: "https://example.org/me\n(x)".to_owned(),
            ..NetSettings::default()
        };
        let agent = settings.user_agent();
        assert!(agent.starts_with("trendmill/0."), "{agent}");
        assert!(agent.ends_with(" (+https://example.org/mex)"), "{agent}");
    }
}
