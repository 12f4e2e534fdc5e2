//! Where a command's words go: data to stdout, everything else to stderr.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// How a command talks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Whether data is printed as JSON.
    pub(crate) json: bool,
    /// Whether nothing but data and errors is printed.
    pub(crate) quiet: bool,
    /// Whether colours and progress bars are wanted on stderr.
    pub(crate) lively: bool,
}

impl Output {
    /// Prints data.
    #[expect(
        clippy::unused_self,
        reason = "data is printed where everything else is said"
    )]
    pub(crate) fn data(self, text: impl AsRef<str>) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_ref().as_bytes())?;
        stdout.write_all(b"\n")
    }

    /// Prints data as one JSON document.
    pub(crate) fn json(self, value: &impl Serialize) -> io::Result<()> {
        self.data(serde_json::to_string_pretty(value)?)
    }

    /// Prints data as one line of JSON lines.
    pub(crate) fn json_line(self, value: &impl Serialize) -> io::Result<()> {
        self.data(serde_json::to_string(value)?)
    }

    /// Says something to the person who waits.
    pub(crate) fn say(self, text: impl AsRef<str>) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        let mut stderr = io::stderr().lock();
        stderr.write_all(text.as_ref().as_bytes())?;
        stderr.write_all(b"\n")
    }
}

/// Whether stderr is a terminal.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// A table without lines that fits the terminal.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

/// A number for people: four digits that matter; a dash where there is none.
pub(crate) fn number(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(value) if value.abs() >= 1000.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.4}"),
    }
}

/// How many there are of what is called `one`: `1 record`, `2 records`.
pub(crate) fn counted(number: u64, one: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {one}{ending}")
}

/// A length of time for people.
pub(crate) fn seconds(value: f64) -> String {
    if value < 0.01 {
        format!("{:.1} ms", value * 1000.0)
    } else if value < 60.0 {
        format!("{value:.2} s")
    } else {
        format!("{:.0} min {:.0} s", (value / 60.0).floor(), value % 60.0)
    }
}
