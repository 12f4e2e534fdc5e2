//! `[captioner.openai]`: the server that describes images for the captioner `openai`.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::{Secret, engine::at_least_one, reader::Reader, setting::Setting};

/// What describes images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captioner {
    /// `[captioner.openai]`: a server of the user's.
    pub openai: OpenAi,
}

/// A server that answers `/v1/chat/completions`, and what it is asked where a task does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAi {
    /// Its address, as in `http://127.0.0.1:8000`, with or without `/v1` at its end. Without one
    /// the captioner `openai` cannot be used.
    pub base_url: Option<ServerAddress>,
    /// The key that it wants, if it wants one. Sent to `base_url` alone.
    pub api_key: Option<Secret>,
    /// The model, as the server calls it.
    pub model: Option<String>,
    /// What the model is told to do with an image.
    pub prompt: String,
    /// The longest caption, in tokens. Default: 128.
    pub max_tokens: usize,
    /// The longer side of what is sent, in pixels; larger images are scaled down. Default: 1024.
    pub max_side: usize,
    /// How many images are asked about at once. Default: 4.
    pub concurrency: usize,
    /// How long one answer may take. Default: 60 s.
    pub request_timeout: Duration,
    /// How many requests a task may send in one run. Default: as many as it needs.
    pub budget: Option<u64>,
}

impl Captioner {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let at_least_one = |&count: &usize| at_least_one(count);
        Self {
            openai: OpenAi {
                base_url: reader.get("captioner.openai.base_url", None),
                api_key: reader.get("captioner.openai.api_key", None),
                model: reader.get("captioner.openai.model", None),
                prompt: reader.get(
                    "captioner.openai.prompt",
                    "Describe this image in one or two sentences.".to_owned(),
                ),
                max_tokens: reader.checked("captioner.openai.max_tokens", 128, at_least_one),
                max_side: reader.checked("captioner.openai.max_side", 1024, at_least_one),
                concurrency: reader.checked("captioner.openai.concurrency", 4, at_least_one),
                request_timeout: reader.checked(
                    "captioner.openai.request_timeout",
                    Duration::from_mins(1),
                    |limit| {
                        if limit.is_zero() {
                            return Err("write a time that an answer can take".to_owned());
                        }
                        Ok(())
                    },
                ),
                budget: reader.get("captioner.openai.budget", None),
            },
        }
    }
}

/// The address of a server of the user's, without a slash or `/v1` at its end.
///
/// It is shown and logged, so it holds no name, no key and no query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress(String);

impl ServerAddress {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for ServerAddress {
    const FORM: &'static str = "an address that begins with `http://` or `https://` and holds no \
                                name or key; a key belongs in `captioner.openai.api_key`";

    /// What is refused may hold a password.
    const SECRET: bool = true;

    fn from_text(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !is_plain {
            return None;
        }
        let text = url.as_str().trim_end_matches('/');
        let text = text.strip_suffix("/v1").unwrap_or(text);
        Some(Self(text.trim_end_matches('/').to_owned()))
    }

    fn show(&self) -> Value {
        Value::from(self.as_str())
    }
}
