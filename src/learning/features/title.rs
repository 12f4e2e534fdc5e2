//! What a title looks like, whatever it says.

/// `ln(1 + characters)`, `ln(1 + words)`.
pub(super) fn length(title: &str) -> Vec<f64> {
    let words = title.split_whitespace().count();
    [title.chars().count(), words]
        .map(|count| (count as f64).ln_1p())
        .to_vec()
}

/// Whether it asks, calls, has a digit, has a tag in brackets; the share of capital letters.
pub(super) fn style(title: &str) -> Vec<f64> {
    let letters = title.chars().filter(|c| c.is_alphabetic()).count();
    let capitals = title.chars().filter(|c| c.is_uppercase()).count();
    let has = |found: bool| f64::from(u8::from(found));
    vec![
        has(title.contains(['?', '？'])),
        has(title.contains(['!', '！'])),
        has(title.chars().any(char::is_numeric)),
        has(title.contains('[') && title.contains(']')),
        capitals as f64 / letters.max(1) as f64,
    ]
}

/// `ln(1 + emoji)`, whether it says `[OC]`, `ln(1 + tags)`, `ln(1 + digits)`.
pub(super) fn shape(title: &str) -> Vec<f64> {
    let count =
        |found: fn(char) -> bool| (title.chars().filter(|&c| found(c)).count() as f64).ln_1p();
    let is_own = title.to_lowercase().contains("[oc]");
    vec![
        count(is_emoji),
        f64::from(u8::from(is_own)),
        count(|c| matches!(c, '[' | '(')),
        count(char::is_numeric),
    ]
}

/// Whether a character is a pictograph; its modifiers (skin tones, joiners) are none.
const fn is_emoji(c: char) -> bool {
    matches!(
        c,
        '\u{1f1e6}'..='\u{1f1ff}'
            | '\u{1f300}'..='\u{1f3fa}'
            | '\u{1f400}'..='\u{1faff}'
            | '\u{2600}'..='\u{27bf}'
            | '\u{2b50}'
            | '\u{2b55}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_titles_shape_counts_pictographs_and_tags() {
        let logs = |counts: [f64; 4]| counts.map(f64::ln_1p).to_vec();
        let mut wanted = logs([3.0, 0.0, 2.0, 4.0]);
        assert_eq!(shape("👍🏽 (tiny) [Sun] ☀️ 2026 ❤️"), wanted);
        wanted = logs([0.0, 0.0, 1.0, 0.0]);
        wanted[1] = 1.0;
        assert_eq!(shape("mine [oc]"), wanted);
    }
}
