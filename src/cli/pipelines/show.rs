//! `pipelines show`: everything that a pipeline file says, for people and as JSON.

use std::{io::Write, time::Duration};

use serde_json::{Value, json};

use super::{print_json, print_table};
use crate::{
    config::{document, duration},
    pipelines::{self, Definition, Error, Policy},
};

/// Prints a pipeline's schedule, parameters, profiles and tasks.
pub(super) fn show(definition: &Definition, json: bool, out: &mut dyn Write) -> Result<(), Error> {
    if json {
        return print_json(&described(definition), out);
    }
    writeln!(out, "{} · {}", definition.name, definition.path.display())?;
    if let Some(description) = &definition.description {
        writeln!(out, "{description}")?;
    }
    for (nth, schedule) in definition.schedules.iter().enumerate() {
        let gap = if nth == 0 { "\n" } else { "" };
        let name = match definition.schedules.len() {
            1 => String::new(),
            _ => format!("{}: ", schedule.name),
        };
        writeln!(out, "{gap}schedule  {name}{}", schedule.timing_in_words())?;
    }
    if !definition.params.is_empty() {
        let rows: Vec<Vec<String>> = definition
            .params
            .iter()
            .map(|param| {
                let default = match &param.default {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                let about = param.description.clone().unwrap_or_default();
                vec![
                    param.name.clone(),
                    param.kind.name().to_owned(),
                    default,
                    about,
                ]
            })
            .collect();
        writeln!(out)?;
        print_table(&["parameter", "type", "default", ""], &rows, out)?;
    }
    if !definition.profiles.is_empty() {
        let rows: Vec<Vec<String>> = definition
            .profiles
            .iter()
            .map(|profile| {
                let default = definition.profile.as_ref() == Some(&profile.name);
                let mark = if default { " (default)" } else { "" };
                vec![
                    format!("{}{mark}", profile.name),
                    profile.text.clone(),
                    profile.image.clone(),
                    profile.caption.clone(),
                    profile.visual.clone(),
                ]
            })
            .collect();
        writeln!(out)?;
        print_table(
            &["profile", "text", "image", "caption", "visual"],
            &rows,
            out,
        )?;
    }
    writeln!(out, "\ntasks")?;
    write!(out, "{}", pipelines::text(&pipelines::outline(definition)?))?;
    Ok(())
}

fn described(definition: &Definition) -> Value {
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
        "schedules": super::schedules(definition),
        "profile": definition.profile,
        "params": params,
        "profiles": profiles,
        "tasks": tasks,
    })
}
