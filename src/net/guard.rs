//! Which addresses an image may be fetched from.
//!
//! A URL that came with the data may point into the machine's own network, where a request can do
//! harm or fetch secrets. The guard looks at the parsed host (which catches `2130706433`, `0x7f.1`
//! and `[::ffff:127.0.0.1]`), at every address that a name resolves to (which catches names made
//! for it, and answers that change between two look-ups), and at every redirect again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

/// Which addresses are allowed besides public ones on the web's own ports.
#[derive(Clone, Debug, Default)]
pub(super) struct Guard {
    /// Addresses with ports that the user has allowed in so many words.
    pub(super) allowed: Vec<SocketAddr>,
    /// The only hosts that are asked besides these; none: all that are public.
    pub(super) hosts: Option<Vec<String>>,
}

/// An address that must not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` is not fetched: {reason}")]
pub(super) struct Blocked {
    url: String,
    reason: &'static str,
}

/// A host that is not among those which are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its host is not among those that are asked")]
pub(super) struct OtherHost;

impl Guard {
    /// Whether the host of `url`, which passed [`Guard::check`], is among those that are asked.
    pub(super) fn host(&self, url: &Url) -> Result<(), OtherHost> {
        let Some(hosts) = &self.hosts else {
            return Ok(());
        };
        let port = url.port_or_known_default().unwrap_or(0);
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        let is_allowed =
            address.is_some_and(|address| self.allowed.contains(&SocketAddr::new(address, port)));
        // The root's dot does not make it another host.
        let name = url.host_str().unwrap_or_default().trim_end_matches('.');
        if is_allowed || hosts.iter().any(|host| host.eq_ignore_ascii_case(name)) {
            Ok(())
        } else {
            Err(OtherHost)
        }
    }

    /// Whether `url` may be asked, as far as it can be told without resolving a name.
    pub(super) fn check(&self, url: &Url) -> Result<(), Blocked> {
        let blocked = |reason| {
            Err(Blocked {
                url: url.to_string(),
                reason,
            })
        };
        if !matches!(url.scheme(), "http" | "https") {
            return blocked("only http and https are");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return blocked("it carries a user name or a password");
        }
        let port = url.port_or_known_default().unwrap_or(0);
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return blocked("it has no host"),
        };
        if let Some(address) = address {
            if self.allowed.contains(&SocketAddr::new(address, port)) {
                return Ok(());
            }
            if !is_public(address) {
                return blocked(
                    "it is not a public address (`net.allow_addresses` makes exceptions)",
                );
            }
        }
        if matches!(port, 80 | 443) {
            Ok(())
        } else {
            blocked("only ports 80 and 443 are asked (`net.allow_addresses` makes exceptions)")
        }
    }
}

/// Whether `address` belongs to the public internet: not to this machine, a private network, a
/// test range, a multicast group, or an IPv6 form that hides one of these.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || a == 10
        || a == 127
        || (a == 100 && (64..128).contains(&b)) // shared by carriers
        || (a == 169 && b == 254) // link-local; the clouds' metadata services
        || (a == 172 && (16..32).contains(&b))
        || (a == 192 && b == 168)
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99) // 6to4 relays
        || (a == 198 && (b == 18 || b == 19)) // benchmarks
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113)
        || a >= 224) // multicast, reserved, broadcast
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Global unicast is 2000::/3; all else is loopback, private, link-local, multicast, or an
        // IPv4 address in disguise.
        // NAT64 and 6to4.
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
        }
        // Protocol assignments, Teredo among them, and documentation.
        [0x2001, ..0x0200 | 0x0db8, ..] | [0x3fff, ..0x1000, ..] => false,
        [first, ..] => (first & 0xe000) == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> Result<(), Blocked> {
        let guard = Guard {
            allowed: vec!["127.0.0.1:8123".parse().unwrap()],
            hosts: None,
        };
        guard.check(&Url::parse(url).unwrap())
    }

    #[test]
    fn refuses_every_disguise_of_this_machine_and_its_network() {
        for host in [
            "127.0.0.1",
            "2130706433",
            "0x7f.1",
            "127.1",
            "0177.0.0.1",
            "0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[fc00::1]",
            "[fe80::1]",
            "[ff02::1]",
            "[2001::1]",
            "10.0.0.1",
            "172.31.255.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
        ] {
            assert!(check(&format!("http://{host}/a.jpg")).is_err(), "{host}");
        }
    }

    #[test]
    fn refuses_what_is_no_plain_web_address() {
        for url in [
            "file:///etc/passwd",
            "ftp://example.org/a.jpg",
            "http://user@example.org/a.jpg",
            "http://:secret@example.org/a.jpg",
            "http://example.org:22/a.jpg",
            "http://127.0.0.1:8124/a.jpg",
            "data:image/png;base64,AAAA",
        ] {
            assert!(check(url).is_err(), "{url}");
        }
    }

    #[test]
    fn allows_the_web_and_what_is_allowed_by_name() {
        for url in [
            "https://example.org/a.jpg",
            "http://93.184.216.34/a.jpg",
            "https://[2606:2800:220:1::1]/a.jpg",
            "http://127.0.0.1:8123/a.jpg",
            "http://2130706433:8123/a.jpg",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn other_hosts_are_told_apart_by_their_whole_name() {
        let guard = Guard {
            allowed: vec!["127.0.0.1:8123".parse().unwrap()],
            hosts: Some(vec!["i.redd.it".to_owned(), "93.184.216.34".to_owned()]),
        };
        let host = |url: &str| guard.host(&Url::parse(url).unwrap());
        for url in [
            "https://i.redd.it/a.jpg",
            "http://I.REDD.IT./a.jpg",
            "http://93.184.216.34/a.jpg",
            "http://127.0.0.1:8123/a.jpg",
        ] {
            assert_eq!(host(url), Ok(()), "{url}");
        }
        for url in [
            "https://redd.it/a.jpg",
            "https://x.i.redd.it/a.jpg",
            "https://i.redd.it.example.org/a.jpg",
            "https://example.org/i.redd.it/a.jpg",
            "http://127.0.0.1:8124/a.jpg",
            "http://93.184.216.35/a.jpg",
        ] {
            assert_eq!(host(url), Err(OtherHost), "{url}");
        }
    }
}
