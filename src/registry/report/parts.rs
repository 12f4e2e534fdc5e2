//! The parts of a report that are words and plots.

use serde_json::Value;

use super::{
    Manifest, Spread, headline as first, number,
    page::{paragraph, strong},
    percent,
    plots::{Beside, Line, Point, Shape, points, rows},
};

/// The most features whose drift is drawn.
const MOST_DRIFTS: usize = 10;

/// What the gate made of it, what it predicts and how well, in words.
pub(super) fn headline(manifest: &Manifest) -> String {
    let evaluation = &manifest.evaluation;
    let mut text = verdict(&manifest.gate);
    let window = match (manifest.data_window.from, manifest.data_window.to) {
        (Some(from), Some(to)) => format!(", made from {} to {}", from.date(), to.date()),
        _ => String::new(),
    };
    text += &paragraph(&format!(
        "It predicts {} of posts as those of the data set {}, from {} of them{window}.",
        manifest.target, manifest.dataset, manifest.matrix.rows,
    ));
    let (metric, _) = first(evaluation);
    if let Some(own) = Spread::metric(evaluation, metric) {
        let beside = best_baseline(evaluation).map_or_else(String::new, |(name, part, value)| {
            let more = Spread::of(&part["difference"][metric]);
            let more = more.map_or_else(String::new, |more| {
                format!(", a difference of {}{}", more.told(), certainty(more))
            });
            format!("; the best baseline, {name}, has {}{more}", number(value))
        });
        let says = match metric {
            "accuracy" => "The class that it finds most probable is right for a share of",
            _ => "Its ranking agrees with the truth by a Spearman correlation of",
        };
        text += &paragraph(&format!("{says} {}{beside}.", own.told()));
    }
    if let Some(line) = evaluation["first_line"].as_str() {
        text += &paragraph(&format!("It was {line}."));
    }
    if let (Some(_), Some(until)) = (manifest.evaluated_sha256, manifest.trained_until) {
        text += &paragraph(&format!(
            "The figures are of the fit that was measured. The one that predicts has the same \
             settings and has learned every labelled row until {until}, the tested ones too."
        ));
    }
    text
}

fn verdict(gate: &Value) -> String {
    let (Some(verdict), Some(cause)) = (gate["verdict"].as_str(), gate["cause"].as_str()) else {
        return String::new();
    };
    let decided = match verdict {
        "promote" => "The gate made it the champion",
        "keep" => "The gate kept the champion",
        "ask" => "The gate leaves it to a person",
        other => other,
    };
    strong(&format!("{decided}: {cause}."))
}

/// What the interval of a difference says, to follow it.
fn certainty(difference: Spread) -> &'static str {
    match difference.ends {
        Some((low, _)) if low > 0.0 => ", more than chance",
        Some((_, high)) if high < 0.0 => ", worse than it by more than chance",
        Some(_) => ", which may be chance",
        None => "",
    }
}

/// The baseline with the greatest value of the first metric: its name, what is filed of it, and that value.
pub(super) fn best_baseline(evaluation: &Value) -> Option<(&str, &Value, f64)> {
    let (metric, _) = first(evaluation);
    let baselines = evaluation["baselines"].as_object()?;
    let valued = baselines.iter().filter_map(|(name, part)| {
        let value = part["metrics"][metric].as_f64()?;
        Some((name.as_str(), part, value))
    });
    valued.max_by(|a, b| a.2.total_cmp(&b.2))
}

/// This version, what it is compared with, and the baselines, by the first metric.
pub(super) fn ranking(evaluation: &Value) -> String {
    let (metric, called) = first(evaluation);
    let line = |name: String, part: &Value, own: bool| {
        let of = Spread::metric(part, metric)?;
        Some(Line {
            name,
            value: of.value,
            ends: of.ends,
            own,
        })
    };
    let mut lines: Vec<Line> = line("this version".to_owned(), evaluation, true)
        .into_iter()
        .collect();
    for (group, called) in [("models_compared", ""), ("baselines", "baseline: ")] {
        let group = evaluation[group].as_object().into_iter().flatten();
        let others = group.filter_map(|(name, part)| line(format!("{called}{name}"), part, false));
        lines.extend(others);
    }
    let ceiling = evaluation["metrics"]["spearman_ceiling"].as_f64();
    let marks: Vec<_> = ceiling
        .map(|ceiling| (ceiling, "noise-free truth"))
        .into_iter()
        .collect();
    rows(
        &format!("{called} of this version and others"),
        &lines,
        Shape::Dots,
        &marks,
    )
}

/// What is lost without each input, the greatest loss first.
pub(super) fn ablation(evaluation: &Value) -> String {
    let (metric, called) = first(evaluation);
    let filed = evaluation["ablation"].as_array().into_iter().flatten();
    let mut lines: Vec<Line> = filed
        .filter_map(|part| {
            let of = Spread::of(&part["difference"][metric])?;
            Some(Line {
                name: format!("without {}", part["without"].as_str()?),
                value: of.value,
                ends: of.ends,
                own: true,
            })
        })
        .collect();
    lines.sort_by(|a, b| b.value.total_cmp(&a.value));
    let title = format!("{called} lost without an input");
    rows(&title, &lines, Shape::Bars, &[])
}

/// How many targets lie within their intervals, in words.
pub(super) fn coverage(calibration: &Value) -> String {
    let share = |name: &str| calibration[name].as_f64().map(percent);
    match (share("nominal"), share("coverage")) {
        (Some(nominal), Some(coverage)) => {
            let outside = match (share("below"), share("above")) {
                (Some(below), Some(above)) => format!("; {below} lie below theirs, {above} above"),
                _ => String::new(),
            };
            format!(
                "Intervals are meant to hold {nominal} of the targets and hold {coverage}{outside}. \
                 Each point is a tenth of the tested rows, sorted by prediction."
            )
        }
        _ => String::new(),
    }
}

/// Predicted against observed means by tenths, and how many targets each tenth's intervals hold.
pub(super) fn calibration(calibration: &Value) -> String {
    let tenths = calibration["tenths"].as_array();
    let tenths: Vec<&Value> = tenths.into_iter().flatten().collect();
    let by = |upright: &str| -> Vec<Point> {
        let point = |tenth: &&Value| {
            Some(Point {
                x: tenth["predicted"].as_f64()?,
                y: tenth[upright].as_f64()?,
                ends: None,
            })
        };
        tenths.iter().filter_map(point).collect()
    };
    let mut text = points(
        "Mean target by mean prediction",
        (
            "mean prediction",
            "mean target; dashed: where both are equal",
        ),
        &by("observed"),
        Beside::Diagonal,
    );
    if let Some(nominal) = calibration["nominal"].as_f64() {
        text += &points(
            "Share of targets within their intervals by mean prediction",
            ("mean prediction", "share of targets within their intervals"),
            &by("coverage"),
            Beside::Level((nominal, "meant")),
        );
    }
    text
}

/// The first metric by the number of learned rows.
pub(super) fn learning_curve(evaluation: &Value) -> String {
    let (metric, called) = first(evaluation);
    let filed = evaluation["learning_curve"].as_array();
    let found: Vec<Point> = filed
        .into_iter()
        .flatten()
        .filter_map(|part| {
            let of = Spread::metric(part, metric)?;
            Some(Point {
                x: part["rows"].as_f64()?,
                y: of.value,
                ends: of.ends,
            })
        })
        .collect();
    points(
        &format!("{called} by learned rows"),
        ("rows that were learned", called),
        &found,
        Beside::Line,
    )
}

/// What the change of the rows is measured by, in words.
pub(super) fn since(drift: &Value) -> String {
    let champion = drift["champion"].as_u64();
    let learner = champion.map_or_else(
        || "a former version".to_owned(),
        |version| format!("version {version}"),
    );
    let rows = drift["drift"]["rows"].as_u64();
    let rows = rows.map_or_else(|| "the rows".to_owned(), |rows| format!("{rows} rows"));
    format!(
        "Population stability index of {rows} that came since {learner} learned: below 0.1 little \
         has changed, from 0.25 on much has."
    )
}

/// What has changed most in the rows.
pub(super) fn drift(drift: &Value) -> String {
    let line = |name: &str, value: f64, own: bool| Line {
        name: name.to_owned(),
        value,
        ends: None,
        own,
    };
    let filed = drift["features"].as_array().into_iter().flatten();
    let mut lines: Vec<Line> = filed
        .filter_map(|of| Some(line(of["name"].as_str()?, of["psi"].as_f64()?, true)))
        .collect();
    lines.sort_by(|a, b| b.value.total_cmp(&a.value));
    lines.truncate(MOST_DRIFTS);
    if let Some(target) = drift["target"].as_f64() {
        lines.push(line("the target", target, false));
    }
    let marks = [(0.1, "little"), (0.25, "much")];
    rows(
        "Population stability index by feature",
        &lines,
        Shape::Bars,
        &marks,
    )
}
