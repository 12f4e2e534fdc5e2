//! What a purged record is found by in bytes of any kind: its title, its author, its id.

use std::{
    collections::{HashMap, HashSet},
    io::{self, Read as _},
    path::Path,
};

use crate::store::NotedPurge;

/// Texts at least this long are looked for anywhere; shorter ones only as whole words.
const LONG: usize = 8;
/// A word shorter than this stands for too much else.
const SHORTEST: usize = 4;
/// So much of a text is compared: enough to know it.
const COMPARED: usize = 256;
/// How many bytes of a file are read at a time.
const PIECE: usize = 1 << 20;

/// The texts by which purged records are found.
#[derive(Debug, Default)]
pub(super) struct Needles {
    /// By their first bytes.
    long: HashMap<[u8; LONG], Vec<Vec<u8>>>,
    words: HashSet<Vec<u8>>,
}

impl Needles {
    /// What the noted records are found by.
    pub(super) fn of(noted: &[NotedPurge]) -> Self {
        let mut needles = Self::default();
        for NotedPurge { key, traces, .. } in noted {
            needles.add(&key.id);
            let people = traces.author.iter().chain(&traces.account);
            for text in people.chain(&traces.texts).chain(&traces.places) {
                needles.add(text);
                // As it stands in JSON.
                let quoted = serde_json::json!(text).to_string();
                needles.add(quoted.trim_matches('"'));
            }
            for image in &traces.images {
                needles.add(&image.to_string());
            }
        }
        needles
    }

    fn add(&mut self, text: &str) {
        let text = text.as_bytes();
        let text = &text[..text.len().min(COMPARED)];
        if let Some(head) = text.first_chunk::<LONG>() {
            let others = self.long.entry(*head).or_default();
            if !others.iter().any(|other| other == text) {
                others.push(text.to_vec());
            }
        // Years and counts are everywhere.
        } else if text.len() >= SHORTEST && !text.iter().all(u8::is_ascii_digit) {
            self.words.insert(text.to_vec());
        }
    }

    /// Whether one of them is in `bytes`.
    pub(super) fn are_in(&self, bytes: &[u8]) -> bool {
        let long = !self.long.is_empty()
            && bytes.windows(LONG).enumerate().any(|(at, head)| {
                self.long
                    .get(head)
                    .is_some_and(|texts| texts.iter().any(|text| is_at(bytes, at, text)))
            });
        long || self.have_word_in(bytes)
    }

    fn have_word_in(&self, bytes: &[u8]) -> bool {
        let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80;
        let is_mark = |byte: &u8| matches!(byte, b'_' | b'-');
        !self.words.is_empty()
            && bytes
                .split(|byte| !is_letter(byte) && !is_mark(byte))
                .any(|name| {
                    // `t3_abc` names `abc`.
                    self.words.contains(name)
                        || name.split(is_mark).any(|word| self.words.contains(word))
                })
    }

    /// Whether one of them is in a file.
    ///
    /// # Errors
    ///
    /// Where it cannot be read.
    pub(super) fn are_in_file(&self, path: &Path) -> io::Result<bool> {
        let mut file = fs_err::File::open(path)?;
        let mut held = Vec::new();
        loop {
            // What begins at the end of a piece is compared with the next one.
            let overlap = held.len().saturating_sub(COMPARED);
            held.drain(..overlap);
            let before = held.len();
            (&mut file).take(PIECE as u64).read_to_end(&mut held)?;
            if held.len() == before {
                return Ok(false);
            }
            if self.are_in(&held) {
                return Ok(true);
            }
        }
    }
}

/// Whether `text` stands in `bytes` at this place. A name is not meant where it is a part of a
/// longer one.
fn is_at(bytes: &[u8], at: usize, text: &[u8]) -> bool {
    let is_mark = |byte: &u8| matches!(byte, b'_' | b'-');
    if !bytes[at..].starts_with(text) {
        return false;
    }
    let is_name = text.len() < COMPARED
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || is_mark(byte));
    if !is_name {
        return true;
    }
    let goes_on = match &bytes[at + text.len()..] {
        [mark, next, ..] if is_mark(mark) => next.is_ascii_alphanumeric(),
        [next, ..] => next.is_ascii_alphanumeric(),
        [] => false,
    };
    // `t3_abc` names `abc`, and so does what follows an escaped end of line.
    let began_before = match &bytes[..at] {
        [.., b'\\', _] | [] => false,
        [.., last] => last.is_ascii_alphanumeric(),
    };
    !goes_on && !began_before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_texts_anywhere_and_ids_as_words() {
        let mut needles = Needles::default();
        for text in ["a \"red\" house", "1abcde", "42", "2026", "some_name"] {
            needles.add(text);
        }
        for there in [
            "say: a \"red\" house!",
            "t3_1abcde",
            "(1abcde)",
            "id=1abcde",
            "houses: a \"red\" houses",
            "by some_name.",
            "u_some_name",
            "_some_name_ and",
            r"by\nsome_name",
        ] {
            assert!(needles.are_in(there.as_bytes()), "{there}");
        }
        for other in [
            "a red house",
            "11abcde",
            "1abcdef",
            "42 rows",
            "in 2026",
            "some_name2",
            "some_name_2",
            "awesome_name",
        ] {
            assert!(!needles.are_in(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_text_across_two_pieces_is_found() {
        let mut needles = Needles::default();
        needles.add("a long enough text");
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        let mut bytes = vec![b'.'; PIECE - 5];
        bytes.extend_from_slice(b"a long enough text");
        fs_err::write(&path, &bytes).unwrap();
        assert!(needles.are_in_file(&path).unwrap());
        bytes.truncate(PIECE + 5);
        fs_err::write(&path, &bytes).unwrap();
        assert!(!needles.are_in_file(&path).unwrap());
    }
}
