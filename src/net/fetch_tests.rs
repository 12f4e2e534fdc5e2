//! Tests of the fetcher.

use std::{
    io,
    net::IpAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body as AxumBody, Bytes},
    extract::Path,
    http::header::LOCATION,
    response::{Html, IntoResponse},
    routing::get,
};
use tokio::{io::AsyncWriteExt, net::TcpListener};

use super::*;

fn settings(allowed: SocketAddr) -> FetchSettings {
    FetchSettings {
        max_bytes: 1000,
        allow_addresses: vec![allowed],
        ..FetchSettings::default()
    }
}

/// A server of pictures and mishaps, and its address.
async fn serve() -> SocketAddr {
    let redirect = |to: String| (StatusCode::FOUND, [(LOCATION, to)]);
    let piece = || Ok::<_, io::Error>(Bytes::from_static(&[0; 300]));
    let app = Router::new()
        .route("/ok", get(|| async { "\u{89}PNG" }))
        .route("/html", get(|| async { Html("<html>no</html>") }))
        .route("/mislabelled", get(|| async { Html("GIF89a") }))
        .route("/big", get(|| async { vec![0_u8; 1001] }))
        .route(
            "/endless",
            get(move || async move {
                AxumBody::from_stream(futures::stream::iter((0..9).map(move |_| piece())))
            }),
        )
        .route(
            "/status/{code}",
            get(|Path(code): Path<u16>| async move {
                (StatusCode::from_u16(code).unwrap(), "x").into_response()
            }),
        )
        .route(
            "/to/{*url}",
            get(move |Path(url): Path<String>| async move { redirect(url) }),
        )
        .route(
            "/loop",
            get(move || async move { redirect("/loop".to_owned()) }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn every_answer_has_its_code() {
    use Failure::{Refused, Unavailable};
    let address = serve().await;
    let fetcher = Fetcher::new(&settings(address)).unwrap();
    for (path, expected) in [
        ("/html", Refused("html")),
        ("/big", Refused("too_big")),
        ("/endless", Refused("too_big")),
        ("/status/404", Refused("gone")),
        ("/status/410", Refused("gone")),
        ("/status/403", Refused("forbidden")),
        ("/status/418", Refused("forbidden")),
        ("/status/304", Refused("redirects")),
        ("/status/429", Unavailable("rate_limited")),
        ("/status/503", Unavailable("server_error")),
        ("/loop", Refused("redirects")),
    ] {
        let url = format!("http://{address}{path}");
        assert_eq!(fetcher.fetch(&url).await.err(), Some(expected), "{path}");
    }
    let body = fetcher
        .fetch(&format!("http://{address}/to//ok"))
        .await
        .unwrap();
    assert_eq!(body.bytes, "\u{89}PNG".as_bytes());
    assert_eq!(body.url.path(), "/ok");
    let mislabelled = fetcher
        .fetch(&format!("http://{address}/mislabelled"))
        .await;
    assert_eq!(mislabelled.unwrap().bytes, b"GIF89a");
    assert_eq!(
        fetcher.fetch("no url").await.err(),
        Some(Refused("bad_url"))
    );
    assert!(fetcher.hosts().closed().is_empty());
}

#[tokio::test]
async fn redirects_do_not_lead_inside() {
    let address = serve().await;
    let other = serve().await;
    let fetcher = Fetcher::new(&settings(address)).unwrap();
    let port = other.port();
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "127.1",
        "0",
        "[::ffff:127.0.0.1]",
    ] {
        for target in [
            format!("http://{host}:{port}/ok"),
            format!("http://{host}/ok"),
        ] {
            let direct = fetcher.fetch(&target).await.err();
            assert_eq!(
                direct,
                Some(Failure::Refused("blocked_address")),
                "{target}"
            );
            let url = format!("http://{address}/to/{target}");
            let redirected = fetcher.fetch(&url).await.err();
            assert_eq!(
                redirected,
                Some(Failure::Refused("blocked_address")),
                "{url}"
            );
        }
    }
    let file = fetcher
        .fetch(&format!("http://{address}/to/file:///etc/passwd"))
        .await;
    assert_eq!(file.err(), Some(Failure::Refused("redirects")));
}

fn book(answer: fn() -> io::Result<Vec<IpAddr>>) -> (HostBook, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let book = HostBook::with_lookup(
        8,
        Arc::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(50));
            answer()
        }),
    );
    (book, asked)
}

#[tokio::test]
async fn names_that_lead_inside_are_blocked_also_after_a_redirect() {
    let address = serve().await;
    let (book, _) = book(|| Ok(vec!["127.0.0.1".parse().unwrap()]));
    let fetcher = Fetcher::with_book(&settings(address), book).unwrap();
    for url in [
        "http://rebinding.example/ok".to_owned(),
        format!("http://{address}/to/http://rebinding.example/ok"),
    ] {
        let end = fetcher.fetch(&url).await.err();
        assert_eq!(end, Some(Failure::Refused("blocked_address")), "{url}");
    }
}

#[tokio::test]
async fn a_thousand_images_without_a_network_end_at_once() {
    let (book, asked) = book(|| Err(io::Error::other("no network")));
    let fetcher = Fetcher::with_book(&FetchSettings::default(), book).unwrap();
    let start = Instant::now();
    let urls = (0..1000).map(|n| format!("https://i.example.org/{n}.jpg"));
    let fetches = urls.map(|url| {
        let fetcher = fetcher.clone();
        async move { fetcher.fetch(&url).await.err() }
    });
    let all = futures::future::join_all(fetches).await;
    assert!(
        all.iter()
            .all(|end| *end == Some(Failure::Unavailable("unreachable")))
    );
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    assert_eq!(fetcher.hosts().closed()["i.example.org"], "unreachable");
}

#[tokio::test]
async fn a_network_that_is_down_costs_further_hosts_one_try() {
    let (book, asked) = book(|| Err(io::Error::other("no network")));
    let fetcher = Fetcher::with_book(&FetchSettings::default(), book).unwrap();
    for host in 0..6 {
        for _ in 0..4 {
            let end = fetcher.fetch(&format!("https://h{host}.example/")).await;
            assert_eq!(end.err(), Some(Failure::Unavailable("unreachable")));
        }
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3 * 3 + 3);
}

#[tokio::test]
async fn a_closed_port_closes_its_host() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let fetcher = Fetcher::new(&settings(address)).unwrap();
    for _ in 0..4 {
        let end = fetcher.fetch(&format!("http://{address}/x")).await;
        assert_eq!(end.err(), Some(Failure::Unavailable("unreachable")));
    }
    assert_eq!(
        fetcher.hosts().closed()[&address.to_string()],
        "unreachable"
    );
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_image() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nhalf";
            connection.write_all(head).await.unwrap();
            connection.shutdown().await.unwrap();
        }
    });
    let fetcher = Fetcher::new(&settings(address)).unwrap();
    let end = fetcher.fetch(&format!("http://{address}/x")).await;
    assert_eq!(end.err(), Some(Failure::Unavailable("server_error")));
}

#[tokio::test]
async fn a_host_that_asks_for_patience_gets_it() {
    let address = serve().await;
    let fetcher = Fetcher::new(&settings(address)).unwrap();
    for _ in 0..3 {
        let end = fetcher.fetch(&format!("http://{address}/status/429")).await;
        assert_eq!(end.err(), Some(Failure::Unavailable("rate_limited")));
    }
    let end = fetcher.fetch(&format!("http://{address}/ok")).await;
    assert_eq!(end.err(), Some(Failure::Unavailable("rate_limited")));
}

#[tokio::test]
async fn other_hosts_are_not_asked_nor_followed_to() {
    let server = serve().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let book = HostBook::with_lookup(
        8,
        Arc::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Err(io::ErrorKind::NotFound.into())
        }),
    );
    let settings = FetchSettings {
        hosts: Some(vec!["i.redd.it".to_owned()]),
        ..settings(server)
    };
    let fetcher = Fetcher::with_book(&settings, book).unwrap();
    let why = async |url: String| fetcher.fetch(&url).await.err();
    let other = Some(Failure::Unavailable("host_not_allowed"));
    assert_eq!(why("https://example.org/a.jpg".to_owned()).await, other);
    assert_eq!(asked.load(Ordering::SeqCst), 0, "no name is looked up");
    let on = format!("http://{server}/to/https://example.org/a.jpg");
    assert_eq!(why(on).await, other);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    // What the settings allow by its number, and what they name.
    assert_eq!(why(format!("http://{server}/ok")).await, None);
    let named = why("https://i.redd.it/a.jpg".to_owned()).await;
    assert_eq!(named, Some(Failure::Unavailable("unreachable")));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // What leads inside is told so, whatever is named.
    let inside = why("http://127.0.0.1/a.jpg".to_owned()).await;
    assert_eq!(inside, Some(Failure::Refused("blocked_address")));
}
