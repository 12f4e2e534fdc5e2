//! `records show`: one record, what became of its images, and who else has them.

use serde_json::{Value, json};

use super::{failure::Failure, output::Output};
use crate::{
    app::App,
    corpus::{ContentHash, MediaInfo},
    operators::place,
    store::PlaceState,
};

/// How many other records are named in the table.
const NAMED: usize = 8;

/// Shows the record.
///
/// # Errors
///
/// Where there is no such record.
pub(super) async fn show(
    app: &App,
    dataset: &str,
    id: &str,
    output: Output,
) -> Result<(), Failure> {
    let store = app.store();
    let record = store.record(dataset, id).await?;
    let record = record.ok_or_else(|| unknown(dataset, id))?;
    let readings = store.last_readings(dataset).await?;
    let places: Vec<String> = record.media.iter().map(place).collect();
    let known = store.media_places(&places).await?;
    let mut images = Vec::new();
    for place in &places {
        images.push(match known.get(place) {
            Some(PlaceState::Stored(info)) => {
                let others = others(app, dataset, id, info.content).await?;
                stored(place, info, &others)
            }
            Some(PlaceState::Refused(reason)) => {
                json!({ "place": place, "state": "refused", "reason": reason })
            }
            Some(PlaceState::Unavailable { reason, tries, .. }) => {
                json!({ "place": place, "state": "unavailable", "reason": reason, "tries": tries })
            }
            None => json!({ "place": place, "state": "not fetched yet" }),
        });
    }
    let shown = json!({
        "dataset": dataset,
        "record": record,
        "reading": readings.get(id),
        "images": images,
    });
    if output.json {
        return Ok(output.json(&shown)?);
    }
    output.data(text(&shown))?;
    Ok(())
}

fn unknown(dataset: &str, id: &str) -> Failure {
    Failure::wrong_use(format!(
        "there is no record `{id}` in the data set `{dataset}`"
    ))
    .hint("`trendmill records export` writes all of them; `--dataset` names another set")
}

/// Prints the record's JSON as it came.
///
/// # Errors
///
/// Where there is no such record, or its JSON is not kept.
pub(super) async fn show_raw(
    app: &App,
    dataset: &str,
    id: &str,
    output: Output,
) -> Result<(), Failure> {
    let store = app.store();
    let Some(raw) = store.raw(dataset, id).await? else {
        if store.record(dataset, id).await?.is_none() {
            return Err(unknown(dataset, id));
        }
        let why = store.raw_dropped(dataset).await?.map_or_else(
            || {
                "it is kept of what live sources send, and of dumps with `retention.raw_dumps`"
                    .to_owned()
            },
            |before| {
                format!("what was stored before {before} had had its time (`[retention] raw`)")
            },
        );
        return Err(Failure::failed(format!("the JSON of record `{id}` is not kept")).hint(why));
    };
    Ok(output.data(String::from_utf8_lossy(&raw.json))?)
}

/// The records that have the same image, and one that looks like it.
struct Others {
    same: Vec<String>,
    alike: Vec<String>,
}

async fn others(
    app: &App,
    dataset: &str,
    id: &str,
    content: ContentHash,
) -> Result<Others, Failure> {
    let near = app.store().alike(content).await?;
    let near: Vec<ContentHash> = near.into_iter().map(|(content, _)| content).collect();
    let contents: Vec<ContentHash> = near.iter().copied().chain([content]).collect();
    let mut holders = app.store().holders(dataset, &contents).await?;
    let mut of = |content| {
        let mut ids: Vec<String> = holders.remove(&content).unwrap_or_default();
        ids.retain(|other| other != id);
        ids
    };
    let same = of(content);
    let mut alike = Vec::new();
    for id in near.into_iter().flat_map(&mut of) {
        if !same.contains(&id) && !alike.contains(&id) {
            alike.push(id);
        }
    }
    Ok(Others { same, alike })
}

fn stored(place: &str, info: &MediaInfo, others: &Others) -> Value {
    json!({
        "place": place,
        "state": "stored",
        "content": info.content,
        "format": info.format,
        "bytes": info.bytes,
        "width": info.width,
        "height": info.height,
        "same_in": others.same,
        "alike_in": others.alike,
    })
}

/// The same for a reader: a line a fact, images below.
fn text(shown: &Value) -> String {
    let record = &shown["record"];
    let mut lines = vec![format!(
        "{}  {}",
        word(&record["id"]),
        word(&record["title"])
    )];
    for name in ["community", "author", "created_at"] {
        if !record[name].is_null() {
            lines.push(format!("  {name}: {}", word(&record[name])));
        }
    }
    let reading = &shown["reading"];
    if !reading.is_null() {
        let (score, at) = (word(&reading["score"]), word(&reading["observed_at"]));
        lines.push(format!("  score: {score} (read at {at})"));
    }
    for image in shown["images"].as_array().into_iter().flatten() {
        let state = match image["reason"].as_str() {
            Some(reason) => format!("{}: {reason}", word(&image["state"])),
            None => word(&image["state"]),
        };
        lines.push(format!("  image {}  {state}", word(&image["place"])));
        if !image["content"].is_null() {
            lines.push(format!(
                "    {:.12}  {} × {} {}, {} bytes",
                word(&image["content"]),
                image["width"],
                image["height"],
                word(&image["format"]),
                image["bytes"],
            ));
        }
        for (name, says) in [("same_in", "the same image"), ("alike_in", "a like image")] {
            let ids: Vec<String> = image[name]
                .as_array()
                .into_iter()
                .flatten()
                .map(word)
                .collect();
            if !ids.is_empty() {
                let more = if ids.len() > NAMED { ", …" } else { "" };
                let named = ids[..ids.len().min(NAMED)].join(", ");
                lines.push(format!("    {says} in {} others: {named}{more}", ids.len()));
            }
        }
    }
    lines.join("\n")
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "unknown".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_shown_with_who_shares_its_images() {
        let shown = json!({
            "record": { "id": "a", "title": "A cat", "author": null, "community": "pics" },
            "reading": { "score": 3.0, "observed_at": "2026-01-01T00:00:00Z" },
            "images": [
                { "place": "u", "state": "refused", "reason": "gone" },
                { "place": "v", "state": "stored", "content": "0123456789abcdef", "width": 4,
                  "height": 3, "format": "png", "bytes": 99, "same_in": ["b", "c"],
                  "alike_in": ["d", "e", "f", "g", "h", "i", "j", "k", "l"] },
            ],
        });
        let wanted = "a  A cat\n  community: pics\n  score: 3.0 (read at 2026-01-01T00:00:00Z)\n\
                      \x20 image u  refused: gone\n  image v  stored\n\
                      \x20   0123456789ab  4 × 3 png, 99 bytes\n\
                      \x20   the same image in 2 others: b, c\n\
                      \x20   a like image in 9 others: d, e, f, g, h, i, j, k, …";
        assert_eq!(text(&shown), wanted);
    }
}
