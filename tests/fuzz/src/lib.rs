//! The parsers of trendmill that read what others wrote, and nothing else of it.
//!
//! The files are trendmill's own, included by their paths: the whole program with its tensors and
//! its database would take half an hour to build for a fuzzer. Each target calls one `feed`, which
//! the tests of the library call for every file of `corpus`.
//!
//! ```text
//! cargo install cargo-fuzz
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz listing -- -max_total_time=600
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz dump_line -- -max_total_time=600
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz image_head -- -max_total_time=600 -rss_limit_mb=1024
//! ```
//!
//! What it finds is written to `artifacts`; the input goes into `corpus`, made small by
//! `cargo fuzz tmin`, with the commit that mends it. What it merely keeps as interesting stays out.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "a part of a program has unused ends"
)]

#[path = "../../../src/clock.rs"]
mod clock;
#[path = "../../../src/corpus/mod.rs"]
mod corpus;

#[path = "../../../src/media"]
mod media {
    mod decode;
    pub mod fuzzed;
    mod sniff;
    mod whole;

    pub use decode::{Limits, decode, probe};
    pub use sniff::{Format, is_html, sniff};
    pub(crate) use whole::is_whole;
}

#[path = "../../../src/sources"]
mod sources {
    mod request;

    pub use request::ScrapeRequest;

    pub mod reddit {
        pub mod fuzzed;
        mod listing;
        mod media;
        pub(crate) mod post;
    }

    pub mod dump {
        pub mod fuzzed;
        mod judged;
        mod pieces;
        mod wanted;
    }
}

/// Feeds the body of a listing.
pub fn listing(bytes: &[u8]) {
    sources::reddit::fuzzed::feed(bytes);
}

/// Feeds lines of a dump.
pub fn dump_line(bytes: &[u8]) {
    sources::dump::fuzzed::feed(bytes);
}

/// Feeds the file of an image.
pub fn image_head(bytes: &[u8]) {
    media::fuzzed::feed(bytes);
}
