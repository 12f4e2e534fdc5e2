//! Every reason for which there is no image, from a server that gives it.

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Path,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use image::{GrayImage, ImageFormat};
use tokio::net::TcpListener;

use super::*;
use crate::{media::MediaStore, net::FetchSettings};

const LIMITS: Limits = Limits {
    max_bytes: 20_000,
    max_pixels: 100_000,
    max_alloc: 1 << 20,
};

/// A PNG of this size, filled up to so many bytes.
fn png(width: u32, height: u32, length: usize) -> Vec<u8> {
    let mut bytes = io::Cursor::new(Vec::new());
    let picture = GrayImage::new(width, height);
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    let mut bytes = bytes.into_inner();
    bytes.resize(bytes.len().max(length), 0);
    bytes
}

async fn answer(Path(name): Path<String>) -> Response {
    match name.as_str() {
        "good" => png(30, 20, 0).into_response(),
        "gone" | "late.jpg" => StatusCode::NOT_FOUND.into_response(),
        // What Reddit and imgur show, as a cache would send it.
        "gone_on_reddit" => png(130, 60, 1048).into_response(),
        "gone_on_imgur" => png(161, 81, 503).into_response(),
        "same_size" => png(130, 60, 1049).into_response(),
        "forbidden" => StatusCode::FORBIDDEN.into_response(),
        "noai" => ([("x-robots-tag", "noindex, NoImageAI")], png(3, 3, 0)).into_response(),
        "noindex" => ([("x-robots-tag", "noindex")], png(3, 3, 0)).into_response(),
        "html" => Html("<html>").into_response(),
        "html_as_image" => ([("content-type", "image/png")], "<!doctype html>").into_response(),
        "not_image" => "hello".into_response(),
        "empty" => "".into_response(),
        "too_big" => png(3, 3, 20_001).into_response(),
        "endless" => {
            let piece = || Ok::<_, io::Error>(Bytes::from_static(&[0; 4096]));
            Body::from_stream(futures::stream::repeat_with(piece)).into_response()
        }
        "bomb" => {
            let mut bytes = png(3, 3, 0);
            bytes[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
            bytes.into_response()
        }
        "aspect" => png(210, 10, 0).into_response(),
        "truncated" => png(30, 20, 0)[..60].to_vec().into_response(),
        "corrupt" => b"\xff\xd8\xff\xe0".to_vec().into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[tokio::test]
async fn every_reason_has_its_code_and_only_images_are_written() {
    use MediaOutcome::{Refused, Unavailable};
    let app = Router::new().route("/{name}", get(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let fetcher = Fetcher::new(&FetchSettings {
        max_bytes: LIMITS.max_bytes,
        allow_addresses: vec![server],
        ..FetchSettings::default()
    })
    .unwrap();
    let obtained = async |name: &str| {
        let url = MediaLocation::Url(format!("http://{server}/{name}"));
        obtain(&fetcher, LIMITS, &url).await
    };
    for (name, outcome) in [
        ("gone", Refused("gone")),
        ("gone_on_reddit", Refused("gone")),
        ("gone_on_imgur", Refused("gone")),
        ("forbidden", Refused("forbidden")),
        ("noai", Refused("noai")),
        ("html", Refused("html")),
        ("html_as_image", Refused("html")),
        ("not_image", Refused("not_image")),
        ("empty", Refused("not_image")),
        ("too_big", Refused("too_big")),
        ("endless", Refused("too_big")),
        ("bomb", Refused("bomb")),
        ("aspect", Refused("aspect")),
        ("truncated", Refused("truncated")),
        ("corrupt", Refused("corrupt")),
        ("broken", Unavailable("server_error")),
        // An image on which its host is still at work is asked for again.
        ("late.jpg#pending", Unavailable("pending")),
        ("late.jpg", Refused("gone")),
    ] {
        assert_eq!(obtained(name).await, Obtained::Nothing(outcome), "{name}");
    }
    let home = tempfile::tempdir().unwrap();
    let store = MediaStore::new(home.path());
    for name in ["good", "good#pending", "same_size", "noindex"] {
        let Obtained::Image(info, bytes) = obtained(name).await else {
            panic!("`{name}` is an image");
        };
        assert!(info.bytes <= LIMITS.max_bytes && info.bytes == bytes.len() as u64);
        store.put(&info, &bytes).unwrap();
    }
}
