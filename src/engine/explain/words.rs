//! Parts of sentences.

/// A cause with what a message adds to it.
pub(super) fn sentence(cause: &str, message: Option<&str>) -> String {
    match message {
        Some(message) if !message.is_empty() && !cause.contains(message) => {
            format!("{cause}; {message}")
        }
        _ => cause.to_owned(),
    }
}

pub(super) fn quoted(names: &[String]) -> Vec<String> {
    names.iter().map(|name| format!("`{name}`")).collect()
}

pub(super) fn join(parts: &[String]) -> String {
    match parts {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    if count == 1 {
        format!("1 {one}")
    } else {
        format!("{count} {many}")
    }
}

pub(super) fn counted_rows(rows: u64) -> String {
    match rows {
        0 => "no rows committed".to_owned(),
        1 => "1 row committed".to_owned(),
        rows => format!("{rows} rows committed"),
    }
}
