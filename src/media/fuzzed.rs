//! What the fuzzer of image files feeds, and the replay of every fuzzer's corpus.
//!
//! It is compiled for the tests and by `tests/fuzz`, never into the program.

use super::{Format, Limits, decode, is_html, is_whole, probe, sniff};

/// Small, so that a guess of the fuzzer costs little.
const LIMITS: Limits = Limits {
    max_bytes: 1 << 20,
    max_pixels: 1 << 12,
    max_alloc: 1 << 16,
};

/// Looks into `bytes` as into an image that came from anywhere.
///
/// # Panics
///
/// Where a reader of heads does, and where two of them disagree.
pub(crate) fn feed(bytes: &[u8]) {
    is_html(bytes);
    for format in Format::ALL {
        is_whole(format, bytes);
    }
    let Ok(info) = probe(bytes, &LIMITS) else {
        return;
    };
    let format = sniff(bytes).expect("what has a size has a signature");
    assert_eq!(info.format, format.name());
    assert!(is_whole(format, bytes), "a cut file has passed");
    assert!(u64::from(info.width) * u64::from(info.height) <= LIMITS.max_pixels);
    if let Ok(picture) = decode(bytes, &LIMITS) {
        assert_eq!(picture.dimensions(), (info.width, info.height));
    }
}

/// Feeds every file of a corpus under `tests/fuzz/corpus`, of which there must be some.
#[cfg(test)]
pub(crate) fn replay(corpus: &str, feed: impl Fn(&[u8])) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let files: Vec<_> = fs_err::read_dir(folder.join(corpus)).unwrap().collect();
    assert!(files.len() > 3, "no corpus `{corpus}`");
    for file in files {
        let path = file.unwrap().path();
        let bytes = fs_err::read(&path).unwrap();
        let fed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| feed(&bytes)));
        assert!(fed.is_ok(), "`{}` is not borne", path.display());
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_of_image_files_is_borne() {
        super::replay("image_head", super::feed);
    }
}
