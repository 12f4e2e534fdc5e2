//! Exports in Parquet.

use std::path::Path;

use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::{Row, RowAccessor},
};

use crate::home::{Home, stderr};

/// The rows of a table.
pub(crate) fn rows(path: &Path) -> Vec<Row> {
    let (file, _) = fs_err::File::open(path).unwrap().into_parts();
    let table = SerializedFileReader::new(file).unwrap();
    let rows = table.get_row_iter(None).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The columns of a table, as Parquet writes its types.
fn schema(path: &Path) -> String {
    let (file, _) = fs_err::File::open(path).unwrap().into_parts();
    let table = SerializedFileReader::new(file).unwrap();
    let mut text = Vec::new();
    let schema = table.metadata().file_metadata().schema();
    parquet::schema::printer::print_schema(&mut text, schema);
    String::from_utf8(text).unwrap()
}

#[test]
fn records_and_readings_are_exported_with_types() {
    let home = Home::with_plain();
    home.json(&["run", "plain", "--source", "sandbox:posts=14"]);
    let export = |what: &str, name: &str| {
        let output = home.run(&["records", what, "--format", "parquet", "--out", name]);
        assert!(output.status.success(), "{}", stderr(&output));
        home.path().join(name)
    };
    let path = export("export", "posts.parquet");
    let columns = schema(&path);
    for column in [
        "OPTIONAL BYTE_ARRAY title (STRING);",
        "OPTIONAL INT64 created_at (TIMESTAMP(MILLIS,true));",
        "OPTIONAL DOUBLE score_at_36h;",
        "OPTIONAL BOOLEAN over_18;",
        "OPTIONAL INT64 subscribers;",
        "REQUIRED group images (LIST)",
    ] {
        assert!(columns.contains(column), "{column} in {columns}");
    }
    let mut posts = home.json_lines(&["records", "export"]);
    posts.sort_by_key(|post| post["id"].as_str().unwrap().to_owned());
    let table = rows(&path);
    assert_eq!(table.len(), posts.len());
    let mut labels = 0;
    for (row, post) in table.iter().zip(&posts) {
        assert_eq!(row.get_string(0).unwrap(), post["id"].as_str().unwrap());
        assert_eq!(row.get_double(5).ok(), post["score"].as_f64());
        labels += u32::from(row.get_double(8).ok() == post["score"].as_f64());
    }
    assert!(labels > 100, "{labels}");

    let path = export("growth", "growth.parquet");
    let readings = home.json_lines(&["records", "growth"]);
    assert_eq!(rows(&path).len(), readings.len());
    assert!(schema(&path).contains("OPTIONAL BOOLEAN late;"));

    let nowhere = home.run(&["records", "export", "--format", "parquet"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(stderr(&nowhere).contains("--out"), "{}", stderr(&nowhere));
}
