//! One image, from wherever it is, looked into but not yet stored.

use std::io;

use crate::{
    corpus::{MediaInfo, MediaLocation, MediaOutcome},
    media::{Limits, is_placeholder, probe},
    net::Fetcher,
};

/// What one attempt to get an image gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obtained {
    /// An image within the limits: what it is, and its bytes.
    Image(MediaInfo, Vec<u8>),
    /// None: [`MediaOutcome::Refused`] or [`MediaOutcome::Unavailable`].
    Nothing(MediaOutcome),
}

/// Gets the image at `location`: fetches or reads it, and checks its signature, its claims and
/// its end on a blocking thread.
///
/// A file that is not there is `gone`, one that may not be read `forbidden`.
pub async fn obtain(fetcher: &Fetcher, limits: Limits, location: &MediaLocation) -> Obtained {
    let nothing = |outcome: MediaOutcome| Obtained::Nothing(outcome);
    let bytes = match location {
        MediaLocation::Url(url) => match fetcher.fetch(url).await {
            Ok(body) => body.bytes,
            Err(failure) => return nothing(failure.into()),
        },
        MediaLocation::File(path) => match fs_err::tokio::metadata(path).await {
            Ok(file) if file.len() > limits.max_bytes => {
                return nothing(MediaOutcome::Refused("too_big"));
            }
            Ok(file) if !file.is_file() => return nothing(MediaOutcome::Refused("not_image")),
            Ok(_) => match fs_err::tokio::read(path).await {
                Ok(bytes) => bytes,
                Err(error) => return nothing(unreadable(&error)),
            },
            Err(error) => return nothing(unreadable(&error)),
        },
    };
    let probed = tokio::task::spawn_blocking(move || {
        probe(&bytes, &limits).map(|info| Obtained::Image(info, bytes))
    });
    match probed.await {
        Ok(Ok(Obtained::Image(info, _))) if is_placeholder(&info) => {
            nothing(MediaOutcome::Refused("gone"))
        }
        Ok(Ok(image)) => image,
        Ok(Err(fault)) => nothing(fault.into()),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down; the next run tries again.
            Err(_) => nothing(MediaOutcome::Unavailable("unreachable")),
        },
    }
}

fn unreadable(error: &io::Error) -> MediaOutcome {
    tracing::debug!(%error, "an image file could not be read");
    match error.kind() {
        io::ErrorKind::NotFound => MediaOutcome::Refused("gone"),
        _ => MediaOutcome::Refused("forbidden"),
    }
}

#[cfg(test)]
#[path = "obtain_tests.rs"]
mod tests;
