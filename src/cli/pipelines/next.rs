//! `pipelines next`: when a pipeline will run by itself, and for which intervals.

use std::io::Write;

use serde_json::{Value, json};

use super::{print_json, print_table};
use crate::{
    clock::Timestamp,
    dag::ticks::Ticks,
    pipelines::{Definition, Error},
};

/// Prints the next `count` ticks after `moment`; each ends the interval that begins at the tick
/// before it.
pub(super) fn next(
    definition: &Definition,
    moment: Timestamp,
    count: usize,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let Some(schedule) = &definition.schedule else {
        if json {
            return print_json(&json!([]), out);
        }
        writeln!(out, "`{}` has no schedule", definition.name)?;
        return Ok(());
    };
    let wrong = |error: crate::dag::ticks::TicksError| Error::Argument {
        message: error.to_string(),
        hint: None,
    };
    let ticks = Ticks::cron(&schedule.cron, &schedule.timezone).map_err(wrong)?;
    let coming: Vec<(Option<Timestamp>, Timestamp)> = ticks
        .iter_after(moment)
        .take(count)
        .map(|tick| (ticks.before(tick), tick))
        .collect();
    if json {
        let rows: Vec<Value> = coming
            .iter()
            .map(|(start, end)| {
                json!({ "scheduled_for": end, "interval_start": start, "interval_end": end })
            })
            .collect();
        return print_json(&Value::Array(rows), out);
    }
    let rows: Vec<Vec<String>> = coming
        .iter()
        .map(|(start, end)| {
            let start = start.map_or_else(|| "–".to_owned(), |start| start.to_string());
            vec![end.to_string(), start, end.to_string()]
        })
        .collect();
    print_table(
        &["scheduled for", "interval start", "interval end"],
        &rows,
        out,
    )
}
