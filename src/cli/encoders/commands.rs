//! `list`, `pull`, `check` and `bench`.

use std::{path::PathBuf, time::Instant};

use serde::Serialize;

use super::{Bench, Failure, Report, rows};
use crate::encoders::{
    self, DeviceSpec, ImageInput, Kind, WeightsSettings,
    weights::{self, Entry, catalogue},
};

/// One line of `encoders list`.
#[derive(Serialize)]
struct Listed {
    name: String,
    kind: &'static str,
    dimension: Option<usize>,
    licence: Option<&'static str>,
    fingerprint: Option<String>,
    here: bool,
    summary: String,
}

pub(super) fn list(settings: &WeightsSettings, json: bool) -> Result<Report, Failure> {
    let mut listed = Vec::new();
    for entry in catalogue::entries() {
        listed.push(Listed {
            name: entry.name.clone(),
            kind: kind_name(entry.kind),
            dimension: Some(entry.dimension),
            licence: Some(&entry.licence),
            fingerprint: Some(encoders::fingerprint(&entry.name)?.to_string()),
            here: weights::cached(source(entry), settings)?.is_some(),
            summary: entry.summary.clone(),
        });
    }
    listed.extend(
        encoders::device_support()
            .into_iter()
            .map(|support| Listed {
                name: support.device.to_string(),
                kind: "device",
                dimension: None,
                licence: None,
                fingerprint: None,
                here: support.usable,
                summary: support.message,
            }),
    );
    let lines = rows(&listed, json, |row| {
        let here = if row.here { "here" } else { "not here" };
        let dimension = row
            .dimension
            .map_or_else(String::new, |dimension| dimension.to_string());
        format!(
            "{:<20} {:<7} {:>5} {:<9} {}",
            row.name, row.kind, dimension, here, row.summary
        )
    });
    Ok(Report {
        lines,
        failed: None,
    })
}

/// One line of `encoders pull` and `encoders check`.
#[derive(Serialize)]
struct Found {
    name: String,
    origin: weights::Origin,
    files: Vec<PathBuf>,
    seconds: f64,
}

impl Found {
    fn line(&self) -> String {
        let folder = self.files.first().and_then(|file| file.parent());
        let folder = folder.map_or_else(String::new, |folder| folder.display().to_string());
        format!("{:<20} {:.2} s  {folder}", self.name, self.seconds)
    }
}

pub(super) fn pull(
    names: &[String],
    settings: &WeightsSettings,
    json: bool,
) -> Result<Report, Failure> {
    let mut found = Vec::new();
    for entry in chosen(names)? {
        let started = Instant::now();
        let located = weights::locate(source(entry), settings)?;
        found.push(of_located(entry, &located, started));
    }
    Ok(Report {
        lines: rows(&found, json, Found::line),
        failed: None,
    })
}

pub(super) fn check(
    names: &[String],
    device: DeviceSpec,
    settings: &WeightsSettings,
    json: bool,
) -> Result<Report, Failure> {
    let local = WeightsSettings {
        offline: true,
        ..settings.clone()
    };
    let mut found = Vec::new();
    for entry in chosen(names)? {
        let started = Instant::now();
        let located = match weights::cached(source(entry), &local)? {
            Some(located) => located,
            None if names.is_empty() => continue,
            None => weights::locate(source(entry), &local)?,
        };
        match entry.kind {
            Kind::Text => drop(encoders::load_text(&entry.name, &device, &local)?),
            Kind::Image => drop(encoders::load_image(&entry.name, &device, &local)?),
            Kind::Tagger => drop(encoders::load_tagger(&entry.name, &local)?),
        }
        found.push(of_located(entry, &located, started));
    }
    Ok(Report {
        lines: rows(&found, json, Found::line),
        failed: None,
    })
}

fn of_located(entry: &Entry, located: &weights::Located, started: Instant) -> Found {
    Found {
        name: entry.name.clone(),
        origin: located.origin,
        files: located.files().map(|(_, place)| place.to_owned()).collect(),
        seconds: started.elapsed().as_secs_f64(),
    }
}

/// The entries of these names; all where there is none.
fn chosen(names: &[String]) -> Result<Vec<&'static Entry>, Failure> {
    if names.is_empty() {
        return Ok(catalogue::entries().iter().collect());
    }
    names
        .iter()
        .map(|name| {
            catalogue::find(name).ok_or_else(|| {
                let known = catalogue::names(None);
                Failure::Encoder(encoders::Error::Unknown {
                    name: name.clone(),
                    known,
                })
            })
        })
        .collect()
}

/// The entry whose files an entry needs.
pub(super) fn source(entry: &'static Entry) -> &'static Entry {
    entry
        .reads
        .as_deref()
        .and_then(catalogue::find)
        .unwrap_or(entry)
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Image => "image",
        Kind::Tagger => "tagger",
    }
}

/// What `encoders bench` measured.
#[derive(Serialize)]
struct Measured {
    model: String,
    device: String,
    input: String,
    rows: usize,
    load_seconds: f64,
    seconds: f64,
    rows_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pixels_per_second: Option<f64>,
}

pub(super) fn bench(
    arguments: &Bench,
    settings: &WeightsSettings,
    json: bool,
) -> Result<Report, Failure> {
    let loading = Instant::now();
    let is_image = catalogue::find(&arguments.model).is_some_and(|entry| entry.kind == Kind::Image);
    let measured = if is_image {
        let encoder = encoders::load_image(&arguments.model, &arguments.device, settings)?;
        let load_seconds = loading.elapsed().as_secs_f64();
        let pictures: Vec<Vec<u8>> = (0..16).map(picture).collect::<Result<_, _>>()?;
        let inputs: Vec<ImageInput<'_>> = (0..arguments.rows)
            .map(|row| ImageInput::Bytes(&pictures[row % 16]))
            .collect();
        let _warm = encoder.embed(&inputs[..inputs.len().min(4)]);
        let started = Instant::now();
        let _vectors = encoder.embed(&inputs);
        Measured::new(
            arguments,
            load_seconds,
            started,
            "JPEG files of 640×480 pixels",
            None,
            Some(640 * 480),
        )
    } else {
        let encoder = encoders::load_text(&arguments.model, &arguments.device, settings)?;
        let load_seconds = loading.elapsed().as_secs_f64();
        let texts: Vec<String> = (0..arguments.rows).map(title).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let _warm = encoder.embed(&texts[..texts.len().min(8)])?;
        let started = Instant::now();
        let (_, tokens) = encoder.embed_counted(&texts)?;
        Measured::new(
            arguments,
            load_seconds,
            started,
            "English titles of 3 to 18 words",
            Some(tokens),
            None,
        )
    };
    let lines = rows(&[measured], json, |measured| {
        format!(
            "{} on {}: {:.1} rows/s ({} × {}, {:.2} s)",
            measured.model,
            measured.device,
            measured.rows_per_second,
            measured.rows,
            measured.input,
            measured.seconds
        )
    });
    Ok(Report {
        lines,
        failed: None,
    })
}

impl Measured {
    fn new(
        arguments: &Bench,
        load_seconds: f64,
        started: Instant,
        input: &str,
        tokens: Option<usize>,
        pixels: Option<usize>,
    ) -> Self {
        let seconds = started.elapsed().as_secs_f64();
        let rate = |count: usize| count as f64 / seconds;
        Self {
            model: arguments.model.clone(),
            device: arguments.device.to_string(),
            input: input.to_owned(),
            rows: arguments.rows,
            load_seconds,
            seconds,
            rows_per_second: rate(arguments.rows),
            tokens_per_second: tokens.map(rate),
            pixels_per_second: pixels.map(|pixels| rate(pixels * arguments.rows)),
        }
    }
}

/// A title with as many words as titles have.
fn title(row: usize) -> String {
    const WORDS: [&str; 8] = [
        "my", "cat", "found", "the", "sunny", "mountain", "again", "today",
    ];
    let words: Vec<&str> = (0..3 + row * 7 % 16)
        .map(|word| WORDS[(row * 5 + word * 3) % 8])
        .collect();
    words.join(" ")
}

/// A JPEG file that is not quite flat, so that decoding it is real work.
fn picture(seed: u32) -> Result<Vec<u8>, Failure> {
    let pixels = image::RgbImage::from_fn(640, 480, |x, y| {
        let wave = |step: u32| {
            u8::try_from((x * step + y * 3 + ((x * y) >> 7) + seed * 37) % 256).unwrap_or(0)
        };
        image::Rgb([wave(1), wave(2), wave(5)])
    });
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 85)
        .encode_image(&pixels)
        .map_err(|error| Failure::Partly(error.to_string()))?;
    Ok(bytes)
}
