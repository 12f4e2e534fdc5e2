//! `[reddit]`: who asks Reddit.

use super::{Secret, reader::Reader};

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
    /// The user agent that Reddit is told; by default one made of the version and `net.contact`.
    pub user_agent: Option<String>,
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
            user_agent: reader.get("reddit.user_agent", None),
            permission: reader.get("reddit.permission", None),
        }
    }
}
