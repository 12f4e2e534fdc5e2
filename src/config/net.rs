//! `[net]`: how other machines are asked.

use std::{net::SocketAddr, time::Duration};

use super::{engine::at_least_one, reader::Reader};

/// How other machines are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Net {
    /// Who runs this installation, for the user agent: an address or a URL that the operator of
    /// a server can turn to.
    pub contact: String,
    /// Addresses that may be asked for images although they are not public, by number and port.
    /// Default: none.
    pub allow_addresses: Vec<SocketAddr>,
    /// The largest body of an image, in bytes. Default: 25 MB.
    pub max_bytes: u64,
    /// The limit for reaching a server. Default: 5 s.
    pub connect_timeout: Duration,
    /// The limit for a silence within an answer. Default: 15 s.
    pub idle_timeout: Duration,
    /// The limit for a whole answer. Default: 60 s.
    pub total_timeout: Duration,
    /// How many redirects are followed. Default: 3.
    pub redirects: usize,
    /// How many fetches are under way at once. Default: 64.
    pub concurrency: usize,
    /// How many fetches ask one host at once. Default: 8.
    pub per_host: usize,
    /// Whether images are fetched by the proxy of the environment. Default: false.
    pub use_proxy: bool,
}

impl Net {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            contact: reader.get("net.contact", "no contact given".to_owned()),
            allow_addresses: reader.get("net.allow_addresses", Vec::new()),
            max_bytes: reader.get("net.max_bytes", 25_000_000),
            connect_timeout: reader.get("net.connect_timeout", Duration::from_secs(5)),
            idle_timeout: reader.get("net.idle_timeout", Duration::from_secs(15)),
            total_timeout: reader.get("net.total_timeout", Duration::from_mins(1)),
            redirects: reader.get("net.redirects", 3),
            concurrency: reader.checked("net.concurrency", 64, |&count| at_least_one(count)),
            per_host: reader.checked("net.per_host", 8, |&count| at_least_one(count)),
            use_proxy: reader.get("net.use_proxy", false),
        }
    }
}
