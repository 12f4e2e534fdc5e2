//! Who and what is gone from lists of records: rows of purged records, and people from all others.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::documents::{Ids, Line, is_line_of};
use crate::store::{NotedPurge, OF_A_PERSON};

/// Who and what is gone from lists of records.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// Records, whose rows go.
    pub ids: Ids,
    /// People who are forgotten, by name in small letters and by account: they go from rows.
    people: HashSet<String>,
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
    pub(super) fn line(&self, line: &[u8]) -> Line {
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
        name.and_then(Value::as_str)
            .is_some_and(|name| self.is_person(name))
    }

    /// Whether somebody is to be forgotten.
    pub(super) fn is_person(&self, name: &str) -> bool {
        self.people.contains(&name.to_lowercase())
    }

    /// Takes the person from a row of comma-separated values; none where it is nobody's who is gone.
    pub(super) fn row(
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::documents::{rewrite_csv, rewrite_lines},
        *,
    };
    use crate::store::{RecordKey, Traces};

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
        let rewrite = || rewrite_lines(&path, |line| gone.line(line));
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
        let rewrite = || rewrite_lines(&path, |line| gone.line(line));
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
