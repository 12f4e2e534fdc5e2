//! Who writes the captions, from a task's settings or from the manifest of a model.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::{Environment, settings, shard::Part};
use crate::{
    corpus::Fingerprint,
    encoders::{
        self, Kind,
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
}

/// Who writes captions: what makes them the same again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// A tagger, by its name.
    Tagger(String),
    /// The server of the settings, asked this.
    Server(Question),
}

impl Settings {
    pub(super) fn read(found: &Map<String, Value>) -> Result<Self, SettingsError> {
        settings::parse(found)
    }

    /// Who writes the captions; nobody where the task says `none`.
    pub(super) fn choice(
        &self,
        environment: &Environment,
    ) -> Result<Option<Choice>, SettingsError> {
        let of_server = [
            ("model", self.model.is_some()),
            ("prompt", self.prompt.is_some()),
            ("max_tokens", self.max_tokens.is_some()),
            ("concurrency", self.concurrency.is_some()),
            ("request_timeout", self.request_timeout.is_some()),
            ("budget", self.budget.is_some()),
        ];
        if self.captioner == "none" {
            return Ok(None);
        }
        if self.captioner != openai::NAME {
            let choice = Choice::tagger(&self.captioner)
                .map_err(|error| settings::wrong("captioner", error.to_string(), None))?;
            return match of_server.iter().find(|(_, given)| *given) {
                Some((key, _)) => Err(settings::wrong(
                    key,
                    format!("`{key}` is not for `{}`", self.captioner),
                    "it is for the captioner `openai`".to_owned(),
                )),
                None => Ok(Some(choice)),
            };
        }
        for (key, count) in [
            ("max_tokens", self.max_tokens),
            ("concurrency", self.concurrency),
        ] {
            if count == Some(0) {
                return Err(settings::wrong(
                    key,
                    format!("`{key}` must be at least 1"),
                    None,
                ));
            }
        }
        self.manners(environment)?;
        let unset = |error: encoders::Error| settings::wrong("captioner", error.to_string(), None);
        environment.caption_server.server().map_err(unset)?;
        let question = environment.caption_server.question(
            self.model.clone(),
            self.prompt.clone(),
            self.max_tokens,
        );
        Ok(Some(Choice::Server(question.map_err(unset)?)))
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
            "{}, `{}`",
            catalogue::names(Some(Kind::Tagger)),
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
        if name != openai::NAME {
            return Self::tagger(name);
        }
        serde_json::from_value(Value::Object(settings.clone()))
            .map(Self::Server)
            .map_err(|error| {
                encoders::Error::Server(format!(
                    "the manifest does not say what was asked: {error}"
                ))
            })
    }

    /// What makes its captions comparable.
    ///
    /// # Errors
    ///
    /// Where it is not known.
    pub(crate) fn fingerprint(&self) -> Result<Fingerprint, encoders::Error> {
        match self {
            Self::Tagger(name) => encoders::fingerprint(name),
            Self::Server(question) => Ok(question.fingerprint()),
        }
    }

    /// What [`Choice::filed`] needs beside the name.
    pub(super) fn settings(&self) -> Map<String, Value> {
        match self {
            Self::Tagger(_) => Map::new(),
            Self::Server(question) => match json!(question) {
                Value::Object(settings) => settings,
                _ => Map::new(),
            },
        }
    }
}
