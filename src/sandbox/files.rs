//! The host of the images: pictures, and what stands in their place.

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::task::spawn_blocking;

use super::{
    attend::slowly,
    fate::Fate,
    picture::{bomb, placeholder},
    refusal::{Refusal, page},
    server::Shared,
    troubles::FileTrouble,
    wire,
    world::Kind,
};
use crate::clock::Clock as _;

/// An image; what is gone, and what is a page, answers as such.
pub(super) async fn image(
    State(state): Shared,
    Path(file): Path<String>,
) -> Result<Response, Refusal> {
    // An image has an address only through its post: it is served before its post was made.
    let (post, number) = wire::image_named(&state.world, &file).ok_or_else(Refusal::not_found)?;
    let placed = |status, kind, bytes: Vec<u8>| {
        (status, [(header::CONTENT_TYPE, kind)], bytes).into_response()
    };
    let gone = || placed(StatusCode::NOT_FOUND, "image/png", placeholder());
    let fate = state.world.fate(post.place, state.clock.now());
    let trouble = state.troubles.file(state.seed(), post.place, number);
    match (post.kind, trouble) {
        (Kind::Gone, _) | (_, FileTrouble::Placeholder) => return Ok(gone()),
        // What a moderator has removed is to be found by its address.
        _ if matches!(fate, Some(Fate::Deleted | Fate::Vanished)) => return Ok(gone()),
        (Kind::Page, _) | (_, FileTrouble::Page) => return Ok(page(StatusCode::OK, 2_000)),
        (_, FileTrouble::Bomb) => return Ok(placed(StatusCode::OK, "image/png", bomb())),
        _ => {}
    }
    let pause = state.troubles.pause;
    let drawn = spawn_blocking(move || state.world.picture(&post, number)).await;
    let (frame, mut bytes) = drawn.map_err(Refusal::failed)?;
    let kind = frame.format.media_type();
    if trouble == FileTrouble::Half {
        bytes.truncate(bytes.len() * 2 / 3);
    }
    if trouble == FileTrouble::Slow {
        let body = slowly(&Bytes::from(bytes), pause);
        return Ok(([(header::CONTENT_TYPE, kind)], body).into_response());
    }
    Ok(placed(StatusCode::OK, kind, bytes))
}
