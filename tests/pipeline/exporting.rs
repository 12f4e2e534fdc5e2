//! Features, predictions and metrics as tables.

use parquet::record::{Field, RowAccessor};
use serde_json::Value;

use crate::{
    home::{Home, posts, stderr},
    tables::rows,
};

/// A home with a version, and the exports of it in all three forms.
fn home() -> Home {
    let home = Home::with_plain();
    home.write("posts.ndjson", posts(80));
    home.json(&["run", "plain", "--source", "dump:posts.ndjson"]);
    home
}

fn exported(home: &Home, what: &str, model: &str, ending: &str) -> std::path::PathBuf {
    let name = format!("{what}.{ending}");
    let told = home.json(&["export", what, model, "--out", &name]);
    assert!(told["rows"].as_u64().unwrap() > 0, "{told}");
    home.path().join(name)
}

#[test]
fn features_predictions_and_metrics_come_back_as_they_were_filed() {
    let home = home();
    let evaluated = home.json_lines(&["models", "show", "plain/1", "--predictions"]);

    let path = exported(&home, "predictions", "plain@champion", "parquet");
    let table = rows(&path);
    assert_eq!(table.len(), evaluated.len());
    for (row, filed) in table.iter().zip(&evaluated) {
        assert_eq!(row.get_string(0).unwrap(), filed["id"].as_str().unwrap());
        assert_eq!(row.get_string(1).unwrap(), filed["split"].as_str().unwrap());
        assert_eq!(row.get_double(2).ok(), filed["target"].as_f64());
        assert_eq!(row.get_double(3).ok(), filed["prediction"].as_f64());
    }

    let lines = home.json_lines(&["export", "features", "plain/1"]);
    assert_eq!(lines.len(), 80);
    let table = rows(&exported(&home, "features", "plain/1", "parquet"));
    assert_eq!(table.len(), 80);
    for (row, line) in table.iter().zip(&lines) {
        for ((name, field), (known, value)) in row.get_column_iter().zip(line.as_object().unwrap())
        {
            assert_eq!(name, known);
            match field {
                Field::Null => assert!(value.is_null(), "{name}"),
                Field::Str(text) => assert_eq!(text, value.as_str().unwrap()),
                Field::Double(number) => assert_eq!(Some(*number), value.as_f64(), "{name}"),
                Field::TimestampMillis(_) => assert!(value.is_string()),
                other => panic!("{name}: {other}"),
            }
        }
        let label = evaluated.iter().find(|filed| filed["id"] == line["id"]);
        assert_eq!(label.unwrap()["target"], line["target"]);
        assert_eq!(label.unwrap()["split"], line["split"]);
    }

    let shown = home.json(&["models", "show", "plain/1"]);
    let metrics = home.json_lines(&["export", "metrics", "plain"]);
    let own = |metric: &str| {
        let is_it = |row: &&Value| row["metric"] == metric && row["baseline"].is_null();
        metrics.iter().find(is_it).unwrap().clone()
    };
    let (mae, filed) = (own("mae"), &shown["evaluation"]);
    assert_eq!(mae["value"], filed["metrics"]["mae"]);
    assert_eq!(mae["low"], filed["intervals"]["mae"]["low"]);
    for (name, baseline) in filed["baselines"].as_object().unwrap() {
        let is_it = |row: &&Value| row["baseline"] == *name && row["metric"] == "mae";
        let row = metrics.iter().find(is_it).unwrap();
        assert_eq!(row["value"], baseline["metrics"]["mae"], "{name}");
    }
    assert_eq!(
        rows(&exported(&home, "metrics", "plain", "parquet")).len(),
        metrics.len()
    );

    for wrong in [
        &["export", "metrics", "nothing"][..],
        &["export", "features", "plain/9"],
        &["export", "predictions", "plain", "--format", "parquet"],
    ] {
        let output = home.run(wrong);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    }
}

#[test]
fn a_purge_takes_its_rows_from_these_exports_too() {
    let home = home();
    let mut files = Vec::new();
    for what in ["features", "predictions"] {
        for ending in ["parquet", "csv", "jsonl"] {
            files.push(exported(&home, what, "plain/1", ending));
        }
    }
    let texts = |path: &std::path::Path| match path.extension().unwrap().to_str().unwrap() {
        "parquet" => rows(path).iter().map(ToString::to_string).collect(),
        _ => fs_err::read_to_string(path).unwrap(),
    };
    for path in &files {
        assert!(texts(path).contains("p0005"), "{}", path.display());
    }
    home.json(&["records", "purge", "--id", "p0005", "--yes"]);
    for path in &files {
        assert!(!texts(path).contains("p0005"), "{}", path.display());
        assert!(texts(path).contains("p0006"), "{}", path.display());
    }
}
