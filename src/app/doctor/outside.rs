//! What work needs from outside the home: a device, weights, credentials.

use std::collections::BTreeSet;

use super::Check;
use crate::{
    app::{App, Worker, weights, worker},
    config::document,
    encoders::{self, openai, weights as files},
    pipelines::{self, Decided, Definition},
};

/// What can compute here, with which numbers; what cannot, and why, `encoders list` tells.
pub(super) async fn list_devices() -> Check {
    let (here, absent): (Vec<_>, Vec<_>) = worker::devices()
        .await
        .into_iter()
        .partition(|support| support.usable);
    let here: Vec<String> = here
        .iter()
        .map(|support| format!("{} ({})", support.device, support.device.precision()))
        .collect();
    let absent: Vec<String> = absent.iter().map(|s| s.device.to_string()).collect();
    let (here, absent) = (here.join(", "), absent.join(", "));
    let absent = match absent.as_str() {
        "" => String::new(),
        absent => format!("; not here (encoders list says why): {absent}"),
    };
    Check::ok("devices", here + &absent)
}

impl App {
    /// Whether the device of the settings is there.
    pub(super) async fn check_device(&self) -> Check {
        let device = self.environment().device;
        let found = match Worker::for_device(device) {
            Ok(Some(worker)) => worker
                .probe(device)
                .await
                .map_err(|error| error.to_string()),
            Ok(None) => match device.open() {
                Ok(_) => Ok(()),
                Err(error) => Err(encoders::Error::from(error).to_string()),
            },
            Err(error) => Err(error.to_string()),
        };
        match found {
            Ok(()) => Check::ok("device", device.to_string()),
            Err(message) => Check::fault(
                "device",
                message,
                "trendmill encoders list shows what is there; set encoders.device",
            ),
        }
    }

    /// Whether the pipelines can be read, and have the weights and the credentials that they name.
    pub(super) fn check_pipelines(&self, decided: &Decided) -> Vec<Check> {
        let mut checks = Vec::new();
        let mut definitions = Vec::new();
        match pipelines::files(self.home()) {
            Ok(files) => {
                for file in files {
                    match pipelines::load(&file) {
                        Ok(mut definition) => {
                            definition.apply(decided);
                            definitions.push(definition);
                        }
                        Err(error) => checks.push(Check::fault(
                            "pipelines",
                            format!("`{}` is wrong: {error}", file.shown.display()),
                            "trendmill pipelines check",
                        )),
                    }
                }
            }
            Err(error) => checks.push(Check::fault(
                "pipelines",
                error.to_string(),
                "trendmill pipelines check",
            )),
        }
        if checks.is_empty() {
            let names: Vec<&str> = definitions
                .iter()
                .map(|found| found.name.as_str())
                .collect();
            checks.push(Check::ok("pipelines", names.join(", ")));
        }
        checks.extend(self.check_weights(&definitions));
        checks.push(self.check_credentials(&definitions));
        checks
    }

    /// Whether the server that writes captions answers, where a pipeline uses it.
    pub(super) async fn check_captioner(&self) -> Option<Check> {
        let files = pipelines::files(self.home()).unwrap_or_default();
        let mut definitions = files.iter().filter_map(|file| pipelines::load(file).ok());
        if !definitions.any(|definition| is_served(&definition)) {
            return None;
        }
        let environment = self.environment();
        let server = match environment.caption_server.server() {
            Ok(server) => server,
            Err(error) => {
                return Some(Check::fault(
                    "captioner",
                    error.to_string(),
                    "set it in trendmill.toml",
                ));
            }
        };
        Some(match openai::look(server).await {
            Ok(()) => Check::ok("captioner", server.base_url.clone()),
            Err(message) => Check::warning(
                "captioner",
                message,
                "start the server, or set captioner.openai.base_url and captioner.openai.api_key",
            ),
        })
    }

    /// Encoders that a profile names and whose files are not here are fetched by the first run.
    fn check_weights(&self, definitions: &[Definition]) -> Vec<Check> {
        let named: BTreeSet<&str> = definitions
            .iter()
            .filter_map(|definition| {
                let used = definition.profile.as_deref();
                let mut profiles = definition.profiles.iter();
                profiles.find(|profile| Some(profile.name.as_str()) == used)
            })
            .flat_map(|profile| [&profile.text, &profile.image, &profile.visual])
            .map(String::as_str)
            .collect();
        let settings = weights(self.settings());
        let in_directories = named
            .iter()
            .filter(|name| **name != "none" && files::catalogue::find(name).is_none())
            .map(|name| match self.environment().fingerprint(name) {
                Ok(_) => Check::ok("weights", (*name).to_owned()),
                Err(error) => {
                    Check::fault("weights", error.to_string(), "trendmill pipelines check")
                }
            });
        let of_catalogue = named
            .iter()
            .filter_map(|name| files::catalogue::find(name))
            .map(|entry| match files::cached(entry, &settings) {
                Ok(Some(_)) => Check::ok("weights", entry.name.clone()),
                Ok(None) if settings.offline => Check::fault(
                    "weights",
                    format!("{} is not here, and encoders.offline is set", entry.name),
                    format!(
                        "TRENDMILL_ENCODERS__OFFLINE=0 trendmill encoders pull {}",
                        entry.name
                    ),
                ),
                Ok(None) => Check::warning(
                    "weights",
                    format!("{} is not here; the first run fetches it", entry.name),
                    format!("trendmill encoders pull {}", entry.name),
                ),
                Err(error) => Check::fault(
                    "weights",
                    error.to_string(),
                    format!("trendmill encoders pull {}", entry.name),
                ),
            });
        of_catalogue.chain(in_directories).collect()
    }

    /// A scheduled pipeline that reads the live source needs credentials.
    fn check_credentials(&self, definitions: &[Definition]) -> Check {
        let live: Vec<&str> = definitions
            .iter()
            .filter(|definition| !definition.schedules.is_empty())
            .filter(|definition| {
                definition
                    .params
                    .iter()
                    .any(|param| param.name == "source" && param.default.as_str() == Some("reddit"))
            })
            .map(|definition| definition.name.as_str())
            .collect();
        let reddit = &self.settings().reddit;
        match (&reddit.client_id, &reddit.client_secret) {
            (Some(_), Some(_)) if reddit.username.is_none() && reddit.user_agent.is_none() => {
                Check::warning(
                    "credentials",
                    "of the live source are set, but Reddit refuses who does not say who asks",
                    "set reddit.username in trendmill.toml to the account of the application",
                )
            }
            (Some(_), Some(_)) => Check::ok("credentials", "of the live source are set"),
            _ if live.is_empty() => {
                Check::ok("credentials", "no scheduled pipeline reads a live source")
            }
            _ => Check::warning(
                "credentials",
                format!(
                    "the schedule of {} reads the live source, which has no credentials",
                    live.join(", ")
                ),
                "set reddit.client_id and reddit.client_secret in trendmill.toml, or pause it: \
                 trendmill pipelines pause NAME",
            ),
        }
    }
}

/// Whether a pipeline has its captions from a server.
fn is_served(definition: &Definition) -> bool {
    let used = definition.profile.as_deref();
    let mut profiles = definition.profiles.iter();
    let profile = profiles.find(|profile| Some(profile.name.as_str()) == used);
    let names = |task: &pipelines::Task| {
        let captioner = document::find(&task.settings, "captioner");
        captioner.and_then(|entry| entry.value.as_text()) == Some(openai::NAME)
    };
    profile.is_some_and(|profile| profile.caption == openai::NAME)
        || definition.tasks.iter().any(names)
}
