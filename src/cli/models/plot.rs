//! A metric from version to version, drawn.

use std::fmt::Write as _;

use crate::registry::{HistoryPoint, escaped};

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 400.0;
/// Room for the words around the drawing: left, right, above, below.
const MARGINS: (f64, f64, f64, f64) = (64.0, 24.0, 40.0, 48.0);

/// Draws the points in their order, each with its interval, as an SVG document.
///
/// Points without a value leave a gap.
pub(super) fn history(points: &[HistoryPoint], name: &str, metric: &str) -> String {
    let (left, right, above, below) = MARGINS;
    let values = || {
        let of = |point: &HistoryPoint| [point.value, point.low, point.high];
        points.iter().flat_map(of).flatten()
    };
    let (least, most) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), v| {
        (least.min(v), most.max(v))
    });
    // A single value, or none, still has room above and below.
    let (least, most) = match most - least {
        spread if spread > 0.0 => (least - 0.05 * spread, most + 0.05 * spread),
        0.0 => (least - 0.5, most + 0.5),
        _ => (0.0, 1.0),
    };
    let y = |value: f64| above + (HEIGHT - above - below) * (most - value) / (most - least);
    let steps = points.len().saturating_sub(1).max(1) as f64;
    let x = |at: usize| left + (WIDTH - left - right) * at as f64 / steps;

    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>
<text x="{left}" y="24" font-size="15">{} by version of {}</text>
"##,
        escaped(metric),
        escaped(name)
    );
    for tick in 0..=4 {
        let value = least + (most - least) * f64::from(tick) / 4.0;
        let _ = writeln!(
            svg,
            r##"<path d="M{left} {0:.1}H{1}" stroke="#ddd"/><text x="{2}" y="{3:.1}" text-anchor="end">{value:.3}</text>"##,
            y(value),
            WIDTH - right,
            left - 8.0,
            y(value) + 4.0,
        );
    }
    // So many words fit below.
    let every = points.len().div_ceil(10).max(1);
    let mut line = String::new();
    for (at, point) in points.iter().enumerate() {
        if at % every == 0 {
            let _ = writeln!(
                svg,
                r#"<text x="{:.1}" y="{}" text-anchor="middle">{}</text>"#,
                x(at),
                HEIGHT - below + 20.0,
                point.interval_start.date()
            );
        }
        if let (Some(low), Some(high)) = (point.low, point.high) {
            let _ = writeln!(
                svg,
                r##"<path d="M{0:.1} {1:.1}V{2:.1}" stroke="#9bb8d3" stroke-width="3"/>"##,
                x(at),
                y(low),
                y(high)
            );
        }
        let Some(value) = point.value else {
            line.push('M');
            continue;
        };
        if !line.ends_with('M') {
            line.push(if line.is_empty() { 'M' } else { 'L' });
        }
        let _ = write!(line, "{:.1} {:.1}", x(at), y(value));
        let _ = writeln!(
            svg,
            r##"<circle cx="{:.1}" cy="{:.1}" r="3" fill="#1f5f9e"><title>version {}: {value:.4}</title></circle>"##,
            x(at),
            y(value),
            point.version
        );
    }
    let line = line.trim_end_matches('M');
    let _ = write!(
        svg,
        "<path d=\"{line}\" fill=\"none\" stroke=\"#1f5f9e\"/>\n</svg>\n"
    );
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(version: u32, value: Option<f64>) -> HistoryPoint {
        HistoryPoint {
            version,
            interval_start: "2026-01-17T00:00:00Z".parse().unwrap(),
            value,
            low: value.map(|value| value - 0.1),
            high: value.map(|value| value + 0.1),
        }
    }

    #[test]
    fn gaps_break_the_line() {
        let values = [None, Some(0.5), Some(0.6), None, Some(0.7), None];
        let points: Vec<_> = (1..)
            .zip(values)
            .map(|(v, value)| point(v, value))
            .collect();
        let svg = history(&points, "a<b", "spearman");
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("spearman by version of a&lt;b"));
        let path = svg.lines().rev().nth(1).unwrap();
        assert_eq!(path.matches('M').count(), 2, "{path}");
        assert_eq!(path.matches('L').count(), 1, "{path}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn one_point_and_none_are_drawn() {
        for points in [vec![point(1, Some(0.5))], vec![point(1, None)], vec![]] {
            let svg = history(&points, "reddit", "mae");
            assert!(!svg.contains("NaN") && svg.ends_with("</svg>\n"), "{svg}");
        }
    }
}
