//! A file → pieces that can be decoded and searched apart from each other.

use std::{
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    sync::{Mutex, PoisonError},
};

use fs_err as fs;
use zstd::{
    stream::raw::{Decoder, InBuffer, Operation, OutBuffer},
    zstd_safe,
};

use super::{
    parquet::{self, Rows},
    wanted::Wanted,
};
use crate::corpus::DecodeStart;

/// The public dumps are written with `--long=31`, which other readers refuse.
pub(super) const WINDOW_LOG_MAX: u32 = 31;
/// Decoded bytes of a piece that is cut out of a stream: small enough to stay in the cache.
const PIECE: usize = 512 << 10;
/// Frames up to this length are decoded by the threads that search them: what they decode lies in
/// memory once a thread, and each thread needs no window beside it.
const FRAME: u64 = 20 << 20;
/// A block's compressed length that no writer of blocks comes near to.
const BLOCK: u32 = 64 << 20;
/// How much of a file is read at once.
const READ: usize = 1 << 20;
/// The longest header of a frame, with room to spare.
const HEADER: usize = 64;

/// How a dump is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Lines.
    Plain,
    /// Lines, compressed with zstd: one frame or many.
    Zstd,
    /// Arctic Shift's blocks: a length of four bytes (little-endian, as all numbers here), then a
    /// frame of zstd; decoded, it is a count of rows, offset and length of each, and their bytes.
    Blocks,
    /// Parquet: columns, in groups of rows.
    Parquet,
}

impl Format {
    /// The format of a file by its name; `None` where it is no dump.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "jsonl" | "ndjson" => Some(Self::Plain),
            "zst" => Some(Self::Zstd),
            "zst_blocks" => Some(Self::Blocks),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// Whether reading can begin at any line or row as well as at any other.
    pub(super) const fn begins_anywhere(self) -> bool {
        matches!(self, Self::Plain | Self::Parquet)
    }

    /// Whether what is added to a file leaves what was there.
    pub(super) const fn grows(self) -> bool {
        !matches!(self, Self::Parquet)
    }

    /// What helps where a file cannot be read.
    pub(super) const fn help(self) -> &'static str {
        match self {
            Self::Parquet => "get the file anew, or wait until it is written, and run again",
            _ => "get the file anew, or check it with `zstd --long=31 -t`, and run again",
        }
    }
}

/// A piece of a file.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) data: Data,
    /// Bytes of the file before it, where decoding can begin with it.
    pub(super) raw: Option<u64>,
    /// Bytes of the file in it.
    pub(super) read: u64,
    /// What is known already at its beginning: decoded bytes, or rows of a block.
    pub(super) skip: u64,
}

/// What a piece holds.
#[derive(Debug)]
pub(super) enum Data {
    /// Text, cut anywhere.
    Text(Vec<u8>),
    /// A whole frame of text, cut anywhere.
    Frame {
        /// The frame.
        packed: Vec<u8>,
        /// Its length, decoded.
        length: usize,
    },
    /// A block of rows.
    Block(Vec<u8>),
    /// Rows.
    Rows(Rows),
    /// So many rows, none of which is wanted.
    Passed { rows: u64, reason: &'static str },
}

/// Memory that is used again: fresh pages cost more than what is written to them.
#[derive(Debug, Default)]
pub(super) struct Spare(Mutex<Vec<Vec<u8>>>);

impl Spare {
    /// An empty buffer.
    pub(super) fn take(&self) -> Vec<u8> {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.pop().unwrap_or_default()
    }

    /// Gives a buffer back.
    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.push(buffer);
    }
}

/// Cuts a file into pieces.
pub(super) struct Cutter<'a> {
    input: Input,
    format: Format,
    spare: &'a Spare,
    wanted: &'a Wanted,
    skip: u64,
}

impl<'a> Cutter<'a> {
    /// Begins at `start`; up to `offset` everything is known.
    pub(super) fn new(
        mut file: fs::File,
        format: Format,
        start: DecodeStart,
        offset: u64,
        spare: &'a Spare,
        wanted: &'a Wanted,
    ) -> io::Result<Self> {
        file.seek(SeekFrom::Start(start.raw))?;
        Ok(Self {
            input: Input {
                file,
                buffer: Vec::new(),
                from: 0,
                raw: start.raw,
            },
            format,
            spare,
            wanted,
            skip: offset - start.offset,
        })
    }

    /// Hands over piece after piece until the file ends or `send` wants no more.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read, is cut off, or is no such file.
    pub(super) fn cut(mut self, mut send: impl FnMut(Piece) -> bool) -> io::Result<()> {
        match self.format {
            Format::Plain => self.plain(&mut send),
            Format::Zstd => self.zstd(&mut send),
            Format::Blocks => self.blocks(&mut send),
            Format::Parquet => parquet::cut(self.input.file, self.input.raw, self.wanted, send),
        }
    }

    fn skip(&mut self, length: u64) -> u64 {
        let skip = self.skip.min(length);
        self.skip -= skip;
        skip
    }

    fn plain(&mut self, send: &mut impl FnMut(Piece) -> bool) -> io::Result<()> {
        loop {
            let mut text = self.spare.take();
            let raw = self.input.raw;
            let read = (&mut self.input.file)
                .take(PIECE as u64)
                .read_to_end(&mut text)? as u64;
            self.input.raw += read;
            let skip = self.skip(read);
            let piece = Piece {
                data: Data::Text(text),
                raw: Some(raw),
                read,
                skip,
            };
            if read == 0 || !send(piece) {
                return Ok(());
            }
        }
    }

    fn blocks(&mut self, send: &mut impl FnMut(Piece) -> bool) -> io::Result<()> {
        while !self.input.fill(4)?.is_empty() {
            let raw = self.input.raw;
            let bytes = self.input.fill(4)?;
            let length = bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
            let length = length.ok_or(io::ErrorKind::UnexpectedEof)?;
            if length > BLOCK {
                return Err(wrong(format!("a block of {length} bytes is none")));
            }
            self.input.consume(4);
            let length = length as usize;
            let packed = self.input.fill(length)?.get(..length);
            let packed = packed.ok_or(io::ErrorKind::UnexpectedEof)?.to_vec();
            self.input.consume(length);
            let piece = Piece {
                data: Data::Block(packed),
                raw: Some(raw),
                read: length as u64 + 4,
                // Reading begins at the block in which all that is known ends.
                skip: std::mem::take(&mut self.skip),
            };
            if !send(piece) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn zstd(&mut self, send: &mut impl FnMut(Piece) -> bool) -> io::Result<()> {
        let mut decoder: Option<Decoder<'static>> = None;
        while !self.input.fill(HEADER)?.is_empty() {
            let wants_more = if let Some((length, packed)) = self.whole_frame()? {
                let raw = self.input.raw;
                let mut frame = self.spare.take();
                frame.extend_from_slice(&self.input.fill(packed)?[..packed]);
                self.input.consume(packed);
                let skip = self.skip(length as u64);
                send(Piece {
                    data: Data::Frame {
                        packed: frame,
                        length,
                    },
                    raw: Some(raw),
                    read: packed as u64,
                    skip,
                })
            } else {
                let decoder = match &mut decoder {
                    Some(decoder) => decoder,
                    none => {
                        let mut fresh = Decoder::new()?;
                        fresh.set_parameter(zstd_safe::DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
                        none.insert(fresh)
                    }
                };
                self.stream(decoder, send)?
            };
            if !wants_more {
                break;
            }
        }
        Ok(())
    }

    /// Lengths of the frame that comes next, decoded and as it is, where it is short and whole.
    fn whole_frame(&mut self) -> io::Result<Option<(usize, usize)>> {
        let header = self.input.fill(HEADER)?;
        let Ok(Some(length)) = zstd_safe::get_frame_content_size(header) else {
            return Ok(None);
        };
        if length > FRAME || !header.starts_with(&zstd_safe::MAGICNUMBER.to_le_bytes()) {
            return Ok(None);
        }
        let length = usize::try_from(length).expect("is small");
        // Most are an eighth of that.
        for most in [
            length / 4 + HEADER,
            zstd_safe::compress_bound(length) + HEADER,
        ] {
            if let Ok(packed) = zstd_safe::find_frame_compressed_size(self.input.fill(most)?) {
                return Ok(Some((length, packed)));
            }
        }
        Ok(None)
    }

    /// Decodes one frame; answers whether more is wanted.
    fn stream(
        &mut self,
        decoder: &mut Decoder<'static>,
        send: &mut impl FnMut(Piece) -> bool,
    ) -> io::Result<bool> {
        let mut raw = Some(self.input.raw);
        let mut before = self.input.raw;
        loop {
            let mut text = self.spare.take();
            text.reserve_exact(PIECE);
            let end = self.fill_piece(decoder, &mut text);
            let skip = self.skip(text.len() as u64);
            let piece = Piece {
                data: Data::Text(text),
                raw: raw.take(),
                read: self.input.raw - before,
                skip,
            };
            before = self.input.raw;
            // What came before a fault is handed over as well.
            if !send(piece) {
                return Ok(false);
            }
            if end? {
                return Ok(true);
            }
        }
    }

    /// Decodes until the piece is full; answers whether the frame has ended.
    fn fill_piece(
        &mut self,
        decoder: &mut Decoder<'static>,
        text: &mut Vec<u8>,
    ) -> io::Result<bool> {
        loop {
            let bytes = self.input.fill(1)?;
            let is_at_end = bytes.is_empty();
            let mut input = InBuffer::around(bytes);
            let written = text.len();
            let mut output = OutBuffer::around_pos(text, written);
            let left = decoder.run(&mut input, &mut output)?;
            let consumed = input.pos();
            self.input.consume(consumed);
            if left == 0 {
                return Ok(true);
            }
            if text.len() >= PIECE {
                return Ok(false);
            }
            if is_at_end && text.len() == written {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// A file that can be looked into ahead.
struct Input {
    file: fs::File,
    buffer: Vec<u8>,
    /// Where in the buffer the next byte is.
    from: usize,
    /// Where in the file the next byte is.
    raw: u64,
}

impl Input {
    /// The bytes that come next: at least `most`, less only at the end of the file.
    fn fill(&mut self, most: usize) -> io::Result<&[u8]> {
        let have = self.buffer.len() - self.from;
        if have < most {
            self.buffer.drain(..self.from);
            self.from = 0;
            let more = (most - have).max(READ) as u64;
            (&mut self.file).take(more).read_to_end(&mut self.buffer)?;
        }
        Ok(&self.buffer[self.from..])
    }

    fn consume(&mut self, bytes: usize) {
        self.from += bytes;
        self.raw += bytes as u64;
    }
}

/// Rows or bytes that contradict each other.
pub(super) fn wrong(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
