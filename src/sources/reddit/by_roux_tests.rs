//! Both transports against one sandbox: equal rows where `roux` has the field.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use reqwest::header::{AUTHORIZATION, HeaderMap};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use super::{
    super::{
        budget::Ledger,
        client::RedditClient,
        endpoint::Credentials,
        listing::read_child,
        post::ParsedPost,
        served_tests::{SimulatedTime, SkewedClock, client_in},
    },
    *,
};
use crate::{
    clock::Timestamp,
    sandbox::{SandboxState, communities, serve},
    sources::ImageSize,
};

const AUTHORITY: &[u8] = include_bytes!("../../../tests/fixtures/tls/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("../../../tests/fixtures/tls/leaf.pem");
const KEY: &[u8] = include_bytes!("../../../tests/fixtures/tls/leaf.key");

/// What `roux` does not hand on of a post.
const LACKING: &[&str] = &[
    "author_fullname",
    "author_premium",
    "is_gallery",
    "is_original_content",
    "is_video",
    "removed_by_category",
    "subscribers",
];

/// Says by TLS, as `oauth.reddit.com`, what the server at `plain` says.
async fn encrypted(plain: SocketAddr) -> SocketAddr {
    let chain = vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (outside, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut outside = acceptor.accept(outside).await.unwrap();
                let mut inside = TcpStream::connect(plain).await.unwrap();
                // Either side may go away when it likes.
                let _ = copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    address
}

/// Clients that find `oauth.reddit.com` at an address of this machine.
fn clients_to(address: SocketAddr) -> RouxClients {
    RouxClients::new(move |token| {
        let bearer = format!("Bearer {token}").parse().unwrap();
        let authority = reqwest::Certificate::from_pem(AUTHORITY).unwrap();
        let client = reqwest::Client::builder()
            .no_proxy()
            .resolve("oauth.reddit.com", address)
            .tls_certs_merge([authority])
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer)]));
        Ok(client.build().unwrap())
    })
}

/// A client in our own way and one by `roux`, of a sandbox with `troubles`.
async fn both(troubles: &str) -> (RedditClient, RedditClient, Arc<SimulatedTime>) {
    let now: Timestamp = "2026-01-03".parse().unwrap();
    let time = SimulatedTime::starting(now);
    let clock = SkewedClock {
        time: Arc::clone(&time),
        ahead: Arc::default(),
    };
    let world = "sandbox:seed=3,posts=300,removed=30".parse().unwrap();
    let state = SandboxState::new(world, now)
        .with_images_at("http://images")
        .with_troubles(troubles.parse().unwrap())
        .with_server_clock(Arc::new(clock));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let forever = std::future::pending();
    tokio::spawn(serve(Arc::new(state), listener, forever));
    let roux = clients_to(encrypted(address).await);
    let client = || {
        let (base, ledger) = (format!("http://{address}"), Ledger::in_memory());
        let credentials = Credentials::sandbox();
        client_in(&time, &Arc::default(), &base, credentials, ledger)
    };
    (client(), client().with_roux(roux), time)
}

/// All posts of a listing, by their ids.
async fn walked(client: &RedditClient) -> BTreeMap<String, ParsedPost> {
    let now: Timestamp = "2026-01-03".parse().unwrap();
    let names = communities();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut posts, mut after) = (BTreeMap::new(), None);
    loop {
        let page = client.newest(&names, after.as_deref(), now).await.unwrap();
        for child in &page.children {
            if let Ok(post) = read_child(child, now, ImageSize::Original) {
                posts.insert(post.record.id.clone(), post);
            }
        }
        match page.after {
            Some(next) => after = Some(next),
            None => return posts,
        }
    }
}

#[tokio::test]
async fn both_transports_give_equal_rows_where_roux_has_the_field() {
    let (own, by_roux, _) = both("strict").await;
    let now: Timestamp = "2026-01-03".parse().unwrap();
    for (client, is_as_sent) in [(&own, true), (&by_roux, false)] {
        let page = client.newest(&["pics"], None, now).await.unwrap();
        assert_eq!(page.is_as_sent, is_as_sent, "roux hides what was sent");
    }
    let (own, mut by_roux) = (walked(&own).await, walked(&by_roux).await);
    assert!(own.len() > 300 && own.len() == by_roux.len());
    let (mut galleries, mut lacking) = (0, 0);
    for (id, mut ours) in own {
        let theirs = by_roux.remove(&id).unwrap();
        if ours.record.fields.contains_key("is_gallery") {
            assert!(ours.record.media.len() > 1 && theirs.record.media.is_empty());
            ours.record.media.clear();
            galleries += 1;
        }
        for name in LACKING {
            lacking += usize::from(ours.record.fields.remove(*name).is_some());
        }
        for name in ["num_crossposts", "total_awards_received"] {
            ours.observation.values.remove(name);
        }
        assert_eq!(ours, theirs);
    }
    assert!(galleries > 0 && lacking > 0);
}

#[tokio::test]
async fn both_transports_know_the_same_of_an_account() {
    let (own, by_roux, _) = both("strict").await;
    let now: Timestamp = "2026-01-03".parse().unwrap();
    let posts = walked(&own).await;
    let known: BTreeMap<String, String> = posts
        .into_values()
        .filter_map(|mut post| {
            let number = post.record.fields.remove("author_fullname")?;
            Some((post.record.author?, number.as_str()?.to_owned()))
        })
        .take(12)
        .collect();
    let numbers: Vec<String> = known.values().cloned().collect();
    let mut expected = own.authors(&numbers, now).await.unwrap();
    for author in &mut expected {
        author.id = author.name.clone().unwrap();
    }
    expected.sort_by(|a, b| a.id.cmp(&b.id));
    let mut names: Vec<String> = known.keys().cloned().collect();
    names.extend(["nobody_at_all".to_owned(), "no/name".to_owned()]);
    for client in [&by_roux, &own] {
        let mut found = client.authors(&names, now).await.unwrap();
        for author in &mut found {
            // Each waits for its call.
            author.read_at = now;
        }
        assert_eq!(found, expected);
    }
    let first = &expected[0];
    assert!(first.link_karma > Some(0.0) && first.comment_karma.is_some());
    assert!(first.created_at.is_some() && expected.len() > 5);
    // The numbers were one call; the names are one each, and what is no name is not asked for.
    let classes = own.sheet().unwrap().classes;
    let row = classes.iter().find(|row| row.class == CallClass::Authors);
    assert_eq!(row.unwrap().calls, 1 + expected.len() as u64 + 1);
}

#[tokio::test]
async fn what_roux_cannot_read_is_asked_for_without_it() {
    let (own, by_roux, time) = both("strict,odd=100,tokens=90").await;
    let expected = walked(&own).await;
    assert!(walked(&by_roux).await.keys().eq(expected.keys()));
    // The token has ended, and the next one needs another client of roux.
    time.server.advance(Duration::from_mins(5));
    assert!(walked(&by_roux).await.keys().eq(expected.keys()));
}
