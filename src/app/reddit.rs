//! The live source as the settings describe it, and the budget of its application.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use url::Url;

use super::{App, Error, Prepared, open_source};
use crate::{
    clock::Clock,
    config::{Settings, Transport},
    dag::Graph,
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

    /// Refuses a run that would learn without permission from what the live source gave, as far as
    /// that is known before it begins. A server on this machine is no Reddit.
    ///
    /// # Errors
    ///
    /// With what the terms say, and what is to be done.
    pub(super) async fn check_permission(&self, prepared: &Prepared) -> Result<(), Error> {
        let Some(reason) = self.environment().not_permitted else {
            return Ok(());
        };
        let nodes = prepared.compiled.graph.nodes();
        if !nodes.iter().any(|node| node.op == "train") {
            return Ok(());
        }
        let is_live = scrapes_live(&prepared.compiled.graph);
        let mut learns = is_live && !endpoint(self.settings())?.is_here();
        let stored = nodes.iter().filter(|node| node.op == "stored");
        let stored = stored.filter_map(|node| node.settings.get("dataset")?.as_str());
        for dataset in stored.chain(is_live.then_some(open_source::LIVE)) {
            learns = learns || self.store().is_by_permission(dataset).await?;
        }
        if learns {
            return Err(Error::unfit(reason, None));
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

/// Whether a task of the graph reads the live source.
fn scrapes_live(graph: &Graph) -> bool {
    let scrapes = graph.nodes().iter().filter(|node| node.op == "scrape");
    let mut sources = scrapes.filter_map(|node| node.settings.get("source")?.as_str());
    sources.any(|source| matches!(source.parse(), Ok(SourceSpec::Reddit)))
}

/// What is to be known of a run that reads the live source as of the end of a day, for its
/// pipeline does not say so where it is looked for.
pub(super) fn moment_advice(prepared: &Prepared) -> Option<String> {
    if prepared.source.is_some() || !scrapes_live(&prepared.compiled.graph) {
        return None;
    }
    Some(format!(
        "`{}` names the live source in its task alone: the run stands for a day that is over, and \
         nothing that was published since {} is read. For a run as of now write \
         `source = \"{{{{ params.source }}}}\"` there, and `source = \"reddit\"` under `[params]`",
        prepared.compiled.pipeline, prepared.as_of
    ))
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

/// Why no models are made of what the live source gave; `None` where the settings say by whose
/// permission.
pub(super) fn not_permitted(settings: &Settings) -> Option<&'static str> {
    let permission = settings.reddit.permission.as_deref();
    let is_permitted = permission.is_some_and(|words| !words.trim().is_empty());
    (!is_permitted).then_some(NOT_PERMITTED)
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
    let endpoint = endpoint(settings)?;
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

fn endpoint(settings: &Settings) -> Result<Endpoint, sources::Error> {
    let reddit = &settings.reddit;
    Endpoint::at(reddit.reddit_url.as_deref(), reddit.oauth_url.as_deref())
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
    use crate::app::RunRequest;

    #[test]
    fn words_with_nothing_in_them_are_no_permission() {
        let refused = |settings: &str| {
            let settings = Settings::from_layers(settings, []).unwrap();
            not_permitted(&settings)
        };
        let reason = refused("").unwrap();
        for words in [
            "train machine learning",
            "`trendmill.toml`",
            "permission = ",
        ] {
            assert!(reason.contains(words), "{reason}");
        }
        assert!(refused("[reddit]\npermission = \" \"").is_some());
        let agreed = "[reddit]\npermission = \"agreed with Reddit on 2026-01-01, contract 7\"";
        assert_eq!(refused(agreed), None);
    }

    #[tokio::test]
    async fn who_would_learn_from_the_api_is_asked_before_the_run() {
        let home = tempfile::tempdir().unwrap();
        let pipelines = home.path().join("pipelines");
        fs_err::create_dir(&pipelines).unwrap();
        let learning = include_str!("../../pipelines/reddit.toml");
        fs_err::write(pipelines.join("reddit.toml"), learning).unwrap();
        let collecting = include_str!("../../pipelines/reddit_collect.toml");
        fs_err::write(pipelines.join("reddit_collect.toml"), collecting).unwrap();
        let asked = async |settings: &str, pipeline: &str, source: &str, stored: bool| {
            let settings = Settings::from_layers(settings, []).unwrap();
            let app = App::detached(home.path(), settings).await.unwrap();
            if stored {
                let now = app.clock().now();
                let noted = app.store().note_by_permission("reddit", now);
                noted.await.unwrap();
            }
            let request = RunRequest {
                pipeline: pipeline.to_owned(),
                source: Some(source.to_owned()),
                ..RunRequest::default()
            };
            let prepared = app.prepare(&request).await.unwrap();
            let answer = app.check_permission(&prepared).await;
            answer.err().map(|error| error.to_string())
        };
        let local = "[reddit]\noauth_url = \"http://127.0.0.1:99\"";
        let far = "[reddit]\noauth_url = \"https://reddit.example\"";
        let agreed = "[reddit]\npermission = \"contract 7\"";
        for settings in ["", far] {
            let said = asked(settings, "reddit", "reddit", false).await.unwrap();
            assert!(said.contains("without permission"), "{said}");
        }
        assert_eq!(asked("", "reddit_collect", "reddit", false).await, None);
        assert_eq!(asked("", "reddit", "sandbox", false).await, None);
        assert_eq!(asked(agreed, "reddit", "reddit", true).await, None);
        assert_eq!(asked(local, "reddit", "reddit", false).await, None);
        // What the API gave is here, whatever the settings say now.
        assert!(asked(local, "reddit", "reddit", true).await.is_some());
        assert_eq!(asked(local, "reddit", "sandbox", true).await, None);
    }

    #[tokio::test]
    async fn a_pipeline_that_hides_its_live_source_is_told_what_follows() {
        let home = tempfile::tempdir().unwrap();
        let pipelines = home.path().join("pipelines");
        fs_err::create_dir(&pipelines).unwrap();
        let advice = async |params: &str, source: &str| {
            let pipeline = format!(
                "name = \"p\"\n{params}\n[[task]]\nid = \"scrape\"\nop = \"scrape\"\n\
                 source = \"{source}\"\ncommunities = [\"pics\"]\n"
            );
            fs_err::write(pipelines.join("p.toml"), pipeline).unwrap();
            let settings = Settings::from_layers("", []).unwrap();
            let app = App::detached(home.path(), settings).await.unwrap();
            let request = RunRequest {
                pipeline: "p".to_owned(),
                ..RunRequest::default()
            };
            moment_advice(&app.prepare(&request).await.unwrap())
        };
        let said = advice("", "reddit").await.unwrap();
        assert!(
            said.contains("`source = \"{{ params.source }}\"`"),
            "{said}"
        );
        assert_eq!(advice("", "sandbox").await, None);
        let params = "[params]\nsource = \"reddit\"\n";
        assert_eq!(advice(params, "{{ params.source }}").await, None);
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
