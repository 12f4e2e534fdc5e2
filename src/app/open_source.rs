//! From a source's text to a source that is ready to be read.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::net::TcpListener;
use url::Url;

use crate::{
    clock::{Clock, SystemClock, Timestamp},
    config::Settings,
    net::{self, FetchSettings, Fetcher},
    operators::{OpenedSource, SourceOpener},
    sandbox::{self, SandboxSettings, SandboxState},
    sources::{
        DumpSource, Error, ImageSize, Source, SourceSpec, TableSource,
        arctic::{self, ArcticSource},
        reddit::{Access, Credentials, Endpoint, Ledger, Manners, RedditSource},
    },
};

/// The host under which a sandbox's images are recorded: the port on which it happens to listen
/// must not make them new.
const SANDBOX_IMAGES: &str = "images.sandbox.invalid";

/// The data set of the live source.
pub(super) const LIVE: &str = "reddit";

/// How long a simulated history is read for the truth: as far as any run looks.
const TRUTH_DAYS: u64 = 400;

/// What makes a source of its text, for the home at `home`.
pub(super) fn opener(
    settings: &Arc<Settings>,
    home: &Path,
    clock: &Arc<dyn Clock>,
) -> SourceOpener {
    let (settings, data, clock) = (Arc::clone(settings), home.join("data"), Arc::clone(clock));
    Box::new(move |text| {
        let (settings, data, clock) = (Arc::clone(&settings), data.clone(), Arc::clone(&clock));
        Box::pin(open(text, settings, data, clock))
    })
}

/// Makes a source of its text.
///
/// A sandbox is served in this process, on a loopback port of its own.
///
/// # Errors
///
/// Where the text is wrong or the source cannot be had.
async fn open(
    text: String,
    settings: Arc<Settings>,
    data: PathBuf,
    clock: Arc<dyn Clock>,
) -> Result<OpenedSource, Error> {
    match text.parse()? {
        SourceSpec::Sandbox(options) => sandbox(&options, &settings).await,
        SourceSpec::Dump(path) => of_reddit(Arc::new(DumpSource::open(&path)?), &settings),
        spec @ SourceSpec::Table(_) => plain(table(spec)?, &super::settings::fetch(&settings)),
        SourceSpec::Reddit => of_reddit(
            Arc::new(super::reddit::source(&settings, &data, clock)?),
            &settings,
        ),
        SourceSpec::Arctic => of_reddit(Arc::new(arctic(&settings)?), &settings),
    }
}

/// The archive of the settings.
fn arctic(settings: &Settings) -> Result<ArcticSource, Error> {
    let Some(base) = &settings.arctic.url else {
        return Err(Error::Unfit(format!(
            "the source `arctic` is off. {}. To use it, set `arctic.url`; the public one is at \
             `https://arctic-shift.photon-reddit.com`",
            arctic::TERMS
        )));
    };
    let url = Url::parse(base)
        .map_err(|error| Error::Wrong(format!("`arctic.url`: `{base}` is no address: {error}")))?;
    let http = net::client_of(&url, &super::settings::net(settings)).map_err(no_client)?;
    Ok(ArcticSource::new(http, url))
}

/// The data set of a source, which need not be ready for that.
///
/// # Errors
///
/// Where the text is wrong, or a file is not there.
pub(super) fn dataset(text: &str) -> Result<String, Error> {
    Ok(match text.parse()? {
        SourceSpec::Sandbox(options) => sandbox_settings(&options)?.to_string(),
        SourceSpec::Dump(path) => DumpSource::open(&path)?.dataset().to_owned(),
        spec @ SourceSpec::Table(_) => table(spec)?.dataset().to_owned(),
        SourceSpec::Reddit => LIVE.to_owned(),
        SourceSpec::Arctic => arctic::DATASET.to_owned(),
    })
}

/// A table, ready to be read.
pub(super) fn table(spec: SourceSpec) -> Result<Arc<dyn Source>, Error> {
    match spec {
        SourceSpec::Table(table) => Ok(Arc::new(TableSource::open(table)?)),
        other => Err(Error::Wrong(format!("`{other}` is no table"))),
    }
}

/// The settings of a sandbox, from its options.
pub(super) fn sandbox_settings(options: &str) -> Result<SandboxSettings, Error> {
    options
        .parse()
        .map_err(|error: sandbox::ParseSettingsError| Error::Wrong(error.to_string()))
}

/// A source of Reddit's posts: their images may be said to be anywhere.
fn of_reddit(source: Arc<dyn Source>, settings: &Settings) -> Result<OpenedSource, Error> {
    Ok(OpenedSource {
        images: super::settings::image_size(settings),
        ..plain(source, &super::settings::fetch_of_reddit(settings))?
    })
}

fn plain(source: Arc<dyn Source>, fetch: &FetchSettings) -> Result<OpenedSource, Error> {
    let fetcher = Fetcher::new(fetch).map_err(no_client)?;
    Ok(OpenedSource {
        source,
        images: ImageSize::Original,
        routes: BTreeMap::new(),
        fetcher,
        truth: None,
    })
}

async fn sandbox(options: &str, settings: &Settings) -> Result<OpenedSource, Error> {
    let world = sandbox_settings(options)?;
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .map_err(unserved)?;
    let address: SocketAddr = listener.local_addr().map_err(unserved)?;
    let start = Timestamp::at_midnight(world.start);
    let state = Arc::new(
        SandboxState::new(world.clone(), start).with_images_at(&format!("http://{SANDBOX_IMAGES}")),
    );
    tokio::spawn(sandbox::serve(state, listener, std::future::pending()));
    let until = start + Duration::from_hours(24 * TRUTH_DAYS);
    let truth: HashMap<String, f64> = sandbox::truth(&world, until)
        .map(|post| (post.id, post.expected))
        .collect();
    let mut fetch = super::settings::fetch(settings);
    fetch.allow_addresses.push(address);
    let base = format!("http://{address}");
    let url = Url::parse(&base).map_err(|error| Error::Wrong(format!("`{base}`: {error}")))?;
    let access = Access {
        http: net::client_of(&url, &super::settings::net(settings)).map_err(no_client)?,
        endpoint: Endpoint::sandbox(&base),
        credentials: Credentials::sandbox(),
        ledger: Ledger::in_memory(),
        manners: Manners::default(),
        clock: Arc::new(SystemClock),
    };
    let source = RedditSource::new(access, world.to_string(), sandbox::communities())?;
    Ok(OpenedSource {
        source: Arc::new(source),
        images: ImageSize::Original,
        routes: BTreeMap::from([(SANDBOX_IMAGES.to_owned(), address)]),
        fetcher: Fetcher::new(&fetch).map_err(no_client)?,
        truth: Some(Arc::new(truth)),
    })
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to `map_err`")]
pub(super) fn no_client(error: net::Error) -> Error {
    Error::Unfit(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to `map_err`")]
fn unserved(error: std::io::Error) -> Error {
    Error::Unfit(format!("the sandbox cannot listen on loopback: {error}"))
}
