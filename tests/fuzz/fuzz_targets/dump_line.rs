//! Feeds `dump_line`; see `../src/lib.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trendmill_fuzz::dump_line(bytes));
