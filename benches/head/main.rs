//! What a training step of the fusion network costs on a device: `cargo bench --bench head`.
//!
//! Prints one JSON object: steps per second of the fastest epoch and the validation loss of the
//! last one. `-- --device libtorch:cuda:0` computes on a card (build with `--features libtorch`),
//! `--rows` and `--width` say how large the matrix is. `compare.py` beside it puts `PyTorch` next to
//! this.

#![expect(clippy::cast_precision_loss, reason = "counts and minutes are small")]

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde_json::json;
use trendmill::{
    clock::Timestamp,
    corpus::{Block, FeatureMatrix, Label, LabelAge, Row},
    encoders::DeviceSpec,
    learning::{Progress, Split, TrainSettings, Watch, train},
};

/// How many blocks the columns make, as titles, images, captions and pairs do.
const BLOCKS: usize = 4;

#[expect(clippy::print_stdout, reason = "a bench prints what it measures")]
fn main() -> anyhow::Result<()> {
    let mut device = DeviceSpec::FLEX;
    let (mut rows, mut width, mut epochs) = (100_000, 4_096, 8);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--bench" {
            continue;
        }
        let value = arguments
            .next()
            .with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--device" => device = value.parse()?,
            "--rows" => rows = value.parse()?,
            "--width" => width = value.parse()?,
            "--epochs" => epochs = value.parse()?,
            _ => anyhow::bail!("`{name}`: allowed are --device, --rows, --width, --epochs"),
        }
    }
    ensure!(
        width % BLOCKS == 0,
        "--width must be a multiple of {BLOCKS}"
    );
    let settings = TrainSettings {
        members: 1,
        epochs,
        patience: epochs,
        ..TrainSettings::default()
    };
    let matrix = matrix(rows, width);
    let epochs = Epochs::default();
    let fitted = train(&matrix, &settings, &device.open()?, &epochs)?;
    let times = epochs.times();
    let fastest = times.iter().min().context("there was no second epoch")?;
    let learned = fitted
        .split
        .iter()
        .filter(|(_, part)| *part == Split::Train)
        .count();
    let batch = (learned / 24).clamp(32, 512);
    let steps = learned.div_ceil(batch);
    let last = fitted.history.last().context("nothing was trained")?;
    println!(
        "{}",
        json!({
            "device": device.to_string(),
            "rows": rows,
            "train_rows": learned,
            "width": width,
            "batch": batch,
            "steps_per_second": steps as f64 / fastest.as_secs_f64(),
            "validation_loss": last.validation_loss,
        })
    );
    Ok(())
}

/// When epochs ended.
#[derive(Debug, Default)]
struct Epochs(Mutex<Vec<Instant>>);

impl Epochs {
    /// How long each epoch but the first took.
    fn times(&self) -> Vec<Duration> {
        let ends = self.0.lock().expect("nobody panics while holding it");
        ends.windows(2).map(|ends| ends[1] - ends[0]).collect()
    }
}

impl Watch for Epochs {
    fn progress(&self, progress: &Progress) {
        if let Progress::Epoch { .. } = progress {
            let mut ends = self.0.lock().expect("nobody panics while holding it");
            ends.push(Instant::now());
        }
    }
}

/// Random vectors in four blocks, and a target that depends on some columns, bent so that a
/// network has something to learn that a ridge regression cannot.
fn matrix(rows: usize, width: usize) -> FeatureMatrix {
    let mut generator = ChaCha8Rng::seed_from_u64(7);
    let of_block = width / BLOCKS;
    let blocks: Vec<Block> = ["title", "image", "caption", "visual"]
        .map(|name| Block {
            name: name.to_owned(),
            columns: Vec::new(),
            width: of_block,
            values: (0..rows * of_block)
                .map(|_| generator.sample(StandardNormal))
                .collect(),
            present: vec![true; rows],
        })
        .into();
    let rows = (0..rows)
        .map(|at| {
            let first = |block: usize| f64::from(blocks[block].row(at)[0]);
            let noise: f64 = generator.sample(StandardNormal);
            let target = first(0) + (2.0 * first(1)).sin() + first(2) * first(3) + 0.5 * noise;
            Row {
                id: format!("row-{at:06}"),
                created_at: Some(Timestamp::from_seconds(at as f64 * 60.0)),
                community: None,
                author: None,
                order: None,
                classes: Vec::new(),
                label: Some(Label {
                    target,
                    age: LabelAge::Unknown,
                }),
            }
        })
        .collect();
    FeatureMatrix {
        rows,
        blocks,
        categories: Vec::new(),
    }
}
