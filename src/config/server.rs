//! `[server]`: where the daemon listens and whom it answers.

use std::net::SocketAddr;

use super::{Secret, reader::Reader};

/// Where the daemon listens and whom it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it listens, as of the daemon's start. Default: `127.0.0.1:7878`.
    pub listen: SocketAddr,
    /// Whether callers on this machine need a token too. Commands of the user who runs the daemon
    /// prove themselves. Default: false.
    pub require_token: bool,
    /// A token that is good beside those of `trendmill tokens`: for containers, whose environment
    /// holds it. Default: none.
    pub token: Option<Secret>,
    /// Names by which callers may name this server beside its address and `localhost`. Default:
    /// none.
    pub hosts: Vec<String>,
}

impl Server {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            listen: reader.get("server.listen", SocketAddr::from(([127, 0, 0, 1], 7878))),
            require_token: reader.get("server.require_token", false),
            token: reader.checked("server.token", None, |token: &Option<Secret>| {
                match token.as_deref().map(str::len) {
                    Some(0..16) => Err("write at least 16 characters".to_owned()),
                    _ => Ok(()),
                }
            }),
            hosts: reader.get("server.hosts", Vec::new()),
        }
    }
}
