//! The part of the records that a shard of a mapped task works on.

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// One of several parts of the records, as in `shard = "{{ shard.index }}/{{ shard.count }}"`.
///
/// A record is in one part whatever else there is: its part follows from its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Part {
    index: u64,
    count: u64,
}

impl Part {
    /// Whether the record of this id is of this part.
    pub(super) fn has(self, id: &str) -> bool {
        let hash = Sha256::digest(id.as_bytes());
        let first = hash.iter().take(8);
        let number = first.fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
        number % self.count == self.index
    }
}

impl TryFrom<String> for Part {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(index, count)| {
            Some((index.trim().parse().ok()?, count.trim().parse().ok()?))
        });
        match parts {
            Some((index, count)) if index < count => Ok(Self { index, count }),
            _ => Err(format!(
                "`{text}` as `shard` is no part; write `shard = \"{{{{ shard.index }}}}/{{{{ \
                 shard.count }}}}\"` in a task with `map`"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_in_one_part() {
        let parts: Vec<Part> = (0..3)
            .map(|index| Part::try_from(format!("{index}/3")).unwrap())
            .collect();
        let mut sizes = [0; 3];
        for number in 0..300 {
            let id = format!("post{number}");
            let of: Vec<usize> = (0..3).filter(|&at| parts[at].has(&id)).collect();
            assert_eq!(of.len(), 1);
            sizes[of[0]] += 1;
        }
        assert!(sizes.iter().all(|&size| size > 60), "{sizes:?}");
    }

    #[test]
    fn says_what_a_part_is() {
        for text in ["3/3", "1", "a/b", "0/0", ""] {
            let error = Part::try_from(text.to_owned()).unwrap_err();
            assert!(
                error.contains("{{ shard.index }}/{{ shard.count }}"),
                "{error}"
            );
        }
    }
}
