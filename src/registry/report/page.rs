//! The frame of a report: its head, its looks, its sections and tables.
//!
//! All elements are closed, so the page is well-formed XML below its first line.

/// How it looks on a bright and on a dark screen and on paper.
const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2430; --faint: #5b6675; --line: #d8dde4; --back: #fff;
  --own: #1f5f9e; --other: #7b8794; --mark: #b3541e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ee; --faint: #9aa5b3; --line: #3a434f; --back: #161b22; --own: #6cb0f0;
    --other: #8b97a5; --mark: #e8935a; }
}
@media print {
  :root { --ink: #000; --faint: #444; --line: #ccc; --back: #fff; --own: #1f5f9e; --other: #666;
    --mark: #b3541e; }
  section { break-inside: avoid; }
}
body { margin: 2rem auto; max-width: 50rem; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--back); }
h1, h2 { line-height: 1.2; }
h2 { margin-top: 2.2rem; font-size: 1.2rem; }
.verdict { border-left: 4px solid var(--own); padding-left: .8rem; font-size: 1.15rem;
  font-weight: 600; }
.note { color: var(--faint); font-size: .9rem; }
svg { display: block; max-width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); }
svg .faint { fill: var(--faint); }
svg .grid { stroke: var(--line); }
svg .zero, svg .diagonal { stroke: var(--faint); }
svg .diagonal { stroke-dasharray: 4 4; }
svg .mark { stroke: var(--mark); stroke-dasharray: 4 4; }
svg .whisker { stroke: var(--ink); stroke-width: 1.5; }
svg .own { fill: var(--own); }
svg .other { fill: var(--other); }
svg .line { fill: none; stroke: var(--own); }
.wide { overflow-x: auto; margin-bottom: 1rem; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .75rem .25rem 0; text-align: left;
  vertical-align: top; }
.facts td:first-child { white-space: nowrap; }
.facts td + td { min-width: 8rem; overflow-wrap: anywhere; }
.numbers th + th, .numbers td + td { text-align: right; font-variant-numeric: tabular-nums; }
";

/// A text as it may stand in a page and in an SVG, within attributes too.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // XML has no others, not even escaped.
            '\t' | '\n' | '\r' => safe.push(character),
            _ if character.is_control() => safe.push('\u{fffd}'),
            _ => safe.push(character),
        }
    }
    safe
}

/// A page with this title; `body` is HTML already.
///
/// Its policy lets a browser load nothing and run nothing, whatever a text in it might be.
pub(super) fn page(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta \
         http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
         'unsafe-inline'\"/>\n<meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\"/>\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>{title}</h1>\n{body}</body>\n</html>\n",
        title = escaped(title),
    )
}

/// A section with a heading and a sentence below it; nothing where there is no body.
pub(super) fn section(heading: &str, note: &str, body: &str) -> String {
    if body.is_empty() {
        return String::new();
    }
    let note = match note {
        "" => String::new(),
        note => format!("<p class=\"note\">{}</p>\n", escaped(note)),
    };
    format!(
        "<section>\n<h2>{}</h2>\n{note}{body}</section>\n",
        escaped(heading)
    )
}

/// A paragraph of text.
pub(super) fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escaped(text))
}

/// A paragraph of text that stands out.
pub(super) fn strong(text: &str) -> String {
    format!("<p class=\"verdict\">{}</p>\n", escaped(text))
}

/// What the columns after the first one hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cells {
    Numbers,
    Text,
}

/// A table of texts; nothing without rows.
pub(super) fn table(header: &[&str], rows: &[Vec<String>], cells: Cells) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let class = if cells == Cells::Numbers {
        " class=\"numbers\""
    } else {
        " class=\"facts\""
    };
    let line = |tag: &str, cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<String> = cells
            .map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)))
            .collect();
        format!("<tr>{}</tr>\n", cells.concat())
    };
    let head = if header.iter().all(|called| called.is_empty()) {
        String::new()
    } else {
        let cells = line("th", &mut header.iter().copied());
        format!("<thead>{cells}</thead>\n")
    };
    let body: String = rows
        .iter()
        .map(|row| line("td", &mut row.iter().map(String::as_str)))
        .collect();
    format!("<div class=\"wide\"><table{class}>\n{head}<tbody>{body}</tbody>\n</table></div>\n")
}
