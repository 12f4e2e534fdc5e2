//! Who writes the captions, from a task's settings or from the manifest of a model.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    super::{Environment, device, settings, shard::Part},
    written::Writing,
};
use crate::{
    corpus::Fingerprint,
    encoders::{
        self, CaptionOptions, DeviceSpec, Kind,
        openai::{self, Question},
        weights::catalogue,
    },
    engine::SettingsError,
};

/// A `caption` task's settings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The captioner's name; `none` skips the task.
    pub(super) captioner: String,
    /// The task that embeds the images, whose vectors a tagger reads.
    #[serde(default)]
    pub(super) from: Option<String>,
    /// The part of the records, where the task is mapped.
    #[serde(default)]
    pub(super) shard: Option<Part>,
    /// Tasks below that read the same images, where a checkpoint reads them.
    #[serde(default)]
    pub(super) share: Vec<String>,
    /// The model, as the server calls it.
    #[serde(default)]
    model: Option<String>,
    /// What the model is told to do.
    #[serde(default)]
    prompt: Option<String>,
    /// The longest caption, in tokens.
    #[serde(default)]
    max_tokens: Option<usize>,
    /// How many images the server is asked about at once.
    #[serde(default)]
    pub(super) concurrency: Option<usize>,
    /// How long one answer may take.
    #[serde(default)]
    pub(super) request_timeout: Option<String>,
    /// How many requests may be sent in one run.
    #[serde(default)]
    pub(super) budget: Option<u64>,
    /// The rows that compete where a checkpoint writes.
    #[serde(default)]
    beams: Option<usize>,
    /// Where a checkpoint computes, if not where the home says.
    #[serde(skip)]
    device: Option<DeviceSpec>,
}

/// The settings that the server has.
const OF_SERVER: [&str; 6] = [
    "model",
    "prompt",
    "max_tokens",
    "concurrency",
    "request_timeout",
    "budget",
];
/// The settings that a checkpoint has.
const OF_CHECKPOINT: [&str; 4] = ["prompt", "max_tokens", "beams", "device"];

/// Who writes captions: what makes them the same again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// A tagger, by its name.
    Tagger(String),
    /// The server of the settings, asked this.
    Server(Question),
    /// A checkpoint, by its name or in a directory.
    Checkpoint(Writing),
}

/// Whether the captioner of a task's settings computes on a device.
pub(in super::super) fn computes(settings: &Map<String, Value>) -> bool {
    let name = settings.get("captioner").and_then(Value::as_str);
    name.is_some_and(|name| name != "none" && is_checkpoint(name))
}

/// Whether a captioner is a checkpoint that reads images: one of the catalogue, or in a directory.
fn is_checkpoint(name: &str) -> bool {
    let named = catalogue::find(name);
    name != openai::NAME && named.is_none_or(|entry| entry.kind == Kind::Captioner)
}

impl Settings {
    pub(super) fn read(found: &Map<String, Value>) -> Result<Self, SettingsError> {
        let (device, rest) = device::split(found)?;
        let settings: Self = settings::parse(&rest)?;
        Ok(Self { device, ..settings })
    }

    /// Where a checkpoint computes.
    pub(super) fn device(&self, environment: &Environment) -> DeviceSpec {
        self.device.unwrap_or(environment.device)
    }

    /// Who writes the captions; nobody where the task says `none`.
    pub(super) fn choice(
        &self,
        environment: &Environment,
    ) -> Result<Option<Choice>, SettingsError> {
        let wrong = |error: encoders::Error| settings::wrong("captioner", error.to_string(), None);
        let name = self.captioner.as_str();
        Ok(Some(if name == "none" {
            return Ok(None);
        } else if name == openai::NAME {
            self.refuse_all_but(
                &OF_SERVER,
                &[
                    ("max_tokens", self.max_tokens),
                    ("concurrency", self.concurrency),
                ],
            )?;
            self.manners(environment)?;
            environment.caption_server.server().map_err(wrong)?;
            let (model, prompt) = (self.model.clone(), self.prompt.clone());
            let asked = environment
                .caption_server
                .question(model, prompt, self.max_tokens);
            Choice::Server(asked.map_err(wrong)?)
        } else if is_checkpoint(name) {
            self.refuse_all_but(
                &OF_CHECKPOINT,
                &[("max_tokens", self.max_tokens), ("beams", self.beams)],
            )?;
            let writing = Writing {
                name: name.to_owned(),
                options: CaptionOptions {
                    prompt: self.prompt.clone(),
                    max_tokens: self.max_tokens,
                    beams: self.beams,
                },
            };
            writing.look(environment).map_err(wrong)?;
            Choice::Checkpoint(writing)
        } else {
            self.refuse_all_but(&[], &[])?;
            Choice::tagger(name).map_err(wrong)?
        }))
    }

    /// Refuses settings that are for other captioners, and counts of nothing.
    fn refuse_all_but(
        &self,
        known: &[&str],
        counts: &[(&str, Option<usize>)],
    ) -> Result<(), SettingsError> {
        let given = [
            ("model", self.model.is_some()),
            ("prompt", self.prompt.is_some()),
            ("max_tokens", self.max_tokens.is_some()),
            ("concurrency", self.concurrency.is_some()),
            ("request_timeout", self.request_timeout.is_some()),
            ("budget", self.budget.is_some()),
            ("beams", self.beams.is_some()),
            ("device", self.device.is_some()),
        ];
        let foreign = |(key, given): &&(&str, bool)| *given && !known.contains(key);
        if let Some((key, _)) = given.iter().find(foreign) {
            let message = format!("`{key}` is not for the captioner `{}`", self.captioner);
            let server = OF_SERVER.contains(key).then_some("`openai`");
            let checkpoint = OF_CHECKPOINT.contains(key).then_some("checkpoints");
            let whose: Vec<&str> = server.into_iter().chain(checkpoint).collect();
            let hint = format!("it is for {}", whose.join(" and "));
            return Err(settings::wrong(key, message, hint));
        }
        match counts.iter().find(|(_, count)| *count == Some(0)) {
            Some((key, _)) => Err(settings::wrong(
                key,
                format!("`{key}` must be at least 1"),
                None,
            )),
            None => Ok(()),
        }
    }

    /// How the server is treated.
    pub(super) fn manners(
        &self,
        environment: &Environment,
    ) -> Result<openai::Manners, SettingsError> {
        let usual = &environment.caption_server.manners;
        let request_timeout = match self.request_timeout.as_deref() {
            None => usual.request_timeout,
            Some(text) => settings::length("request_timeout", text)?,
        };
        if request_timeout.is_zero() {
            let message = "no answer takes no time";
            return Err(settings::wrong("request_timeout", message, None));
        }
        Ok(openai::Manners {
            concurrency: self.concurrency.unwrap_or(usual.concurrency),
            request_timeout,
            ..usual.clone()
        })
    }
}

impl Choice {
    fn tagger(name: &str) -> Result<Self, encoders::Error> {
        let known = format!(
            "{}, {}, `{}`",
            catalogue::names(Some(Kind::Tagger)),
            catalogue::names(Some(Kind::Captioner)),
            openai::NAME
        );
        match catalogue::find(name) {
            Some(entry) if entry.kind == Kind::Tagger => Ok(Self::Tagger(name.to_owned())),
            Some(entry) => Err(encoders::Error::WrongKind {
                name: name.to_owned(),
                found: entry.kind.with_article(),
                wanted: Kind::Tagger.with_article(),
                known,
            }),
            None => Err(encoders::Error::Unknown {
                name: name.to_owned(),
                known,
            }),
        }
    }

    /// The captioner that a manifest names, with the settings that it was filed with.
    ///
    /// # Errors
    ///
    /// Where this release has no such captioner, or the settings are not its own.
    pub(crate) fn filed(
        name: &str,
        settings: &Map<String, Value>,
    ) -> Result<Self, encoders::Error> {
        let filed = Value::Object(settings.clone());
        let unsaid = |error: serde_json::Error| {
            encoders::Error::Caption(format!("the manifest does not say how it wrote: {error}"))
        };
        if name == openai::NAME {
            serde_json::from_value(filed)
                .map(Self::Server)
                .map_err(unsaid)
        } else if is_checkpoint(name) {
            let name = name.to_owned();
            let options = serde_json::from_value(filed).map_err(unsaid)?;
            Ok(Self::Checkpoint(Writing { name, options }))
        } else {
            Self::tagger(name)
        }
    }

    /// What makes its captions comparable, where a checkpoint computes on `device`. Blocks while it
    /// reads a checkpoint's files.
    ///
    /// # Errors
    ///
    /// Where it is not there.
    pub(crate) fn fingerprint(
        &self,
        environment: &Environment,
        device: DeviceSpec,
    ) -> Result<Fingerprint, encoders::Error> {
        match self {
            Self::Tagger(name) => encoders::fingerprint(name),
            Self::Server(question) => Ok(question.fingerprint()),
            Self::Checkpoint(writing) => writing.fingerprint(environment, device),
        }
    }

    /// The environment's device, where a checkpoint computes as the captioner did that said `wrote`
    /// of itself; `None` where that was another one. Blocks as [`Self::fingerprint`] does.
    ///
    /// # Errors
    ///
    /// Where it is not there.
    pub(crate) fn device_as(
        &self,
        environment: &Environment,
        wrote: Fingerprint,
    ) -> Result<Option<DeviceSpec>, encoders::Error> {
        if let Self::Checkpoint(writing) = self {
            return writing.device_as(environment, wrote);
        }
        let device = environment.device;
        let is_same = self.fingerprint(environment, device)? == wrote;
        Ok(is_same.then_some(device))
    }

    /// What [`Choice::filed`] needs beside the name.
    pub(super) fn settings(&self) -> Map<String, Value> {
        let settings = match self {
            Self::Tagger(_) => Value::Null,
            Self::Server(question) => json!(question),
            Self::Checkpoint(writing) => json!(writing.options),
        };
        match settings {
            Value::Object(settings) => settings,
            _ => Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_back(choice: &Choice, name: &str) {
        assert_eq!(&Choice::filed(name, &choice.settings()).unwrap(), choice);
    }

    #[test]
    fn a_manifest_says_who_wrote() {
        is_back(&Choice::Tagger("imagenet-tags".to_owned()), "imagenet-tags");
        let question = Question {
            model: "m".to_owned(),
            prompt: "p".to_owned(),
            max_tokens: 9,
            max_side: 99,
        };
        is_back(&Choice::Server(question), "openai");
        let options = CaptionOptions {
            prompt: Some("a".to_owned()),
            max_tokens: None,
            beams: Some(3),
        };
        for name in ["weights/blip", "blip-base"] {
            let writing = Writing {
                name: name.to_owned(),
                options: options.clone(),
            };
            is_back(&Choice::Checkpoint(writing), name);
        }
        assert!(Choice::filed("openai", &Map::new()).is_err());
        assert!(Choice::filed("efficientnet-lite0", &Map::new()).is_err());
    }
}
