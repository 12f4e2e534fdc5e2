//! Pages of whole and of small evaluations.

use serde_json::json;

use super::*;
use crate::{
    corpus::Fingerprint,
    registry::{BlockEncoder, made_up},
};

fn spread(value: f64) -> Value {
    json!({"value": value, "low": value - 0.1, "high": value + 0.1})
}

fn full() -> Manifest {
    let mut manifest = made_up::manifest(3);
    let part = |value: f64| {
        json!({
            "metrics": {"spearman": value}, "intervals": {"spearman": spread(value)},
            "difference": {"spearman": spread(0.5 - value)},
        })
    };
    manifest.evaluation = json!({
        "first_line": "tested on 40 rows",
        "split": {"test": 40},
        "metrics": {"spearman": 0.5, "spearman_within": 0.4, "pairwise_accuracy": 0.7,
            "top_decile_precision": 0.25, "mae": 125.25, "coverage": 0.75, "spearman_ceiling": 0.9},
        "intervals": {"spearman": spread(0.5)},
        "baselines": {"community": part(0.3), "global": {"metrics": {"spearman": null}}},
        "models_compared": {"ridge": part(0.45)},
        "ablation": [
            {"without": "title", "difference": {"spearman": spread(-0.05)}},
            {"without": "image", "difference": {"spearman": spread(0.2)}},
        ],
        "worth": [
            {"input": "image + caption", "alone": 0.25, "part": 0.3},
            {"input": "title", "alone": null, "part": 0.2},
        ],
        "calibration": {
            "nominal": 0.8, "coverage": 0.75, "below": 0.125, "above": 0.125,
            "tenths": [
                {"rows": 4, "predicted": 1.0, "observed": 1.5, "coverage": 0.5},
                {"rows": 4, "predicted": 2.0, "observed": 2.5, "coverage": 1.0},
            ],
        },
        "communities": [{
            "community": "pics", "rows": 20, "spearman": null, "mae": 1.5, "bias": -0.0001,
            "coverage": 0.5,
        }],
        "learning_curve": [
            {"rows": 50, "metrics": {"spearman": 0.2}, "intervals": {"spearman": spread(0.2)}},
            {"rows": 100, "metrics": {"spearman": 0.4}, "intervals": {"spearman": spread(0.4)}},
        ],
        "new_authors": {
            "rows": 25, "metrics": {"spearman": 0.3}, "intervals": {"spearman": spread(0.3)},
        },
        "hold_outs": [{
            "name": "2026-Q1", "rows": 30, "metrics": {"spearman": 0.45},
            "intervals": {"spearman": spread(0.45)},
        }],
        "backtest": [{
            "from": "2026-01-10T00:00:00Z", "to": "2026-01-12T00:00:00Z", "learned": 100,
            "rows": 40, "metrics": {"spearman": 0.35}, "intervals": {"spearman": spread(0.35)},
        }],
        "prequential": {
            "rows": 12, "versions": {"1": 5, "2": 7},
            "metrics": {"spearman": 0.25}, "intervals": {"spearman": spread(0.25)},
        },
        "drift": {"champion": 2, "drift": {
            "rows": 60, "target": 0.05,
            "features": (0..12).map(|at| json!({"name": format!("f{at}"), "psi": 0.3 / f64::from(at + 1)})).collect::<Vec<_>>(),
        }},
    });
    manifest.training = json!({"head": "ridge", "seed": 7, "batch": null});
    manifest.gate = json!({"verdict": "keep", "cause": "not better"});
    manifest.evaluated_sha256 = Some(manifest.weights_sha256);
    manifest.trained_until = Some(manifest.created_at);
    manifest.encoders = vec![BlockEncoder {
        block: "title".to_owned(),
        encoder: "all-minilm-l6-v2".to_owned(),
        input: "title".to_owned(),
        fingerprint: Fingerprint::of(&[("encoder", "e")]),
        captioner: None,
        captioner_fingerprint: None,
        captioner_settings: serde_json::Map::default(),
    }];
    manifest
}

/// That every element is closed where it must be, and every text and number is one.
fn check(page: &str) {
    let body = page.strip_prefix("<!DOCTYPE html>").unwrap();
    let mut open = Vec::new();
    for piece in body.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap();
        let name = tag.trim_end_matches('/').split_whitespace().next().unwrap();
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{piece}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        assert!(
            open.last() == Some(&"style") || !text.contains('>'),
            "{text}"
        );
    }
    assert_eq!(open, Vec::<&str>::new());
    for bad in ["NaN", "inf", "<script", "http:", "https:", "url(", "src="] {
        let found = page.replace("http://www.w3.org/2000/svg", "").contains(bad);
        assert!(!found, "{bad} in {page}");
    }
}

fn headings(page: &str) -> Vec<&str> {
    let pieces = page.split("<h2>").skip(1);
    pieces
        .map(|piece| piece.split("</h2>").next().unwrap())
        .collect()
}

#[test]
fn a_small_page_tells_what_is_known() {
    let page = report(&full());
    check(&page);
    let body = page.split_once("</style>").unwrap().1;
    insta::assert_snapshot!(body);
}

#[test]
fn what_is_missing_has_no_heading() {
    let whole = headings(&report(&full())).len();
    assert_eq!(whole, 11);
    for (key, heading) in [
        ("ablation", Some("What it goes by")),
        (
            "calibration",
            Some("Whether predictions mean what they say"),
        ),
        ("worth", Some("What each input is worth")),
        ("communities", Some("By community")),
        ("learning_curve", Some("Whether more rows would help")),
        ("drift", Some("How the rows have changed")),
        ("prequential", Some("What became of earlier predictions")),
        ("new_authors", None),
        ("hold_outs", None),
        ("backtest", None),
        ("baselines", None),
        ("models_compared", None),
        ("intervals", None),
        ("metrics", Some("The metrics")),
        ("first_line", None),
    ] {
        for put in [None, Some(Value::Null)] {
            let mut manifest = full();
            let evaluation = manifest.evaluation.as_object_mut().unwrap();
            evaluation.remove(key);
            evaluation.extend(put.map(|value| (key.to_owned(), value)));
            let page = report(&manifest);
            check(&page);
            let found = headings(&page);
            match heading {
                Some(heading) => assert!(!found.contains(&heading), "{key}"),
                None => assert_eq!(found.len(), whole, "{key}"),
            }
        }
    }
    let mut manifest = full();
    for key in ["new_authors", "hold_outs", "backtest"] {
        manifest.evaluation[key] = Value::Null;
    }
    assert!(!headings(&report(&manifest)).contains(&"On other rows"));
    // A version of which almost nothing is known.
    let mut manifest = made_up::manifest(1);
    manifest.evaluation = Value::Null;
    let page = report(&manifest);
    check(&page);
    assert_eq!(headings(&page), ["Where it comes from"]);
}

#[test]
fn a_text_from_outside_is_only_text() {
    let mut manifest = full();
    let evil = "\"><script>alert('1')</script>\u{1}&";
    for at in [
        "/communities/0/community",
        "/ablation/0/without",
        "/worth/0/input",
        "/first_line",
        "/drift/drift/features/0/name",
        "/hold_outs/0/name",
        "/backtest/0/from",
    ] {
        *manifest.evaluation.pointer_mut(at).unwrap() = json!(evil);
    }
    for group in ["baselines", "models_compared"] {
        let group = manifest.evaluation[group].as_object_mut().unwrap();
        group.insert(evil.to_owned(), json!({"metrics": {"spearman": 0.1}}));
    }
    manifest.gate["cause"] = json!(evil);
    manifest.training[evil] = json!(evil);
    manifest.name = evil.to_owned();
    manifest.dataset = evil.to_owned();
    manifest.encoders[0].encoder = evil.to_owned();
    let page = report(&manifest);
    check(&page);
    assert!(!page.contains('\u{1}'));
}

#[test]
fn numbers_that_are_equal_or_tiny_are_drawn() {
    let mut manifest = full();
    for value in [0.0, -1e-12, 1e-6, 1e9] {
        let point = |rows: f64| json!({"rows": rows, "metrics": {"spearman": value}});
        manifest.evaluation["learning_curve"] = json!([point(5.0), point(5.0)]);
        manifest.evaluation["ablation"] =
            json!([{"without": "title", "difference": {"spearman": {"value": value}}}]);
        check(&report(&manifest));
    }
    assert_eq!(
        (number(-0.0001), number(-0.5)),
        ("0.000".to_owned(), "-0.500".to_owned())
    );
}

#[tokio::test]
async fn the_page_is_filed_and_is_made_again_where_it_is_not() {
    let home = tempfile::tempdir().unwrap();
    let registry = made_up::registry(home.path(), 1).await;
    let version = registry.resolve(&"reddit".parse().unwrap()).await.unwrap();
    let filed = version.folder.join("report.html");
    assert_eq!(fs_err::read_to_string(&filed).unwrap(), version.report());
    // As with a version of a release that filed none.
    fs_err::remove_file(&filed).unwrap();
    let version = registry.resolve(&"reddit".parse().unwrap()).await.unwrap();
    check(&version.report());
}
