//! `embed`: texts or images → a safetensors file.

use std::{collections::HashMap, path::Path, time::Instant};

use safetensors::{Dtype as StoredType, tensor::TensorView};
use serde::Serialize;

use super::{Embed, Failure, Report, rows, visual};
use crate::{
    corpus::Fingerprint,
    encoders::{
        self, DeviceSpec, ImageInput, Precision, TextOptions, WeightsSettings, weights::catalogue,
    },
};

/// What was written.
#[derive(Serialize)]
struct Written<'a> {
    out: &'a Path,
    rows: usize,
    dimension: usize,
    fingerprint: String,
    device: String,
    seconds: f64,
}

pub(super) fn run(
    arguments: &Embed,
    settings: &WeightsSettings,
    json: bool,
) -> Result<Report, Failure> {
    let sees_both = visual::is_visual(&arguments.model);
    if arguments.pairs.is_some() && !sees_both {
        return Err(Failure::Usage(format!(
            "`--pairs` needs a model that sees text and image together; `{}` has no visual encoder",
            arguments.model
        )));
    }
    if arguments.batch == 0 {
        return Err(Failure::Usage("`--batch` must be at least 1".to_owned()));
    }
    let started = Instant::now();
    let (vectors, dimension, fingerprint) =
        match (&arguments.text_file, arguments.image_file.is_empty()) {
            _ if sees_both => visual::vectors(arguments, device(arguments), settings)?,
            (Some(file), true) => texts(arguments, file, settings)?,
            (None, false) => images(arguments, settings)?,
            (None, true) => {
                return Err(Failure::Usage(
                    "give `--text-file` or `--image-file`".to_owned(),
                ));
            }
            (Some(_), false) => {
                return Err(Failure::Usage(
                    "give `--text-file` or `--image-file`, not both".to_owned(),
                ));
            }
        };
    write(arguments, &vectors, dimension, fingerprint)?;
    let written = Written {
        out: &arguments.out,
        rows: vectors.len(),
        dimension,
        fingerprint: fingerprint.to_string(),
        device: device(arguments).to_string(),
        seconds: started.elapsed().as_secs_f64(),
    };
    let lines = rows(&[written], json, |written| {
        format!(
            "{} × {} → {} ({:.2} s)",
            written.rows,
            written.dimension,
            written.out.display(),
            written.seconds
        )
    });
    Ok(Report {
        lines,
        failed: None,
    })
}

/// The device, with the numbers that are stored where it can compute with them and nobody says else.
fn device(arguments: &Embed) -> DeviceSpec {
    if arguments.device.is_libtorch() {
        arguments.device.or_precision(arguments.dtype)
    } else {
        arguments.device
    }
}

/// Rows, their length, and what makes them comparable.
pub(super) type Vectors = (Vec<Vec<f32>>, usize, Fingerprint);

fn texts(arguments: &Embed, file: &Path, settings: &WeightsSettings) -> Result<Vectors, Failure> {
    let options = TextOptions {
        pooling: arguments.pooling,
        normalize: arguments.normalize,
    };
    if options != TextOptions::default() && catalogue::find(&arguments.model).is_some() {
        return Err(Failure::Usage(format!(
            "`--pooling` and `--normalize` are for checkpoints in a folder; `{}` has its own",
            arguments.model
        )));
    }
    let encoder =
        encoders::load_text_with(&arguments.model, &device(arguments), settings, options)?;
    let content = fs_err::read_to_string(file)?;
    let lines: Vec<&str> = content.lines().collect();
    let mut vectors = Vec::with_capacity(lines.len());
    for chunk in lines.chunks(arguments.batch) {
        vectors.extend(encoder.embed(chunk)?);
    }
    Ok((vectors, encoder.dimension(), encoder.fingerprint()))
}

fn images(arguments: &Embed, settings: &WeightsSettings) -> Result<Vectors, Failure> {
    if arguments.pooling.is_some() || arguments.normalize {
        return Err(Failure::Usage(
            "`--pooling` and `--normalize` are for text encoders".to_owned(),
        ));
    }
    let encoder = encoders::load_image(&arguments.model, &device(arguments), settings)?;
    let mut vectors = Vec::with_capacity(arguments.image_file.len());
    for chunk in arguments.image_file.chunks(arguments.batch) {
        let inputs: Vec<ImageInput<'_>> = chunk.iter().map(|path| ImageInput::File(path)).collect();
        for (path, vector) in chunk.iter().zip(encoder.embed(&inputs)) {
            vectors.push(vector.map_err(|error| {
                Failure::Partly(format!("`{}` has no vector: {error}", path.display()))
            })?);
        }
    }
    Ok((vectors, encoder.dimension(), encoder.fingerprint()))
}

/// Writes the file beside its place and moves it there whole.
fn write(
    arguments: &Embed,
    vectors: &[Vec<f32>],
    dimension: usize,
    fingerprint: Fingerprint,
) -> Result<(), Failure> {
    let values = vectors.iter().flatten().copied();
    let (kind, bytes): (StoredType, Vec<u8>) = match arguments.dtype {
        Precision::F32 => (StoredType::F32, values.flat_map(f32::to_le_bytes).collect()),
        Precision::F16 => (
            StoredType::F16,
            values
                .flat_map(|v| half::f16::from_f32(v).to_le_bytes())
                .collect(),
        ),
        Precision::Bf16 => (
            StoredType::BF16,
            values
                .flat_map(|v| half::bf16::from_f32(v).to_le_bytes())
                .collect(),
        ),
    };
    let broken = |error: safetensors::SafeTensorError| Failure::Partly(error.to_string());
    let view = TensorView::new(kind, vec![vectors.len(), dimension], &bytes).map_err(broken)?;
    let about = HashMap::from([
        ("model".to_owned(), arguments.model.clone()),
        ("fingerprint".to_owned(), fingerprint.to_string()),
        ("device".to_owned(), device(arguments).to_string()),
    ]);
    let file = safetensors::serialize([("embeddings", view)], Some(about)).map_err(broken)?;
    let folder = match arguments.out.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut temporary, &file)?;
    temporary
        .persist(&arguments.out)
        .map_err(|error| error.error)?;
    Ok(())
}
