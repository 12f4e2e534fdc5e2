//! What expressions mean.

mod templates;

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{
    Error, ErrorKind, Expression, Inverse, Kind, Membership, Outcome, Relative, reading_fields,
    record_fields, render,
};

fn record() -> Map<String, Value> {
    let record = json!({
        "id": "1abc", "community": "aww", "title": "A good dog", "score": 99, "media_count": 2,
        "ratio": 0.5, "over_18": false, "author": null, "tags": ["dog", "park"], "flag": 1,
        "preview": {"enabled": true, "note": null},
    });
    match record {
        Value::Object(record) => record,
        _ => unreachable!("the literal is an object"),
    }
}

fn evaluate(text: &str) -> Result<Outcome, Error> {
    Expression::compile(text)?.evaluate(&record())
}

/// The value, the missing names or the error of an expression, as one line.
fn shown(text: &str) -> String {
    match evaluate(text) {
        Ok(Outcome::Value(value)) => value.to_string(),
        Ok(Outcome::Missing(names)) => format!("missing {}", names.join(", ")),
        Err(error) => match &error.hint {
            Some(hint) => format!("{:?}: {error}; {hint}", error.kind),
            None => format!("{:?}: {error}", error.kind),
        },
    }
}

fn table(expressions: &[&str]) -> String {
    let lines: Vec<String> = expressions
        .iter()
        .map(|text| format!("{text}  =>  {}", shown(text)))
        .collect();
    lines.join("\n")
}

#[test]
fn calculates_as_jinja_does() {
    insta::assert_snapshot!(table(&[
        "1 + 2 * 3",
        "7 / 2",
        "6 / 2",
        "7 // 2",
        "-7 // 2",
        "-7 % 3",
        "7.5 % 2",
        "2 ** 10",
        "2 ** -1",
        "-score",
        "score / 2 - 0.5",
        "9223372036854775807 + 1",
        "title ~ '!' ~ score",
        "1 < score <= 99",
        "1 < score < 99",
        "score == 99.0",
        "community in ['aww', 'pics']",
        "community not in ['aww', 'pics']",
        "'dog' in title",
        "'dog' in tags",
        "tags[0]",
        "tags[-1]",
        "tags[2]",
        "preview.enabled",
        "preview['enabled']",
        "'many' if score > 50 else 'few'",
        "not over_18 and media_count > 0",
        "flag and not over_18",
        "over_18 or score",
        "tags == ['dog', 'park']",
    ]), @r#"
    1 + 2 * 3  =>  7
    7 / 2  =>  3.5
    6 / 2  =>  3.0
    7 // 2  =>  3
    -7 // 2  =>  -4
    -7 % 3  =>  2
    7.5 % 2  =>  1.5
    2 ** 10  =>  1024
    2 ** -1  =>  0.5
    -score  =>  -99
    score / 2 - 0.5  =>  49.0
    9223372036854775807 + 1  =>  9.223372036854776e+18
    title ~ '!' ~ score  =>  "A good dog!99"
    1 < score <= 99  =>  true
    1 < score < 99  =>  false
    score == 99.0  =>  true
    community in ['aww', 'pics']  =>  true
    community not in ['aww', 'pics']  =>  false
    'dog' in title  =>  true
    'dog' in tags  =>  true
    tags[0]  =>  "dog"
    tags[-1]  =>  "park"
    tags[2]  =>  missing tags[2]
    preview.enabled  =>  true
    preview['enabled']  =>  true
    'many' if score > 50 else 'few'  =>  "many"
    not over_18 and media_count > 0  =>  true
    flag and not over_18  =>  true
    over_18 or score  =>  99
    tags == ['dog', 'park']  =>  true
    "#);
}

#[test]
fn calls_functions_and_filters() {
    insta::assert_snapshot!(table(&[
        "log1p(score)",
        "score|log1p",
        "expm1(log1p(score))|round",
        "log(100, 10)",
        "sqrt(score + 1)",
        "abs(-3)",
        "abs(-0.5)",
        "min(score, media_count)",
        "max([1, 2.5, 2])",
        "round(2.345, 2)",
        "length(title)",
        "tags|length",
        "title|lower",
        "upper(community)",
        "base36('zz')",
        "base36(id)",
        "base36('zzzzzzzzzzzzzzz')",
        "score|max(100)",
    ]), @r#"
    log1p(score)  =>  4.605170185988092
    score|log1p  =>  4.605170185988092
    expm1(log1p(score))|round  =>  99.0
    log(100, 10)  =>  2.0
    sqrt(score + 1)  =>  10.0
    abs(-3)  =>  3
    abs(-0.5)  =>  0.5
    min(score, media_count)  =>  2
    max([1, 2.5, 2])  =>  2.5
    round(2.345, 2)  =>  2.35
    length(title)  =>  10
    tags|length  =>  2
    title|lower  =>  "a good dog"
    upper(community)  =>  "AWW"
    base36('zz')  =>  1295
    base36(id)  =>  60024
    base36('zzzzzzzzzzzzzzz')  =>  2.2107391972073336e+23
    score|max(100)  =>  100
    "#);
}

#[test]
fn says_what_is_missing() {
    insta::assert_snapshot!(table(&[
        "author == 'x'",
        "nowhere > 1",
        "nowhere + gone",
        "max(nowhere, score, gone)",
        "1 < nowhere < gone",
        "not nowhere",
        "preview.note",
        "preview.other == 1",
        "score > 1 and nowhere",
        "score > 100 and nowhere",
        "nowhere and gone",
        "nowhere and score > 100",
        "nowhere is none or nowhere > 3",
        "nowhere is not none and nowhere > 3",
        "author is none",
        "author is defined",
        "author is undefined",
        "score is not none",
        "0 if nowhere is none else nowhere",
    ]), @"
    author == 'x'  =>  missing author
    nowhere > 1  =>  missing nowhere
    nowhere + gone  =>  missing nowhere, gone
    max(nowhere, score, gone)  =>  missing nowhere, gone
    1 < nowhere < gone  =>  missing nowhere
    not nowhere  =>  missing nowhere
    preview.note  =>  missing preview.note
    preview.other == 1  =>  missing preview.other
    score > 1 and nowhere  =>  missing nowhere
    score > 100 and nowhere  =>  false
    nowhere and gone  =>  missing nowhere, gone
    nowhere and score > 100  =>  missing nowhere
    nowhere is none or nowhere > 3  =>  true
    nowhere is not none and nowhere > 3  =>  false
    author is none  =>  true
    author is defined  =>  false
    author is undefined  =>  true
    score is not none  =>  true
    0 if nowhere is none else nowhere  =>  0
    ");
}

#[test]
fn default_binds_more_tightly_than_not_and_arithmetic() {
    insta::assert_snapshot!(table(&[
        "not nsfw|default(false)",
        "not nsfw|default(true)",
        "not over_18|default(true)",
        "media_count > 0 and not nsfw|default(false)",
        "nowhere|default(0) > -1",
        "score + nowhere|default(1)",
        "(score + nowhere)|default(1)",
        "nowhere|default(gone)|default(5)",
        "nowhere|d(2)",
        "-media_count|default(1)",
        "not score > 5",
    ]), @"
    not nsfw|default(false)  =>  true
    not nsfw|default(true)  =>  false
    not over_18|default(true)  =>  true
    media_count > 0 and not nsfw|default(false)  =>  true
    nowhere|default(0) > -1  =>  true
    score + nowhere|default(1)  =>  100
    (score + nowhere)|default(1)  =>  1
    nowhere|default(gone)|default(5)  =>  5
    nowhere|d(2)  =>  2
    -media_count|default(1)  =>  -2
    not score > 5  =>  false
    ");
}

#[test]
fn refuses_types_that_do_not_go_together() {
    insta::assert_snapshot!(table(&[
        "'5' >= 36",
        "title > score",
        "score == '99'",
        "over_18 == 0",
        "over_18 < true",
        "title + 1",
        "title / 2",
        "-title",
        "not title",
        "title and score",
        "tags or score",
        "score in 'abc'",
        "score in tags",
        "log1p(title)",
        "max(1, title)",
        "length(score)",
        "lower(score)",
        "score.up",
        "title[0]",
        "preview > 1",
    ]), @r#"
    '5' >= 36  =>  Type: cannot compare the text `"5"` with the number `36` (at column 1)
    title > score  =>  Type: cannot compare `title` (the text `"A good dog"`) with `score` (the number `99`) (at column 1)
    score == '99'  =>  Type: cannot compare `score` (the number `99`) with the text `"99"` (at column 1)
    over_18 == 0  =>  Type: cannot compare `over_18` (the boolean `false`) with the number `0` (at column 1)
    over_18 < true  =>  Type: cannot order `over_18` (the boolean `false`) with the boolean `true` (at column 1)
    title + 1  =>  Type: cannot apply `+` to `title` (the text `"A good dog"`) and the number `1` (at column 1)
    title / 2  =>  Type: cannot apply `/` to `title` (the text `"A good dog"`) and the number `2` (at column 1)
    -title  =>  Type: cannot apply `-` to `title` (the text `"A good dog"`) (at column 2)
    not title  =>  Type: `title` (the text `"A good dog"`) is neither true nor false (at column 5); compare it, as in `length(x) > 0`
    title and score  =>  Type: `title` (the text `"A good dog"`) is neither true nor false (at column 1); compare it, as in `length(x) > 0`
    tags or score  =>  Type: `tags` (the list `["dog","park"]`) is neither true nor false (at column 1); compare it, as in `length(x) > 0`
    score in 'abc'  =>  Type: cannot look for `score` (the number `99`) in the text `"abc"` (at column 1)
    score in tags  =>  Type: cannot compare `score` (the number `99`) with `tags` (the text `"dog"`) (at column 1)
    log1p(title)  =>  Type: `log1p` takes a number, not `title` (the text `"A good dog"`) (at column 7)
    max(1, title)  =>  Type: `max` takes numbers, not `title` (the text `"A good dog"`) (at column 8)
    length(score)  =>  Type: `length` takes a text or a list, not `score` (the number `99`) (at column 8)
    lower(score)  =>  Type: `lower` takes a text, not `score` (the number `99`) (at column 7)
    score.up  =>  Type: `score` (the number `99`) has no part `up` (at column 1)
    title[0]  =>  Type: cannot look up `title` (the text `"A good dog"`) with the number `0` (at column 1)
    preview > 1  =>  Type: cannot compare `preview` (the table `{"enabled":true,"note":null}`) with the number `1` (at column 1)
    "#);
}

#[test]
fn refuses_results_that_are_no_numbers() {
    insta::assert_snapshot!(table(&[
        "score / 0",
        "score % 0",
        "log(0)",
        "log(-1)",
        "exp(1000)",
        "1e308 * 10",
        "base36('a-b')",
        "base36('')",
        "min([])",
    ]), @r#"
    score / 0  =>  Domain: division by zero: `0` is 0 (at column 1)
    score % 0  =>  Domain: division by zero: `0` is 0 (at column 1)
    log(0)  =>  Domain: `log` has no finite result here (at column 1)
    log(-1)  =>  Domain: `log` has no finite result here (at column 1)
    exp(1000)  =>  Domain: `exp` has no finite result here (at column 1)
    1e308 * 10  =>  Domain: `1e308 * 10` has no finite result here (at column 1)
    base36('a-b')  =>  Domain: the text `"a-b"` is not a number in base 36 (digits 0–9 and letters a–z) (at column 1)
    base36('')  =>  Domain: the text `""` is not a number in base 36 (digits 0–9 and letters a–z) (at column 1)
    min([])  =>  Domain: `min` of an empty list (at column 1)
    "#);
}

#[test]
fn says_where_the_syntax_is_wrong() {
    insta::assert_snapshot!(table(&[
        "",
        "score >",
        "score > 1 annd x",
        "(score",
        "score = 3",
        "lgo1p(score)",
        "log1p()",
        "round(1, 2, 3)",
        "score|default",
        "score is numeric",
        "score is divisibleby(3)",
        "score == none",
        "none",
        "1 if score",
        "tags[1:]",
        "{'a': 1}",
        "score.up()",
        "round(score, digits=2)",
        "score is none and\n  title >< 3",
    ]), @"
      =>  Syntax: the expression is empty (at column 1)
    score >  =>  Syntax: unexpected end of input, expected expression (at column 7)
    score > 1 annd x  =>  Syntax: unexpected input after expression (at column 11)
    (score  =>  Syntax: unexpected end of input, expected `)` (at column 2)
    score = 3  =>  Syntax: unexpected input after expression (at column 7); write `==` to compare
    lgo1p(score)  =>  Unknown: unknown function `lgo1p` (at column 1); did you mean `log1p`? allowed: `log1p`, `expm1`, `log`, `exp`, `sqrt`, `abs`, `min`, `max`, `round`, `length`, `lower`, `upper`, `base36`, `community_quantile`, `top_decile`, `pairs`, `class`, `classes`, `items`, `default`
    log1p()  =>  Syntax: `log1p` takes one argument, not 0 (at column 1)
    round(1, 2, 3)  =>  Syntax: `round` takes 1 to 2 arguments, not 3 (at column 1)
    score|default  =>  Syntax: `default` needs one value to fall back to (at column 1); write `x|default(0)`
    score is numeric  =>  Unknown: unknown test `is numeric` (at column 1); allowed: `none`, `defined`, `undefined`
    score is divisibleby(3)  =>  Syntax: the test `divisibleby` takes no value (at column 1)
    score == none  =>  Syntax: nothing can be compared with `none` (at column 10); write `x is none` or `x is not none`
    none  =>  Type: `none` is not a value to calculate with (at column 1)
    1 if score  =>  Syntax: `if` without `else`; write `X if C else Y` (at column 1)
    tags[1:]  =>  Syntax: slices are not part of expressions (at column 1)
    {'a': 1}  =>  Syntax: tables are not part of expressions (at column 1)
    score.up()  =>  Syntax: only functions can be called (at column 6)
    round(score, digits=2)  =>  Syntax: arguments are given by position (at column 21)
    score is none and
      title >< 3  =>  Syntax: unexpected `<` (at line 2, column 10)
    ");
}

#[test]
fn checks_names_and_types_without_a_record() {
    let allowed = reading_fields([("over_18", Kind::Bool)]);
    let check = |text: &str| {
        let error = Expression::compile(text).and_then(|e| e.check(&allowed));
        match error {
            Ok(()) => format!("{text}  =>  fine"),
            Err(error) => format!(
                "{text}  =>  {error}; {}",
                error.hint.as_deref().unwrap_or_default()
            ),
        }
    };
    let lines: Vec<String> = [
        "media_count > 0 and not over_18|default(false)",
        "log1p(score)",
        "log(score - 1) / (score - 1)",
        "base36(id)",
        "media_count > 0 and not ovr_18",
        "over_18 or title > 3",
        "1 if over_18 else score + title",
        "score|default('none')",
        "'2026' < created_at",
    ]
    .into_iter()
    .map(check)
    .collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    media_count > 0 and not over_18|default(false)  =>  fine
    log1p(score)  =>  fine
    log(score - 1) / (score - 1)  =>  fine
    base36(id)  =>  fine
    media_count > 0 and not ovr_18  =>  unknown name `ovr_18` (at column 25); did you mean `over_18`? allowed: `age_hours`, `author`, `community`, `created_at`, `hour`, `id`, `media_count`, `over_18`, `score`, `title`, `weekday`
    over_18 or title > 3  =>  cannot compare `title` (a text) with the number `3` (at column 12); 
    1 if over_18 else score + title  =>  cannot apply `+` to `score` (a number) and `title` (a text) (at column 19); 
    score|default('none')  =>  fine
    '2026' < created_at  =>  fine
    ");
}

#[test]
fn names_come_once_and_in_order() {
    let expression = Expression::compile("b > a and a is none or log1p(c)|default(b)").unwrap();
    assert_eq!(expression.names(), ["b", "a", "c"]);
}

#[test]
fn a_target_may_be_relative_as_a_whole_and_in_no_part() {
    let relative = |text: &str| Expression::compile(text).unwrap().relative();
    assert_eq!(
        relative("community_quantile(score)"),
        Some(Relative::CommunityQuantile)
    );
    assert_eq!(relative("score|top_decile"), Some(Relative::TopDecile));
    assert_eq!(relative("pairs(log1p(score))"), Some(Relative::Pairs));
    assert_eq!(relative("log1p(score)"), None);
    let quantile = Expression::compile("community_quantile(log1p(score))").unwrap();
    assert_eq!(quantile.inverse(), Inverse::Identity);
    let record = serde_json::json!({"score": 7});
    assert_eq!(
        quantile.number(record.as_object().unwrap()).unwrap(),
        Ok(7_f64.ln_1p())
    );
    let error = Expression::compile("1 + top_decile(score)")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`top_decile` is the whole of a target"),
        "{error}"
    );
}

#[test]
fn a_target_may_give_classes() {
    let compile = |text: &str| Expression::compile(text);
    let membership = |text: &str| compile(text).unwrap().membership();
    assert_eq!(membership("class(tier)"), Some(Membership::One));
    assert_eq!(membership("genres|items|classes"), Some(Membership::Any));
    assert_eq!(membership("items(genres)"), None);
    assert!(compile("class(tier)").unwrap().is_target_only());
    assert!(!compile("score").unwrap().is_target_only());
    let error = compile("length(classes(genres))").unwrap_err().to_string();
    assert!(
        error.contains("`classes` is the whole of a target"),
        "{error}"
    );

    let record =
        serde_json::json!({"tier": 2, "on": true, "genres": ["b", " a ", "", "b"], "o": {}});
    let classes = |text: &str| compile(text).unwrap().classes(record.as_object().unwrap());
    let named = |of: &[&str]| Ok(of.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(classes("class(tier)").unwrap(), named(&["2"]));
    assert_eq!(classes("class(on)").unwrap(), named(&["true"]));
    assert_eq!(classes("classes(genres)").unwrap(), named(&["a", "b"]));
    assert_eq!(
        classes("class('x' if tier > 1 else 'y')").unwrap(),
        named(&["x"])
    );
    assert_eq!(
        classes("class(missing)").unwrap(),
        Err(vec!["missing".to_owned()])
    );
    assert_eq!(classes("class(genres)").unwrap_err().kind, ErrorKind::Type);
    assert_eq!(classes("class('')").unwrap_err().kind, ErrorKind::Domain);
}

#[test]
fn lists_that_are_written_as_texts_are_read() {
    let items = |text: &str| {
        let record = serde_json::json!({ "text": text });
        let items = Expression::compile("items(text)").unwrap();
        let Outcome::Value(items) = items.evaluate(record.as_object().unwrap()).unwrap() else {
            panic!("there is a text");
        };
        items
    };
    for (text, expected) in [
        (
            "['Drama', 'Sci-Fi']",
            serde_json::json!(["Drama", "Sci-Fi"]),
        ),
        (r#"["a, b", 'it\'s']"#, serde_json::json!(["a, b", "it's"])),
        ("a, b ,c", serde_json::json!(["a", "b", "c"])),
        ("{1, 2}", serde_json::json!(["1", "2"])),
        ("('one',)", serde_json::json!(["one"])),
        ("[]", serde_json::json!([])),
        ("", serde_json::json!([])),
        ("'open", serde_json::json!(["open"])),
        ("Größe, ß", serde_json::json!(["Größe", "ß"])),
    ] {
        assert_eq!(items(text), expected, "{text}");
    }
}

#[test]
fn knows_the_inverse_of_a_target() {
    let inverse = |text: &str| Expression::compile(text).unwrap().inverse();
    assert_eq!(inverse("log1p(score)"), Inverse::Expm1);
    assert_eq!(inverse("score|log1p"), Inverse::Expm1);
    assert_eq!(inverse("log1p(score / max(age_hours, 1))"), Inverse::Expm1);
    assert_eq!(inverse("score"), Inverse::Identity);
    assert_eq!(inverse("log1p(score) + 1"), Inverse::Identity);
    assert!((Inverse::Expm1.apply(99_f64.ln_1p()) - 99.0).abs() < 1e-9);
}

#[test]
fn conditions_and_targets_have_their_types() {
    let compile = |text: &str| Expression::compile(text).unwrap();
    assert_eq!(compile("score > 3").test(&record()), Ok(Ok(true)));
    assert_eq!(compile("media_count").test(&record()), Ok(Ok(true)));
    assert_eq!(
        compile("author == 'x'").test(&record()),
        Ok(Err(vec!["author".to_owned()]))
    );
    let error = compile("title").test(&record()).unwrap_err();
    assert_eq!(
        error.message,
        "gives the text `\"A good dog\"`, not true or false"
    );
    assert_eq!(compile("score").number(&record()), Ok(Ok(99.0)));
    assert_eq!(compile("over_18").number(&record()), Ok(Ok(0.0)));
    assert!(compile("title").number(&record()).is_err());
}

proptest! {
    #[test]
    fn nothing_panics(text in "[a-z0-9 .,()\\[\\]{}|<>=!+*/%~'_-]{0,40}") {
        let fields: BTreeMap<String, Kind> = record_fields([]);
        if let Ok(expression) = Expression::compile(&text) {
            let _ = expression.check(&fields);
            let _ = expression.evaluate(&record());
        }
        let _ = render(&text, &json!({"params": {"a": 1}}));
    }

    #[test]
    fn deep_nesting_is_refused(depth in 300_usize..2000) {
        for text in [
            format!("a{}", "+a".repeat(depth)),
            format!("{}a", "not ".repeat(depth)),
            format!("{}a", "(".repeat(depth)),
            format!("a{}", "|abs".repeat(depth)),
        ] {
            prop_assert!(Expression::compile(&text).is_err());
        }
    }
}
