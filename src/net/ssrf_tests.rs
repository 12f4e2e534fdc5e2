//! The table of ways in: every row is refused as an address, by a redirect, and behind a name.

use std::net::IpAddr;

use axum::{Router, extract::Path, http::header::LOCATION, routing::get};
use tokio::net::TcpListener;

use super::*;

/// Hosts that are this machine or its network, in every notation that clients take for one.
const INSIDE: &[&str] = &[
    // This machine: decimal, hexadecimal, octal, short, in IPv6, and "any".
    "127.0.0.1",
    "127.8.9.10",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "127.1",
    "127.0.0.1.",
    "0",
    "0.0.0.0",
    "0.1.2.3",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    // IPv4 within IPv6: mapped, compatible, NAT64, 6to4.
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:10.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:7f00:1::]",
    "[2002:c0a8:101::1]",
    // Private networks, those of carriers, link-local with the clouds' metadata services.
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.255",
    "169.254.169.254",
    "0xa9fea9fe",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[fe80::1]",
    // Benchmarks, documentation, protocol assignments, relays, multicast, reserved, broadcast.
    "198.18.0.1",
    "198.19.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "192.88.99.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "[ff02::1]",
    "[2001::1]",
    "[2001:db8::1]",
    "[3fff::1]",
];

/// URLs that are refused for what is before or behind the host.
const ODD: &[&str] = &[
    "http://user@example.org/a.jpg",
    "http://:secret@example.org/a.jpg",
    "http://example.org@127.0.0.1/a.jpg",
    "http://127.0.0.1@example.org/a.jpg",
    "http://example.org:22/a.jpg",
    "http://example.org:8080/a.jpg",
    "https://example.org:25/a.jpg",
    "http://93.184.216.34:6379/a.jpg",
];

/// A server that redirects to whatever its path says, and its address.
async fn redirector() -> SocketAddr {
    let app = Router::new().route(
        "/to/{*url}",
        get(|Path(url): Path<String>| async move { (StatusCode::FOUND, [(LOCATION, url)]) }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// The address that a host of the table is.
fn address(host: &str) -> IpAddr {
    match Url::parse(&format!("http://{host}/")).unwrap().host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        other => panic!("`{host}` is no address but {other:?}"),
    }
}

#[tokio::test]
async fn no_row_of_the_table_is_a_way_in() {
    let server = redirector().await;
    let lookup = |name: &str| {
        let row = name
            .strip_prefix("row")
            .and_then(|name| name.split('.').next());
        let row: usize = row
            .and_then(|row| row.parse().ok())
            .expect("a name of the table");
        Ok(vec![address(INSIDE[row])])
    };
    let settings = FetchSettings {
        allow_addresses: vec![server],
        ..FetchSettings::default()
    };
    let book = HostBook::with_lookup(8, Arc::new(lookup));
    let fetcher = Fetcher::with_book(&settings, book).unwrap();
    let mut targets: Vec<String> = ODD.iter().map(|&url| url.to_owned()).collect();
    for (row, host) in INSIDE.iter().enumerate() {
        targets.push(format!("http://{host}/a.jpg"));
        targets.push(format!("https://{host}/a.jpg"));
        // The port that is allowed belongs to one address alone.
        if address(host) != server.ip() {
            targets.push(format!("http://{host}:{}/a.jpg", server.port()));
        }
        targets.push(format!("http://row{row}.example/a.jpg"));
        targets.push(format!("https://row{row}.example/a.jpg"));
    }
    let refused = Some(Failure::Refused("blocked_address"));
    for target in targets {
        assert_eq!(fetcher.fetch(&target).await.err(), refused, "{target}");
        let by = format!("http://{server}/to/{target}");
        assert_eq!(fetcher.fetch(&by).await.err(), refused, "{by}");
    }
    for scheme in [
        "file:///etc/passwd",
        "ftp://example.org/a.jpg",
        "gopher://example.org/",
    ] {
        assert_eq!(fetcher.fetch(scheme).await.err(), refused, "{scheme}");
        let by = format!("http://{server}/to/{scheme}");
        assert!(fetcher.fetch(&by).await.is_err(), "{by}");
    }
}

/// A name that gives a public address and one inside is asked at the public one only, however
/// often it changes its answer.
#[tokio::test]
async fn of_several_addresses_the_public_ones_are_left() {
    let public: IpAddr = "93.184.216.34".parse().unwrap();
    let inside = INSIDE.iter().map(|host| address(host));
    let all: Vec<IpAddr> = inside.chain([public]).collect();
    let book = HostBook::with_lookup(8, Arc::new(move |_| Ok(all.clone())));
    assert_eq!(*book.resolve("both.example").await.unwrap(), [public]);
}
