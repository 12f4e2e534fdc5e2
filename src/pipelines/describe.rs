//! Pipelines as JSON: the names are those of the command line's contract.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use super::{Decided, Definition, Error, Policy, Schedule, Switched, files, load, next_ticks};
use crate::{
    clock::Timestamp,
    config::{document, duration},
};

/// The pipelines of a home, one row each, with their next tick after `now` and what was decided
/// about them; a file with faults has a row that counts them.
///
/// # Errors
///
/// Where a file cannot be read.
pub fn listed(home: &Path, now: Timestamp, decided: &Decided) -> Result<Vec<Value>, Error> {
    let mut rows = Vec::new();
    for file in files(home)? {
        let shown = &file.shown;
        rows.push(match load(&file) {
            Ok(mut definition) => {
                definition.apply(decided);
                json!({
                    "name": definition.name,
                    "description": definition.description,
                    "schedules": schedules(&definition),
                    "scheduled_for": next_ticks(&definition, now, 1)?
                        .first()
                        .map(|(_, tick)| tick.scheduled_for),
                    "paused_at": decided.paused.get(&definition.name),
                    "profile": definition.profile,
                    "switched_at": definition.switched.as_ref().map(|switched| switched.at),
                    "tasks": definition.tasks.len(),
                    "file": shown,
                    "faults": 0,
                })
            }
            Err(Error::Faulty(faults)) => json!({
                "name": file.name(),
                "description": null,
                "schedules": [],
                "scheduled_for": null,
                "paused_at": decided.paused.get(&file.name()),
                "profile": null,
                "switched_at": null,
                "tasks": 0,
                "file": shown,
                "faults": faults.len(),
            }),
            Err(error) => return Err(error),
        });
    }
    Ok(rows)
}

/// The next `count` ticks of a pipeline after `now`, as JSON.
///
/// # Errors
///
/// Where a pattern or a zone cannot be read, which a definition without faults rules out.
pub fn coming(definition: &Definition, now: Timestamp, count: usize) -> Result<Value, Error> {
    let ticks = next_ticks(definition, now, count)?;
    Ok(ticks
        .iter()
        .map(|(schedule, tick)| {
            json!({
                "schedule": schedule,
                "scheduled_for": tick.scheduled_for,
                "interval_start": tick.interval_start,
                "interval_end": tick.interval_end,
            })
        })
        .collect())
}

/// The schedules of a pipeline as JSON.
fn schedules(definition: &Definition) -> Value {
    definition.schedules.iter().map(Schedule::to_json).collect()
}

/// Everything that a pipeline file says.
pub fn described(definition: &Definition) -> Value {
    let time = |length: Option<Duration>| length.map(duration::show);
    let policy = |policy: &Policy| {
        json!({
            "retries": policy.retries,
            "retry_delay": time(policy.retry_delay),
            "max_retry_delay": time(policy.max_retry_delay),
            "crash_retries": policy.crash_retries,
            "timeout": time(policy.timeout),
            "pool": policy.pool,
            "trigger": policy.trigger,
        })
    };
    let tasks: Vec<Value> = definition
        .tasks
        .iter()
        .map(|task| {
            let mut row = policy(&task.policy.or(&definition.defaults));
            row["id"] = json!(task.id.name);
            row["op"] = json!(task.op.name);
            row["after"] = task.after.iter().map(|above| json!(above.name)).collect();
            row["settings"] = Value::Object(document::to_map(&task.settings));
            row
        })
        .collect();
    let params: Vec<Value> = definition
        .params
        .iter()
        .map(|param| {
            json!({
                "name": param.name,
                "type": param.kind,
                "default": param.default,
                "choices": param.choices,
                "description": param.description,
            })
        })
        .collect();
    let profiles: Vec<Value> = definition
        .profiles
        .iter()
        .map(|profile| Value::Object(profile.to_map()))
        .collect();
    json!({
        "name": definition.name,
        "description": definition.description,
        "file": definition.path,
        "schedules": schedules(definition),
        "profile": definition.profile,
        "switched": definition.switched.as_ref().map(|Switched { from, at }| {
            json!({ "from": from, "at": at })
        }),
        "params": params,
        "profiles": profiles,
        "tasks": tasks,
    })
}
