//! Rows of purged records go from JSON, JSON lines and comma-separated values.

use std::{
    collections::HashSet,
    io::{self, Seek as _, Write as _},
    path::Path,
};

use serde_json::Value;

use super::gone::Gone;
use crate::artifacts;

/// The ids of purged records.
pub(super) type Ids = HashSet<String>;

/// What becomes of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Kept,
    Dropped,
    Written(Vec<u8>),
}

/// The line as it is, or nothing of it.
pub(super) fn drop_where(is_gone: impl Fn(&[u8]) -> bool) -> impl Fn(&[u8]) -> Line {
    move |line| {
        if is_gone(line) {
            Line::Dropped
        } else {
            Line::Kept
        }
    }
}

/// Drops what stands for a purged record in a document, whatever operator wrote it: ids in a list
/// `ids`, rows that begin with an id, objects with an `id`. Returns how many.
pub(super) fn drop_rows(document: &mut Value, ids: &Ids) -> u64 {
    let is_id = |value: &Value| value.as_str().is_some_and(|text| ids.contains(text));
    let is_row = |value: &Value| match value {
        Value::Array(row) => row.first().is_some_and(is_id),
        Value::Object(row) => ["id", "record_id"]
            .iter()
            .any(|name| row.get(*name).is_some_and(is_id)),
        _ => false,
    };
    let mut dropped = 0;
    match document {
        Value::Array(items) => {
            let before = items.len();
            items.retain(|item| !is_row(item));
            dropped += (before - items.len()) as u64;
            for item in items {
                dropped += drop_rows(item, ids);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                if let (true, Value::Array(listed)) = (name == "ids", &mut *value) {
                    let before = listed.len();
                    listed.retain(|item| !is_id(item));
                    dropped += (before - listed.len()) as u64;
                }
                dropped += drop_rows(value, ids);
            }
        }
        _ => {}
    }
    dropped
}

/// Drops the rows of purged records from a JSON file. Returns how many.
///
/// # Errors
///
/// Where the file cannot be read or written.
pub(super) fn rewrite_json(path: &Path, ids: &Ids) -> io::Result<u64> {
    // What is no JSON has no rows.
    let Ok(mut document) = serde_json::from_slice::<Value>(&fs_err::read(path)?) else {
        return Ok(0);
    };
    let dropped = drop_rows(&mut document, ids);
    if dropped > 0 {
        artifacts::write_json(path, &document)?;
    }
    Ok(dropped)
}

/// Drops lines of a text, or writes them otherwise. Returns how many.
///
/// # Errors
///
/// Where the file cannot be read or written.
pub(super) fn rewrite_lines(path: &Path, becomes: impl Fn(&[u8]) -> Line) -> io::Result<u64> {
    let bytes = fs_err::read(path)?;
    let mut kept = Vec::with_capacity(bytes.len());
    let mut changed = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let becomes = becomes(line);
        changed += u64::from(becomes != Line::Kept);
        match becomes {
            Line::Kept => kept.extend_from_slice(line),
            Line::Dropped => {}
            Line::Written(line) => kept.extend(line),
        }
    }
    if changed > 0 {
        artifacts::write_atomic(path, &kept)?;
    }
    Ok(changed)
}

/// Blanks the lines of a text for which `is_gone` holds, in place: whoever writes at its end goes on
/// to do so. Returns how many.
///
/// # Errors
///
/// Where the file cannot be read or written.
pub(super) fn blank_lines(path: &Path, is_gone: impl Fn(&[u8]) -> bool) -> io::Result<u64> {
    let bytes = fs_err::read(path)?;
    let mut file = None;
    let (mut at, mut blanked) = (0, 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let words = line.strip_suffix(b"\n").unwrap_or(line);
        if is_gone(words) {
            let file = match &mut file {
                Some(file) => file,
                None => file.insert(fs_err::OpenOptions::new().write(true).open(path)?),
            };
            file.seek(io::SeekFrom::Start(at))?;
            file.write_all(&vec![b' '; words.len()])?;
            blanked += 1;
        }
        at += line.len() as u64;
    }
    if let Some(file) = file {
        file.sync_all()?;
    }
    Ok(blanked)
}

/// Whether a line of JSON lines is that of a purged record.
pub(super) fn is_line_of(ids: &Ids) -> impl Fn(&[u8]) -> bool + '_ {
    |line| {
        let row: Option<Value> = serde_json::from_slice(line).ok();
        let id = row.as_ref().and_then(|row| row.get("id")?.as_str());
        id.is_some_and(|id| ids.contains(id))
    }
}

/// Drops the rows of purged records from comma-separated values with a column `id`, and people who
/// are gone from the others. Returns how many rows that were.
///
/// # Errors
///
/// Where the file cannot be read or written, or is none.
pub(super) fn rewrite_csv(path: &Path, gone: &Gone) -> io::Result<u64> {
    let mut reader = csv::Reader::from_reader(fs_err::File::open(path)?);
    let header = reader.headers()?.clone();
    let Some(column) = header.iter().position(|name| name == "id") else {
        return Ok(0);
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&header)?;
    let mut changed = 0;
    for row in reader.records() {
        let row = row?;
        if row.get(column).is_some_and(|id| gone.ids.contains(id)) {
            changed += 1;
        } else if let Some(nameless) = gone.row(&header, &row) {
            changed += 1;
            writer.write_record(&nameless)?;
        } else {
            writer.write_record(&row)?;
        }
    }
    if changed > 0 {
        let bytes = writer
            .into_inner()
            .map_err(|error| io::Error::other(error.to_string()))?;
        artifacts::write_atomic(path, &bytes)?;
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_blanked_under_whoever_writes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scrape.1.log");
        fs_err::write(&path, "one\nof t3_b, ü\nthree").unwrap();
        let mut writer = fs_err::OpenOptions::new().append(true).open(&path).unwrap();
        let is_gone = |line: &[u8]| line.windows(4).any(|window| window == b"t3_b");
        assert_eq!(blank_lines(&path, is_gone).unwrap(), 1);
        writer.write_all(b"\nfour\n").unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        assert_eq!(text, "one\n           \nthree\nfour\n");
        assert_eq!(blank_lines(&path, is_gone).unwrap(), 0);
    }

    #[test]
    fn rows_go_in_whatever_form_they_are_written() {
        let ids = Ids::from(["b".to_owned()]);
        let mut document = json!({
            "ids": ["a", "b"],
            "split": [["a", "train"], ["b", "test"]],
            "rows": [{"id": "b", "target": 0.1}, {"id": "a", "target": 0.3}],
            "letters": ["a", "b"],
        });
        assert_eq!(drop_rows(&mut document, &ids), 3);
        let left = json!({
            "ids": ["a"],
            "split": [["a", "train"]],
            "rows": [{"id": "a", "target": 0.3}],
            "letters": ["a", "b"],
        });
        assert_eq!(document, left);
    }
}
