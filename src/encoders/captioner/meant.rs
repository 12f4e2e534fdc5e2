//! Which captioner is meant by a name or a directory, without loading it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::CaptionOptions;
use crate::{
    corpus::Fingerprint,
    encoders::{
        DeviceSpec, Error, Kind, Precision, WeightsSettings,
        checkpoint::{self, Identity},
        fingerprint,
        weights::{self, Entry, catalogue},
    },
};

/// Whether a captioner has this name, or a directory may hold one, by its `config.json` alone.
///
/// # Errors
///
/// Where the name is that of another encoder, or there is no such directory, or no such file in it.
pub fn look_at_captioner(name_or_dir: &str) -> Result<(), Error> {
    match named(name_or_dir)? {
        Some(_) => Ok(()),
        None => model_type(directory(name_or_dir)?).map(drop),
    }
}

/// The fingerprint that a captioner says of itself on `device`.
///
/// Loads no network; the files in a directory are read, once per process as long as they stay as
/// they are, and the catalogue pins those of what has a name.
///
/// # Errors
///
/// Where there is no such captioner, or its files cannot be read.
pub fn captioner_fingerprint(
    name_or_dir: &str,
    options: &CaptionOptions,
    device: DeviceSpec,
) -> Result<Fingerprint, Error> {
    let files = match named(name_or_dir)? {
        Some(entry) => fingerprint::identity_of_entry(entry),
        None => Identity::of(directory(name_or_dir)?)?,
    };
    Ok(fingerprint::of_captioner(
        &files,
        options,
        device.precision(),
    ))
}

/// With which numbers the captioner computed that said `wrote` of itself; `None` where that was
/// another one.
///
/// # Errors
///
/// Where there is no such captioner, or its files cannot be read.
pub fn captioner_precision(
    name_or_dir: &str,
    options: &CaptionOptions,
    wrote: Fingerprint,
) -> Result<Option<Precision>, Error> {
    let all_digits = captioner_fingerprint(name_or_dir, options, DeviceSpec::FLEX)?;
    Ok(fingerprint::precision_in(all_digits, wrote))
}

/// The directory of a captioner's files, which are found or downloaded, and what they are.
pub(super) fn files(
    name_or_dir: &str,
    weights: &WeightsSettings,
) -> Result<(PathBuf, Identity), Error> {
    let Some(entry) = named(name_or_dir)? else {
        let directory = directory(name_or_dir)?;
        return Ok((directory.to_owned(), Identity::of(directory)?));
    };
    let located = weights::locate(entry, weights)?;
    let config = located.file("config.json");
    let directory = config.parent().unwrap_or(config).to_owned();
    let found = checkpoint::file_in(&directory)?;
    if found != located.file(&entry.weights) {
        return Err(Error::Checkpoint {
            path: found,
            reason: format!("it stands in front of `{}`; remove it", entry.weights),
        });
    }
    Ok((directory, fingerprint::identity_of_entry(entry)))
}

/// What `config.json` says that a directory holds.
pub(super) fn model_type(directory: &Path) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct File {
        model_type: String,
    }
    let path = directory.join("config.json");
    let file: File =
        serde_json::from_slice(&fs_err::read(&path)?).map_err(|error| Error::Checkpoint {
            path,
            reason: error.to_string(),
        })?;
    Ok(file.model_type)
}

/// The captioner of this name; an error where the name is that of another encoder.
fn named(name: &str) -> Result<Option<&'static Entry>, Error> {
    match catalogue::find(name) {
        Some(entry) if entry.kind != Kind::Captioner => Err(Error::WrongKind {
            name: entry.name.clone(),
            found: entry.kind.with_article(),
            wanted: Kind::Captioner.with_article(),
            known: catalogue::names(Some(Kind::Captioner)),
        }),
        found => Ok(found),
    }
}

fn directory(name: &str) -> Result<&Path, Error> {
    let found = fingerprint::existing_directory(name, None);
    found.map_err(|error| match error {
        Error::Unknown { name, .. } => {
            let [taggers, captioners] =
                [Kind::Tagger, Kind::Captioner].map(|kind| catalogue::names(Some(kind)));
            let known = format!("{taggers}, {captioners}");
            Error::Unknown { name, known }
        }
        other => other,
    })
}
