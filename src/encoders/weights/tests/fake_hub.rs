//! A hub on this machine that answers as the real one does, well or badly.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use futures::{StreamExt as _, stream};
use serde_json::json;

use super::COMMIT;
use crate::corpus::ContentHash;

/// The small file, and the hash under which git knows it.
pub(super) const CONFIG: &str = "{}";
pub(super) const CONFIG_OID: &str = "9e26dfeeb6e641a33dae4961196235bdb965b21b";

/// The large file.
pub(super) fn weights() -> String {
    "a weight ".repeat(12_000)
}

/// How a hub behaves.
#[derive(Clone, Copy, Default)]
pub(super) struct Manner {
    /// So many answers with the large file break off.
    pub(super) breaks: usize,
    /// It says that the large file has another hash.
    pub(super) lies: bool,
    /// It answers after four seconds.
    pub(super) slow: bool,
    /// It answers only who has this token.
    pub(super) token: Option<&'static str>,
    /// The large file lies on another host.
    pub(super) elsewhere: bool,
}

pub(super) struct FakeHub {
    address: SocketAddr,
    seen: Arc<Seen>,
}

struct Seen {
    manner: Manner,
    asked: Mutex<Vec<String>>,
    /// The byte from which on the large file was asked for.
    starts: Mutex<Vec<usize>>,
    tokens_elsewhere: Mutex<usize>,
}

impl FakeHub {
    pub(super) fn start(manner: Manner) -> Self {
        let seen = Arc::new(Seen {
            manner,
            asked: Mutex::default(),
            starts: Mutex::default(),
            tokens_elsewhere: Mutex::default(),
        });
        let app = Router::new()
            .route("/api/models/some/model/revision/{revision}", get(revision))
            .route("/api/models/some/model/tree/{commit}", get(tree))
            .route("/some/model/resolve/{commit}/{*path}", get(resolve))
            .route("/elsewhere", get(elsewhere))
            .with_state(Arc::clone(&seen));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, app).await.unwrap();
            });
        });
        Self { address, seen }
    }

    pub(super) fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked for, in order.
    pub(super) fn asked(&self) -> Vec<String> {
        self.seen.asked.lock().unwrap().clone()
    }

    /// From which byte on the large file was asked for each time.
    pub(super) fn starts(&self) -> Vec<usize> {
        self.seen.starts.lock().unwrap().clone()
    }

    /// How many tokens came to the other host.
    pub(super) fn tokens_elsewhere(&self) -> usize {
        *self.seen.tokens_elsewhere.lock().unwrap()
    }
}

/// Notes a question; an answer where the hub does not want to say more.
async fn note(seen: &Seen, uri: &Uri, headers: &HeaderMap) -> Result<(), Response> {
    seen.asked.lock().unwrap().push(uri.to_string());
    if seen.manner.slow {
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    let wanted = seen.manner.token.map(|token| format!("Bearer {token}"));
    let given = headers.get(header::AUTHORIZATION);
    match wanted {
        Some(wanted) if given.is_none_or(|given| given.as_bytes() != wanted.as_bytes()) => {
            Err(StatusCode::UNAUTHORIZED.into_response())
        }
        _ => Ok(()),
    }
}

async fn revision(
    State(seen): State<Arc<Seen>>,
    uri: Uri,
    headers: HeaderMap,
    Path(revision): Path<String>,
) -> Result<Response, Response> {
    note(&seen, &uri, &headers).await?;
    assert_eq!(revision, "main");
    Ok(Json(json!({"sha": COMMIT})).into_response())
}

async fn tree(
    State(seen): State<Arc<Seen>>,
    uri: Uri,
    headers: HeaderMap,
    Path(commit): Path<String>,
) -> Result<Response, Response> {
    note(&seen, &uri, &headers).await?;
    assert_eq!(commit, COMMIT);
    let hash = ContentHash::of(if seen.manner.lies {
        "lies".to_owned()
    } else {
        weights()
    });
    Ok(Json(json!([
        {"type": "directory", "oid": "1", "size": 0, "path": "deep"},
        {"type": "file", "oid": CONFIG_OID, "size": CONFIG.len(), "path": "config.json"},
        {
            "type": "file", "oid": "2", "size": weights().len(), "path": "deep/model.bin",
            "lfs": {"oid": hash, "size": weights().len(), "pointerSize": 134},
        },
    ]))
    .into_response())
}

async fn resolve(
    State(seen): State<Arc<Seen>>,
    uri: Uri,
    headers: HeaderMap,
    Path(parts): Path<HashMap<String, String>>,
) -> Result<Response, Response> {
    note(&seen, &uri, &headers).await?;
    assert_eq!(parts["commit"], COMMIT);
    match parts["path"].as_str() {
        "config.json" => Ok(CONFIG.into_response()),
        "deep/model.bin" if seen.manner.elsewhere => {
            let host = headers[header::HOST].to_str().unwrap();
            let other = format!(
                "http://{}/elsewhere",
                host.replace("127.0.0.1", "localhost")
            );
            Ok((StatusCode::FOUND, [(header::LOCATION, other)]).into_response())
        }
        "deep/model.bin" => Ok(large(&seen, &headers)),
        _ => Err(StatusCode::NOT_FOUND.into_response()),
    }
}

async fn elsewhere(State(seen): State<Arc<Seen>>, headers: HeaderMap) -> Response {
    if headers.contains_key(header::AUTHORIZATION) {
        *seen.tokens_elsewhere.lock().unwrap() += 1;
    }
    large(&seen, &headers)
}

/// The large file, or what of it was asked for.
fn large(seen: &Seen, headers: &HeaderMap) -> Response {
    let content = weights().into_bytes();
    let start = headers.get(header::RANGE).map_or(0, |range| {
        let range = range.to_str().unwrap().strip_prefix("bytes=").unwrap();
        range.strip_suffix('-').unwrap().parse::<usize>().unwrap()
    });
    let mut starts = seen.starts.lock().unwrap();
    starts.push(start);
    let rest = content[start..].to_vec();
    let breaks = starts.len() <= seen.manner.breaks;
    let body = if breaks {
        let half = rest[..rest.len() / 2].to_vec();
        let broken = std::io::Error::other("the wire was cut");
        // The first half goes out before the wire is cut.
        let parts = stream::iter([Ok(half), Err(broken)]).then(|part| async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            part
        });
        Body::from_stream(parts)
    } else {
        Body::from(rest)
    };
    let status = if start == 0 {
        StatusCode::OK
    } else {
        StatusCode::PARTIAL_CONTENT
    };
    let range = format!("bytes {start}-{}/{}", content.len() - 1, content.len());
    (status, [(header::CONTENT_RANGE, range)], body).into_response()
}
