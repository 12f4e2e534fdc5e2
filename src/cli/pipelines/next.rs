//! `pipelines next`: when a pipeline will run by itself, and for which intervals.

use std::io::Write;

use super::{print_json, print_table};
use crate::{
    clock::Timestamp,
    pipelines::{self, Definition, Error},
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
    if json {
        return print_json(&pipelines::coming(definition, moment, count)?, out);
    }
    let coming = pipelines::next_ticks(definition, moment, count)?;
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
            row.extend(several.then(|| schedule.clone()));
            row
        })
        .collect();
    print_table(&header, &rows, out)
}
