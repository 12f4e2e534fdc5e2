//! Images that come with a request.

use std::collections::HashMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::vectors::blocking;
use crate::{
    app::Error,
    corpus::{ContentHash, MediaInfo, MediaLocation, Record},
    media,
    operators::Environment,
    server::{ImageWanted, RecordWanted},
};

/// What stands before a hash where a record says where its image is.
const HASH: &str = "sha256:";

/// Images by where the record says they are; bytes only where they are not in the media store.
pub(super) type Given = HashMap<String, (MediaInfo, Option<Vec<u8>>)>;

/// The records of a request, and the images that it brings or that the home has.
///
/// # Errors
///
/// Where an image cannot be one, by its place in the request.
pub(super) async fn records_of(
    environment: &Environment,
    wanted: Vec<RecordWanted>,
) -> Result<(Vec<Record>, Given), Error> {
    let mut given = Given::new();
    let mut records = Vec::with_capacity(wanted.len());
    for (at, wanted) in wanted.into_iter().enumerate() {
        let mut places = Vec::with_capacity(wanted.images.len());
        for (number, image) in wanted.images.into_iter().enumerate() {
            let place = format!("records[{at}].images[{number}]");
            let location = match image {
                ImageWanted::Url(url) if is_web(&url) => url,
                ImageWanted::Url(url) => {
                    return Err(Error::wrong(
                        format!("`{place}.url` is `{url}`, no `http` or `https` URL"),
                        "send a file's bytes as `base64`".to_owned(),
                    ));
                }
                ImageWanted::Base64(text) => {
                    let bytes = BASE64_STANDARD.decode(text.trim()).map_err(|error| {
                        Error::wrong(format!("`{place}.base64` is no base64: {error}"), None)
                    })?;
                    let found = looked_at(environment, (&place, "base64"), bytes).await?;
                    let location = format!("{HASH}{}", found.0.content);
                    given.insert(location.clone(), (found.0, Some(found.1)));
                    location
                }
                ImageWanted::Sha256(text) => {
                    let hash: ContentHash = text.parse().map_err(|_| {
                        let message = format!("`{place}.sha256` is no hash of 64 hex digits");
                        Error::wrong(message, None)
                    })?;
                    let store = environment.media.clone();
                    let read = blocking(move || store.read(&hash)).await?;
                    let bytes = read.map_err(|error| {
                        Error::wrong(
                            format!("`{place}.sha256` names no image of this home: {error}"),
                            "send it as `base64`".to_owned(),
                        )
                    })?;
                    let (info, _) = looked_at(environment, (&place, "sha256"), bytes).await?;
                    let location = format!("{HASH}{hash}");
                    // Of an original that was dropped the store gives its copy.
                    let info = MediaInfo {
                        content: hash,
                        ..info
                    };
                    given.insert(location.clone(), (info, None));
                    location
                }
            };
            places.push(MediaLocation::Url(location));
        }
        records.push(Record {
            id: wanted.id.unwrap_or_else(|| (at + 1).to_string()),
            community: wanted.community,
            author: wanted.author,
            title: wanted.title,
            created_at: wanted.created_at,
            media: places,
            fields: wanted.fields,
        });
    }
    Ok((records, given))
}

/// Whether it is a URL that the fetcher takes; where that may lead the fetcher decides.
fn is_web(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// An image by its first look.
async fn looked_at(
    environment: &Environment,
    (place, name): (&str, &str),
    bytes: Vec<u8>,
) -> Result<(MediaInfo, Vec<u8>), Error> {
    let limits = environment.limits;
    let found = blocking(move || media::probe(&bytes, &limits).map(|info| (info, bytes))).await?;
    found.map_err(|fault| {
        let reason = fault.reason();
        Error::wrong(
            format!("`{place}.{name}` is no image that can be read: {reason}"),
            "send a whole JPEG, PNG, WebP or GIF within the limits of `[media]`".to_owned(),
        )
    })
}
