//! A server that describes images, counts what it is asked, and misbehaves as it is told.
use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// How many came before.
    pub(crate) number: usize,
    /// The body as it came.
    pub(crate) body: String,
    /// The header `Authorization`.
    pub(crate) authorization: Option<String>,
    /// The image's JPEG.
    pub(crate) image: Vec<u8>,
}

/// What it answers.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A caption.
    Say(String),
    /// A caption after a while.
    Slowly(Duration, String),
    /// This body with this status.
    Text(u16, String),
    /// This status with this header.
    Head(u16, &'static str, String),
    /// Nothing, for ever.
    Hang,
    /// Half an answer.
    Cut,
}

type Behaviour = Box<dyn Fn(&Asked) -> Reply + Send + Sync>;

struct Inside {
    behaviour: Behaviour,
    asked: Mutex<Vec<Asked>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

/// The server; its thread lives as long as the test.
pub(crate) struct Captions {
    address: SocketAddr,
    inside: Arc<Inside>,
}

impl Captions {
    pub(crate) fn that(behaviour: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let inside = Arc::new(Inside {
            behaviour: Box::new(behaviour),
            asked: Mutex::default(),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        });
        let router = Router::new()
            .route("/v1/chat/completions", post(answer))
            .route("/v1/models", get(|| async { "{\"data\": []}" }))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&inside));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        Self { address, inside }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.inside.asked.lock().unwrap().clone()
    }

    /// How many requests it was at work on at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.inside.most_at_once.load(Ordering::SeqCst)
    }
}

/// Counts a request for as long as it is under way, however it ends.
struct Under(Arc<Inside>);

impl Under {
    fn way(inside: &Arc<Inside>) -> Self {
        let now = inside.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        inside.most_at_once.fetch_max(now, Ordering::SeqCst);
        Self(Arc::clone(inside))
    }
}

impl Drop for Under {
    fn drop(&mut self) {
        self.0.at_once.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn answer(
    State(inside): State<Arc<Inside>>,
    headers: HeaderMap,
    body: String,
) -> Response<Body> {
    let _under = Under::way(&inside);
    let parsed: Value = serde_json::from_str(&body).unwrap();
    let uri = parsed.pointer("/messages/0/content/1/image_url/url");
    let data = uri.and_then(Value::as_str).unwrap();
    let data = data.strip_prefix("data:image/jpeg;base64,").unwrap();
    let asked = {
        let mut all = inside.asked.lock().unwrap();
        let authorization = headers.get("authorization");
        let asked = Asked {
            number: all.len(),
            authorization: authorization.map(|value| value.to_str().unwrap().to_owned()),
            image: STANDARD.decode(data).unwrap(),
            body,
        };
        all.push(asked.clone());
        asked
    };
    let said = |text: String| {
        let caption = json!({
            "choices": [{ "message": { "content": text }, "finish_reason": "stop" }],
            "usage": { "prompt_tokens": 9, "completion_tokens": 3 },
        });
        Response::new(Body::from(caption.to_string()))
    };
    let with = |status: u16| Response::builder().status(status);
    match (inside.behaviour)(&asked) {
        Reply::Say(text) => said(text),
        Reply::Slowly(pause, text) => {
            tokio::time::sleep(pause).await;
            said(text)
        }
        Reply::Text(status, text) => with(status).body(text.into()).unwrap(),
        Reply::Head(status, name, value) => with(status)
            .header(name, value)
            .body(Body::empty())
            .unwrap(),
        Reply::Hang => std::future::pending().await,
        Reply::Cut => {
            let pieces = [
                Ok(Bytes::from("{\"choices\"")),
                Err(std::io::Error::other("cut")),
            ];
            Response::new(Body::from_stream(futures::stream::iter(pieces)))
        }
    }
}
