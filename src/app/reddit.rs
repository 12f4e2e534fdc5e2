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
    operators::TrainingGate,
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

/// What Reddit's terms say of training, and what is to be done.
const NOT_PERMITTED: &str = "models are not trained on what Reddit's API gives without permission: \
     its Data API Terms (2.4, 3.2) and its Responsible Builder Policy allow no use of the data to \
     train machine learning or AI models unless Reddit has agreed to it. Where it has, say so in \
     your own words in `trendmill.toml`: under `[reddit]`, `permission = \"who agreed, when, to \
     what\"`. The sandbox, dumps and tables are not asked for";

/// What is said when the live source is first used in a home.
const TERMS: &str = "Reddit's terms, told once: its API may be used for the use case for which the \
     application was approved; machine learning on what it gives needs Reddit's permission \
     (`reddit.permission`), and so does selling or sharing it; what people delete must go here too, \
     which `sync_deletions` in a pipeline does within 48 h; when the approval ends, the data and \
     the models made of it must go";

/// The file that says that they were told.
const TOLD: &str = "reddit-terms-told";

/// Tells on what must not be trained: what the live source gave, unless the settings say by whose
/// permission. A server on this machine is no Reddit.
pub(super) fn training_gate(settings: &Settings) -> TrainingGate {
    let reddit = &settings.reddit;
    let permitted = reddit
        .permission
        .as_deref()
        .is_some_and(|words| !words.trim().is_empty());
    let is_local = reddit.oauth_url.as_deref().is_some_and(|url| {
        let url = Url::parse(url).ok();
        url.is_some_and(|url| match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        })
    });
    let closed = !permitted && !is_local;
    Box::new(move |dataset| {
        (closed && dataset == open_source::LIVE).then(|| NOT_PERMITTED.to_owned())
    })
}

/// Tells the terms where this home was never told them.
fn tell_terms(data: &Path) {
    let told = data.join(TOLD);
    if !told.exists() {
        tracing::warn!("{TERMS}");
        // Where it cannot be noted they are told again.
        let noted = fs_err::create_dir_all(data).and_then(|()| fs_err::write(&told, TERMS));
        if let Err(error) = noted {
            tracing::debug!(%error, "the terms will be told again");
        }
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
    tell_terms(data);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn training_on_the_live_source_asks_for_permission() {
        let refused = |settings: &str, dataset: &str| {
            let settings = Settings::from_layers(settings, []).unwrap();
            training_gate(&settings)(dataset)
        };
        let reason = refused("", "reddit").unwrap();
        for words in [
            "train machine learning",
            "`trendmill.toml`",
            "permission = ",
        ] {
            assert!(reason.contains(words), "{reason}");
        }
        assert!(refused("[reddit]\npermission = \" \"", "reddit").is_some());
        let agreed = "[reddit]\npermission = \"agreed with Reddit on 2026-01-01, contract 7\"";
        assert_eq!(refused(agreed, "reddit"), None);
        for other in ["sandbox:posts=3", "dump:posts.ndjson", "table:a.csv"] {
            assert_eq!(refused("", other), None);
        }
        let local = "[reddit]\noauth_url = \"http://127.0.0.1:99\"";
        assert_eq!(refused(local, "reddit"), None);
        let far = "[reddit]\noauth_url = \"https://reddit.example\"";
        assert!(refused(far, "reddit").is_some());
    }

    #[test]
    fn the_terms_are_told_once() {
        let data = tempfile::tempdir().unwrap();
        tell_terms(data.path());
        let told = fs_err::metadata(data.path().join(TOLD))
            .unwrap()
            .modified()
            .unwrap();
        tell_terms(data.path());
        let again = fs_err::metadata(data.path().join(TOLD))
            .unwrap()
            .modified()
            .unwrap();
        assert_eq!(told, again);
    }
}
