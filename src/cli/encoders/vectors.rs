//! A file of vectors that is written as they come, so that memory holds a batch of them.

use std::{
    collections::HashMap,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use safetensors::{Dtype, tensor::Metadata, tensor::TensorInfo};
use serde::Serialize;
use tempfile::NamedTempFile;

use super::{Embed, Failure};
use crate::{
    corpus::Fingerprint,
    encoders::{DeviceSpec, Precision},
};

/// A row that has no vector.
#[derive(Debug, Serialize)]
pub(super) struct Failed {
    /// Where it is among the vectors, from zero on.
    pub(super) row: usize,
    /// What it was to be made of: a file, or a line of one.
    pub(super) source: String,
    /// Why there is none.
    pub(super) error: String,
}

/// The tensor `embeddings` of a safetensors file, beside its place until it is whole.
#[derive(Debug)]
pub(super) struct VectorFile {
    file: BufWriter<NamedTempFile>,
    out: PathBuf,
    stored_as: Precision,
    pub(super) dimension: usize,
    pub(super) fingerprint: Fingerprint,
    /// The rows that were written.
    pub(super) rows: usize,
    /// Those of them that are no vector.
    pub(super) failed: Vec<Failed>,
}

impl VectorFile {
    /// Begins the file that the arguments name, which will have so many rows.
    ///
    /// # Shapes
    /// - tensor `embeddings`: `[rows, dimension]`
    pub(super) fn create(
        arguments: &Embed,
        device: DeviceSpec,
        rows: usize,
        dimension: usize,
        fingerprint: Fingerprint,
    ) -> Result<Self, Failure> {
        let (dtype, width) = match arguments.dtype {
            Precision::F32 => (Dtype::F32, 4),
            Precision::F16 => (Dtype::F16, 2),
            Precision::Bf16 => (Dtype::BF16, 2),
        };
        let tensor = TensorInfo {
            dtype,
            shape: vec![rows, dimension],
            data_offsets: (0, rows * dimension * width),
        };
        let about = HashMap::from([
            ("model".to_owned(), arguments.model.clone()),
            ("fingerprint".to_owned(), fingerprint.to_string()),
            ("device".to_owned(), device.to_string()),
        ]);
        let head = Metadata::new(Some(about), vec![("embeddings".to_owned(), tensor)])
            .map_err(|error| Failure::Partly(error.to_string()))?;
        let mut head = serde_json::to_vec(&head).expect("plain data has a JSON form");
        // Spaces, so that the numbers lie where a reader can map them.
        head.resize(head.len().next_multiple_of(8), b' ');
        let folder = match arguments.out.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut file = BufWriter::new(NamedTempFile::new_in(folder)?);
        file.write_all(&(head.len() as u64).to_le_bytes())?;
        file.write_all(&head)?;
        Ok(Self {
            file,
            out: arguments.out.clone(),
            stored_as: arguments.dtype,
            dimension,
            fingerprint,
            rows: 0,
            failed: Vec::new(),
        })
    }

    /// Writes the next row: the vector, or NaN where there is none.
    pub(super) fn push(
        &mut self,
        vector: Result<Vec<f32>, String>,
        source: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let finite = |vector: &Vec<f32>| vector.iter().all(|value| value.is_finite());
        let vector = match vector {
            Ok(vector) if finite(&vector) => vector,
            Ok(_) => self.missing(
                source(),
                "the numbers of its vector are not finite".to_owned(),
            ),
            Err(error) => self.missing(source(), error),
        };
        for value in vector {
            match self.stored_as {
                Precision::F32 => self.file.write_all(&value.to_le_bytes())?,
                Precision::F16 => {
                    self.file
                        .write_all(&half::f16::from_f32(value).to_le_bytes())?;
                }
                Precision::Bf16 => {
                    self.file
                        .write_all(&half::bf16::from_f32(value).to_le_bytes())?;
                }
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// What stands where there is no vector.
    fn missing(&mut self, source: String, error: String) -> Vec<f32> {
        self.failed.push(Failed {
            row: self.rows,
            source,
            error,
        });
        vec![f32::NAN; self.dimension]
    }

    /// Moves the whole file to its place, and says which rows failed.
    pub(super) fn finish(self) -> Result<Vec<Failed>, Failure> {
        let file = self
            .file
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)?;
        file.persist(&self.out).map_err(|error| error.error)?;
        Ok(self.failed)
    }
}
