//! Feeds `image_head`; see `../src/lib.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trendmill_fuzz::image_head(bytes));
