//! What the JSON that is kept of records can still give.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::{Value, value::RawValue};

use crate::{
    clock::Timestamp,
    store::{Error, KeptRaw, Store},
};

/// A field of the JSON that is kept of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RawField {
    /// Its name, or its place as a JSON pointer.
    pub field: String,
    /// In how many bodies it is.
    pub bodies: u64,
    /// In how many of them it is not `null`.
    pub with_value: u64,
    /// When the first body with it was received.
    pub since: Option<Timestamp>,
}

impl RawField {
    fn named(field: &str) -> Self {
        Self {
            field: field.to_owned(),
            bodies: 0,
            with_value: 0,
            since: None,
        }
    }

    fn count(&mut self, received_at: Timestamp, is_null: bool) {
        self.bodies += 1;
        self.with_value += u64::from(!is_null);
        self.since = Some(
            self.since
                .map_or(received_at, |since| since.min(received_at)),
        );
    }
}

/// What is kept of some records.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    /// When each was received, by record id.
    pub(super) received: HashMap<String, Timestamp>,
    /// The fields that were asked for; else all that are outermost, by name.
    pub(super) fields: Vec<RawField>,
}

impl Bodies {
    /// What is kept of the records of a data set for which `is_meant` holds. Each body is read by
    /// itself, so that memory holds one.
    pub(super) async fn read(
        store: &Store,
        dataset: &str,
        asked: &[String],
        is_meant: impl Fn(&str) -> bool + Send + Sync,
    ) -> Result<Self, Error> {
        let mut received = HashMap::new();
        let mut asked: Vec<RawField> = asked.iter().map(|field| RawField::named(field)).collect();
        let mut found: BTreeMap<String, RawField> = BTreeMap::new();
        let visit = |raw: KeptRaw| {
            if !is_meant(&raw.record_id) {
                return;
            }
            if asked.is_empty() {
                count_all(&raw, &mut found);
            } else {
                count_asked(&raw, &mut asked);
            }
            received.insert(raw.record_id, raw.received_at);
        };
        store.visit_raw(dataset, visit).await?;
        let fields = if asked.is_empty() {
            found.into_values().collect()
        } else {
            asked
        };
        Ok(Self { received, fields })
    }
}

/// Counts all outermost fields of a body.
fn count_all(raw: &KeptRaw, found: &mut BTreeMap<String, RawField>) {
    // A sandbox or a file may hold what is no object; it has no fields.
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(&raw.json).unwrap_or_default();
    for (name, value) in fields {
        let is_null = value.get() == "null";
        found
            .entry(name)
            .or_insert_with_key(|name| RawField::named(name))
            .count(raw.received_at, is_null);
    }
}

/// Counts the fields that were asked for.
fn count_asked(raw: &KeptRaw, asked: &mut [RawField]) {
    let body: Value = serde_json::from_slice(&raw.json).unwrap_or_default();
    for field in asked {
        let value = if field.field.starts_with('/') {
            body.pointer(&field.field)
        } else {
            body.get(&field.field)
        };
        if let Some(value) = value {
            field.count(raw.received_at, value.is_null());
        }
    }
}
