//! HMAC-SHA256 (RFC 2104): who gets a message can tell that it comes from here.

use std::fmt::Write as _;

use crate::corpus::keyed_hash;

/// The signature of `message` under `key`, in hexadecimal.
pub(super) fn signature(key: &[u8], message: &[u8]) -> String {
    keyed_hash(key, message)
        .iter()
        .fold(String::new(), |mut text, byte| {
            // A text cannot refuse to grow.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_rfc_4231_does() {
        assert_eq!(
            signature(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            signature(
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            ),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
