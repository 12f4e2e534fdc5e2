//! `trendmill encoders …`: encoders by themselves.

mod bench;
mod caption;
mod change;
mod commands;
mod embed;
mod served;
mod vectors;
mod visual;

use std::{io::Write, path::PathBuf};

pub(crate) use change::{Change, Wanted, plan_table, reading, run as change};
use clap::{Args, Subcommand};

use crate::{
    app::devices,
    encoders::{self, DeviceSpec, Pooling, Precision, WeightsSettings, openai},
};

/// What can be done with encoders.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the named encoders and the devices, and say which weights are on this machine.
    List,
    /// Get the weights of encoders onto this machine.
    Pull {
        /// The encoders; those of the usual profile where none is named.
        names: Vec<String>,
    },
    /// Check weights against their hashes, pinned or learned, and that they load.
    Check {
        /// The encoders; all whose weights are on this machine where none is named.
        names: Vec<String>,
        /// The device to load them on.
        #[arg(long, default_value = "flex", value_name = "DEVICE")]
        device: DeviceSpec,
    },
    /// Write the vectors of texts or images into a safetensors file.
    Embed(Embed),
    /// Print captions of images as JSON lines.
    Caption(Caption),
    /// Measure rows per second.
    Bench(Bench),
    #[command(flatten)]
    Change(Change),
    /// Say whether a device can be used; exit code 3 where it cannot.
    #[command(hide = true)]
    Device {
        /// The device.
        device: DeviceSpec,
    },
}

impl Command {
    /// Where the command computes.
    pub(crate) fn device(&self) -> Option<DeviceSpec> {
        match self {
            // These compute on the home's device.
            Self::List | Self::Pull { .. } | Self::Change(_) => None,
            Self::Check { device, .. } | Self::Device { device } => Some(*device),
            Self::Embed(arguments) => Some(arguments.device),
            Self::Caption(arguments) if arguments.model == openai::NAME => None,
            Self::Caption(arguments) => Some(arguments.device),
            Self::Bench(arguments) => Some(arguments.device),
        }
    }
}

/// `encoders embed`
#[derive(Debug, Args)]
pub(crate) struct Embed {
    /// A named encoder, or a folder with a checkpoint in its hub layout.
    #[arg(long, value_name = "NAME|DIR")]
    model: String,
    /// A file with one text a line.
    #[arg(long, value_name = "FILE")]
    text_file: Option<PathBuf>,
    /// Image files.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    image_file: Vec<PathBuf>,
    /// A file of JSON lines with `text` and `image` (a file beside it), of which one may be absent;
    /// for models that see both.
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
    /// The file to write: tensor `embeddings`, `[n, d]`, rows in input order; a row that cannot be
    /// read is NaN and named.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where to compute: `flex`, `libtorch`, `libtorch:cuda:N`, `cuda:N`; `:bf16` behind it says with which
    /// numbers, whatever is stored.
    #[arg(long, default_value = "flex", value_name = "DEVICE")]
    device: DeviceSpec,
    /// The number type to store, and to compute with where the device can: `f32`, `f16` or `bf16`.
    #[arg(long, default_value_t = Precision::F32, value_name = "TYPE")]
    dtype: Precision,
    /// Rows that are read and computed at a time; never changes a vector.
    #[arg(long, default_value_t = 1024, value_name = "N")]
    batch: usize,
    /// The pooling of a checkpoint in a folder, instead of what its own files say: `cls`, `mean`, or
    /// another that sentence-transformers names.
    #[arg(long)]
    pooling: Option<Pooling>,
    /// Scale the vectors of a checkpoint in a folder to unit length.
    #[arg(long)]
    normalize: bool,
}

/// `encoders caption`
#[derive(Debug, Args)]
pub(crate) struct Caption {
    /// A named captioner, or a folder with one that transformers wrote; `openai` is the server of
    /// `[captioner.openai]`.
    #[arg(long, value_name = "NAME|DIR", default_value = "imagenet-tags")]
    model: String,
    /// Image files.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    image_file: Vec<PathBuf>,
    /// Words that begin the caption; only for captioners that write sentences.
    #[arg(long)]
    prompt: Option<String>,
    /// The longest caption; only for captioners that write sentences.
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// Beams of the search; only for captioners that write sentences.
    #[arg(long, value_name = "N")]
    beams: Option<usize>,
    /// Where to compute, with f32 unless `:bf16` or `:f16` is behind it.
    #[arg(long, default_value = "flex", value_name = "DEVICE")]
    device: DeviceSpec,
}

/// `encoders bench`
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// A named encoder, or a folder with a checkpoint in its hub layout.
    #[arg(long, value_name = "NAME|DIR")]
    model: String,
    /// Where to compute.
    #[arg(long, default_value = "flex", value_name = "DEVICE")]
    device: DeviceSpec,
    /// A file with one text a line, instead of made-up titles.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["image_file", "rows"])]
    text_file: Option<PathBuf>,
    /// Image files, instead of made-up pictures.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "rows")]
    image_file: Vec<PathBuf>,
    /// The number of made-up rows.
    #[arg(long, default_value_t = 256, value_name = "N")]
    rows: usize,
    /// How often to measure; the fastest counts.
    #[arg(long, default_value_t = 1, value_name = "N")]
    rounds: usize,
}

/// Why a command failed; [`Failure::exit_code`] says with which code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The request is wrong.
    #[error("{0}")]
    Usage(String),
    /// An encoder cannot be had or does not work.
    #[error(transparent)]
    Encoder(#[from] encoders::Error),
    /// Weights cannot be had.
    #[error(transparent)]
    Weights(#[from] encoders::weights::Error),
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Some of the work failed; the rest was done.
    #[error("{0}")]
    Partly(String),
}

impl Failure {
    /// 1 the work failed, 2 wrong use, 3 the machine is not fit.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Encoder(error) if error.is_environment() => 3,
            Self::Weights(_) => 3,
            Self::Partly(_) => 1,
            Self::Usage(_) | Self::Encoder(_) | Self::Io(_) => 2,
        }
    }
}

/// What a command prints when it is done, and whether all went well.
#[derive(Debug, Default)]
struct Report {
    /// Lines for stdout.
    lines: Vec<String>,
    /// What did not work, where the rest did.
    failed: Option<String>,
}

/// Runs a command and writes its data to `out`.
pub(crate) async fn run(
    command: Command,
    weights: WeightsSettings,
    captioner: &openai::Defaults,
    json: bool,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let report = match &command {
        Command::Caption(arguments) if arguments.model == openai::NAME => {
            served::caption(arguments, captioner).await?
        }
        _ => computed(command, weights, json).await?,
    };
    for line in report.lines {
        writeln!(out, "{line}")?;
    }
    report
        .failed
        .map_or(Ok(()), |failed| Err(Failure::Partly(failed)))
}

/// What a command finds that computes on this machine.
async fn computed(
    command: Command,
    weights: WeightsSettings,
    json: bool,
) -> Result<Report, Failure> {
    let devices = match command {
        Command::List => devices().await,
        _ => Vec::new(),
    };
    // Computing blocks for long; the runtime's own threads are for waiting.
    let work = move || match command {
        Command::List => commands::list(devices, &weights, json),
        Command::Pull { names } => commands::pull(&names, &weights, json),
        Command::Check { names, device } => commands::check(&names, device, &weights, json),
        Command::Embed(arguments) => embed::run(&arguments, &weights, json),
        Command::Caption(arguments) => caption::run(&arguments, &weights),
        Command::Bench(arguments) => bench::run(&arguments, &weights, json),
        Command::Change(_) => Err(Failure::Usage("this asks a home".to_owned())),
        Command::Device { device } => match device.open() {
            Ok(_) => Ok(Report::default()),
            Err(error) => Err(encoders::Error::from(error).into()),
        },
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::Partly(format!("the command crashed: {error}")))?
}

/// Lines of data as one JSON array, or one line for each made by `line`.
fn rows<T: serde::Serialize>(rows: &[T], json: bool, line: impl Fn(&T) -> String) -> Vec<String> {
    if json {
        vec![serde_json::to_string_pretty(rows).expect("plain data has a JSON form")]
    } else {
        rows.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests;
