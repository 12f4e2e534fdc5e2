//! `embed`: texts or images → a safetensors file.
//!
//! A row that cannot be read harms no other: it is NaN in the file, the command names it and ends
//! with exit code 1.

use std::{fmt::Write as _, path::Path, time::Instant};

use serde::Serialize;

use super::{
    Embed, Failure, Report, rows,
    vectors::{Failed, VectorFile},
    visual,
};
use crate::encoders::{
    self, DeviceSpec, ImageError, ImageInput, TextOptions, WeightsSettings, weights::catalogue,
};

/// The rows without a vector that are named on a terminal.
const NAMED: usize = 10;

/// What was written.
#[derive(Serialize)]
struct Written<'a> {
    out: &'a Path,
    rows: usize,
    dimension: usize,
    fingerprint: String,
    device: String,
    seconds: f64,
    failed: &'a [Failed],
}

pub(super) fn run(
    arguments: &Embed,
    settings: &WeightsSettings,
    json: bool,
) -> Result<Report, Failure> {
    let sees_both = encoders::is_visual(&arguments.model);
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
    let file = match (&arguments.text_file, arguments.image_file.is_empty()) {
        _ if sees_both => visual::vectors(arguments, settings)?,
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
    let (rows_out, dimension, fingerprint) = (file.rows, file.dimension, file.fingerprint);
    let failed = file.finish()?;
    let written = Written {
        out: &arguments.out,
        rows: rows_out,
        dimension,
        fingerprint: fingerprint.to_string(),
        device: device(arguments).to_string(),
        seconds: started.elapsed().as_secs_f64(),
        failed: &failed,
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
        failed: (!failed.is_empty()).then(|| failures(&failed, rows_out, &arguments.out)),
    })
}

/// The words about rows that have no vector.
fn failures(failed: &[Failed], rows: usize, out: &Path) -> String {
    let mut words = format!(
        "{} of {rows} rows have no vector, and are NaN in `{}`:",
        failed.len(),
        out.display()
    );
    for row in failed.iter().take(NAMED) {
        let _ = write!(words, "\n  row {}, {}: {}", row.row, row.source, row.error);
    }
    if failed.len() > NAMED {
        let _ = write!(
            words,
            "\n  and {} more, which `--json` lists",
            failed.len() - NAMED
        );
    }
    words
}

/// The device, with the numbers that are stored where it can compute with them and nobody says else.
pub(super) fn device(arguments: &Embed) -> DeviceSpec {
    if arguments.device.computes_in_half() {
        arguments.device.or_precision(arguments.dtype)
    } else {
        arguments.device
    }
}

fn texts(
    arguments: &Embed,
    file: &Path,
    settings: &WeightsSettings,
) -> Result<VectorFile, Failure> {
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
    let device = device(arguments);
    let encoder = encoders::load_text_with(&arguments.model, &device, settings, options)?;
    let content = fs_err::read(file)?;
    let lines = lines(&content);
    let (dimension, fingerprint) = (encoder.dimension(), encoder.fingerprint());
    let mut out = VectorFile::create(arguments, device, lines.len(), dimension, fingerprint)?;
    for chunk in lines.chunks(arguments.batch) {
        let good: Vec<&str> = chunk.iter().flatten().copied().collect();
        let mut vectors = encoder.embed(&good)?.into_iter();
        for line in chunk {
            let vector = match line {
                Ok(_) => vectors.next().ok_or_else(|| "it has no vector".to_owned()),
                Err(error) => Err(error.clone()),
            };
            let number = out.rows + 1;
            out.push(vector, || line_of(file, number))?;
        }
    }
    Ok(out)
}

/// The lines of a file, or what is wrong with one.
pub(super) fn lines(content: &[u8]) -> Vec<Result<&str, String>> {
    content
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| {
            let ended = line.strip_suffix(b"\n");
            let line = ended.map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
            str::from_utf8(line).map_err(|error| {
                let at = error.valid_up_to();
                format!("byte {} (0x{:02x}) is not UTF-8", at + 1, line[at])
            })
        })
        .collect()
}

/// The name of a line.
pub(super) fn line_of(file: &Path, number: usize) -> String {
    format!("`{}`, line {number}", file.display())
}

fn images(arguments: &Embed, settings: &WeightsSettings) -> Result<VectorFile, Failure> {
    if arguments.pooling.is_some() || arguments.normalize {
        return Err(Failure::Usage(
            "`--pooling` and `--normalize` are for text encoders".to_owned(),
        ));
    }
    let device = device(arguments);
    let encoder = encoders::load_image(&arguments.model, &device, settings)?;
    let (dimension, fingerprint) = (encoder.dimension(), encoder.fingerprint());
    let files = &arguments.image_file;
    let mut out = VectorFile::create(arguments, device, files.len(), dimension, fingerprint)?;
    for chunk in files.chunks(arguments.batch) {
        let inputs: Vec<ImageInput<'_>> = chunk.iter().map(|path| ImageInput::File(path)).collect();
        for (path, vector) in chunk.iter().zip(encoder.embed(&inputs)) {
            out.push(row(vector)?, || format!("`{}`", path.display()))?;
        }
    }
    Ok(out)
}

/// The result of one row; where the device has failed, all have.
pub(super) fn row(
    vector: Result<Vec<f32>, ImageError>,
) -> Result<Result<Vec<f32>, String>, Failure> {
    match vector {
        Ok(vector) => Ok(Ok(vector)),
        Err(ImageError::Compute(words)) => Err(encoders::Error::Compute(words).into()),
        Err(error) => Ok(Err(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_a_text_file() {
        for text in ["", "\n", "a", "a\n", "a\r\n\nb", "\n\n", "a\n\r\n", "ä\r"] {
            let found: Vec<&str> = lines(text.as_bytes()).into_iter().flatten().collect();
            assert_eq!(found, text.lines().collect::<Vec<_>>(), "{text:?}");
        }
        let broken = lines(b"a\nb\xff\xfec\r\nd");
        assert_eq!(
            broken,
            [
                Ok("a"),
                Err("byte 2 (0xff) is not UTF-8".to_owned()),
                Ok("d")
            ]
        );
    }
}
