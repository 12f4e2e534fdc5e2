//! Where Reddit's API is, and who asks it.

use std::fmt;

use crate::sources::Error;

/// Where the API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where a token is asked for.
    pub token_url: String,
    /// What the paths of the API are appended to, without a slash at its end.
    pub api_url: String,
    /// Whether the server can be asked as of any moment, as a simulated one can.
    pub simulated_time: bool,
}

impl Endpoint {
    /// Reddit itself.
    pub fn reddit() -> Self {
        Self {
            token_url: "https://www.reddit.com/api/v1/access_token".to_owned(),
            api_url: "https://oauth.reddit.com".to_owned(),
            simulated_time: false,
        }
    }

    /// A simulated Reddit at `base` (`http://127.0.0.1:PORT`).
    pub fn sandbox(base: &str) -> Self {
        let base = base.trim_end_matches('/');
        Self {
            token_url: format!("{base}/api/v1/access_token"),
            api_url: base.to_owned(),
            simulated_time: true,
        }
    }
}

/// Who asks: an approved application.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub(super) client_id: String,
    pub(super) client_secret: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Credentials {
    /// Credentials as they stand in the settings.
    ///
    /// # Errors
    ///
    /// [`Error::Unfit`] names the settings that are missing.
    pub fn from_settings(
        client_id: Option<&str>,
        client_secret: Option<&str>,
    ) -> Result<Self, Error> {
        match (given(client_id), given(client_secret)) {
            (Some(id), Some(secret)) => Ok(Self {
                client_id: id.to_owned(),
                client_secret: secret.to_owned(),
            }),
            (id, secret) => {
                let missing: Vec<&str> = [
                    ("`reddit.client_id`", id),
                    ("`reddit.client_secret`", secret),
                ]
                .into_iter()
                .filter_map(|(name, value)| value.is_none().then_some(name))
                .collect();
                Err(Error::Unfit(format!(
                    "the live API needs an approved application, and {} {} not set; give them in \
                     `trendmill.toml` or as `TRENDMILL_REDDIT__CLIENT_ID` and \
                     `TRENDMILL_REDDIT__CLIENT_SECRET`, or use `--source sandbox`",
                    missing.join(" and "),
                    if missing.len() == 1 { "is" } else { "are" },
                )))
            }
        }
    }

    /// What a simulated Reddit takes.
    pub fn sandbox() -> Self {
        Self {
            client_id: "sandbox".to_owned(),
            client_secret: "sandbox".to_owned(),
        }
    }
}

/// A setting that says something.
fn given(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|value| !value.is_empty())
}
