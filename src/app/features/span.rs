//! How far one feature reaches over records.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{clock::Timestamp, corpus::Record, operators::Reach};

/// How far one feature reaches over the records of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FeatureSpan {
    /// Its name: that of a block, a number, a category.
    pub name: String,
    /// What it is: `vectors`, `captions`, `number`, `category`, `target`, `reading`, `people`,
    /// `raw`.
    pub kind: &'static str,
    /// What it is made by or read from, where that has a name.
    pub of: Option<String>,
    /// How many records have it.
    pub records: u64,
    /// How many lack it and can get it from what is kept.
    pub computable: u64,
    /// How many lack it for good.
    pub lacking: u64,
    /// Why these do, by code.
    pub reasons: BTreeMap<&'static str, u64>,
    /// The publication of the oldest record that has it or can get it.
    pub since: Option<Timestamp>,
    /// From this publication on no record lacks it; none where the newest one does.
    pub whole_since: Option<Timestamp>,
    /// When the first of it was received, where it is received and not computed.
    pub first_at: Option<Timestamp>,
}

impl FeatureSpan {
    /// How the feature reaches over `records`, which are in the order of their publication.
    pub(super) fn over(
        records: &[Record],
        (kind, name): (&'static str, &str),
        reach: impl Fn(&Record) -> Reach,
    ) -> Self {
        let mut span = Self {
            name: name.to_owned(),
            kind,
            of: None,
            records: 0,
            computable: 0,
            lacking: 0,
            reasons: BTreeMap::new(),
            since: None,
            whole_since: None,
            first_at: None,
        };
        for record in records {
            match reach(record) {
                Reach::Has => span.records += 1,
                Reach::Can => span.computable += 1,
                Reach::Lacks(reason) => {
                    span.lacking += 1;
                    *span.reasons.entry(reason).or_default() += 1;
                    span.whole_since = None;
                    continue;
                }
            }
            span.since = span.since.or(record.created_at);
            span.whole_since = span.whole_since.or(record.created_at);
        }
        span
    }

    /// The same, told what it is made by or read from.
    pub(super) fn of(mut self, what: impl Into<String>) -> Self {
        self.of = Some(what.into());
        self
    }

    /// The same, told when the first of it was received.
    pub(super) fn first_at(mut self, at: Option<Timestamp>) -> Self {
        self.first_at = at;
        self
    }
}
