//! What a run for one interval has to encode, told before it runs.

use std::collections::BTreeSet;

use serde::Serialize;

use super::plan::{PlanTotal, PlannedEncoding, borrow_rates, dataset_of, planned, total};
use crate::{
    app::{App, Error, Prepared},
    clock::Timestamp,
    corpus::Record,
    engine::Interval,
    operators::{Encoding, Selections},
};

/// Of how many intervals before it the mean stands for one of which nothing is stored yet.
const BEFORE: u32 = 7;

/// What a run for one interval has to encode of the records of that interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IntervalPlan {
    /// Where the counts come from.
    pub basis: Basis,
    /// The records of the interval that the pipeline goes on with, at most over its tasks.
    pub records: u64,
    /// The tasks that encode, in their order.
    pub tasks: Vec<PlannedEncoding>,
    /// All of them together.
    pub total: PlanTotal,
    /// Why rates are not known.
    pub note: Option<String>,
}

/// Where the counts of an [`IntervalPlan`] come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The records of the interval are stored.
    Known,
    /// They are not: it is the mean of the last intervals of which some are.
    Mean,
    /// Nothing is stored.
    Nothing,
}

/// The records that stand for those of an interval.
struct Share {
    basis: Basis,
    records: Vec<Record>,
    /// Over how many intervals they go.
    intervals: u64,
}

impl Share {
    fn of(records: &[Record], interval: Interval) -> Self {
        let within = |from: Timestamp, to: Timestamp| {
            records.iter().filter_map(move |record| {
                let created = record.created_at?;
                (from <= created && created < to).then_some((created, record))
            })
        };
        let known = within(interval.start, interval.end);
        let known: Vec<Record> = known.map(|(_, record)| record.clone()).collect();
        if !known.is_empty() {
            return Self {
                basis: Basis::Known,
                records: known,
                intervals: 1,
            };
        }
        let length = interval.end.since(interval.start);
        let mut nonempty = BTreeSet::new();
        let mut before = Vec::new();
        for (created, record) in within(interval.start - length * BEFORE, interval.start) {
            let back = interval.start.since(created).as_secs_f64() / length.as_secs_f64().max(1.0);
            nonempty.insert(back.ceil().to_bits());
            before.push(record.clone());
        }
        Self {
            basis: if before.is_empty() {
                Basis::Nothing
            } else {
                Basis::Mean
            },
            records: before,
            intervals: nonempty.len().max(1) as u64,
        }
    }
}

impl App {
    /// What a run has to encode of the records of its interval; where none of them is stored yet,
    /// the mean of the intervals before it. Rates are measured as for
    /// [`plan_encoders`](Self::plan_encoders); where an encoder cannot be had, they are left out.
    ///
    /// # Errors
    ///
    /// Where the store fails.
    pub async fn plan_interval(&self, prepared: &Prepared) -> Result<IntervalPlan, Error> {
        let environment = self.environment();
        let as_of = self.clock().now().max(prepared.as_of);
        let mut selections = Selections::default();
        let mut plan = IntervalPlan {
            basis: Basis::Nothing,
            records: 0,
            tasks: Vec::new(),
            total: PlanTotal::default(),
            note: None,
        };
        let dataset = dataset_of(prepared)?;
        for encoding in Encoding::all_of(&prepared.compiled.graph, &environment)? {
            let Some(dataset) = &dataset else { break };
            let selected = selections
                .of(&encoding, &environment.store, dataset, as_of)
                .await?;
            let share = Share::of(&selected, prepared.interval);
            plan.basis = share.basis;
            let records = (share.records.len() as u64).div_ceil(share.intervals);
            plan.records = plan.records.max(records);
            let stock = encoding.stock(&environment, &share.records).await?;
            let sample = match encoding.sample(&environment, &stock).await {
                Ok(sample) => sample,
                Err(error) => {
                    plan.note = Some(error.to_string());
                    None
                }
            };
            let length = match sample.and_then(|sample| sample.bytes) {
                Some(length) => Some(length),
                None => encoding.stored_length(&environment.store).await?,
            };
            let (mut contents, mut missing) = (stock.contents(), stock.lacking());
            if share.basis == Basis::Mean {
                contents = contents.div_ceil(share.intervals);
                missing = contents;
            }
            plan.tasks.push(PlannedEncoding {
                to_come: (stock.to_come as u64).div_ceil(share.intervals),
                ..planned(&encoding, contents, missing, sample, length)
            });
        }
        borrow_rates(&mut plan.tasks);
        plan.total = total(&plan.tasks);
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn record(created_at: Timestamp) -> Record {
        Record {
            id: created_at.to_string(),
            community: None,
            author: None,
            title: None,
            created_at: Some(created_at),
            media: Vec::new(),
            fields: serde_json::Map::new(),
        }
    }

    #[test]
    fn a_day_of_which_nothing_is_known_is_like_those_before() {
        let start = Timestamp::from_millis(100 * 86_400_000);
        let interval = Interval {
            start,
            end: start + DAY,
        };
        let on = |days: u32, count: u32| {
            (1..=count).map(move |nth| record(start - DAY * days + Duration::from_mins(1) * nth))
        };
        // Two days of the last seven have records; one is too long ago.
        let mut records: Vec<Record> = on(1, 4).chain(on(7, 2)).chain(on(8, 9)).collect();
        let share = Share::of(&records, interval);
        assert_eq!(share.basis, Basis::Mean);
        assert_eq!((share.records.len(), share.intervals), (6, 2));
        records.push(record(start));
        let share = Share::of(&records, interval);
        assert_eq!(share.basis, Basis::Known);
        assert_eq!(share.records.len(), 1);
        assert_eq!(Share::of(&[], interval).basis, Basis::Nothing);
    }
}
