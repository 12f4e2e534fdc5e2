//! The feature matrix as a safetensors file that keeps its row ids.
//!
//! A matrix can be a large part of the memory there is: it is written and read block by block,
//! without a second copy of the whole.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use fs_err as fs;
use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::atomic::write_atomic_with;
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
    // In the order of the format: larger numbers first, then by name.
    let mut blocks: Vec<&Block> = matrix.blocks.iter().collect();
    blocks.sort_by(|a, b| a.name.cmp(&b.name));
    let values = blocks.iter().map(|block| {
        let shape = vec![rows, block.width];
        (
            format!("block.{}", block.name),
            Dtype::F32,
            shape,
            4 * block.width,
        )
    });
    let present = blocks
        .iter()
        .map(|block| (format!("present.{}", block.name), Dtype::U8, vec![rows], 1));
    let mut offset = 0;
    let mut tensors = Vec::with_capacity(2 * blocks.len());
    for (name, dtype, shape, width) in values.chain(present) {
        let data_offsets = (offset, offset + rows * width);
        offset = data_offsets.1;
        let info = TensorInfo {
            dtype,
            shape,
            data_offsets,
        };
        tensors.push((name, info));
    }
    let metadata = Metadata::new(Some(metadata), tensors).map_err(io::Error::other)?;
    let mut text = serde_json::to_vec(&metadata)?;
    text.resize(text.len().next_multiple_of(8), b' ');

    let sha256 = write_atomic_with(path, |file| {
        let mut out = Hashed {
            file: file.as_file_mut(),
            digest: Sha256::new(),
        };
        out.write(&(text.len() as u64).to_le_bytes())?;
        out.write(&text)?;
        let mut piece = Vec::with_capacity(PIECE);
        for block in &blocks {
            for values in block.values.chunks(PIECE / 4) {
                piece.clear();
                piece.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                out.write(&piece)?;
            }
        }
        for block in &blocks {
            let present: Vec<u8> = block.present.iter().map(|&here| u8::from(here)).collect();
            out.write(&present)?;
        }
        Ok(out.hash())
    })?;
    Ok(MatrixFile {
        rows,
        columns: matrix.width(),
        sha256,
    })
}

/// A file that is hashed while it is written.
struct Hashed<'a> {
    file: &'a mut File,
    digest: Sha256,
}

impl Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.file.write_all(bytes)
    }

    fn hash(self) -> ContentHash {
        ContentHash::from_bytes(&self.digest.finalize()).expect("a SHA-256 has 32 bytes")
    }
}

/// A file that is being read.
struct Reader<'a> {
    path: &'a Path,
    file: fs::File,
    /// Where the tensors begin.
    start: u64,
    /// From where to where each tensor lies behind that.
    places: HashMap<String, (usize, usize)>,
    head: Head,
}

/// The longest head that is believed.
const LONGEST_HEAD: u64 = 1 << 30;

impl<'a> Reader<'a> {
    fn open(path: &'a Path) -> io::Result<Self> {
        let mut file = fs::File::open(path)?;
        let length = file.metadata()?.len();
        let mut size = [0; 8];
        fill(path, &mut file, &mut size)?;
        let size = u64::from_le_bytes(size);
        if size > LONGEST_HEAD || size + 8 > length {
            return Err(bad(path, "it is shorter than its head says"));
        }
        let mut text = vec![0; usize::try_from(size).map_err(|error| bad(path, error))?];
        fill(path, &mut file, &mut text)?;
        let metadata: Metadata = serde_json::from_slice(&text).map_err(|error| bad(path, error))?;
        drop(text);
        let texts = metadata.metadata().as_ref();
        let own = texts
            .and_then(|texts| texts.get("trendmill"))
            .ok_or_else(|| bad(path, "its metadata lacks `trendmill`"))?;
        let tensors = metadata.tensors().into_iter();
        Ok(Self {
            head: serde_json::from_str(own).map_err(|error| bad(path, error))?,
            path,
            file,
            start: size + 8,
            places: tensors
                .map(|(name, info)| (name, info.data_offsets))
                .collect(),
        })
    }

    /// Shows the bytes of the rows of a tensor, each `width` long, to `take`.
    fn rows(
        &mut self,
        name: &str,
        width: usize,
        mut take: impl FnMut(usize, &[u8]),
    ) -> io::Result<()> {
        let place = self.places.get(name);
        let &(from, to) = place.ok_or_else(|| bad(self.path, format!("it has no `{name}`")))?;
        let rows = self.head.rows.len();
        if to - from != rows * width {
            return Err(bad(self.path, format!("`{name}` has not {rows} rows")));
        }
        if width == 0 {
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(self.start + from as u64))?;
        let at_once = (PIECE / width).max(1);
        let mut piece = vec![0; at_once.min(rows) * width];
        for first in (0..rows).step_by(at_once) {
            let piece = &mut piece[..(rows - first).min(at_once) * width];
            fill(self.path, &mut self.file, piece)?;
            for (row, bytes) in piece.chunks_exact(width).enumerate() {
                take(first + row, bytes);
            }
        }
        Ok(())
    }
}

/// How many bytes are read or written at a time.
const PIECE: usize = 1 << 20;

/// Fills `bytes` from a file; one that ends before is no matrix.
fn fill(path: &Path, file: &mut fs::File, bytes: &mut [u8]) -> io::Result<()> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => bad(path, "it ends too early"),
        _ => error,
    })
}

fn bad(path: &Path, message: impl std::fmt::Display) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("`{}` is not a feature matrix: {message}", path.display()),
    )
}

/// Reads a matrix that [`write_matrix`] wrote.
///
/// # Errors
///
/// Where the file is not there or is not such a matrix.
pub fn read_matrix(path: &Path) -> io::Result<FeatureMatrix> {
    read_matrix_of(path, |_| true)
}

/// Reads the rows of a matrix, without their numbers.
///
/// # Errors
///
/// As [`read_matrix`].
pub fn read_matrix_rows(path: &Path) -> io::Result<Vec<Row>> {
    Ok(Reader::open(path)?.head.rows)
}

/// Reads the rows of a matrix for which `wanted` holds.
///
/// # Errors
///
/// As [`read_matrix`].
pub fn read_matrix_of(path: &Path, wanted: impl Fn(&Row) -> bool) -> io::Result<FeatureMatrix> {
    let mut reader = Reader::open(path)?;
    let wanted: Vec<bool> = reader.head.rows.iter().map(wanted).collect();
    let count = wanted.iter().filter(|wanted| **wanted).count();
    let mut blocks = Vec::new();
    for block in std::mem::take(&mut reader.head.blocks) {
        let (name, width) = (block.name, block.width);
        let mut values = Vec::with_capacity(count * width);
        reader.rows(&format!("block.{name}"), 4 * width, |row, bytes| {
            if wanted[row] {
                let numbers = bytes.as_chunks::<4>().0.iter();
                values.extend(numbers.map(|bytes| f32::from_le_bytes(*bytes)));
            }
        })?;
        let mut present = Vec::with_capacity(count);
        reader.rows(&format!("present.{name}"), 1, |row, bytes| {
            if wanted[row] {
                present.push(bytes != [0]);
            }
        })?;
        blocks.push(Block {
            name,
            columns: block.columns,
            width,
            values,
            present,
        });
    }
    let mut categories = reader.head.categories;
    let mut rows = reader.head.rows;
    for (_, values) in &mut categories {
        keep(values, &wanted);
    }
    keep(&mut rows, &wanted);
    Ok(FeatureMatrix {
        rows,
        blocks,
        categories,
    })
}

/// Drops the items that are not wanted.
fn keep<T>(items: &mut Vec<T>, wanted: &[bool]) {
    let mut wanted = wanted.iter();
    items.retain(|_| wanted.next() == Some(&true));
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
            classes: Vec::new(),
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
        // The file is what the format's own library writes, and it reads it.
        let bytes = fs::read(&one).unwrap();
        assert_eq!(file.sha256, ContentHash::of(&bytes));
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let again = safetensors::serialize(tensors.tensors(), metadata.metadata().clone());
        assert_eq!(again.unwrap(), bytes);
        let read = read_matrix(&one).unwrap();
        assert_eq!(read, matrix());
        assert_eq!(write_matrix(&two, &read).unwrap(), file);
        assert_eq!(read_matrix_rows(&one).unwrap(), read.rows);
        let unlabelled = read_matrix_of(&one, |row| row.label.is_none()).unwrap();
        assert_eq!(unlabelled, read.select(&[1, 2]));
    }

    #[test]
    fn says_what_is_no_matrix() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x");
        let cut = home.path().join("cut");
        write_matrix(&cut, &matrix()).unwrap();
        let whole = fs::read(&cut).unwrap();
        for bytes in [
            &b"nonsense"[..],
            b"",
            &whole[..100],
            &whole[..whole.len() - 9],
        ] {
            fs::write(&path, bytes).unwrap();
            let error = read_matrix(&path).unwrap_err().to_string();
            assert!(error.contains("not a feature matrix"), "{error}");
        }
    }

    #[test]
    fn tells_a_fault_of_the_disk_as_what_it_is() {
        let home = tempfile::tempdir().unwrap();
        // A folder can be opened, but not read.
        let error = read_matrix(home.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory, "{error}");
    }
}
