//! `pipelines show`: everything that a pipeline file says, for people and as JSON.

use std::io::Write;

use serde_json::Value;

use super::{print_json, print_table};
use crate::pipelines::{self, Definition, Error};

/// Prints a pipeline's schedule, parameters, profiles and tasks.
pub(super) fn show(definition: &Definition, json: bool, out: &mut dyn Write) -> Result<(), Error> {
    if json {
        return print_json(&pipelines::described(definition), out);
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
                let mark = match &definition.switched {
                    Some(switched) if default => format!(" (default since {})", switched.at),
                    Some(switched) if switched.from.as_ref() == Some(&profile.name) => {
                        " (default of the file)".to_owned()
                    }
                    None if default => " (default)".to_owned(),
                    _ => String::new(),
                };
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
