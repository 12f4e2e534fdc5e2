//! The live source as the settings describe it, and the budget of its application.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use url::Url;

use super::{App, Error, open_source};
use crate::{
    clock::Clock,
    config::{Settings, Transport},
    net,
    sources::{
        self, SourceSpec,
        reddit::{
            Access, BudgetSheet, Credentials, Endpoint, Ledger, Manners, RedditSource, RouxClients,
            user_agent,
        },
    },
};

impl App {
    /// Whether a source can be asked at all: the live one needs an application. A schedule waits
    /// for it, instead of making a run that fails at each of its ticks.
    ///
    /// # Errors
    ///
    /// Where none is set, with what to set.
    pub(super) fn check_live(&self, source: &str) -> Result<(), Error> {
        if let SourceSpec::Reddit = source.parse()? {
            credentials(self.settings())?;
        }
        Ok(())
    }

    /// How much the application of the settings may ask of Reddit now. Asks nobody.
    ///
    /// # Errors
    ///
    /// Where no application is set, or the budget cannot be read.
    pub fn reddit_budget(&self) -> Result<BudgetSheet, Error> {
        let settings = self.settings();
        let credentials = credentials(settings)?;
        let ledger = ledger(settings, self.data_dir(), &credentials);
        Ok(ledger.sheet(self.clock().now(), settings.reddit.calls_per_window)?)
    }
}

/// The live source.
pub(super) fn source(
    settings: &Settings,
    data: &Path,
    clock: Arc<dyn Clock>,
) -> Result<RedditSource, sources::Error> {
    let credentials = credentials(settings)?;
    let reddit = &settings.reddit;
    let agent = user_agent(reddit.user_agent.as_deref(), reddit.username.as_deref())?;
    let endpoint = Endpoint::at(reddit.reddit_url.as_deref(), reddit.oauth_url.as_deref())?;
    if endpoint != Endpoint::reddit() {
        tracing::warn!(
            token = endpoint.token_url,
            api = endpoint.api_url,
            "the settings send the credentials to another server than Reddit"
        );
    }
    let url = Url::parse(&endpoint.api_url)
        .map_err(|error| sources::Error::Wrong(format!("`{}`: {error}", endpoint.api_url)))?;
    let net_settings = super::settings::net(settings);
    let http = net::api_client(&url, &agent, &net_settings).map_err(open_source::no_client)?;
    let is_elsewhere = endpoint != Endpoint::reddit();
    let access = Access {
        http,
        endpoint,
        ledger: ledger(settings, data, &credentials),
        credentials,
        manners: Manners {
            calls_per_window: reddit.calls_per_window,
            total_timeout: settings.net.total_timeout,
        },
        clock,
    };
    let source = RedditSource::new(access, open_source::LIVE.to_owned(), Vec::new())?;
    match reddit.transport {
        Transport::Own => Ok(source),
        Transport::Roux if is_elsewhere => Err(sources::Error::Wrong(
            "`reddit.transport` is `roux`, which asks Reddit itself and nobody else; take \
             `reddit.reddit_url` and `reddit.oauth_url` away, or write `transport = \"own\"`"
                .to_owned(),
        )),
        Transport::Roux => Ok(source.with_roux(RouxClients::new(move |token| {
            net::token_client(&url, &agent, token, &net_settings)
        }))),
    }
}

fn credentials(settings: &Settings) -> Result<Credentials, sources::Error> {
    let reddit = &settings.reddit;
    Credentials::from_settings(reddit.client_id.as_deref(), reddit.client_secret.as_deref())?
        .for_account(
            reddit.username.as_deref(),
            reddit.password.as_deref(),
            reddit.refresh_token.as_deref(),
        )
}

fn ledger(settings: &Settings, data: &Path, credentials: &Credentials) -> Ledger {
    let folder = settings.reddit.budget_dir.clone();
    let folder: PathBuf = folder.unwrap_or_else(|| data.join("budgets"));
    Ledger::in_folder(&folder, credentials.client_id())
}
