//! The plots of a report, as SVG: named rows with their intervals, and points over two axes.

use std::fmt::Write as _;

use super::{fixed, number, page::escaped};

/// The width of both kinds of plot, in pixels of the screen.
const WIDTH: f64 = 760.0;
/// A name longer than that is cut: so much fits on the left.
const LONGEST_NAME: usize = 28;

/// A named row of a plot.
pub(super) struct Line {
    pub name: String,
    pub value: f64,
    pub ends: Option<(f64, f64)>,
    /// Whether it is what the report is of.
    pub own: bool,
}

/// What stands for a row's value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Dots,
    /// Bars from zero.
    Bars,
}

/// A value on one axis that is told of, and what it is.
pub(super) type Mark<'a> = (f64, &'a str);

/// Rows below each other, each with its interval and its value; nothing without rows.
pub(super) fn rows(label: &str, rows: &[Line], shape: Shape, marks: &[Mark<'_>]) -> String {
    const NAMES: f64 = 190.0;
    const VALUES: f64 = 160.0;
    const ABOVE: f64 = 20.0;
    const BELOW: f64 = 24.0;
    const ROW: f64 = 24.0;
    if rows.is_empty() {
        return String::new();
    }
    let spans = rows.iter().flat_map(|row| {
        let (low, high) = row.ends.unwrap_or((row.value, row.value));
        [row.value, low, high]
    });
    let zero = (shape == Shape::Bars).then_some(0.0);
    let axis = Axis::over(spans.chain(marks.iter().map(|mark| mark.0)).chain(zero));
    let x = |value| axis.place(value, NAMES, WIDTH - VALUES);
    let bottom = ABOVE + ROW * rows.len() as f64;
    let mut svg = start(label, bottom + BELOW);
    for tick in axis.ticks() {
        let class = if tick.abs() < axis.step / 2.0 {
            "zero"
        } else {
            "grid"
        };
        let _ = writeln!(
            svg,
            r#"<path class="{class}" d="M{0:.1} {ABOVE}V{bottom}"/><text class="faint" x="{0:.1}" y="{1}" text-anchor="middle">{2}</text>"#,
            x(tick),
            bottom + 16.0,
            axis.told(tick),
        );
    }
    for (value, name) in marks {
        let _ = writeln!(
            svg,
            r#"<path class="mark" d="M{0:.1} {ABOVE}V{bottom}"/><text class="faint" x="{0:.1}" y="{1}" text-anchor="middle">{2}</text>"#,
            x(*value),
            ABOVE - 6.0,
            escaped(name),
        );
    }
    for (at, row) in rows.iter().enumerate() {
        let y = ABOVE + ROW * (at as f64 + 0.5);
        let class = if row.own { "own" } else { "other" };
        let mut name: String = row.name.chars().take(LONGEST_NAME).collect();
        if name.len() < row.name.len() {
            name.push('…');
        }
        let _ = writeln!(
            svg,
            r#"<text x="{}" y="{}" text-anchor="end">{}</text>"#,
            NAMES - 12.0,
            y + 4.0,
            escaped(&name),
        );
        if shape == Shape::Bars {
            let (from, to) = (x(0.0).min(x(row.value)), x(0.0).max(x(row.value)));
            let _ = writeln!(
                svg,
                r#"<rect class="{class}" x="{from:.1}" y="{}" width="{:.1}" height="12"/>"#,
                y - 6.0,
                to - from,
            );
        }
        let mut told = number(row.value);
        if let Some((low, high)) = row.ends {
            let _ = writeln!(
                svg,
                r#"<path class="whisker" d="M{:.1} {y}H{:.1}"/>"#,
                x(low),
                x(high)
            );
            let _ = write!(told, " ({} to {})", number(low), number(high));
        }
        if shape == Shape::Dots {
            let _ = writeln!(
                svg,
                r#"<circle class="{class}" cx="{:.1}" cy="{y}" r="5"/>"#,
                x(row.value)
            );
        }
        let _ = writeln!(
            svg,
            r#"<text class="faint" x="{}" y="{}" text-anchor="end">{told}</text>"#,
            WIDTH - 2.0,
            y + 4.0,
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// A point over two axes.
pub(super) struct Point {
    pub x: f64,
    pub y: f64,
    pub ends: Option<(f64, f64)>,
}

/// What is drawn beside the points.
#[derive(Clone, Copy)]
pub(super) enum Beside<'a> {
    /// A line from point to point.
    Line,
    /// Where both axes are equal.
    Diagonal,
    /// A value of the upright axis.
    Level(Mark<'a>),
}

/// Points over two axes with these names; nothing without points.
pub(super) fn points(
    label: &str,
    (across, upright): (&str, &str),
    points: &[Point],
    beside: Beside<'_>,
) -> String {
    const LEFT: f64 = 60.0;
    const RIGHT: f64 = 24.0;
    const TOP: f64 = 24.0;
    const BOTTOM: f64 = 260.0;
    if points.is_empty() {
        return String::new();
    }
    let level = match beside {
        Beside::Level((value, _)) => Some(value),
        Beside::Line | Beside::Diagonal => None,
    };
    let xs = Axis::over(points.iter().map(|point| point.x));
    let ys = Axis::over(points.iter().flat_map(|point| {
        let (low, high) = point.ends.unwrap_or((point.y, point.y));
        [point.y, low, high].into_iter().chain(level)
    }));
    let x = |value| xs.place(value, LEFT, WIDTH - RIGHT);
    let y = |value| ys.place(value, BOTTOM, TOP);
    let (end, middle) = (WIDTH - RIGHT, f64::midpoint(LEFT, WIDTH - RIGHT));
    let mut svg = start(label, BOTTOM + 44.0);
    for tick in ys.ticks() {
        let _ = writeln!(
            svg,
            r#"<path class="grid" d="M{LEFT} {0:.1}H{end}"/><text class="faint" x="{1}" y="{2:.1}" text-anchor="end">{3}</text>"#,
            y(tick),
            LEFT - 8.0,
            y(tick) + 4.0,
            ys.told(tick),
        );
    }
    for tick in xs.ticks() {
        let _ = writeln!(
            svg,
            r#"<text class="faint" x="{:.1}" y="{}" text-anchor="middle">{}</text>"#,
            x(tick),
            BOTTOM + 18.0,
            xs.told(tick),
        );
    }
    let _ = writeln!(
        svg,
        r#"<text x="{middle}" y="{}" text-anchor="middle">{}</text><text x="{LEFT}" y="14">{}</text>"#,
        BOTTOM + 38.0,
        escaped(across),
        escaped(upright),
    );
    match beside {
        Beside::Line => {
            let path: Vec<String> = points
                .iter()
                .map(|point| format!("{:.1} {:.1}", x(point.x), y(point.y)))
                .collect();
            let _ = writeln!(svg, r#"<path class="line" d="M{}"/>"#, path.join("L"));
        }
        Beside::Diagonal => {
            let (from, to) = (xs.least.max(ys.least), xs.most.min(ys.most));
            // Where the axes have nothing in common there is no diagonal to see.
            if from < to {
                let _ = writeln!(
                    svg,
                    r#"<path class="diagonal" d="M{:.1} {:.1}L{:.1} {:.1}"/>"#,
                    x(from),
                    y(from),
                    x(to),
                    y(to),
                );
            }
        }
        Beside::Level((value, name)) => {
            let _ = writeln!(
                svg,
                r#"<path class="mark" d="M{LEFT} {0:.1}H{end}"/><text class="faint" x="{end}" y="{1:.1}" text-anchor="end">{2}</text>"#,
                y(value),
                y(value) - 5.0,
                escaped(name),
            );
        }
    }
    for point in points {
        if let Some((low, high)) = point.ends {
            let _ = writeln!(
                svg,
                r#"<path class="whisker" d="M{:.1} {:.1}V{:.1}"/>"#,
                x(point.x),
                y(low),
                y(high)
            );
        }
        let _ = writeln!(
            svg,
            r#"<circle class="own" cx="{:.1}" cy="{:.1}" r="4"><title>{}: {}</title></circle>"#,
            x(point.x),
            y(point.y),
            number(point.x),
            number(point.y),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn start(label: &str, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" role=\"img\" aria-label=\"{}\">\n",
        escaped(label)
    )
}

/// An axis that begins and ends at round numbers.
struct Axis {
    least: f64,
    most: f64,
    step: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), v| {
            (least.min(v), most.max(v))
        });
        // A single value still has room on both sides.
        let room = if most - least > 1e-9 { 0.0 } else { 0.5 };
        let (least, most) = (least - room, most + room);
        let rough = (most - least) / 6.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0]
            .map(|times| times * power)
            .into_iter()
            .find(|step| *step >= rough)
            .unwrap_or(10.0 * power);
        Self {
            least: (least / step).floor() * step,
            most: (most / step).ceil() * step,
            step,
        }
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let tick = |at: u32| self.step.mul_add(f64::from(at), self.least);
        (0..=10)
            .map(tick)
            .take_while(|tick| *tick < self.most + self.step / 2.0)
    }

    fn place(&self, value: f64, from: f64, to: f64) -> f64 {
        from + (to - from) * (value - self.least) / (self.most - self.least)
    }

    /// A tick with as many decimals as tell it from the next one.
    fn told(&self, tick: f64) -> String {
        let (mut step, mut decimals) = (self.step, 0);
        while step < 0.99 && decimals < 6 {
            step *= 10.0;
            decimals += 1;
        }
        fixed(tick, decimals)
    }
}
