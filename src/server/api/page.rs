//! Long lists, a page at a time.

use super::super::Fault;

/// The most rows in one answer.
const MOST: u32 = 1000;

/// Refuses a number of rows that is not 1 to 1000.
pub(super) fn check(name: &str, rows: u32) -> Result<(), Fault> {
    if (1..=MOST).contains(&rows) {
        return Ok(());
    }
    Err(Fault::invalid(format!(
        "`{name}` is {rows}; write 1 to {MOST}"
    )))
}

/// One page of rows of which one more was asked for, and what its last one is called where there
/// are more.
pub(super) fn cut<R, N>(
    mut rows: Vec<R>,
    limit: u32,
    name: impl Fn(&R) -> N,
) -> (Vec<R>, Option<N>) {
    let limit = limit as usize;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(name);
    (rows, next)
}
