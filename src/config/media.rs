//! `[media]`: what images are taken.

use super::reader::Reader;

/// What images are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// The largest file, in bytes. Default: 25 MB.
    pub max_bytes: u64,
    /// The most pixels, width times height. Default: 50 million.
    pub max_pixels: u64,
    /// The most memory for one image's decoded pixels, in bytes. Default: 256 MiB.
    pub max_alloc: u64,
    /// The longer side, in pixels, of the copy that is kept of each larger image, so that encoders
    /// can change after `retention.originals` has removed the image itself; 0: none is made. As of
    /// the daemon's start. Default: 640.
    pub copy_side: u64,
}

impl Media {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            max_bytes: reader.get("media.max_bytes", 25_000_000),
            max_pixels: reader.get("media.max_pixels", 50_000_000),
            max_alloc: reader.get("media.max_alloc", 256 << 20),
            copy_side: reader.get("media.copy_side", 640),
        }
    }
}
