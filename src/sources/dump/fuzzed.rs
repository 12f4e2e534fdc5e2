//! What the fuzzer of dumps feeds; compiled for the tests and by `tests/fuzz` only.

use super::{
    judged::{Batch, Judged},
    wanted::Wanted,
};
use crate::{clock::Timestamp, sources::ScrapeRequest};

/// Reads `bytes` as lines of a dump, and as a block of rows, with a filter and without one.
///
/// # Panics
///
/// Where a parser does, and where a line is not accounted for.
pub(crate) fn feed(bytes: &[u8]) {
    let all = ScrapeRequest::everything(Timestamp::from_millis(1_767_225_600_000));
    let some = ScrapeRequest {
        communities: Some(vec!["pics".to_owned()]),
        since: Some(Timestamp::from_millis(1_700_000_000_000)),
        ..all.clone()
    };
    for request in [all, some] {
        let wanted = Wanted::new(request);
        let mut lines = Batch::default();
        lines.lines(bytes, 0, &wanted);
        account(&lines.judged);
        let mut rows = Batch::default();
        if rows.block(bytes, 0, &wanted).is_ok() {
            account(&rows.judged);
        }
        let mut line = Judged::default();
        line.line(&wanted, bytes, 0..bytes.len() as u64);
        account(&line);
    }
}

/// No line may count twice; empty ones count not at all.
fn account(judged: &Judged) {
    let dropped: u64 = judged.dropped.values().sum();
    assert!(judged.kept.len() as u64 + dropped <= judged.lines);
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_of_dump_lines_is_borne() {
        crate::media::fuzzed::replay("dump_line", super::feed);
    }
}
