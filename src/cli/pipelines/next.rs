//! `pipelines next`: when a pipeline will run by itself, and for which intervals.

use std::io::Write;

use serde_json::{Value, json};

use super::{print_json, print_table};
use crate::{
    clock::Timestamp,
    dag::schedule::Tick,
    pipelines::{Definition, Error},
};

/// Prints the next `count` ticks after `moment` over all schedules; each ends the interval that
/// begins at the tick before it of the same schedule.
pub(super) fn next(
    definition: &Definition,
    moment: Timestamp,
    count: usize,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Error> {
    if definition.schedules.is_empty() && !json {
        writeln!(out, "`{}` has no schedule", definition.name)?;
        return Ok(());
    }
    let coming = coming(definition, moment, count)?;
    if json {
        let rows: Vec<Value> = coming
            .iter()
            .map(|(schedule, tick)| {
                json!({
                    "schedule": schedule,
                    "scheduled_for": tick.scheduled_for,
                    "interval_start": tick.interval_start,
                    "interval_end": tick.interval_end,
                })
            })
            .collect();
        return print_json(&Value::Array(rows), out);
    }
    let several = definition.schedules.len() > 1;
    let mut header = vec!["scheduled for", "interval start", "interval end"];
    if several {
        header.push("schedule");
    }
    let rows: Vec<Vec<String>> = coming
        .iter()
        .map(|(schedule, tick)| {
            let times = [tick.scheduled_for, tick.interval_start, tick.interval_end];
            let mut row: Vec<String> = times.iter().map(ToString::to_string).collect();
            row.extend(several.then(|| (*schedule).to_owned()));
            row
        })
        .collect();
    print_table(&header, &rows, out)
}

/// The next ticks of all schedules, with the schedule's name, in order.
fn coming(
    definition: &Definition,
    moment: Timestamp,
    count: usize,
) -> Result<Vec<(&str, Tick)>, Error> {
    let mut coming = Vec::new();
    for schedule in &definition.schedules {
        let rules = schedule.rules().map_err(|error| Error::Argument {
            message: error.to_string(),
            hint: None,
        })?;
        let ticks = rules.iter_after(moment).take(count);
        coming.extend(ticks.map(|tick| (schedule.name.as_str(), tick)));
    }
    coming.sort_by_key(|(_, tick)| tick.scheduled_for);
    coming.truncate(count);
    Ok(coming)
}
