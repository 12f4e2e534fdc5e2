//! `when`, `map`, `setup`, `teardown`, `priority`: what they mean and what is said about wrong ones.

use serde_json::json;

use super::{arguments, compiled, faults};
use crate::dag::TriggerRule;

const GOOD: &str = r#"
name = "x"
[params]
parts = 4
folder = "in"
[defaults]
trigger = "none_failed"
priority = 2
[[task]]
id = "make"
op = "noop"
setup = true
[[task]]
id = "many"
op = "noop"
after = ["make"]
when = "tasks.make.state == 'succeeded' and tasks.make.rows_out > params.parts"
priority = -1
[[task]]
id = "embed"
op = "embed"
after = ["make"]
map = "params.parts"
max_active = 2
encoder = "{{ params.folder }}/{{ shard.index }}"
[[task]]
id = "each"
op = "shell"
after = ["make"]
map = "tasks['make'].output.files"
argv = ["cat", "{{ shard.item.path }}"]
[[task]]
id = "tidy"
op = "noop"
after = ["make", "many"]
teardown = true
fails_run = true
"#;

#[test]
fn conditions_reach_the_graph() {
    assert_eq!(faults(GOOD), "");
    let compiled = compiled(GOOD, &arguments(&[])).unwrap();
    let node = |id: &str| &compiled.graph.nodes()[compiled.graph.position(id).unwrap()];
    assert!(node("make").setup);
    assert_eq!((node("make").priority, node("many").priority), (2, -1));
    assert!(
        node("many")
            .when
            .as_deref()
            .unwrap()
            .starts_with("tasks.make.state")
    );
    let map = node("embed").map.as_ref().unwrap();
    assert_eq!(
        (map.expression.as_str(), map.max_active),
        ("params.parts", Some(2))
    );
    let template = json!("{{ params.folder }}/{{ shard.index }}");
    assert_eq!(map.templates["encoder"], template);
    assert_eq!(node("embed").settings["encoder"], template);
    assert_eq!(map.scope["params"]["folder"], "in");
    assert_eq!(node("each").map.as_ref().unwrap().templates.len(), 1);
    let tidy = node("tidy");
    assert!(tidy.teardown && tidy.fails_run);
    assert_eq!(tidy.trigger, TriggerRule::AllDoneSetupSuccess);
}

/// What is said about a task `b` after `a`, beside a task `c`, with these further lines.
fn about(lines: &str) -> String {
    faults(&format!(
        "name = \"x\"\n[[task]]\nid = \"a\"\nop = \"noop\"\n[[task]]\nid = \"c\"\nop = \"noop\"\n\
         [[task]]\nid = \"b\"\nop = \"noop\"\nafter = [\"a\"]\n{lines}\n"
    ))
}

#[test]
fn wrong_conditions_are_told() {
    for (lines, wanted) in [
        (
            "when = \"tasks.c.rows_out > 0\"",
            "x.toml:12:9: `c` is not upstream of `b`\n  hint: add `c` to `after`",
        ),
        (
            "when = \"tasks.z.rows_out > 0\"",
            "x.toml:12:9: unknown name `tasks.z`",
        ),
        (
            "when = \"tasks.a.rows > 0\"",
            "did you mean `tasks.a.rows_in`?",
        ),
        ("when = \"params.fast\"", "unknown name `params.fast`"),
        ("when = \"run.day == 'x'\"", "unknown name `run.day`"),
        ("when = \"tasks.a.rows_out > 'x'\"", "cannot compare"),
        (
            "when = \"'x'\"",
            "`when` gives \"x\", which is neither true nor false",
        ),
        ("when = 3", "`3` is an integer, not a text"),
        (
            "map = \"tasks.a.state\"",
            "`map` gives \"succeeded\", which is neither a list nor a count",
        ),
        ("map = -1", "`map` gives -1"),
        ("map = \"a b\"", "x.toml:12:"),
        ("max_active = 2", "`max_active` without `map`"),
        (
            "fails_run = true",
            "`fails_run` is for tasks with `teardown = true`",
        ),
        ("teardown = 1", "`1` is an integer, not `true` or `false`"),
        ("priority = 1.5", "not a whole number"),
        ("text = \"{{ shard.index }}\"", "unknown name `shard`"),
        (
            "mapp = 3",
            "`noop` has no setting `mapp`\n  hint: did you mean `map`?",
        ),
    ] {
        let said = about(lines);
        assert!(said.contains(wanted), "{lines}\n{said}");
    }
    let branches = "when = \"tasks.a.output.anything > 3 and run.date > '2026-01-01'\"\nmap = 3";
    assert_eq!(about(branches), "");
}
