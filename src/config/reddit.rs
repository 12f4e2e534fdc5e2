//! `[reddit]`: who asks Reddit.

use std::path::PathBuf;

use serde_json::Value;

use super::{Secret, reader::Reader, setting::Setting};

/// How listings and accounts are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// In our own way.
    #[default]
    Own,
    /// By the crate `roux`: fewer fields (nothing of galleries, subscribers and the author's number),
    /// no sight of the server's count of calls, and a call for each author, where our own way reads
    /// a hundred.
    Roux,
}

impl Setting for Transport {
    const FORM: &'static str = "`own` or `roux`";

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "own" => Some(Self::Own),
            "roux" => Some(Self::Roux),
            _ => None,
        }
    }

    fn show(&self) -> Value {
        Value::from(match self {
            Self::Own => "own",
            Self::Roux => "roux",
        })
    }
}

/// Who asks Reddit. Without an id and a secret the live source cannot be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reddit {
    /// The id of the registered application.
    pub client_id: Option<String>,
    /// Its secret.
    pub client_secret: Option<Secret>,
    /// The account that asks, where it is not the application itself.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// The lasting token to which an account has agreed; it goes before name and password.
    pub refresh_token: Option<Secret>,
    /// The user agent that Reddit is told, `PLATFORM:APP:VERSION (by /u/ACCOUNT)`; by default one
    /// made of this version and `reddit.username`.
    pub user_agent: Option<String>,
    /// Where tokens are asked for, in place of Reddit's own `https://www.reddit.com`.
    pub reddit_url: Option<String>,
    /// Where the API is, in place of Reddit's own `https://oauth.reddit.com`.
    pub oauth_url: Option<String>,
    /// How listings are asked for. Default: `own`.
    pub transport: Transport,
    /// The most calls in ten minutes, where Reddit grants more. Default: what Reddit grants.
    pub calls_per_window: Option<u64>,
    /// Where the budgets of applications are kept. Homes that ask as one application share one
    /// folder. Default: `data/budgets` in the home.
    pub budget_dir: Option<PathBuf>,
    /// In one's own words: the permission by which models are trained on what the API gives.
    /// Reddit's terms do not grant it by themselves.
    pub permission: Option<String>,
}

impl Reddit {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            client_id: reader.get("reddit.client_id", None),
            client_secret: reader.get("reddit.client_secret", None),
            username: reader.get("reddit.username", None),
            password: reader.get("reddit.password", None),
            refresh_token: reader.get("reddit.refresh_token", None),
            user_agent: reader.get("reddit.user_agent", None),
            reddit_url: reader.get("reddit.reddit_url", None),
            oauth_url: reader.get("reddit.oauth_url", None),
            transport: reader.get("reddit.transport", Transport::default()),
            calls_per_window: reader.checked(
                "reddit.calls_per_window",
                None,
                |calls| match calls {
                    Some(0) => {
                        Err("write at least 1: with none nothing could ever be asked".to_owned())
                    }
                    _ => Ok(()),
                },
            ),
            budget_dir: reader.get("reddit.budget_dir", None),
            permission: reader.get("reddit.permission", None),
        }
    }
}
