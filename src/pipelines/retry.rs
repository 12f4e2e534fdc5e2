//! How `retry_rules` and the numbers beside them are read.

use super::{params, read::Reader};
use crate::{
    config::{
        document::{Data, Item, find},
        size, suggest,
    },
    dag::{CLASSES, RetryRule, is_class},
};

impl Reader<'_> {
    /// A list of rules; each that cannot be read is reported and left out.
    pub(super) fn retry_rules(&mut self, item: &Item) -> Vec<RetryRule> {
        let Data::List(items) = &item.data else {
            let message = format!("`retry_rules` is {}, not a list of rules", item.kind());
            let hint = "write `retry_rules = [{ on = [\"timed_out\"], retries = 0 }]`".to_owned();
            self.faults.add(item.span.start, message, Some(hint));
            return Vec::new();
        };
        items
            .iter()
            .filter_map(|item| self.retry_rule(item))
            .collect()
    }

    fn retry_rule(&mut self, item: &Item) -> Option<RetryRule> {
        let Data::Table(table) = &item.data else {
            self.wrong(item, "a rule: a table with `on`");
            return None;
        };
        self.known_keys(table, &["on", "retries", "delay"], " in a rule");
        let value = |key: &str| find(table, key).map(|entry| &entry.value);
        let Some(on) = value("on") else {
            let hint = format!(
                "`on` lists classes: {}, `exit:CODE`",
                suggest::list(CLASSES)
            );
            self.faults
                .add(item.span.start, "a rule without `on`", Some(hint));
            return None;
        };
        let Data::List(names) = &on.data else {
            self.wrong(on, "a list of classes");
            return None;
        };
        let on = names.iter().filter_map(|name| self.class(name)).collect();
        Some(RetryRule {
            on,
            retries: value("retries").and_then(|item| self.count(item)),
            delay: value("delay").and_then(|item| self.duration(item)),
        })
    }

    fn class(&mut self, item: &Item) -> Option<String> {
        let name = self.text(item)?;
        if !is_class(&name) {
            let message = format!("`{name}` is no class of ends");
            let hint = suggest::hint(&name, CLASSES.into_iter().chain(["exit:CODE"]));
            self.faults.add(item.span.start, message, Some(hint));
            return None;
        }
        Some(name)
    }

    /// A number between two others.
    pub(super) fn number(&mut self, item: &Item, least: f64, most: f64) -> Option<f64> {
        let number = match item.data {
            Data::Integer(value) => Some(value as f64),
            Data::Float(value) => Some(value),
            _ => None,
        };
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.wrong(item, &format!("a number from {least} to {most}"));
        }
        number
    }

    /// An amount of memory, in bytes.
    pub(super) fn size(&mut self, item: &Item) -> Option<u64> {
        let bytes = item.as_text().and_then(size::parse).map(|size| size.0);
        let bytes = bytes.filter(|&bytes| bytes > 0);
        if bytes.is_none() {
            let shown = params::shown(&item.to_json());
            let message = format!("`{shown}` is not an amount of memory");
            let hint = format!("write {}", size::FORM);
            self.faults.add(item.span.start, message, Some(hint));
        }
        bytes
    }
}
