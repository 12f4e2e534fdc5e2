//! Drawings of a graph.

use std::fmt::Write as _;

use crate::dag::{Graph, Node, TriggerRule};

const WIDTH: usize = 80;

/// A graph as text for a terminal of 80 columns: one line per task, grouped by layers from the
/// first to the last, with what each waits for.
pub fn text(graph: &Graph) -> String {
    let layers = layers(graph);
    let label = |node: &Node| match details(node) {
        details if details.is_empty() => node.id.clone(),
        details => format!("{} ({details})", node.id),
    };
    let labels: Vec<String> = graph.nodes().iter().map(label).collect();
    let widest = labels.iter().map(|label| label.chars().count()).max();
    let column = widest.unwrap_or(0).min(WIDTH / 2);
    let digits = layers.len().to_string().len();
    let mut drawing = String::new();
    for (number, layer) in layers.iter().enumerate() {
        for (row, &position) in layer.iter().enumerate() {
            let head = if row == 0 {
                format!("{:>digits$}", number + 1)
            } else {
                " ".repeat(digits)
            };
            let start = format!("{head}  {:<column$}", labels[position]);
            let upstream = graph.upstream(position);
            if upstream.is_empty() {
                let _ = writeln!(drawing, "{}", start.trim_end());
                continue;
            }
            let above = number.checked_sub(1).map(|above| &layers[above]);
            let whole = above.is_some_and(|above| {
                above.len() > 4
                    && above.len() == upstream.len()
                    && above.iter().all(|task| upstream.contains(task))
            });
            let names: Vec<&str> = if whole {
                vec![]
            } else {
                let name = |&task: &usize| graph.nodes()[task].id.as_str();
                upstream.iter().map(name).collect()
            };
            if whole {
                let _ = writeln!(
                    drawing,
                    "{start}  ← all {} of layer {number}",
                    upstream.len()
                );
            } else {
                wrap(&mut drawing, &start, &names);
            }
        }
    }
    drawing
}

/// A graph as a Mermaid flow chart.
pub fn mermaid(graph: &Graph) -> String {
    let mut chart = "flowchart TD\n".to_owned();
    for (position, node) in graph.nodes().iter().enumerate() {
        let details = match details(node) {
            details if details.is_empty() => String::new(),
            details => format!("<br/>{details}"),
        };
        // Ids of our own: a task may be called `end`, which Mermaid keeps for itself.
        let _ = writeln!(chart, "    t{position}[\"{}{details}\"]", node.id);
    }
    for position in 0..graph.nodes().len() {
        for above in graph.upstream(position) {
            let _ = writeln!(chart, "    t{above} --> t{position}");
        }
    }
    chart
}

/// The operator where it has another name than the task, and the trigger rule where it is not
/// the usual one.
fn details(node: &Node) -> String {
    let op = (node.op != node.id).then_some(node.op.as_str());
    let trigger = (node.trigger != TriggerRule::default()).then(|| node.trigger.name());
    let parts: Vec<&str> = op.into_iter().chain(trigger).collect();
    parts.join(", ")
}

/// Tasks by the length of the longest way to them.
fn layers(graph: &Graph) -> Vec<Vec<usize>> {
    let mut depth = vec![0_usize; graph.nodes().len()];
    for &position in graph.order() {
        let above = graph.upstream(position).iter().map(|&task| depth[task] + 1);
        depth[position] = above.max().unwrap_or(0);
    }
    let mut layers = vec![Vec::new(); depth.iter().max().map_or(0, |deepest| deepest + 1)];
    for (position, &layer) in depth.iter().enumerate() {
        layers[layer].push(position);
    }
    layers
}

/// Writes names after an arrow, on as many lines as they need.
fn wrap(drawing: &mut String, start: &str, names: &[&str]) {
    let indent = start.chars().count() + 4;
    let mut line = format!("{start}  ←");
    for (number, name) in names.iter().enumerate() {
        let comma = if number + 1 < names.len() { "," } else { "" };
        let used = line.chars().count();
        if used + 1 + name.len() + comma.len() > WIDTH && used >= indent {
            let _ = writeln!(drawing, "{line}");
            line = " ".repeat(indent - 1);
        }
        let _ = write!(line, " {name}{comma}");
    }
    let _ = writeln!(drawing, "{line}");
}
