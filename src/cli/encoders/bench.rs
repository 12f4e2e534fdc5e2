//! `bench`: rows per second of one encoder on one device.

use std::{path::Path, time::Instant};

use serde::Serialize;

use super::{Bench, Failure, Report, rows};
use crate::encoders::{self, ImageInput, Kind, WeightsSettings, weights::catalogue};

/// What was measured.
#[derive(Serialize)]
struct Measured {
    model: String,
    device: String,
    /// The number type, where the network can do with fewer digits.
    precision: &'static str,
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

pub(super) fn run(
    arguments: &Bench,
    settings: &WeightsSettings,
    json: bool,
) -> Result<Report, Failure> {
    if arguments.rounds == 0 || arguments.rows == 0 {
        return Err(Failure::Usage(
            "`--rounds` and `--rows` must be at least 1".to_owned(),
        ));
    }
    let measured = if reads_images(arguments) {
        images(arguments, settings)?
    } else {
        texts(arguments, settings)?
    };
    let lines = rows(&[measured], json, |measured| {
        format!(
            "{} on {} ({}): {:.1} rows/s ({} × {}, {:.2} s)",
            measured.model,
            measured.device,
            measured.precision,
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

/// Whether the model is to be measured with images: those that are given, else what it reads.
fn reads_images(arguments: &Bench) -> bool {
    if !arguments.image_file.is_empty() || arguments.text_file.is_some() {
        return !arguments.image_file.is_empty();
    }
    match catalogue::find(&arguments.model) {
        Some(entry) => entry.kind == Kind::Image,
        // timm's settings name an architecture, those of transformers a type of model.
        None => fs_err::read(Path::new(&arguments.model).join("config.json"))
            .ok()
            .and_then(|config| serde_json::from_slice::<serde_json::Value>(&config).ok())
            .is_some_and(|config| config.get("architecture").is_some()),
    }
}

fn images(arguments: &Bench, settings: &WeightsSettings) -> Result<Measured, Failure> {
    let loading = Instant::now();
    let encoder = encoders::load_image(&arguments.model, &arguments.device, settings)?;
    let load_seconds = loading.elapsed().as_secs_f64();
    let made: Vec<Vec<u8>> = if arguments.image_file.is_empty() {
        (0..16).map(picture).collect::<Result<_, _>>()?
    } else {
        Vec::new()
    };
    let (inputs, input): (Vec<ImageInput<'_>>, _) = if made.is_empty() {
        let files = arguments.image_file.iter();
        (files.map(|file| ImageInput::File(file)).collect(), "files")
    } else {
        let rows = (0..arguments.rows).map(|row| ImageInput::Bytes(&made[row % made.len()]));
        (rows.collect(), "JPEG files of 640×480 pixels")
    };
    let _warm = encoder.embed(&inputs[..inputs.len().min(4)]);
    let (seconds, vectors) = fastest(arguments.rounds, || Ok(encoder.embed(&inputs)))?;
    let broken = vectors.iter().filter(|vector| vector.is_err()).count();
    if broken > 0 {
        return Err(Failure::Partly(format!(
            "{broken} of {} images cannot be read",
            vectors.len()
        )));
    }
    let pixels = (!made.is_empty()).then_some(640 * 480 * inputs.len());
    Ok(Measured {
        load_seconds,
        pixels_per_second: pixels.map(|pixels| pixels as f64 / seconds),
        ..Measured::new(arguments, input, inputs.len(), seconds)
    })
}

fn texts(arguments: &Bench, settings: &WeightsSettings) -> Result<Measured, Failure> {
    let loading = Instant::now();
    let encoder = encoders::load_text(&arguments.model, &arguments.device, settings)?;
    let load_seconds = loading.elapsed().as_secs_f64();
    let (texts, input): (Vec<String>, _) = match &arguments.text_file {
        Some(file) => {
            let content = fs_err::read_to_string(file)?;
            (content.lines().map(str::to_owned).collect(), "texts")
        }
        None => (
            (0..arguments.rows).map(title).collect(),
            "English titles of 3 to 18 words",
        ),
    };
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let _warm = encoder.embed(&texts[..texts.len().min(64)])?;
    let (seconds, (_, tokens)) = fastest(arguments.rounds, || Ok(encoder.embed_counted(&texts)?))?;
    Ok(Measured {
        load_seconds,
        tokens_per_second: Some(tokens as f64 / seconds),
        ..Measured::new(arguments, input, texts.len(), seconds)
    })
}

/// The seconds of the fastest of several rounds, and what the last one made.
fn fastest<T>(rounds: usize, work: impl Fn() -> Result<T, Failure>) -> Result<(f64, T), Failure> {
    let timed = || {
        let started = Instant::now();
        let made = work()?;
        Ok::<_, Failure>((started.elapsed().as_secs_f64(), made))
    };
    let mut best = timed()?;
    for _ in 1..rounds {
        let (seconds, made) = timed()?;
        best = (best.0.min(seconds), made);
    }
    Ok(best)
}

impl Measured {
    fn new(arguments: &Bench, input: &str, rows: usize, seconds: f64) -> Self {
        Self {
            model: arguments.model.clone(),
            device: arguments.device.to_string(),
            precision: arguments.device.precision().name(),
            input: input.to_owned(),
            rows,
            load_seconds: 0.0,
            seconds,
            rows_per_second: rows as f64 / seconds,
            tokens_per_second: None,
            pixels_per_second: None,
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
