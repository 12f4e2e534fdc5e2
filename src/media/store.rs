//! Image files under their hash.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    num::NonZero,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use fs_err as fs;
use image::RgbImage;
use tempfile::{Builder, TempPath};

use super::{Format, Limits, copy::copy_of, decode, look::look};
use crate::corpus::{ContentHash, Look, MediaInfo};

/// How many files are synced at a time. A sync waits for the disk, not for the processor, and
/// file systems join syncs that come together.
const SYNCS: usize = 16;

/// A folder of images, each once: `ab/ab12….jpg`, named by the hash of its bytes.
///
/// A file is whole and durable before its name exists, and its name is durable when
/// [`MediaStore::put`] returns; so a row that is committed after that never points to nothing.
///
/// Beside each image that is large there is a smaller copy, `ab12….copy.jpg`, where copies are made.
/// The image may be dropped then; whoever reads it gets the copy, under the image's own hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaStore {
    root: PathBuf,
    copies: Option<Copies>,
}

/// How copies are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Copies {
    /// The longer side in pixels.
    side: u32,
    limits: Limits,
}

impl MediaStore {
    /// The store in the folder `root`, which is made at the first write.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            copies: None,
        }
    }

    /// The same store, which keeps a copy of every image whose longer side has more than `side`
    /// pixels; with 0 it keeps none.
    #[must_use]
    pub fn with_copies(mut self, side: u64, limits: Limits) -> Self {
        let side = u32::try_from(side).unwrap_or(u32::MAX);
        self.copies = (side > 0).then_some(Copies { side, limits });
        self
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where an image of this hash and format is, if it is there.
    pub fn path(&self, content: &ContentHash, format: Format) -> PathBuf {
        let name = content.to_string();
        let mut path = self.root.join(&name[..2]);
        path.push(format!("{name}.{}", format.extension()));
        path
    }

    /// Where the copy of an image is, if there is one.
    pub fn copy_path(&self, content: &ContentHash) -> PathBuf {
        let name = content.to_string();
        let mut path = self.root.join(&name[..2]);
        path.push(format!("{name}.copy.jpg"));
        path
    }

    /// The file with this hash, whatever its format; its copy where it was dropped; `None` where
    /// there is neither.
    pub fn find(&self, content: &ContentHash) -> Option<PathBuf> {
        self.original(content).or_else(|| {
            let copy = self.copy_path(content);
            copy.is_file().then_some(copy)
        })
    }

    fn original(&self, content: &ContentHash) -> Option<PathBuf> {
        Format::ALL
            .into_iter()
            .map(|format| self.path(content, format))
            .find(|path| path.is_file())
    }

    /// The bytes with this hash; those of the copy where they were dropped.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such file, `InvalidData` where its bytes are not those that
    /// were stored.
    pub fn read(&self, content: &ContentHash) -> io::Result<Vec<u8>> {
        let path = self.find(content).ok_or_else(|| {
            let message = format!("no image `{content}` in `{}`", self.root.display());
            io::Error::new(io::ErrorKind::NotFound, message)
        })?;
        let bytes = fs::read(&path)?;
        let is_copy = path == self.copy_path(content);
        if !is_copy && ContentHash::of(&bytes) != *content {
            let message = format!("`{}` has changed since it was stored", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(bytes)
    }

    /// Stores one image; see [`MediaStore::put_all`].
    pub fn put(&self, info: &MediaInfo, bytes: &[u8]) -> io::Result<()> {
        self.put_all(&[(info, bytes)]).map(drop)
    }

    /// Stores images, all of which are durable when this returns. An image that is there stays as
    /// it is, and one that was dropped stays away. It blocks on the disk; a batch costs little more than one image.
    ///
    /// Returns how they look, none of what looks like nothing, where copies are made: large images
    /// are decoded for these anyway. Without copies nothing is decoded.
    ///
    /// # Errors
    ///
    /// Where the disk is full or cannot be written. Images of the batch may then be there, whole;
    /// nothing that was there before is lost.
    pub fn put_all(
        &self,
        images: &[(&MediaInfo, &[u8])],
    ) -> io::Result<Vec<(ContentHash, Option<Look>)>> {
        let scratch = self.root.join("tmp");
        let mut folders = BTreeSet::new();
        let mut waiting = Vec::new();
        let mut looking = Vec::new();
        let mut named = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for (info, bytes) in images {
            let format = Format::from_name(&info.format).ok_or_else(|| {
                let message = format!("`{}` is not an image format", info.format);
                io::Error::new(io::ErrorKind::InvalidInput, message)
            })?;
            let path = self.path(&info.content, format);
            let folder = path.parent().expect("the path has a folder").to_owned();
            if !folders.contains(&folder) {
                fs::create_dir_all(&folder)?;
                folders.insert(folder);
            }
            // A name that is there may have come a moment before a power cut took it back: its
            // folder is synced all the same.
            let there = match fs::metadata(&path) {
                Ok(file) => file.len() == bytes.len() as u64,
                Err(_) => self.copy_path(&info.content).is_file(),
            };
            if !there && named.insert(path.clone()) {
                waiting.push((path, bytes));
            }
            if let Some(copies) = self.copies
                && seen.insert(info.content)
            {
                looking.push((copies, *info, *bytes));
            }
        }
        if !waiting.is_empty() {
            fs::create_dir_all(&scratch)?;
        }
        // The folders' own names.
        if !folders.is_empty() {
            folders.insert(self.root.clone());
        }
        each_at_once(SYNCS, &waiting, |(path, bytes)| {
            let temporary = write_durably(&scratch, bytes)?;
            temporary.persist(path).map_err(|error| error.error)
        })?;
        // After the images: a copy without its image tells that it was dropped.
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let looks = Mutex::new(Vec::new());
        each_at_once(cores, &looking, |(copies, info, bytes)| {
            let look = self.look_at(*copies, info, bytes)?;
            let mut looks = looks.lock().unwrap_or_else(PoisonError::into_inner);
            looks.push((info.content, look));
            Ok(())
        })?;
        let folders: Vec<_> = folders.into_iter().collect();
        each_at_once(SYNCS, &folders, |folder| fs::File::open(folder)?.sync_all())?;
        Ok(looks.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether images get a copy, and are looked at.
    pub fn makes_copies(&self) -> bool {
        self.copies.is_some()
    }

    /// How an image looks that is stored; its copy is made where it is missing. None where it looks
    /// like nothing, is lost or has changed, or where no copies are made.
    ///
    /// # Errors
    ///
    /// Where the disk refuses.
    pub fn look_of(&self, info: &MediaInfo) -> io::Result<Option<Look>> {
        let Some(copies) = self.copies else {
            return Ok(None);
        };
        let bytes = if self.copy_path(&info.content).is_file() {
            Vec::new()
        } else {
            match self.read(&info.content) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::InvalidData
                    ) =>
                {
                    tracing::debug!(%error, "an image is not looked at");
                    return Ok(None);
                }
                bytes => bytes?,
            }
        };
        self.look_at(copies, info, &bytes)
    }

    /// How an image looks that is not stored, as it would be seen if it were; none where it looks like
    /// nothing or cannot be decoded, or where no copies are made.
    pub fn look_of_bytes(&self, info: &MediaInfo, bytes: &[u8]) -> Option<Look> {
        let copies = self.copies?;
        let picture = if copies.are_of(info) {
            copy_of(bytes, copies.side, &copies.limits).ok()?.1
        } else {
            decode(bytes, &copies.limits).ok()?
        };
        look(&picture)
    }

    /// How an image looks; its copy, from which that is seen, is made where it is missing.
    fn look_at(&self, copies: Copies, info: &MediaInfo, bytes: &[u8]) -> io::Result<Option<Look>> {
        let copy = self.copy_path(&info.content);
        let picture = if copy.is_file() {
            decode(&fs::read(&copy)?, &copies.limits).ok()
        } else if copies.are_of(info) {
            self.write_copy(copies, &copy, bytes)?
        } else {
            decode(bytes, &copies.limits).ok()
        };
        Ok(picture.as_ref().and_then(look))
    }

    /// Writes a copy, durable but for its name, and returns its picture. What cannot be decoded has
    /// none.
    fn write_copy(
        &self,
        copies: Copies,
        copy: &Path,
        bytes: &[u8],
    ) -> io::Result<Option<RgbImage>> {
        let (small, picture) = match copy_of(bytes, copies.side, &copies.limits) {
            Ok(small) => small,
            Err(fault) => {
                tracing::warn!("no copy of an image: {fault}");
                return Ok(None);
            }
        };
        let scratch = self.root.join("tmp");
        fs::create_dir_all(&scratch)?;
        let temporary = write_durably(&scratch, &small)?;
        temporary.persist(copy).map_err(|error| error.error)?;
        Ok(Some(picture))
    }

    /// The images of which there is a file, also of a copy alone.
    ///
    /// # Errors
    ///
    /// Where the disk refuses.
    pub fn contents(&self) -> io::Result<BTreeSet<ContentHash>> {
        let mut contents = BTreeSet::new();
        let folders = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(contents),
            folders => folders?,
        };
        for folder in folders {
            let folder = folder?.path();
            if !folder.is_dir() {
                continue;
            }
            for file in fs::read_dir(folder)? {
                let name = file?.file_name();
                let name = name.to_str().and_then(|name| name.split('.').next());
                contents.extend(name.and_then(|name| name.parse::<ContentHash>().ok()));
            }
        }
        Ok(contents)
    }

    /// Removes an image and its copy for good; how many files that were.
    ///
    /// # Errors
    ///
    /// Where the disk refuses.
    pub fn remove(&self, content: &ContentHash) -> io::Result<u64> {
        let files = Format::ALL.map(|format| self.path(content, format));
        let mut removed = 0;
        for path in files.into_iter().chain([self.copy_path(content)]) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                done => done?,
            }
            removed += 1;
            if let Some(folder) = path.parent() {
                fs::File::open(folder)?.sync_all()?;
            }
        }
        Ok(removed)
    }

    /// Drops an image of which there is a copy, which is made first where it is missing; how many
    /// bytes that frees. `None` where the image stays: it is no larger than a copy, has none, or is
    /// gone already.
    ///
    /// # Errors
    ///
    /// Where the disk is full or cannot be written; then the image is there still.
    pub fn drop_original(&self, info: &MediaInfo) -> io::Result<Option<u64>> {
        let Some(copies) = self.copies.filter(|copies| copies.are_of(info)) else {
            return Ok(None);
        };
        let Some(original) = self.original(&info.content) else {
            return Ok(None);
        };
        let copy = self.copy_path(&info.content);
        if !copy.is_file()
            && self
                .write_copy(copies, &copy, &fs::read(&original)?)?
                .is_none()
        {
            return Ok(None);
        }
        if let Some(folder) = copy.parent() {
            fs::File::open(folder)?.sync_all()?;
        }
        fs::remove_file(&original)?;
        Ok(Some(info.bytes))
    }
}

impl Copies {
    /// Whether an image has a copy: one that is no larger is its own.
    fn are_of(&self, info: &MediaInfo) -> bool {
        info.width.max(info.height) > self.side
    }
}

/// A file in `folder` that holds `bytes`, also after a power cut; it goes when it is dropped.
fn write_durably(folder: &Path, bytes: &[u8]) -> io::Result<TempPath> {
    let mut builder = Builder::new();
    // Temporary files are for their owner only by default; the store is for whoever may read the
    // home.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file.into_temp_path())
}

/// Does `work` for each item, at most so many at a time; the first error ends it.
fn each_at_once<T: Sync>(
    most: usize,
    items: &[T],
    work: impl Fn(&T) -> io::Result<()> + Sync,
) -> io::Result<()> {
    let per_thread = items.len().div_ceil(most).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = items
            .chunks(per_thread)
            .map(|chunk| scope.spawn(|| chunk.iter().try_for_each(&work)))
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().expect("writing a file does not panic"))
    })
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
