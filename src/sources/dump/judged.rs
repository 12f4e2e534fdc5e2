//! A piece → the posts that are wanted, and a reason for every other line.

use std::{borrow::Cow, collections::BTreeMap, io, ops::Range};

use super::{
    parquet::{Row, Rows},
    pieces::{Data, Piece, Spare, wrong},
    wanted::Wanted,
};
use crate::{
    corpus::RawBody,
    sources::{
        deleted::{DELETED, is_deleted},
        reddit::post::{ParsedPost, Reason, parse_post},
    },
};

/// The longest line that is read as a post; the longest real ones have some hundred kilobytes.
pub(super) const LONGEST_LINE: usize = 16 << 20;
/// How many line numbers a warning names.
pub(super) const LINES: usize = 5;

/// A place in a piece or a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Decoded bytes before it, or rows where there are blocks.
    pub(super) offset: u64,
    /// Lines before it.
    pub(super) lines: u64,
}

impl Place {
    /// A place in a piece, seen from where the piece begins.
    pub(super) const fn after(self, base: Self) -> Self {
        Self {
            offset: base.offset + self.offset,
            lines: base.lines + self.lines,
        }
    }
}

/// How many lines were dropped, by reason.
pub(super) type Dropped = BTreeMap<Cow<'static, str>, u64>;

/// A post that is wanted.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) post: ParsedPost,
    /// Its line, where that is asked for.
    pub(super) raw: Option<RawBody>,
    /// The place behind it.
    pub(super) end: Place,
    /// The lines that were dropped between the post before it and this one.
    pub(super) dropped: Dropped,
}

/// What became of some lines.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// How many lines there were, empty ones too.
    pub(super) lines: u64,
    /// The posts that are wanted.
    pub(super) kept: Vec<Kept>,
    /// The lines that were dropped behind the last of them.
    pub(super) dropped: Dropped,
    /// Numbers of the first lines that are no JSON objects, from 1.
    pub(super) malformed: Vec<u64>,
    /// Where the first line begins that is too young to be read now.
    pub(super) late: Option<Place>,
}

impl Judged {
    /// Judges a line that lies at `span`, an end of line with it.
    pub(super) fn line(&mut self, wanted: &Wanted, line: &[u8], span: Range<u64>) {
        let line = line.trim_ascii();
        if line.is_empty() {
            self.lines += 1;
            return;
        }
        let reason = match judge(wanted, line) {
            Ok(post) => {
                self.lines += 1;
                let end = Place {
                    offset: span.end,
                    lines: self.lines,
                };
                let dropped = std::mem::take(&mut self.dropped);
                let raw = wanted.request().raw.then(|| post.raw(line));
                self.kept.push(Kept {
                    post,
                    raw,
                    end,
                    dropped,
                });
                return;
            }
            Err(Refused::For(reason)) => Cow::Borrowed(reason),
            Err(Refused::Unread(reason)) => Cow::Owned(reason.to_string()),
        };
        self.pass(reason, 1, span.start);
    }

    /// Counts `lines` lines from `offset` on that are no posts, or none that are wanted.
    fn pass(&mut self, reason: Cow<'static, str>, lines: u64, offset: u64) {
        if reason == "after_as_of" {
            let lines = self.lines;
            self.late.get_or_insert(Place { offset, lines });
        }
        self.lines += lines;
        if reason == "malformed_line" && self.malformed.len() < LINES {
            self.malformed.push(self.lines);
        }
        *self.dropped.entry(reason).or_default() += lines;
    }

    /// Counts a line that is too long to be read.
    pub(super) fn endless(&mut self) {
        self.pass("malformed_line".into(), 1, 0);
    }
}

/// Why a line is no post that is wanted.
enum Refused {
    /// It is another one than is asked for.
    For(&'static str),
    /// It cannot be read.
    Unread(Reason),
}

fn judge(wanted: &Wanted, line: &[u8]) -> Result<ParsedPost, Refused> {
    if line.len() > LONGEST_LINE {
        return Err(Refused::Unread(Reason::Malformed));
    }
    if let Some(reason) = wanted.passes_over(line) {
        return Err(Refused::For(reason));
    }
    let post = parse_post(line, wanted.request().images).map_err(Refused::Unread)?;
    match wanted.request().unwanted(&post.record) {
        Some(reason) => Err(Refused::For(reason)),
        None if is_deleted(&post.record) => Err(Refused::For(DELETED)),
        None => Ok(post),
    }
}

/// A piece that was decoded and searched.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// As in [`Piece`].
    pub(super) raw: Option<u64>,
    /// As in [`Piece`].
    pub(super) read: u64,
    /// How far the next piece lies behind this one: decoded bytes, or rows.
    pub(super) length: u64,
    /// Decoded bytes.
    pub(super) decoded: u64,
    /// What the piece has of a line that may have begun before it.
    pub(super) head: Vec<u8>,
    /// Whether that line ends in it.
    pub(super) head_ends: bool,
    /// The lines that are whole; their places are seen from where the piece begins, but their
    /// numbers from the end of `head`.
    pub(super) judged: Judged,
    /// What it has of a line that does not end in it.
    pub(super) tail: Vec<u8>,
}

/// What a thread needs to decode.
pub(super) struct Tools {
    decoder: zstd::bulk::Decompressor<'static>,
    text: Vec<u8>,
}

impl Tools {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            decoder: zstd::bulk::Decompressor::new()?,
            text: Vec::new(),
        })
    }

    /// Decodes a piece, where that is still to do, and judges its lines.
    pub(super) fn search(
        &mut self,
        piece: Piece,
        wanted: &Wanted,
        spare: &Spare,
    ) -> io::Result<Batch> {
        let mut batch = Batch {
            raw: piece.raw,
            read: piece.read,
            ..Batch::default()
        };
        let skip = usize::try_from(piece.skip).expect("lies in the piece");
        match piece.data {
            Data::Text(text) => {
                batch.lines(&text, skip, wanted);
                spare.give(text);
            }
            Data::Frame { packed, length } => {
                self.unpack(&packed, length)?;
                batch.lines(&self.text, skip, wanted);
                spare.give(packed);
            }
            Data::Block(packed) => {
                let length = zstd::bulk::Decompressor::upper_bound(&packed);
                let length = length.filter(|length| *length <= LONGEST_BLOCK);
                let length = length.ok_or_else(|| wrong("a block has no length".to_owned()))?;
                self.unpack(&packed, length)?;
                batch.block(&self.text, skip, wanted)?;
            }
            Data::Rows(rows) => batch.rows(&rows, wanted),
            Data::Passed { rows, reason } => {
                batch.length = rows;
                batch.judged.pass(reason.into(), rows, 0);
            }
        }
        Ok(batch)
    }

    fn unpack(&mut self, packed: &[u8], length: usize) -> io::Result<()> {
        self.text.clear();
        self.text.reserve_exact(length);
        self.decoder.decompress_to_buffer(packed, &mut self.text)?;
        Ok(())
    }
}

/// The longest block that is read, decoded. Blocks of the public dumps have 256 rows.
const LONGEST_BLOCK: usize = 64 << 20;

impl Batch {
    /// Judges the lines of a text, of which the first `skip` bytes are known.
    pub(super) fn lines(&mut self, text: &[u8], skip: usize, wanted: &Wanted) {
        self.length = text.len() as u64;
        self.decoded = self.length;
        let new = &text[skip..];
        let Some(first) = memchr::memchr(b'\n', new) else {
            self.head = new.to_vec();
            return;
        };
        self.head = new[..first].to_vec();
        self.head_ends = true;
        let base = skip + first + 1;
        let mut from = base;
        for at in memchr::memchr_iter(b'\n', &text[base..]) {
            let end = base + at + 1;
            let span = from as u64..end as u64;
            self.judged.line(wanted, &text[from..end], span);
            from = end;
        }
        self.tail = text[from..].to_vec();
    }

    /// Judges rows of which some may be passed over already.
    fn rows(&mut self, rows: &Rows, wanted: &Wanted) {
        self.decoded = rows.text.len() as u64;
        self.length = rows.rows.len() as u64;
        let mut from = 0;
        for (row, at) in rows.rows.iter().zip(0..) {
            match *row {
                Row::Line(end) => {
                    self.judged.line(wanted, &rows.text[from..end], at..at + 1);
                    from = end;
                }
                Row::Passed(reason) => self.judged.pass(reason.into(), 1, at),
            }
        }
    }

    /// Judges the rows of a block, of which the first `skip` are known.
    pub(super) fn block(&mut self, block: &[u8], skip: usize, wanted: &Wanted) -> io::Result<()> {
        self.decoded = block.len() as u64;
        let cut = || wrong("a block ends before its rows do".to_owned());
        let number = |at: usize| -> io::Result<usize> {
            let bytes = block.get(at..).and_then(<[u8]>::first_chunk);
            let number = bytes.map(|bytes| u32::from_le_bytes(*bytes) as usize);
            number.ok_or_else(cut)
        };
        let count = number(0)?;
        self.length = count as u64;
        let rows = count
            .checked_mul(8)
            .and_then(|length| block.get(length.checked_add(4)?..))
            .ok_or_else(cut)?;
        for row in skip..count {
            let (start, length) = (number(4 + 8 * row)?, number(8 + 8 * row)?);
            let line = start
                .checked_add(length)
                .and_then(|end| rows.get(start..end))
                .ok_or_else(cut)?;
            self.judged.line(wanted, line, row as u64..row as u64 + 1);
        }
        Ok(())
    }
}
