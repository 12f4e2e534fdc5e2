//! Rows of purged records go from JSON, JSON lines and comma-separated values.

use std::{
    collections::HashSet,
    io::{self, Seek as _, Write as _},
    path::Path,
};

use serde_json::{Map, Value};

use crate::{
    artifacts,
    store::{NotedPurge, OF_A_PERSON},
};

/// The ids of purged records.
pub(super) type Ids = HashSet<String>;

/// Who and what is gone from lists of records.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// Records, whose rows go.
    pub ids: Ids,
    /// People who are forgotten, by name in small letters and by account: they go from rows.
    people: HashSet<String>,
}

/// What becomes of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Kept,
    Dropped,
    Written(Vec<u8>),
}

impl Gone {
    /// What these notes are about.
    pub(super) fn of<'a>(noted: impl Iterator<Item = &'a NotedPurge>) -> Self {
        let mut gone = Self::default();
        for NotedPurge { key, traces, .. } in noted {
            if traces.is_person {
                let names = traces.author.iter().chain(&traces.account);
                gone.people.extend(names.map(|name| name.to_lowercase()));
            } else {
                gone.ids.insert(key.id.clone());
            }
        }
        gone
    }

    /// What becomes of a line of JSON lines.
    pub(super) fn from_line(&self, line: &[u8]) -> Line {
        if is_line_of(&self.ids)(line) {
            return Line::Dropped;
        }
        if self.people.is_empty() {
            return Line::Kept;
        }
        let Ok(Value::Object(mut row)) = serde_json::from_slice(line) else {
            return Line::Kept;
        };
        let account = row
            .get_mut("fields")
            .and_then(Value::as_object_mut)
            .is_some_and(|fields| self.take_account(fields));
        let is_author = self.are(row.get("author"));
        if !account && !is_author {
            return Line::Kept;
        }
        if let Some(author) = row.get_mut("author") {
            *author = Value::Null;
        }
        if let Some(Value::Object(fields)) = row.get_mut("fields") {
            take_person(fields);
        }
        let mut line = Value::Object(row).to_string().into_bytes();
        line.push(b'\n');
        Line::Written(line)
    }

    fn take_account(&self, fields: &mut Map<String, Value>) -> bool {
        let is_theirs = self.are(fields.get("author_fullname"));
        if is_theirs {
            take_person(fields);
        }
        is_theirs
    }

    fn are(&self, name: Option<&Value>) -> bool {
        let name = name.and_then(Value::as_str);
        name.is_some_and(|name| self.people.contains(&name.to_lowercase()))
    }

    /// Takes the person from a row of comma-separated values; none where it is nobody's who is gone.
    fn from_row(
        &self,
        header: &csv::StringRecord,
        row: &csv::StringRecord,
    ) -> Option<csv::StringRecord> {
        if self.people.is_empty() {
            return None;
        }
        let cell = |name: &str| {
            let at = header.iter().position(|column| column == name)?;
            Some((at, row.get(at)?))
        };
        let author = cell("author").filter(|(_, name)| self.people.contains(&name.to_lowercase()));
        let fields = cell("fields");
        let parsed = fields.and_then(|(_, text)| serde_json::from_str::<Value>(text).ok());
        let mut parsed = match parsed {
            Some(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        let account = self.take_account(&mut parsed);
        if author.is_none() && !account {
            return None;
        }
        take_person(&mut parsed);
        let written = Value::Object(parsed).to_string();
        let at = |place: Option<(usize, &str)>| place.map(|(at, _)| at);
        let (author_at, fields_at) = (at(cell("author")), at(fields));
        let cells = row.iter().enumerate().map(|(at, text)| match Some(at) {
            at if at == author_at => "",
            at if at == fields_at => &written,
            _ => text,
        });
        Some(cells.collect())
    }
}

/// Removes from the fields of a record who published it.
fn take_person(fields: &mut Map<String, Value>) {
    for name in OF_A_PERSON {
        fields.shift_remove(name);
    }
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
        } else if let Some(nameless) = gone.from_row(&header, &row) {
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
    use crate::store::{RecordKey, Traces};

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

    fn noted(id: &str, traces: Traces) -> NotedPurge {
        NotedPurge {
            key: RecordKey {
                dataset: "reddit".to_owned(),
                id: id.to_owned(),
            },
            traces,
            removed_at: None,
        }
    }

    #[test]
    fn exports_lose_their_rows() {
        let home = tempfile::tempdir().unwrap();
        let gone = Gone::of([&noted("b", Traces::default())].into_iter());
        let path = home.path().join("x.csv");
        fs_err::write(&path, "id,title\na,\"1\n2\"\nb,3\n").unwrap();
        assert_eq!(rewrite_csv(&path, &gone).unwrap(), 1);
        let text = fs_err::read_to_string(&path).unwrap();
        assert_eq!(text, "id,title\na,\"1\n2\"\n");
        fs_err::write(&path, "{\"id\":\"b\"}\n{\"id\":\"a\"}\n").unwrap();
        let rewrite = || rewrite_lines(&path, |line| gone.from_line(line));
        assert_eq!(rewrite().unwrap(), 1);
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "{\"id\":\"a\"}\n");
        assert_eq!(rewrite().unwrap(), 0);
    }

    #[test]
    fn exports_lose_who_is_forgotten_and_keep_the_rows() {
        let home = tempfile::tempdir().unwrap();
        let person = Traces {
            is_person: true,
            author: Some("ann".to_owned()),
            account: Some("t2_a".to_owned()),
            ..Traces::default()
        };
        let gone = Gone::of([&noted("u/ann", person)].into_iter());
        let path = home.path().join("x.jsonl");
        let rows = [
            json!({"id": "1", "author": "Ann", "fields": {"author_fullname": "t2_a", "n": 1}}),
            json!({"id": "2", "author": "bob", "fields": {"author_fullname": "t2_b"}}),
            json!({"id": "3", "author": null, "fields": {"author_fullname": "t2_a"}}),
        ];
        fs_err::write(
            &path,
            rows.each_ref().map(|row| format!("{row}\n")).concat(),
        )
        .unwrap();
        let rewrite = || rewrite_lines(&path, |line| gone.from_line(line));
        assert_eq!(rewrite().unwrap(), 2);
        let expected = [
            json!({"id": "1", "author": null, "fields": {"n": 1}}),
            rows[1].clone(),
            json!({"id": "3", "author": null, "fields": {}}),
        ];
        let text = fs_err::read_to_string(&path).unwrap();
        assert_eq!(text, expected.map(|row| format!("{row}\n")).concat());
        assert_eq!(rewrite().unwrap(), 0);
        let csv = "id,author,fields\n\
                   1,ann,\"{\"\"author_fullname\"\":\"\"t2_a\"\",\"\"n\"\":1}\"\n2,bob,{}\n";
        fs_err::write(&path, csv).unwrap();
        assert_eq!(rewrite_csv(&path, &gone).unwrap(), 1);
        let text = fs_err::read_to_string(&path).unwrap();
        assert_eq!(text, "id,author,fields\n1,,\"{\"\"n\"\":1}\"\n2,bob,{}\n");
    }
}
