//! The feature matrix as a safetensors file that keeps its row ids.

use std::{collections::HashMap, io, path::Path};

use fs_err as fs;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::write_atomic;
use crate::corpus::{Block, ContentHash, FeatureMatrix, Row};

/// A matrix that lies on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatrixFile {
    /// The number of rows, those without a label included.
    pub rows: usize,
    /// The number of columns of all dense blocks together.
    pub columns: usize,
    /// The hash of the file's bytes; equal matrices have equal files.
    pub sha256: ContentHash,
}

/// Everything of a matrix that is not a tensor.
#[derive(Serialize, Deserialize)]
struct Head {
    rows: Vec<Row>,
    blocks: Vec<BlockHead>,
    categories: Vec<(String, Vec<Option<String>>)>,
}

#[derive(Serialize, Deserialize)]
struct BlockHead {
    name: String,
    columns: Vec<String>,
    width: usize,
}

/// Writes `matrix` to `path` durably.
///
/// One tensor per block, `block.<name>` `[rows, width]` f32, and `present.<name>` `[rows]` u8;
/// ids, labels and categories are JSON under the metadata key `trendmill`. Equal matrices give
/// equal bytes.
///
/// # Errors
///
/// Where the disk refuses.
pub fn write_matrix(path: &Path, matrix: &FeatureMatrix) -> io::Result<MatrixFile> {
    let head = Head {
        rows: matrix.rows.clone(),
        blocks: matrix
            .blocks
            .iter()
            .map(|block| BlockHead {
                name: block.name.clone(),
                columns: block.columns.clone(),
                width: block.width,
            })
            .collect(),
        categories: matrix.categories.clone(),
    };
    let metadata = HashMap::from([("trendmill".to_owned(), serde_json::to_string(&head)?)]);
    let rows = matrix.rows.len();
    let tensors: Vec<(String, Vec<usize>, Dtype, Vec<u8>)> = matrix
        .blocks
        .iter()
        .flat_map(|block| {
            let values = block
                .values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            let present = block
                .present
                .iter()
                .map(|&present| u8::from(present))
                .collect();
            [
                (
                    format!("block.{}", block.name),
                    vec![rows, block.width],
                    Dtype::F32,
                    values,
                ),
                (
                    format!("present.{}", block.name),
                    vec![rows],
                    Dtype::U8,
                    present,
                ),
            ]
        })
        .collect();
    let views: Vec<(&str, TensorView<'_>)> = tensors
        .iter()
        .map(|(name, shape, dtype, bytes)| {
            TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name.as_str(), view))
        })
        .collect::<Result<_, _>>()
        .map_err(io::Error::other)?;
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(io::Error::other)?;
    write_atomic(path, &bytes)?;
    Ok(MatrixFile {
        rows,
        columns: matrix.width(),
        sha256: ContentHash::of(&bytes),
    })
}

/// Reads a matrix that [`write_matrix`] wrote.
///
/// # Errors
///
/// Where the file is not there or is not such a matrix.
pub fn read_matrix(path: &Path) -> io::Result<FeatureMatrix> {
    let bytes = fs::read(path)?;
    let bad = |message: String| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("`{}` is not a feature matrix: {message}", path.display()),
        )
    };
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| bad(e.to_string()))?;
    let head = metadata
        .metadata()
        .as_ref()
        .and_then(|entries| entries.get("trendmill"))
        .ok_or_else(|| bad("its metadata lacks `trendmill`".to_owned()))?;
    let head: Head = serde_json::from_str(head)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| bad(e.to_string()))?;
    let blocks = head
        .blocks
        .into_iter()
        .map(|block| {
            let tensor = |prefix: &str| {
                tensors
                    .tensor(&format!("{prefix}.{}", block.name))
                    .map_err(|error| bad(error.to_string()))
            };
            let values = tensor("block")?
                .data()
                .as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect();
            let present = tensor("present")?
                .data()
                .iter()
                .map(|&byte| byte != 0)
                .collect();
            Ok(Block {
                name: block.name,
                columns: block.columns,
                width: block.width,
                values,
                present,
            })
        })
        .collect::<io::Result<_>>()?;
    Ok(FeatureMatrix {
        rows: head.rows,
        blocks,
        categories: head.categories,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::{Label, LabelAge};

    fn matrix() -> FeatureMatrix {
        let row = |id: &str, label| Row {
            id: id.to_owned(),
            created_at: "2026-01-01".parse().ok(),
            community: Some("art".to_owned()),
            author: None,
            order: None,
            label,
        };
        FeatureMatrix {
            rows: vec![
                row(
                    "a",
                    Some(Label {
                        target: 1.5,
                        age: LabelAge::Unknown,
                    }),
                ),
                row("b", None),
                row("ü", None),
            ],
            blocks: vec![Block {
                name: "title".to_owned(),
                columns: Vec::new(),
                width: 2,
                values: vec![0.25, -1.0, 0.0, 0.0, 3.0, f32::MIN_POSITIVE],
                present: vec![true, false, true],
            }],
            categories: vec![(
                "community".to_owned(),
                vec![Some("art".to_owned()), None, None],
            )],
        }
    }

    #[test]
    fn reads_what_it_wrote_and_writes_the_same_bytes_again() {
        let home = tempfile::tempdir().unwrap();
        let (one, two) = (
            home.path().join("1.safetensors"),
            home.path().join("2.safetensors"),
        );
        let file = write_matrix(&one, &matrix()).unwrap();
        assert_eq!((file.rows, file.columns), (3, 2));
        let read = read_matrix(&one).unwrap();
        assert_eq!(read, matrix());
        assert_eq!(write_matrix(&two, &read).unwrap(), file);
    }

    #[test]
    fn says_what_is_no_matrix() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x");
        fs::write(&path, b"nonsense").unwrap();
        assert!(
            read_matrix(&path)
                .unwrap_err()
                .to_string()
                .contains("not a feature matrix")
        );
    }
}
