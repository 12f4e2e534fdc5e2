//! Rows per second of the encoders that a laptop runs: `cargo bench --bench encoders`.
//!
//! Wall time tells what a pipeline waits; processor time per row also tells something on a machine
//! that is busy with other work. `TRENDMILL_DEVICE` chooses the device.

use std::{fmt::Write as _, io::Write as _, path::PathBuf, time::Instant};

use trendmill::encoders::{self, DeviceSpec, ImageInput, WeightsSettings, weights::HF_ENDPOINT};

fn main() {
    let cache = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/encoders");
    let weights = WeightsSettings {
        offline: false,
        hf_home: cache.join("huggingface"),
        hf_endpoint: HF_ENDPOINT.to_owned(),
        hf_token: None,
        cache_dir: cache,
    };
    #[expect(clippy::disallowed_methods, reason = "a benchmark has no settings")]
    let device = std::env::var("TRENDMILL_DEVICE").unwrap_or_else(|_| "flex".to_owned());
    let device: DeviceSpec = device.parse().expect("TRENDMILL_DEVICE is a device");

    let texts: Vec<String> = (0..400).map(title).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let encoder = measure("load all-minilm-l6-v2", 1, || {
        encoders::load_text("all-minilm-l6-v2", &device, &weights).expect("the weights can be had")
    });
    measure("embed 400 titles of 3 to 18 words", texts.len(), || {
        encoder.embed(&texts).expect("it computes")
    });
    measure("embed one title", 1, || {
        encoder.embed(&texts[..1]).expect("it computes")
    });

    let pictures: Vec<Vec<u8>> = (0..8).map(picture).collect();
    let inputs: Vec<ImageInput<'_>> = (0..64)
        .map(|row| ImageInput::Bytes(&pictures[row % 8]))
        .collect();
    let encoder = measure("load efficientnet-lite0", 1, || {
        encoders::load_image("efficientnet-lite0", &device, &weights)
            .expect("the weights can be had")
    });
    measure("embed 64 JPEGs of 640×480", inputs.len(), || {
        encoder.embed(&inputs)
    });
    let pixels: Vec<image::RgbImage> = (0..64).map(|seed| pixels(seed, 224, 224)).collect();
    let inputs: Vec<ImageInput<'_>> = pixels.iter().map(ImageInput::Pixels).collect();
    let vectors = measure("embed 64 pictures of 224×224", inputs.len(), || {
        encoder.embed(&inputs)
    });

    let tagger = measure("load imagenet-tags", 1, || {
        encoders::load_tagger("imagenet-tags", &weights).expect("the weights can be had")
    });
    measure("caption 64 vectors", vectors.len(), || {
        for vector in vectors.iter().flatten() {
            tagger.caption(vector);
        }
    });
}

/// Runs `work` and prints what it took.
fn measure<T>(name: &str, rows: usize, work: impl FnOnce() -> T) -> T {
    let (wall, processor) = (Instant::now(), processor_seconds());
    let result = work();
    let (wall, processor) = (
        wall.elapsed().as_secs_f64(),
        processor_seconds() - processor,
    );
    let mut line = String::new();
    write!(
        line,
        "{name:<36} {:>9.1} rows/s  {:>8.2} ms of processor time a row",
        rows as f64 / wall,
        1e3 * processor / rows as f64
    )
    .expect("a string takes it");
    writeln!(std::io::stdout(), "{line}").expect("stdout is open");
    result
}

/// The processor time that this process has used, where the system says it; else zero.
fn processor_seconds() -> f64 {
    let stat = fs_err::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
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

fn pixels(seed: u32, width: u32, height: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| {
        let wave = |step: u32| {
            u8::try_from((x * step + y * 3 + ((x * y) >> 7) + seed * 37) % 256).unwrap_or(0)
        };
        image::Rgb([wave(1), wave(2), wave(5)])
    })
}

/// A JPEG file that is not quite flat, so that decoding it is real work.
fn picture(seed: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 85)
        .encode_image(&pixels(seed, 640, 480))
        .expect("the picture can be encoded");
    bytes
}
