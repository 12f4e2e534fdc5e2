//! Which lines are wanted, as far as that shows without reading them.

use memchr::memmem::Finder;

use crate::{clock::Timestamp, sources::ScrapeRequest};

/// What a line must look like to be wanted.
///
/// It lets too many through, never too few: the key of a community stands in crossposted parents
/// too, and it is the parser that tells which is the post's own. So a line is passed over only
/// where no value of the key is a wanted one, and read where the key is missing or where its
/// value is written in a way that takes a parser. (A key that is itself written with escapes is
/// not seen. No writer makes such keys.)
#[derive(Debug)]
pub(super) struct Wanted {
    request: ScrapeRequest,
    community: Finder<'static>,
    created: Finder<'static>,
}

impl Wanted {
    pub(super) fn new(request: ScrapeRequest) -> Self {
        Self {
            request,
            community: Finder::new("\"subreddit\""),
            created: Finder::new("\"created_utc\""),
        }
    }

    /// What is asked for.
    pub(super) const fn request(&self) -> &ScrapeRequest {
        &self.request
    }

    /// Why the line is certainly not wanted; `None` where it has to be read.
    pub(super) fn passes_over(&self, line: &[u8]) -> Option<&'static str> {
        if let Some(wanted) = &self.request.communities
            && all(&self.community, line, |value| is_other(value, wanted))
        {
            return Some("other_community");
        }
        let since = self.request.since;
        if let Some(since) = since
            && all(&self.created, line, |value| {
                second(value).is_some_and(|at| at + SECOND < since)
            })
        {
            return Some("before_since");
        }
        let as_of = self.request.as_of;
        let is_after = all(&self.created, line, |value| {
            second(value).is_some_and(|at| at > as_of + SECOND)
        });
        // Where one of them cannot be, the parser tells which is the post's own.
        let is_possible = |at| self.request.latest().is_none_or(|latest| at <= latest);
        let waits = is_after && all(&self.created, line, |v| second(v).is_some_and(is_possible));
        waits.then_some("after_as_of")
    }
}

/// What the parser may round.
const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

/// Whether the key is there, and what follows it is `such` each time.
fn all(key: &Finder<'_>, line: &[u8], such: impl Fn(&[u8]) -> bool) -> bool {
    let mut found = false;
    for at in key.find_iter(line) {
        let after = line[at + key.needle().len()..].trim_ascii_start();
        // Without a colon it is a value that reads like the key.
        let Some(value) = after.strip_prefix(b":") else {
            continue;
        };
        if !such(value.trim_ascii_start()) {
            return false;
        }
        found = true;
    }
    found
}

/// Whether the value is, for certain, the name of a community that is not wanted.
fn is_other(value: &[u8], wanted: &[String]) -> bool {
    let Some(text) = value.strip_prefix(b"\"") else {
        return false;
    };
    let Some(name) = memchr::memchr(b'"', text).map(|end| &text[..end]) else {
        return false;
    };
    // Blanks, escapes and letters beyond ASCII are left to the parser, and so is no name at all.
    !name.is_empty()
        && name
            .iter()
            .all(|byte| byte.is_ascii_graphic() && *byte != b'\\')
        && !wanted
            .iter()
            .any(|wanted| wanted.as_bytes().eq_ignore_ascii_case(name))
}

/// A moment that is written as digits, in quotes or not; parts of a second are cut off.
fn second(value: &[u8]) -> Option<Timestamp> {
    let text = value.strip_prefix(b"\"").unwrap_or(value);
    let count = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = count(text);
    let after = match &text[digits..] {
        [b'.', parts @ ..] => &parts[count(parts)..],
        after => after,
    };
    // Anything longer, or with an exponent, is left to the parser.
    if !(1..=11).contains(&digits) || !matches!(after.first(), Some(b',' | b'}' | b'"')) {
        return None;
    }
    let seconds: f64 = str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    (seconds > 0.0).then(|| Timestamp::from_seconds(seconds))
}

#[cfg(test)]
#[path = "wanted_tests.rs"]
mod tests;
