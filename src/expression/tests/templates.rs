//! What templates mean.

use serde_json::json;

use super::super::{render, render_tree};

#[test]
fn a_lone_template_keeps_its_type() {
    let context = json!({
        "params": {"source": "reddit", "subreddits": ["art", "aww"], "seed": 7, "on": true},
        "run": {"date": "2026-01-17"},
    });
    let render = |text: &str| match render(text, &context) {
        Ok(value) => value.to_string(),
        Err(error) => format!("{error}; {}", error.hint.as_deref().unwrap_or_default()),
    };
    let lines: Vec<String> = [
        "plain",
        "{{ params.subreddits }}",
        "{{ params.seed }}",
        "{{params.on}}",
        "{{- params.seed -}}",
        "{{ params.seed + 1 }}",
        "{{ params.seed / 2 }}",
        "{{ params.subreddits|length }}",
        "{{ {'a': params.seed} }}",
        "v{{ params.seed }}",
        "{{ params.source }}/{{ run.date }}",
        "{{ params.subreddits|join(',') }}",
        "{% for s in params.subreddits %}<{{ s }}>{% endfor %}",
        "{{ params.sorce }}",
        "a {{ parms.source }}",
        "{{ nothing }}",
        "{{ params.source",
        "{{ params.source.x }}",
        "{{ params.seed + 'a' }}",
        "{{ params.source|nofilter }}",
        "{{ [range(3)|list, 1] }}",
        "not { a template }",
    ]
    .into_iter()
    .map(|text| format!("{text}  =>  {}", render(text)))
    .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    plain  =>  "plain"
    {{ params.subreddits }}  =>  ["art","aww"]
    {{ params.seed }}  =>  7
    {{params.on}}  =>  true
    {{- params.seed -}}  =>  7
    {{ params.seed + 1 }}  =>  8
    {{ params.seed / 2 }}  =>  3.5
    {{ params.subreddits|length }}  =>  2
    {{ {'a': params.seed} }}  =>  {"a":7}
    v{{ params.seed }}  =>  "v7"
    {{ params.source }}/{{ run.date }}  =>  "reddit/2026-01-17"
    {{ params.subreddits|join(',') }}  =>  "art,aww"
    {% for s in params.subreddits %}<{{ s }}>{% endfor %}  =>  "<art><aww>"
    {{ params.sorce }}  =>  unknown name `params.sorce` (at column 4); did you mean `params.source`? allowed: `params.source`, `params.subreddits`, `params.seed`, `params.on`
    a {{ parms.source }}  =>  unknown name `parms` (at column 6); did you mean `params`? allowed: `params`, `run`
    {{ nothing }}  =>  unknown name `nothing` (at column 4); allowed: `params`, `run`
    {{ params.source  =>  unexpected end of input, expected end of variable block (at column 11); 
    {{ params.source.x }}  =>  `params.source.x` has no value (at column 1); 
    {{ params.seed + 'a' }}  =>  tried to use + operator on unsupported types number and string (at column 4); 
    {{ params.source|nofilter }}  =>  filter nofilter is unknown (at column 18); 
    {{ [range(3)|list, 1] }}  =>  [[0,1,2],1]
    not { a template }  =>  "not { a template }"
    "#);
}

#[test]
fn trees_are_rendered_to_the_last_leaf() {
    let context = json!({"params": {"n": 3}});
    let tree = json!({"a": ["{{ params.n }}", 1], "b": {"c": "x{{ params.n }}"}, "d": true});
    assert_eq!(
        render_tree(&tree, &context).unwrap(),
        json!({"a": [3, 1], "b": {"c": "x3"}, "d": true})
    );
    let (path, _) = render_tree(&json!({"b": {"c": ["{{ x }}"]}}), &context).unwrap_err();
    assert_eq!(path, "b.c.0");
}
