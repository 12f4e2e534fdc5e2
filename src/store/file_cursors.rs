//! Up to where the files of a source were read.

use sqlx::{Sqlite, Transaction};

use super::{Error, Store};
use crate::{
    clock::Timestamp,
    corpus::{ContentHash, Counted, DecodeStart, FileCursor, FileIdentity},
};

/// Up to where a file was read, and what for.
#[derive(Clone, Copy, Debug)]
pub struct ReadTo<'a> {
    /// Which records were wanted; empty for all.
    pub choice: &'a str,
    /// The place in the file.
    pub cursor: &'a FileCursor,
    /// What the task has counted up to there, over all its attempts.
    pub counted: &'a Counted,
}

impl Store {
    /// Up to where the files of a data set were read for this choice of records, by walks for
    /// moments that are not later than `as_of`.
    ///
    /// # Errors
    ///
    /// Where the database fails or a row cannot be read.
    pub async fn file_cursors(
        &self,
        dataset: &str,
        choice: &str,
        as_of: Timestamp,
    ) -> Result<Vec<FileCursor>, Error> {
        let as_of = as_of.as_millis();
        let rows = sqlx::query!(
            "SELECT file, size, modified, head, tail, read_to, lines, start_raw, start_offset
             FROM file_cursors WHERE dataset = ? AND choice = ? AND as_of <= ?",
            dataset,
            choice,
            as_of,
        )
        .fetch_all(self.content.read())
        .await?;
        rows.into_iter()
            .map(|row| {
                let hash = |column, bytes: &[u8]| {
                    ContentHash::from_bytes(bytes).ok_or_else(|| Error::Inconsistent {
                        table: "file_cursors",
                        column,
                        row: row.file.clone(),
                        message: format!("{} bytes are no hash", bytes.len()),
                    })
                };
                Ok(FileCursor {
                    identity: FileIdentity {
                        size: row.size.unsigned_abs(),
                        modified: row.modified,
                        head: hash("head", &row.head)?,
                        tail: hash("tail", &row.tail)?,
                    },
                    offset: row.read_to.unsigned_abs(),
                    lines: row.lines.unsigned_abs(),
                    start: DecodeStart {
                        raw: row.start_raw.unsigned_abs(),
                        offset: row.start_offset.unsigned_abs(),
                    },
                    file: row.file,
                })
            })
            .collect()
    }
}

/// Notes up to where a file was read, inside the transaction that stores what was read.
pub(super) async fn note(
    transaction: &mut Transaction<'static, Sqlite>,
    dataset: &str,
    as_of: Timestamp,
    read_to: ReadTo<'_>,
) -> Result<(), Error> {
    let ReadTo { choice, cursor, .. } = read_to;
    let as_of = as_of.as_millis();
    let FileIdentity {
        modified,
        head,
        tail,
        ..
    } = cursor.identity;
    let (head, tail) = (&head.as_bytes()[..], &tail.as_bytes()[..]);
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (size, offset, lines) = (
        number(cursor.identity.size),
        number(cursor.offset),
        number(cursor.lines),
    );
    let (raw, start) = (number(cursor.start.raw), number(cursor.start.offset));
    sqlx::query!(
        "INSERT INTO file_cursors (dataset, choice, file, as_of, size, modified, head, tail,
                                   read_to, lines, start_raw, start_offset)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (dataset, choice, file) DO UPDATE SET
             as_of = excluded.as_of, size = excluded.size, modified = excluded.modified,
             head = excluded.head, tail = excluded.tail, read_to = excluded.read_to,
             lines = excluded.lines, start_raw = excluded.start_raw,
             start_offset = excluded.start_offset",
        dataset,
        choice,
        cursor.file,
        as_of,
        size,
        modified,
        head,
        tail,
        offset,
        lines,
        raw,
        start,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{WalkedPage, Writer};

    #[tokio::test]
    async fn a_file_is_read_on_only_for_the_same_choice_at_a_later_moment() {
        let store = Store::in_memory().await.unwrap();
        let day = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut cursor = FileCursor {
            file: "/dumps/a.zst".to_owned(),
            identity: FileIdentity {
                size: 10,
                modified: 7,
                head: ContentHash::of(b"head"),
                tail: ContentHash::of(b"tail"),
            },
            offset: 5,
            lines: 1,
            start: DecodeStart { raw: 3, offset: 4 },
        };
        for offset in [5, 6] {
            cursor.offset = offset;
            let counted = Counted {
                kept: offset,
                dropped: [("duplicate".to_owned(), 1)].into(),
            };
            let writer = Writer {
                run_id: "r",
                task_id: "scrape",
                stored_at: day("2026-01-05"),
            };
            let read_to = ReadTo {
                choice: "communities=pics",
                cursor: &cursor,
                counted: &counted,
            };
            let page = WalkedPage {
                records: &[],
                raw: &std::collections::BTreeMap::new(),
                bytes: 0,
                read_to: Some(read_to),
            };
            store
                .store_walked_page("d", page, day("2026-01-03"), writer)
                .await
                .unwrap();
        }
        let known =
            async |choice, as_of| store.file_cursors("d", choice, day(as_of)).await.unwrap();
        assert_eq!(known("communities=pics", "2026-01-03").await, [cursor]);
        assert_eq!(known("communities=pics", "2026-01-02").await, []);
        assert_eq!(known("", "2026-01-03").await, []);
        let counted = store.counted("r", "scrape").await.unwrap();
        assert_eq!(counted.kept, 6);
        assert_eq!(counted.dropped["duplicate"], 1);
        let of_another = store.counted("r2", "scrape").await.unwrap();
        assert_eq!(of_another, Counted::default());
    }
}
