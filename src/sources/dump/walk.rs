//! A walk through files: posts go into pages, and each page tells up to where it was read.

use std::{collections::VecDeque, io, path::Path};

use fs_err as fs;
use serde::de::IgnoredAny;

use super::{
    identity::{goes_on, identity},
    judged::{Batch, Dropped, Judged, LINES, LONGEST_LINE, Place},
    pieces::{Cutter, Format, Spare},
    seen::Seen,
    threads,
    wanted::Wanted,
};
use crate::{
    corpus::{DecodeStart, FileCursor, RawBody},
    sources::{Error, ScrapeRequest, pager::Pager, reddit::post::ParsedPost},
};

/// A walk through files.
pub(super) struct Walk {
    pager: Pager,
    wanted: Wanted,
    seen: Seen,
    spare: Spare,
}

impl Walk {
    pub(super) fn new(request: ScrapeRequest, pager: Pager) -> Self {
        Self {
            pager,
            wanted: Wanted::new(request),
            seen: Seen::default(),
            spare: Spare::default(),
        }
    }

    /// Reads what is new in a file, to its end or to where it breaks; what came before is sent
    /// either way.
    ///
    /// # Errors
    ///
    /// Where the file breaks, or nobody takes the pages any more.
    pub(super) fn file(&mut self, path: &Path, format: Format) -> Result<(), Error> {
        let unopened = |error: io::Error| Error::Broken {
            message: format!("`{}` cannot be opened", path.display()),
            source: Some(Box::new(error)),
        };
        let mut file = fs::File::open(path).map_err(unopened)?;
        let cursor = self.cursor(path, &mut file, format).map_err(unopened)?;
        let (start, offset) = (cursor.start, cursor.offset);
        let kept_before = self.pager.counted.kept;
        let mut progress = Progress {
            at: Place {
                offset: start.offset,
                lines: cursor.lines,
            },
            starts: VecDeque::new(),
            cursor,
            line: Vec::new(),
            line_at: 0,
            is_endless: false,
            late: None,
            malformed: Vec::new(),
            bad_lines: 0,
            raw: start.raw,
            begins_anywhere: format.begins_anywhere(),
        };
        let Self {
            pager,
            wanted,
            seen,
            spare,
        } = self;
        let wanted = &*wanted;
        let mut sink = Sink { pager, seen };
        let end = threads::search(
            move |spare| Cutter::new(file, format, start, offset, spare, wanted),
            spare,
            wanted,
            |batch| progress.take(batch, wanted, &mut sink),
        )?;
        if end.is_ok() {
            progress.end(wanted, &mut sink)?;
        }
        if progress.bad_lines > 0 {
            tracing::warn!(
                file = %path.display(),
                lines = progress.bad_lines,
                first = ?progress.malformed,
                "lines that are no JSON objects are dropped"
            );
        }
        sink.pager.send()?;
        sink.pager.cursor = None;
        end.map_err(|error| Error::Broken {
            message: format!(
                "`{}` {} after line {}: the {} posts kept before stand; {}",
                path.display(),
                if error.kind() == io::ErrorKind::UnexpectedEof {
                    "is cut off"
                } else {
                    "cannot be decoded"
                },
                progress.at.lines,
                sink.pager.counted.kept - kept_before,
                format.help(),
            ),
            source: Some(Box::new(error)),
        })
    }

    /// Where to go on in a file: where an earlier walk stopped, if it is still that file.
    fn cursor(&self, path: &Path, file: &mut fs::File, format: Format) -> io::Result<FileCursor> {
        let name = path.display().to_string();
        let now = identity(file)?;
        let mut known = self.wanted.request().cursors.iter();
        if let Some(known) = known.find(|known| known.file == name)
            && (now == known.identity || format.grows() && goes_on(file, &now, known)?)
        {
            return Ok(FileCursor {
                identity: now,
                ..known.clone()
            });
        }
        Ok(FileCursor {
            file: name,
            identity: now,
            offset: 0,
            lines: 0,
            start: DecodeStart::default(),
        })
    }
}

/// Where posts go.
struct Sink<'a> {
    pager: &'a mut Pager,
    seen: &'a mut Seen,
}

impl Sink<'_> {
    /// Adds a post, unless a later reading of it was added.
    fn post(&mut self, post: ParsedPost, raw: Option<RawBody>) {
        let ParsedPost {
            record,
            observation,
            ..
        } = post;
        let read_at = observation.observed_at;
        let before = self.seen.reading(&record.id);
        let is_earlier = matches!((before, read_at), (Some(before), Some(now)) if now < before);
        if !is_earlier {
            self.seen.note(&record.id, read_at);
            self.pager.add_raw(&record.id, raw);
            self.pager.add(record, Some(observation));
        }
        if before.is_some() {
            self.pager.add_dropped("duplicate", 1);
        }
    }
}

/// How far a file is read.
struct Progress {
    /// Where the next piece begins; its lines do not count the one that is not whole yet.
    at: Place,
    /// Where decoding can begin, from the place that the cursor needs on.
    starts: VecDeque<DecodeStart>,
    cursor: FileCursor,
    /// What there is of a line that is not whole yet, and where it begins.
    line: Vec<u8>,
    line_at: u64,
    /// Whether that line is too long to be kept.
    is_endless: bool,
    /// Where the first line begins that is too young: the next walk begins there.
    late: Option<Place>,
    malformed: Vec<u64>,
    bad_lines: u64,
    /// Bytes of the file that are read.
    raw: u64,
    /// Whether any place is as good a beginning as another.
    begins_anywhere: bool,
}

impl Progress {
    fn take(&mut self, batch: Batch, wanted: &Wanted, sink: &mut Sink<'_>) -> Result<(), Error> {
        sink.pager.add_bytes(batch.read, batch.decoded);
        self.raw += batch.read;
        if let Some(raw) = batch.raw {
            let offset = self.at.offset;
            self.starts.push_back(DecodeStart { raw, offset });
        }
        let begin = self.at.offset;
        let end = begin + batch.length;
        self.add_to_line(&batch.head, begin, end, batch.head_ends);
        if batch.head_ends {
            self.end_line("\n", wanted, sink)?;
        }
        let base = Place {
            offset: begin,
            lines: self.at.lines,
        };
        self.at.lines += batch.judged.lines;
        self.absorb(batch.judged, base, sink)?;
        self.at.offset = end;
        if batch.head_ends {
            self.line_at = end - batch.tail.len() as u64;
            self.line = batch.tail;
        }
        let is_between = self.line.is_empty() && !self.is_endless;
        let offset = if is_between { end } else { self.line_at };
        let lines = self.at.lines;
        self.reached(Place { offset, lines }, sink);
        Ok(())
    }

    /// Adds what a piece from `begin` to `end` has of a line.
    fn add_to_line(&mut self, head: &[u8], begin: u64, end: u64, is_end: bool) {
        if self.line.is_empty() && !self.is_endless {
            // Without an end it reaches to the end of the piece; what is before it is known.
            self.line_at = if is_end {
                begin.max(self.cursor.offset)
            } else {
                end - head.len() as u64
            };
        }
        if self.line.len() + head.len() > LONGEST_LINE {
            self.is_endless = true;
            self.line = Vec::new();
        } else if !self.is_endless {
            self.line.extend_from_slice(head);
        }
    }

    /// Judges the line that was put together, with the end that it has.
    fn end_line(
        &mut self,
        line_end: &str,
        wanted: &Wanted,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let line = std::mem::take(&mut self.line);
        let base = Place {
            offset: self.line_at,
            lines: self.at.lines,
        };
        let mut judged = Judged::default();
        if std::mem::take(&mut self.is_endless) {
            judged.endless();
        } else {
            let mark = "\u{feff}".as_bytes();
            let text = match line.strip_prefix(mark) {
                Some(text) if self.line_at == 0 => text,
                _ => &line,
            };
            judged.line(wanted, text, 0..(line.len() + line_end.len()) as u64);
        }
        self.at.lines += 1;
        self.absorb(judged, base, sink)
    }

    fn absorb(&mut self, judged: Judged, base: Place, sink: &mut Sink<'_>) -> Result<(), Error> {
        if let Some(late) = judged.late {
            self.late.get_or_insert(late.after(base));
        }
        for kept in judged.kept {
            self.count_dropped(kept.dropped, sink);
            sink.post(kept.post, kept.raw);
            self.reached(kept.end.after(base), sink);
            sink.pager.send_if_full()?;
        }
        for number in judged.malformed {
            if self.malformed.len() < LINES {
                self.malformed.push(base.lines + number);
            }
        }
        self.count_dropped(judged.dropped, sink);
        sink.pager.send_if_full()
    }

    fn count_dropped(&mut self, dropped: Dropped, sink: &mut Sink<'_>) {
        for (reason, lines) in dropped {
            if reason == "malformed_line" {
                self.bad_lines += lines;
            }
            sink.pager.add_dropped(&reason, lines);
        }
    }

    /// The file has ended, and perhaps its last line without an end of its own.
    fn end(&mut self, wanted: &Wanted, sink: &mut Sink<'_>) -> Result<(), Error> {
        let is_open = !self.line.is_empty() || self.is_endless;
        // What is no whole text may be the beginning of one that is still being written: it is read
        // again when the file has grown.
        let is_whole = !is_open
            || self.line.trim_ascii().is_empty()
            || serde_json::from_slice::<IgnoredAny>(&self.line).is_ok();
        if !is_whole {
            sink.pager.add_dropped("unfinished_line", 1);
        } else if is_open {
            self.end_line("", wanted, sink)?;
        }
        if is_whole {
            // Decoding goes on behind all that there is.
            self.starts.push_back(DecodeStart {
                raw: self.raw,
                offset: self.at.offset,
            });
            self.reached(self.at, sink);
        }
        Ok(())
    }

    /// Everything before `place` is in pages, and nothing behind it.
    fn reached(&mut self, place: Place, sink: &mut Sink<'_>) {
        let late = self.late.filter(|late| late.offset < place.offset);
        let place = late.unwrap_or(place);
        if place.offset < self.cursor.offset {
            return;
        }
        self.cursor.offset = place.offset;
        self.cursor.lines = place.lines;
        while let Some(start) = self.starts.front()
            && start.offset <= place.offset
        {
            self.cursor.start = *start;
            self.starts.pop_front();
        }
        if self.begins_anywhere {
            self.cursor.start = DecodeStart {
                raw: place.offset,
                offset: place.offset,
            };
        }
        sink.pager.reached(&self.cursor, late.is_some());
    }
}
