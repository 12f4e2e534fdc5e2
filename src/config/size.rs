//! Numbers of bytes as settings write them: `500MB`, `4GiB`, `1048576`.

use serde_json::Value;

use super::setting::Setting;

/// What is allowed, for messages.
pub const FORM: &str =
    "a whole number of bytes, or one with `kB`, `MB`, `GB`, `TB`, `KiB`, `MiB`, `GiB` or `TiB`";

const UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("B", 1),
    ("kB", 1000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Reads a number of bytes; `None` where the text has another form than [`FORM`].
pub fn parse(text: &str) -> Option<Size> {
    let text = text.trim();
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let &(_, factor) = UNITS.iter().find(|&&(name, _)| name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(factor).map(Size)
}

/// Writes a number of bytes in the largest unit that gives a whole number.
pub fn show(size: Size) -> String {
    let (unit, factor) = UNITS
        .into_iter()
        .rev()
        .find(|&(_, factor)| size.0 > 0 && size.0.is_multiple_of(factor))
        .unwrap_or(("B", 1));
    format!("{}{unit}", size.0 / factor)
}

impl Setting for Size {
    const FORM: &'static str = FORM;

    fn from_text(text: &str) -> Option<Self> {
        parse(text)
    }

    fn from_value(value: &Value) -> Option<Self> {
        value
            .as_u64()
            .map(Self)
            .or_else(|| Self::from_text(value.as_str()?))
    }

    fn show(&self) -> Value {
        Value::from(show(*self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        for text in ["500MB", "4GiB", "0B", "17B", "2TB"] {
            assert_eq!(show(parse(text).unwrap()), text);
        }
        assert_eq!(parse("1048576"), parse("1MiB"));
        for text in ["", "GB", "-1", "1.5GB", "4 gigs", "99999999999TB"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
