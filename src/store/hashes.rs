//! Hashes on their way into and out of SQL.

use super::Error;
use crate::corpus::ContentHash;

/// A JSON list of hexadecimal digits, for `IN (SELECT unhex(value) FROM json_each(?))`.
pub(super) fn to_json(hashes: &[ContentHash]) -> String {
    serde_json::json!(hashes).to_string()
}

/// A hash from its stored bytes.
pub(super) fn read(table: &'static str, bytes: &[u8]) -> Result<ContentHash, Error> {
    ContentHash::from_bytes(bytes).ok_or_else(|| Error::Inconsistent {
        table,
        column: "content",
        row: format!("{bytes:02x?}"),
        message: format!("a hash has 32 bytes, not {}", bytes.len()),
    })
}
