//! How good a version is on rows that are not the tested ones: of new authors, of the frozen
//! hold-outs, and of earlier moments.

use serde_json::Value;

use super::{
    Spread, headline,
    plots::{Line, Shape, rows},
};

/// What the rows of the plot are, in words; of what an evaluation has none it says nothing.
pub(super) fn note(evaluation: &Value) -> String {
    let has = |part: &str| !told(evaluation, part).is_empty();
    let (_, called) = headline(evaluation);
    let mut words = vec![format!(
        "{called} with 95 % intervals; in parentheses, how many rows."
    )];
    for (part, meaning) in [
        (
            "new_authors",
            "New authors: the tested rows of authors of whom no row was learned.",
        ),
        (
            "hold_outs",
            "Hold-outs: the days before a quarter began, which no model of the quarter has learned, \
             so that figures of different days compare.",
        ),
        (
            "backtest",
            "Backtests: the same model trained again at an earlier moment and tested on the rows from \
             that day on. They tell how steady it is, not how good.",
        ),
    ] {
        if has(part) {
            words.push(meaning.to_owned());
        }
    }
    words.join(" ")
}

/// The tested rows beside the others; nothing where there are no others.
pub(super) fn plot(evaluation: &Value) -> String {
    let mut others = told(evaluation, "new_authors");
    others.extend(told(evaluation, "hold_outs"));
    others.extend(told(evaluation, "backtest"));
    if others.is_empty() {
        return String::new();
    }
    let tested = evaluation["split"]["test"].as_u64();
    let tested = tested.map_or_else(String::new, |rows| format!(" ({rows})"));
    let own = line(format!("tested rows{tested}"), evaluation, true);
    let lines: Vec<Line> = own.into_iter().chain(others).collect();
    let (_, called) = headline(evaluation);
    rows(&format!("{called} on other rows"), &lines, Shape::Dots, &[])
}

/// The rows of one kind that have the first metric.
fn told(evaluation: &Value, part: &str) -> Vec<Line> {
    let filed = match &evaluation[part] {
        Value::Array(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    let called = |of: &Value| match part {
        "new_authors" => Some("new authors".to_owned()),
        "hold_outs" => Some(format!("hold-out {}", of["name"].as_str()?)),
        // The day of its first row.
        _ => {
            let day: String = of["from"].as_str()?.chars().take(10).collect();
            Some(format!("backtest {day}"))
        }
    };
    let each = filed.iter().filter_map(|of| {
        let rows = of["rows"].as_u64()?;
        line(format!("{} ({rows})", called(of)?), of, false)
    });
    each.collect()
}

fn line(name: String, part: &Value, own: bool) -> Option<Line> {
    let (metric, _) = headline(part);
    let of = Spread::metric(part, metric)?;
    Some(Line {
        name,
        value: of.value,
        ends: of.ends,
        own,
    })
}
