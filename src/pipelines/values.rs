//! How single values of a pipeline file are read, and what is said where they are wrong.

use std::time::Duration;

use super::{params, read::Reader};
use crate::config::{
    document::{Data, Entry, Item, find},
    duration, suggest,
};

impl Reader<'_> {
    /// A table under a key, where it is one.
    pub(super) fn table<'t>(
        &mut self,
        root: &'t [Entry],
        key: &str,
    ) -> Option<(&'t Entry, &'t [Entry])> {
        let entry = find(root, key)?;
        if let Data::Table(table) = &entry.value.data {
            return Some((entry, table));
        }
        let message = format!("`{key}` is {}, not a table", entry.value.kind());
        let hint = Some(format!("write `[{key}]`"));
        self.faults.add(entry.key_span.start, message, hint);
        None
    }

    /// The tables within a table under a key.
    pub(super) fn tables<'t>(
        &mut self,
        root: &'t [Entry],
        key: &str,
    ) -> std::vec::IntoIter<(&'t Entry, &'t [Entry])> {
        let Some((_, table)) = self.table(root, key) else {
            return Vec::new().into_iter();
        };
        let mut tables = Vec::new();
        for entry in table {
            if let Data::Table(inner) = &entry.value.data {
                tables.push((entry, inner.as_slice()));
            } else {
                let message = format!("`{}` is {}, not a table", entry.key, entry.value.kind());
                let hint = Some(format!("write `[{key}.{}]`", entry.key));
                self.faults.add(entry.key_span.start, message, hint);
            }
        }
        tables.into_iter()
    }

    pub(super) fn known_keys(&mut self, table: &[Entry], known: &[&str], place: &str) {
        for entry in table {
            if !known.contains(&entry.key.as_str()) {
                let message = format!("unknown key `{}`{place}", entry.key);
                let hint = suggest::hint(&entry.key, known.iter().copied());
                self.faults.add(entry.key_span.start, message, Some(hint));
            }
        }
    }

    pub(super) fn wrong(&mut self, item: &Item, wanted: &str) {
        let shown = params::shown(&item.to_json());
        let message = format!("`{shown}` is {}, not {wanted}", item.kind());
        self.faults.add(item.span.start, message, None);
    }

    pub(super) fn text(&mut self, item: &Item) -> Option<String> {
        let text = item.as_text().map(str::to_owned);
        if text.is_none() {
            self.wrong(item, "a text");
        }
        text
    }

    /// A text that can stand in paths and URLs.
    pub(super) fn name(&mut self, item: &Item) -> Option<String> {
        let name = self.text(item)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(fits) || name.len() > 100 {
            let message = format!("`{name}` cannot be a name");
            let hint = "letters without accents, digits, `_` and `-`, at most 100".to_owned();
            self.faults.add(item.span.start, message, Some(hint));
            return None;
        }
        Some(name)
    }

    pub(super) fn count(&mut self, item: &Item) -> Option<u32> {
        let count = match item.data {
            Data::Integer(value) => u32::try_from(value).ok(),
            _ => None,
        };
        if count.is_none() {
            self.wrong(item, "a count (a whole number from 0)");
        }
        count
    }

    pub(super) fn integer(&mut self, item: &Item) -> Option<i32> {
        let integer = match item.data {
            Data::Integer(value) => i32::try_from(value).ok(),
            _ => None,
        };
        if integer.is_none() {
            self.wrong(item, "a whole number");
        }
        integer
    }

    pub(super) fn flag(&mut self, item: &Item) -> Option<bool> {
        let flag = match item.data {
            Data::Bool(value) => Some(value),
            _ => None,
        };
        if flag.is_none() {
            self.wrong(item, "`true` or `false`");
        }
        flag
    }

    pub(super) fn duration(&mut self, item: &Item) -> Option<Duration> {
        let length = item.as_text().and_then(duration::parse);
        if length.is_none() {
            let shown = params::shown(&item.to_json());
            let message = format!("`{shown}` is not a length of time");
            let hint = format!("write {}", duration::FORM);
            self.faults.add(item.span.start, message, Some(hint));
        }
        length
    }

    pub(super) fn choice(&mut self, item: &Item, key: &str, names: &[&str]) -> Option<usize> {
        let text = self.text(item)?;
        let position = names.iter().position(|&name| name == text);
        if position.is_none() {
            let message = format!("`{text}` is no value for `{key}`");
            let hint = suggest::hint(&text, names.iter().copied());
            self.faults.add(item.span.start, message, Some(hint));
        }
        position
    }
}
