//! Lengths of time as settings write them: `90s`, `2m`, `36h`, `7d`.

use std::time::Duration;

/// What is allowed, for messages.
pub const FORM: &str = "a whole number with `ms`, `s`, `m`, `h` or `d`, as in `90s` or `36h`";

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Reads a length of time; `None` where the text has another form than [`FORM`].
pub fn parse(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let &(_, factor) = UNITS.iter().find(|&&(name, _)| name == unit)?;
    let milliseconds = number.parse::<u64>().ok()?.checked_mul(factor)?;
    // Longer than a million days is a slip, and would overflow when it is added to a time.
    (milliseconds <= 1_000_000 * 86_400_000).then(|| Duration::from_millis(milliseconds))
}

/// Writes a length of time in the largest unit that gives a whole number.
pub fn show(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let (unit, factor) = UNITS
        .into_iter()
        .rev()
        .find(|&(_, factor)| milliseconds > 0 && milliseconds.is_multiple_of(u128::from(factor)))
        .unwrap_or(("s", 1000));
    format!("{}{unit}", milliseconds / u128::from(factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        for text in ["90s", "2m", "36h", "7d", "250ms", "0s"] {
            assert_eq!(show(parse(text).unwrap()), text);
        }
        assert_eq!(parse("48h"), parse("2d"));
        for text in [
            "",
            "90",
            "s",
            "1.5h",
            "-1s",
            "1 h",
            "2w",
            "99999999999999999d",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
