//! What a purged record is found by in bytes of any kind: its title, its author, its id.
//!
//! Most of these stand for nothing else. Some do: an author may be called `scrape`, and an id may be
//! `42`. Such a one counts only where what it is stands before it (`u/scrape`, `record 42`), or where
//! the record or its data set is named beside it.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    io::{self, Read as _},
    path::Path,
};

use crate::store::NotedPurge;

/// Texts at least this long are found by so many of their first bytes.
const LONG: usize = 8;
/// A word shorter than this stands for too much else.
const SHORTEST: usize = 4;
/// So much of a text is compared: enough to know it.
const COMPARED: usize = 256;
/// So far to both sides it is looked what a common word stands for, in bytes of its line.
const BESIDE: usize = 200;
/// How many bytes of a file are read at a time.
const PIECE: usize = 1 << 20;

/// What a text is to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Id,
    Person,
    Text,
    Place,
}

impl Kind {
    /// Words after which it is meant.
    const fn announced_by(self) -> &'static [&'static str] {
        match self {
            Self::Id => &["id", "ids", "record", "record_id", "post", "t3"],
            Self::Person => &["u", "user", "author", "authors"],
            Self::Text => &["title", "headline", "caption"],
            Self::Place => &["image", "file", "place"],
        }
    }
}

/// A text by which purged records are found.
#[derive(Debug)]
struct Needle {
    text: Vec<u8>,
    /// What must stand beside it, where it is a common word; none where it stands for itself.
    beside: Option<Beside>,
}

#[derive(Debug, Default)]
struct Beside {
    kinds: Vec<Kind>,
    /// Ids of the records whose text it is.
    ids: HashSet<Vec<u8>>,
    /// Their data sets, where it is an id.
    datasets: HashSet<Vec<u8>>,
}

/// The texts by which purged records are found.
#[derive(Debug, Default)]
pub(super) struct Needles {
    all: Vec<Needle>,
    /// By their first bytes.
    long: HashMap<[u8; LONG], Vec<usize>>,
    /// By all of their bytes.
    short: HashMap<Vec<u8>, usize>,
    /// With which two bytes one begins.
    heads: Vec<bool>,
    /// The lengths of short ones that there are.
    lengths: BTreeSet<usize>,
}

impl Needles {
    /// What the noted records are found by in what others have said and written. The names that the
    /// home itself uses, of tasks and the like, are common words.
    pub(super) fn of<'a>(
        noted: impl Iterator<Item = &'a NotedPurge>,
        used: &HashSet<String>,
    ) -> Self {
        Self::build(noted, used, true)
    }

    /// What they are found by in a list of other records: what these are called is their own.
    pub(super) fn of_names<'a>(
        noted: impl Iterator<Item = &'a NotedPurge>,
        used: &HashSet<String>,
    ) -> Self {
        Self::build(noted, used, false)
    }

    fn build<'a>(
        noted: impl Iterator<Item = &'a NotedPurge>,
        used: &HashSet<String>,
        with_texts: bool,
    ) -> Self {
        let mut needles = Self::default();
        for purge in noted {
            let traces = &purge.traces;
            if !traces.is_person {
                needles.add(Kind::Id, &purge.key.id, purge, used);
            }
            for name in traces.author.iter().chain(&traces.account) {
                needles.add(Kind::Person, name, purge, used);
            }
            for place in &traces.places {
                needles.add_also_quoted(Kind::Place, place, purge, used);
            }
            for text in traces.texts.iter().filter(|_| with_texts) {
                needles.add_also_quoted(Kind::Text, text, purge, used);
            }
            for image in &traces.images {
                needles.add(Kind::Place, &image.to_string(), purge, used);
            }
        }
        needles
    }

    /// All of them.
    pub(super) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.all.iter().map(|needle| needle.text.as_slice())
    }

    /// How many of them are common words, which do not count wherever they stand.
    pub(super) fn common(&self) -> u64 {
        self.all.iter().filter(|text| text.beside.is_some()).count() as u64
    }

    fn add_also_quoted(&mut self, kind: Kind, text: &str, of: &NotedPurge, used: &HashSet<String>) {
        self.add(kind, text, of, used);
        // As it stands in JSON.
        let quoted = serde_json::json!(text).to_string();
        let quoted = &quoted[1..quoted.len() - 1];
        if quoted != text {
            self.add(kind, quoted, of, used);
        }
    }

    fn add(&mut self, kind: Kind, text: &str, of: &NotedPurge, used: &HashSet<String>) {
        let key = &of.key;
        let in_table = key.dataset.starts_with("table:");
        let is_common = |kind, text: &str| is_common(kind, text, in_table) || used.contains(text);
        let bytes = text.as_bytes();
        let bytes = &bytes[..bytes.len().min(COMPARED)];
        if bytes.is_empty() {
            return;
        }
        let found = match bytes.first_chunk::<LONG>() {
            Some(head) => {
                let others = self.long.entry(*head).or_default();
                let known = others.iter().find(|at| self.all[**at].text == bytes);
                known.copied().unwrap_or_else(|| {
                    others.push(self.all.len());
                    self.all.len()
                })
            }
            None => *self.short.entry(bytes.to_vec()).or_insert(self.all.len()),
        };
        if found == self.all.len() {
            self.note_head(bytes);
            if bytes.len() < LONG {
                self.lengths.insert(bytes.len());
            }
            self.all.push(Needle {
                text: bytes.to_vec(),
                beside: is_common(kind, text).then(Beside::default),
            });
        }
        let needle = &mut self.all[found];
        if !is_common(kind, text) {
            // An id of one record may be the title of another.
            needle.beside = None;
        }
        if let Some(beside) = &mut needle.beside {
            beside.kinds.push(kind);
            if kind == Kind::Id {
                beside.datasets.insert(key.dataset.as_bytes().to_vec());
            } else if !of.traces.is_person && !is_common(Kind::Id, &key.id) {
                beside.ids.insert(key.id.as_bytes().to_vec());
            }
        }
    }

    fn note_head(&mut self, text: &[u8]) {
        self.heads.resize(1 << 16, false);
        match text {
            [first, second, ..] => self.heads[head(*first, *second)] = true,
            [only] => (0..=u8::MAX).for_each(|next| self.heads[head(*only, next)] = true),
            [] => {}
        }
    }

    /// Whether one of them is in `bytes`.
    pub(super) fn are_in(&self, bytes: &[u8]) -> bool {
        (0..bytes.len()).any(|at| self.begin_at(bytes, at))
    }

    fn begin_at(&self, bytes: &[u8], at: usize) -> bool {
        let rest = &bytes[at..];
        let next = rest.get(1).copied().unwrap_or_default();
        if self.heads.get(head(rest[0], next)) != Some(&true) {
            return false;
        }
        let is_meant = |found: &usize| self.all[*found].is_at(bytes, at);
        let long = rest
            .first_chunk::<LONG>()
            .and_then(|head| self.long.get(head));
        if long.is_some_and(|found| found.iter().any(is_meant)) {
            return true;
        }
        let short = self
            .lengths
            .iter()
            .filter_map(|length| self.short.get(rest.get(..*length)?));
        begins_here(bytes, at) && short.into_iter().any(is_meant)
    }

    /// Whether one of them is in a file.
    ///
    /// # Errors
    ///
    /// Where it cannot be read.
    pub(super) fn are_in_file(&self, path: &Path) -> io::Result<bool> {
        let mut file = fs_err::File::open(path)?;
        let (mut held, mut from) = (Vec::new(), 0);
        loop {
            let read = (&mut file).take(PIECE as u64).read_to_end(&mut held)?;
            let is_end = read < PIECE;
            // What begins near the end of a piece is compared with what comes after it.
            let until = if is_end {
                held.len()
            } else {
                held.len().saturating_sub(COMPARED + BESIDE)
            };
            if (from..until).any(|at| self.begin_at(&held, at)) {
                return Ok(true);
            }
            if is_end {
                return Ok(false);
            }
            let done = until.saturating_sub(BESIDE);
            held.drain(..done);
            from = until - done;
        }
    }
}

impl Needle {
    /// Whether it stands in `bytes` at this place, and is meant. A name is not meant where it is a
    /// part of a longer one.
    fn is_at(&self, bytes: &[u8], at: usize) -> bool {
        let end = at + self.text.len();
        if !bytes[at..].starts_with(&self.text) {
            return false;
        }
        let is_short = self.text.len() < LONG;
        let is_name = self.text.len() < COMPARED
            && self
                .text
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || is_mark(*byte));
        if is_short || is_name {
            let ends = match &bytes[end..] {
                // `1abcde_0.jpg` is an image of `1abcde`.
                [mark, next, ..] if is_mark(*mark) => is_short || !next.is_ascii_alphanumeric(),
                rest => !(last_is_letter(&self.text) && first_is_letter(rest)),
            };
            if !ends || !begins_here(bytes, at) {
                return false;
            }
        }
        let beside = self.beside.as_ref();
        beside.is_none_or(|beside| beside.is_with(bytes, at, end))
    }
}

impl Beside {
    fn is_with(&self, bytes: &[u8], at: usize, end: usize) -> bool {
        let before = &bytes[at.saturating_sub(BESIDE)..at];
        let before = before
            .rsplit(|byte| *byte == b'\n')
            .next()
            .unwrap_or(before);
        let after = &bytes[end..bytes.len().min(end + BESIDE)];
        let after = after.split(|byte| *byte == b'\n').next().unwrap_or(after);
        if self.kinds.iter().any(|kind| is_announced(*kind, before)) {
            return true;
        }
        [before, after].into_iter().any(|side| {
            let is_named = |name: &[u8]| {
                self.ids.contains(name)
                    || name
                        .split(|byte| is_mark(*byte))
                        .any(|word| self.ids.contains(word))
            };
            let mut names =
                side.split(|byte| !byte.is_ascii_alphanumeric() && !is_mark(*byte) && *byte < 0x80);
            names.any(is_named) || self.datasets.iter().any(|dataset| is_within(dataset, side))
        })
    }
}

const fn head(first: u8, second: u8) -> usize {
    (first as usize) << 8 | second as usize
}

/// Whether the last word before a text tells what it is.
fn is_announced(kind: Kind, before: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric();
    let gap = before.iter().rev().take_while(|byte| !is_letter(byte));
    let gap = gap.count();
    // `"author": "` is as much as stands between them.
    if gap == 0 || gap > 6 {
        return false;
    }
    let before = &before[..before.len() - gap];
    kind.announced_by().iter().any(|word| {
        let Some(at) = before.len().checked_sub(word.len()) else {
            return false;
        };
        before[at..].eq_ignore_ascii_case(word.as_bytes())
            && !before[..at].last().is_some_and(is_letter)
    })
}

fn is_within(text: &[u8], bytes: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// Whether a text stands for much else too: a number, a word of a few letters, any plain word.
fn is_common(kind: Kind, text: &str, in_table: bool) -> bool {
    let bytes = text.as_bytes();
    let is_number = bytes.len() < LONG && bytes.iter().all(u8::is_ascii_digit);
    let is_plain = || {
        let small = u8::is_ascii_lowercase;
        let is_word = bytes[0].is_ascii_alphabetic()
            && (bytes[1..].iter().all(small) || bytes[1..].iter().all(u8::is_ascii_uppercase));
        // `of the`; a longer sentence is nobody else's.
        let is_phrase = bytes.len() < LONG && bytes.iter().all(|byte| small(byte) || *byte == b' ');
        is_word || is_phrase
    };
    // Ids of posts are letters by chance, and no words.
    let may_be_plain = kind != Kind::Id || in_table;
    bytes.len() < SHORTEST || is_number || (may_be_plain && is_plain())
}

const fn is_mark(byte: u8) -> bool {
    matches!(byte, b'_' | b'-')
}

/// Whether a name may begin at this place: `t3_abc` names `abc`, and so does what follows an escaped
/// end of line.
fn begins_here(bytes: &[u8], at: usize) -> bool {
    match &bytes[..at] {
        [.., b'\\', _] | [] => true,
        before => !(last_is_letter(before) && first_is_letter(&bytes[at..])),
    }
}

fn first_is_letter(bytes: &[u8]) -> bool {
    let bytes = &bytes[..bytes.len().min(4)];
    let letter = String::from_utf8_lossy(bytes).chars().next();
    letter.is_some_and(char::is_alphanumeric)
}

fn last_is_letter(bytes: &[u8]) -> bool {
    // Those in the middle of a letter are passed over.
    let begins = bytes
        .iter()
        .rposition(|byte| byte & 0b1100_0000 != 0b1000_0000);
    begins.is_some_and(|at| first_is_letter(&bytes[at..]))
}

#[cfg(test)]
#[path = "needles_tests.rs"]
mod tests;
