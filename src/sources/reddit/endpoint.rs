//! Where Reddit's API is, and who asks it.

use std::fmt;

use url::Url;

use crate::{net, sources::Error};

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

    /// A server that speaks as Reddit does; `None` for Reddit itself.
    ///
    /// # Errors
    ///
    /// [`Error::Wrong`] where an address is none, or would send a secret over a network without
    /// encryption.
    pub fn at(reddit_url: Option<&str>, oauth_url: Option<&str>) -> Result<Self, Error> {
        let mut endpoint = Self::reddit();
        if let Some(base) = reddit_url {
            let base = checked("reddit.reddit_url", base)?;
            endpoint.token_url = format!("{base}/api/v1/access_token");
        }
        if let Some(base) = oauth_url {
            endpoint.api_url = checked("reddit.oauth_url", base)?;
        }
        Ok(endpoint)
    }

    /// Whether the API is on this machine: it is no Reddit then.
    pub fn is_here(&self) -> bool {
        Url::parse(&self.api_url).is_ok_and(|url| net::is_here(&url))
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

/// A base address to which a secret may be sent.
fn checked(setting: &str, base: &str) -> Result<String, Error> {
    let wrong = |what: &str| {
        Error::Wrong(format!(
            "`{setting}` is `{base}`, {what}; give one as `https://HOST`, or as \
             `http://127.0.0.1:PORT` for a server on this machine"
        ))
    };
    let url = Url::parse(base).map_err(|_| wrong("which is no URL"))?;
    if url.scheme() != "https" && !(url.scheme() == "http" && net::is_here(&url)) {
        return Err(wrong("which would send the secret in the clear"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("which holds a name or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("which ends in more than a path"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// How a token is asked for.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Grant {
    /// By the application alone.
    #[default]
    Application,
    /// By an account's name and password.
    Password {
        /// The account.
        username: String,
        /// Its password.
        password: String,
    },
    /// By what an account has once agreed to.
    Refresh {
        /// The lasting token.
        token: String,
    },
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Application => "Application",
            Self::Password { .. } => "Password",
            Self::Refresh { .. } => "Refresh",
        })
    }
}

/// Who asks: an approved application.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) grant: Grant,
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
                grant: Grant::Application,
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

    /// The same, for an account: by the lasting token where there is one, else by name and
    /// password where both are given.
    ///
    /// # Errors
    ///
    /// [`Error::Unfit`] where there is a password without a name.
    pub fn for_account(
        mut self,
        username: Option<&str>,
        password: Option<&str>,
        refresh_token: Option<&str>,
    ) -> Result<Self, Error> {
        self.grant = match (given(username), given(password), given(refresh_token)) {
            (_, _, Some(token)) => Grant::Refresh {
                token: token.to_owned(),
            },
            (Some(username), Some(password), None) => Grant::Password {
                username: username.to_owned(),
                password: password.to_owned(),
            },
            (None, Some(_), None) => {
                return Err(Error::Unfit(
                    "`reddit.password` is set and `reddit.username` is not; set both, or neither"
                        .to_owned(),
                ));
            }
            // A name alone says in the user agent who asks.
            (_, None, None) => Grant::Application,
        };
        Ok(self)
    }

    /// The id of the application, to which the budget belongs.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// What a simulated Reddit takes.
    pub fn sandbox() -> Self {
        Self {
            client_id: "sandbox".to_owned(),
            client_secret: "sandbox".to_owned(),
            grant: Grant::Application,
        }
    }
}

/// A setting that says something.
fn given(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_settings_that_are_missing() {
        let error = Credentials::from_settings(None, Some("x")).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, Error::Unfit(_)));
        assert!(
            message.contains("`reddit.client_id` is not set"),
            "{message}"
        );
        let message = Credentials::from_settings(Some(" "), None)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("`reddit.client_secret` are not set"),
            "{message}"
        );
    }

    #[test]
    fn keeps_its_secret_to_itself() {
        let credentials = Credentials::from_settings(Some("name"), Some("word"))
            .and_then(|found| found.for_account(Some("me"), Some("pass"), None))
            .unwrap();
        let shown = format!("{credentials:?}");
        assert!(
            !["word", "name", "pass"]
                .iter()
                .any(|word| shown.contains(word))
        );
    }

    #[test]
    fn the_settings_choose_the_grant() {
        let grant = |name, password, token| {
            Credentials::sandbox()
                .for_account(name, password, token)
                .map(|credentials| credentials.grant)
        };
        assert!(grant(Some("me"), None, None).unwrap() == Grant::Application);
        let password = grant(Some("me"), Some("word"), None).unwrap();
        assert!(matches!(password, Grant::Password { .. }));
        let refresh = grant(Some("me"), Some("word"), Some("lasting")).unwrap();
        assert!(matches!(refresh, Grant::Refresh { .. }));
        assert!(grant(None, Some("word"), None).is_err());
    }

    #[test]
    fn a_secret_goes_in_the_clear_to_this_machine_only() {
        let at = |base| Endpoint::at(Some(base), Some(base));
        let found = at("http://127.0.0.1:8080/").unwrap();
        assert_eq!(found.token_url, "http://127.0.0.1:8080/api/v1/access_token");
        assert_eq!(found.api_url, "http://127.0.0.1:8080");
        assert!(at("http://localhost:1").is_ok() && at("http://[::1]:1").is_ok());
        assert!(at("https://reddit.example/base").is_ok());
        for wrong in [
            "http://reddit.example",
            "http://127.0.0.1.example",
            "http://localhost.example",
            "ftp://127.0.0.1",
            "https://a:b@reddit.example",
            "https://reddit.example?x",
            "reddit",
        ] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Endpoint::at(None, None).unwrap(), Endpoint::reddit());
    }
}
