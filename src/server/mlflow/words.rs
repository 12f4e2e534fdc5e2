//! The words of filter strings and orders.

use super::filter::Cell;

/// One word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    /// A name, split at its dots; what stands in quotes is one part.
    Name(Vec<String>),
    /// A number, or a text in quotes.
    Literal(Cell),
    /// Texts in parentheses.
    List(Vec<String>),
    /// A comparison.
    Sign(&'static str),
}

impl Word {
    /// Whether it is this word of the language, in whatever case.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Name(parts) if parts.len() == 1 && parts[0].eq_ignore_ascii_case(word))
    }
}

/// Splits a text into its words.
pub(super) fn words(text: &str) -> Result<Vec<Word>, String> {
    let mut rest = text.trim_start();
    let mut words = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '\'' | '"' => {
                let (text, after) = quoted(rest)?;
                (Word::Literal(Cell::Text(text)), after)
            }
            '(' => list(&rest[1..])?,
            '0'..='9' | '-' | '+' | '.' => number(rest)?,
            '`' | '_' | 'a'..='z' | 'A'..='Z' => name(rest)?,
            _ => sign(rest)?,
        };
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

/// The text in quotes at the beginning, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let open = text.chars().next().unwrap_or_default();
    let inner = &text[open.len_utf8()..];
    inner.split_once(open).map_or_else(
        || Err(format!("the quote `{open}` is not closed")),
        |(inner, after)| Ok((inner.to_owned(), after)),
    )
}

fn name(text: &str) -> Result<(Word, &str), String> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        if rest.starts_with(['`', '"']) {
            let (part, after) = quoted(rest)?;
            parts.push(part);
            rest = after;
        } else {
            let inner = |c: char| c.is_alphanumeric() || "_-/:@".contains(c);
            let end = rest.find(|c| !inner(c)).unwrap_or(rest.len());
            parts.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None => return Ok((Word::Name(parts), rest)),
        }
    }
}

fn number(text: &str) -> Result<(Word, &str), String> {
    let inner = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let end = text.find(|c| !inner(c)).unwrap_or(text.len());
    let (number, after) = text.split_at(end);
    let value = number
        .parse()
        .map_err(|_| format!("`{number}` is no number"))?;
    Ok((Word::Literal(Cell::Number(value)), after))
}

fn list(text: &str) -> Result<(Word, &str), String> {
    let mut among = Vec::new();
    let mut rest = text.trim_start();
    while rest.starts_with(['\'', '"']) {
        let (text, after) = quoted(rest)?;
        among.push(text);
        rest = after.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    rest.strip_prefix(')').map_or_else(
        || Err("in parentheses stand texts in quotes, with commas between".to_owned()),
        |after| Ok((Word::List(among), after)),
    )
}

fn sign(text: &str) -> Result<(Word, &str), String> {
    for sign in ["!=", "<=", ">=", "=", "<", ">"] {
        if let Some(after) = text.strip_prefix(sign) {
            return Ok((Word::Sign(sign), after));
        }
    }
    let wrong: String = text.chars().take(10).collect();
    Err(format!("`{wrong}` is not understood"))
}
