//! Tables are read back as they were written, and lose rows without harm to others.

use std::path::Path;

use parquet::file::{
    metadata::RowGroupMetaData,
    reader::{FileReader, SerializedFileReader},
};

use super::*;

const START: i64 = 1_767_225_600_000;

fn columns() -> Vec<Column> {
    vec![
        Column::new("id", Kind::Text),
        Column::new("made", Kind::Moment),
        Column::new("score", Kind::Number),
        Column::new("images", Kind::Texts),
        Column::within("fields", "over 18", Kind::Flag),
        Column::within("fields", "a.b", Kind::Whole),
    ]
}

fn row(number: i64) -> Vec<Cell> {
    let is_there = number % 3 != 0;
    let images = (0..number % 3).map(|n| format!("{number}/{n}.jpg"));
    vec![
        Cell::Text(format!("r{number}")),
        Cell::of(is_there.then_some(number), |number| {
            Cell::Moment(START + number)
        }),
        Cell::of(is_there.then_some(number as f64 / 2.0), Cell::Number),
        Cell::Texts(images.collect()),
        Cell::of(is_there.then_some(number % 2 == 0), Cell::Flag),
        Cell::of(is_there.then_some(number), Cell::Whole),
    ]
}

fn written(path: &Path, rows: std::ops::Range<i64>) {
    let mut table = ParquetTable::create(path, &columns()).unwrap();
    for number in rows {
        table.row(row(number)).unwrap();
    }
    table.finish().unwrap();
}

fn reader(path: &Path) -> SerializedFileReader<std::fs::File> {
    let (file, _) = fs_err::File::open(path).unwrap().into_parts();
    SerializedFileReader::new(file).unwrap()
}

fn rows(path: &Path) -> Vec<String> {
    let reader = reader(path);
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| row.unwrap().to_string()).collect()
}

#[test]
fn a_table_is_read_back_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    written(&path, 0..4);
    let found = rows(&path);
    assert_eq!(found.len(), 4);
    let [empty, _, two, _] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(
        empty,
        "{id: \"r0\", made: null, score: null, images: [], fields: {over 18: null, a.b: null}}"
    );
    assert_eq!(
        two,
        "{id: \"r2\", made: 2026-01-01 00:00:00.002 +00:00, score: 1.0, \
         images: [\"2/0.jpg\", \"2/1.jpg\"], fields: {over 18: true, a.b: 2}}"
    );
    let mut schema = Vec::new();
    let about = reader(&path);
    let about = about.metadata().file_metadata().schema().clone();
    parquet::schema::printer::print_schema(&mut schema, &about);
    let schema = String::from_utf8(schema).unwrap();
    for line in [
        "OPTIONAL BYTE_ARRAY id (STRING);",
        "OPTIONAL INT64 made (TIMESTAMP(MILLIS,true));",
        "OPTIONAL DOUBLE score;",
        "OPTIONAL BOOLEAN over 18;",
        "OPTIONAL INT64 a.b;",
    ] {
        assert!(schema.contains(line), "{line} in {schema}");
    }
    // One that was given up leaves what was there, and nothing beside it.
    let table = ParquetTable::create(&path, &columns()).unwrap();
    drop(table);
    assert_eq!(rows(&path), found);
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn groups_of_rows_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    let mut table = ParquetTable::create(&path, &[Column::new("id", Kind::Text)]).unwrap();
    for _ in 0..5 {
        table.row(vec![Cell::Text("x".repeat(20 << 20))]).unwrap();
    }
    table.finish().unwrap();
    let reader = reader(&path);
    let groups = reader.metadata().row_groups().iter();
    assert_eq!(
        groups.map(RowGroupMetaData::num_rows).collect::<Vec<_>>(),
        [2, 2, 1]
    );
}

#[test]
fn cells_of_other_columns_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let columns = [Column::new("id", Kind::Text)];
    let mut table = ParquetTable::create(&folder.path().join("x"), &columns).unwrap();
    assert!(table.row(vec![Cell::Whole(1)]).is_err());
    assert!(table.row(Vec::new()).is_err());
}

#[test]
fn rows_go_from_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    written(&path, 0..500);
    let before = rows(&path);
    assert_eq!(
        drop_parquet_rows(&path, &["id", "nothing"], |_, id| id == "other").unwrap(),
        0
    );
    let is_gone = |id: &str| id.ends_with('7') || id == "r0";
    assert_eq!(
        drop_parquet_rows(&path, &["id"], |_, id| is_gone(id)).unwrap(),
        51
    );
    let left = before.into_iter();
    let left = left.filter(|row| !is_gone(row.split('"').nth(1).unwrap()));
    assert_eq!(rows(&path), left.collect::<Vec<_>>());
    let bytes = fs_err::read(&path).unwrap();
    assert!(!bytes.windows(4).any(|word| word == b"r497"));
    // All rows, and what is no table.
    drop_parquet_rows(&path, &["id"], |_, _| true).unwrap();
    assert_eq!(rows(&path), Vec::<String>::new());
    fs_err::write(&path, "id,title\n").unwrap();
    let error = drop_parquet_rows(&path, &["id"], |_, _| true).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[test]
fn vectors_are_read_back_and_lose_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    let columns = [
        Column::new("id", Kind::Text),
        Column::new("title", Kind::Numbers),
    ];
    let mut table = ParquetTable::create(&path, &columns).unwrap();
    let vectors = [
        Cell::Numbers(vec![1.5, 2.5]),
        Cell::Missing,
        Cell::Numbers(vec![0.25, f32::NAN]),
    ];
    for (number, vector) in vectors.into_iter().enumerate() {
        let id = Cell::Text(format!("r{number}"));
        table.row(vec![id, vector]).unwrap();
    }
    table.finish().unwrap();
    let [first, second, third] = [
        "{id: \"r0\", title: [1.5, 2.5]}",
        "{id: \"r1\", title: []}",
        "{id: \"r2\", title: [0.25, NaN]}",
    ];
    assert_eq!(rows(&path), [first, second, third]);
    assert_eq!(
        drop_parquet_rows(&path, &["id"], |_, id| id == "r0").unwrap(),
        1
    );
    assert_eq!(rows(&path), [second, third]);
}
