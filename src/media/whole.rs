//! Whether an image file has an end.
//!
//! A decoder may call a file that was cut off half-way a success and hand back gray pixels. These
//! functions follow a file's structure to its end mark without decoding it.

use super::Format;

/// Whether the structure of `bytes`, a file of this format, reaches its end.
pub(crate) fn is_whole(format: Format, bytes: &[u8]) -> bool {
    match format {
        Format::Jpeg => jpeg(bytes),
        Format::Png => png(bytes),
        Format::Webp => webp(bytes),
        Format::Gif => gif(bytes),
    }
    .is_some()
}

/// The bytes after the first `count`.
fn skip(bytes: &[u8], count: usize) -> Option<&[u8]> {
    bytes.get(count..)
}

fn be_u16(bytes: &[u8]) -> Option<usize> {
    let [high, low] = *bytes.first_chunk()?;
    Some(usize::from(u16::from_be_bytes([high, low])))
}

/// Segments up to the end-of-image marker; at least one of them holds pixels.
fn jpeg(bytes: &[u8]) -> Option<()> {
    let mut rest = skip(bytes, 2)?;
    let mut has_scan = false;
    loop {
        // In the pixels of a scan 0xff is followed by 0 (a plain 0xff) or a restart marker;
        // elsewhere it may be repeated as filling.
        let at = rest.iter().position(|&byte| byte == 0xff)?;
        let marker = *rest.get(at + 1)?;
        rest = skip(rest, at + 1)?;
        match marker {
            0xff => {}
            0x00 | 0x01 | 0xd0..=0xd8 => rest = skip(rest, 1)?,
            0xd9 => return has_scan.then_some(()),
            _ => {
                has_scan |= marker == 0xda;
                rest = skip(rest, 1)?;
                rest = skip(rest, be_u16(rest)?)?;
            }
        }
    }
}

/// Chunks up to `IEND`.
fn png(bytes: &[u8]) -> Option<()> {
    let mut rest = skip(bytes, 8)?;
    loop {
        let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
        let kind = rest.get(4..8)?;
        // Length, kind, data, checksum.
        rest = skip(rest, length.checked_add(12)?)?;
        if kind == b"IEND" {
            return Some(());
        }
    }
}

/// As many bytes as the head says.
fn webp(bytes: &[u8]) -> Option<()> {
    let length = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?) as usize;
    (bytes.len() >= length.checked_add(8)?).then_some(())
}

/// Blocks up to the end of the first frame; many good files lack the last mark.
fn gif(bytes: &[u8]) -> Option<()> {
    let colours = |flags: u8| {
        if flags & 0x80 == 0 {
            0
        } else {
            3 << ((flags & 7) + 1)
        }
    };
    let mut rest = skip(bytes, 13 + colours(*bytes.get(10)?))?;
    loop {
        let is_frame = match rest.first()? {
            0x21 => {
                rest = skip(rest, 2)?;
                false
            }
            0x2c => {
                // Place, size, flags; colours; the code size.
                rest = skip(rest, 10 + colours(*rest.get(9)?) + 1)?;
                true
            }
            _ => return None,
        };
        loop {
            let length = usize::from(*rest.first()?);
            rest = skip(rest, length + 1)?;
            if length == 0 {
                break;
            }
        }
        if is_frame {
            return Some(());
        }
    }
}
