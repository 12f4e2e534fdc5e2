//! `records export` and `records growth` as tables in Parquet: typed columns, page by page.

use std::{collections::HashMap, path::Path, time::Duration};

use serde_json::Value;

use super::{AT_ONCE, folder_of, relative};
use crate::{
    app::App,
    artifacts::{Cell, Column, Kind, ParquetTable},
    cli::failure::Failure,
    clock::Timestamp,
    corpus::{MediaLocation, Record},
    operators::place,
    store::{CurvePoint, PlaceState},
};

/// Writes the records of a data set; how many there are.
///
/// A row has what the other forms have, with the fields of the record as a structure of typed
/// columns, and the score at each age at which records were read on purpose (`score_at_36h`), as far
/// as it was read in time.
pub(super) async fn records(app: &App, dataset: &str, out: &Path) -> Result<u64, Failure> {
    let store = app.store();
    let ages = store.due_ages(dataset).await?;
    let fields: Vec<(String, Kind)> = store
        .field_types(dataset)
        .await?
        .into_iter()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, types)| (name, kind_of(types.iter().map(String::as_str))))
        .collect();
    let mut columns = vec![
        Column::new("id", Kind::Text),
        Column::new("title", Kind::Text),
        Column::new("community", Kind::Text),
        Column::new("author", Kind::Text),
        Column::new("created_at", Kind::Moment),
        Column::new("score", Kind::Number),
        Column::new("observed_at", Kind::Moment),
        Column::new("age_seconds", Kind::Number),
    ];
    columns.extend(
        ages.iter()
            .map(|age| Column::new(format!("score_at_{}", in_words(*age)), Kind::Number)),
    );
    columns.push(Column::new("images", Kind::Texts));
    columns.extend(
        fields
            .iter()
            .map(|(name, kind)| Column::within("fields", name, *kind)),
    );
    let mut table = ParquetTable::create(out, &columns)?;
    let folder = folder_of(out, app)?;
    let (mut rows, mut after) = (0, String::new());
    loop {
        let records = store.records_after(dataset, &after, AT_ONCE).await?;
        let Some(last) = records.last() else { break };
        let (points, _) = store.curves(dataset, &after, AT_ONCE).await?;
        after.clone_from(&last.id);
        let mut curves: HashMap<&str, Vec<&CurvePoint>> = HashMap::new();
        for point in &points {
            curves.entry(&point.id).or_default().push(point);
        }
        let places: Vec<String> = records
            .iter()
            .flat_map(|record| &record.media)
            .map(place)
            .collect();
        let known = store.media_places(&places).await?;
        for record in &records {
            let image = |location| image(app, &known, location, &folder);
            let images = record.media.iter().map(image).collect();
            let curve = curves.get(record.id.as_str());
            let curve = curve.map_or(&[][..], Vec::as_slice);
            table.row(row(record, curve, &ages, images, &fields))?;
            rows += 1;
        }
    }
    table.finish()?;
    Ok(rows)
}

/// Where an image is, as seen from the table.
pub(super) fn image(
    app: &App,
    known: &HashMap<String, PlaceState>,
    location: &MediaLocation,
    folder: &Path,
) -> String {
    let place = place(location);
    let stored = match known.get(&place) {
        Some(PlaceState::Stored(info)) => app.media().find(&info.content),
        _ => None,
    };
    stored.map_or(place, |path| relative(&path, folder))
}

fn row(
    record: &Record,
    curve: &[&CurvePoint],
    ages: &[Duration],
    images: Vec<String>,
    fields: &[(String, Kind)],
) -> Vec<Cell> {
    // They come in the order of their times.
    let last = curve.last();
    let text = |text: &Option<String>| Cell::of(text.clone(), Cell::Text);
    let mut cells = vec![
        Cell::Text(record.id.clone()),
        text(&record.title),
        text(&record.community),
        text(&record.author),
        moment(record.created_at),
        Cell::of(last.and_then(|point| point.score), Cell::Number),
        moment(last.and_then(|point| point.observed_at)),
        Cell::of(last.and_then(|point| point.age_seconds), Cell::Number),
    ];
    cells.extend(ages.iter().map(|age| {
        let age = Some(age.as_secs_f64());
        let is_due = |point: &&&CurvePoint| point.due_age_seconds == age && !point.late;
        let score = curve.iter().find(is_due).and_then(|point| point.score);
        Cell::of(score, Cell::Number)
    }));
    cells.push(Cell::Texts(images));
    let values = fields
        .iter()
        .map(|(name, kind)| cell(record.fields.get(name), *kind));
    cells.extend(values);
    cells
}

fn moment(at: Option<Timestamp>) -> Cell {
    Cell::of(at.map(Timestamp::as_millis), Cell::Moment)
}

/// Writes all readings of a data set; how many there are.
pub(super) async fn readings(app: &App, dataset: &str, out: &Path) -> Result<u64, Failure> {
    let columns = [
        Column::new("id", Kind::Text),
        Column::new("community", Kind::Text),
        Column::new("created_at", Kind::Moment),
        Column::new("observed_at", Kind::Moment),
        Column::new("age_seconds", Kind::Number),
        Column::new("due_age_seconds", Kind::Number),
        Column::new("late", Kind::Flag),
        Column::new("score", Kind::Number),
        Column::new("values", Kind::Text),
    ];
    let mut table = ParquetTable::create(out, &columns)?;
    let (mut rows, mut after) = (0, String::new());
    loop {
        let (points, last) = app.store().curves(dataset, &after, AT_ONCE).await?;
        for point in points {
            table.row(vec![
                Cell::Text(point.id),
                Cell::of(point.community, Cell::Text),
                moment(point.created_at),
                moment(point.observed_at),
                Cell::of(point.age_seconds, Cell::Number),
                Cell::of(point.due_age_seconds, Cell::Number),
                Cell::Flag(point.late),
                Cell::of(point.score, Cell::Number),
                Cell::Text(Value::Object(point.values).to_string()),
            ])?;
            rows += 1;
        }
        match last {
            Some(last) => after = last,
            None => break,
        }
    }
    table.finish()?;
    Ok(rows)
}

/// What a column is whose values have these types of JSON; text where they have nothing in common.
fn kind_of<'a>(types: impl Iterator<Item = &'a str>) -> Kind {
    let kind = |name| match name {
        "integer" => Kind::Whole,
        "real" => Kind::Number,
        "true" | "false" => Kind::Flag,
        _ => Kind::Text,
    };
    let common = types.map(kind).reduce(|one, other| match (one, other) {
        (one, other) if one == other => one,
        (Kind::Whole, Kind::Number) | (Kind::Number, Kind::Whole) => Kind::Number,
        _ => Kind::Text,
    });
    common.unwrap_or(Kind::Text)
}

fn cell(value: Option<&Value>, kind: Kind) -> Cell {
    match (kind, value) {
        (_, None | Some(Value::Null)) => Cell::Missing,
        (Kind::Flag, Some(value)) => Cell::of(value.as_bool(), Cell::Flag),
        (Kind::Whole, Some(value)) => Cell::of(value.as_i64(), Cell::Whole),
        (Kind::Number, Some(value)) => Cell::of(value.as_f64(), Cell::Number),
        (_, Some(Value::String(text))) => Cell::Text(text.clone()),
        (_, Some(other)) => Cell::Text(other.to_string()),
    }
}

/// An age as part of a column's name: `36h`, `90m`, `5s`.
fn in_words(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_column_is_what_its_values_have_in_common() {
        let kind = |types: &[&'static str]| kind_of(types.iter().copied());
        assert_eq!(kind(&["true", "false"]), Kind::Flag);
        assert_eq!(kind(&["integer"]), Kind::Whole);
        assert_eq!(kind(&["integer", "real"]), Kind::Number);
        assert_eq!(kind(&["integer", "text"]), Kind::Text);
        assert_eq!(kind(&["array"]), Kind::Text);
        assert_eq!(cell(Some(&json!(7)), Kind::Number), Cell::Number(7.0));
        assert_eq!(cell(Some(&json!(7)), Kind::Text), Cell::Text("7".into()));
        assert_eq!(cell(Some(&json!("a")), Kind::Text), Cell::Text("a".into()));
        assert_eq!(cell(Some(&json!(null)), Kind::Flag), Cell::Missing);
        assert_eq!(cell(None, Kind::Whole), Cell::Missing);
    }

    #[test]
    fn an_age_is_named_in_its_largest_unit() {
        let named = [36 * 3600, 5400, 61].map(|seconds| in_words(Duration::from_secs(seconds)));
        assert_eq!(named, ["36h", "90m", "61s"]);
    }
}
