//! What a pickle of PyTorch would call, found without calling anything.
//!
//! A pickle is a program: it names Python functions and calls them. The reader of tensors knows the
//! few that rebuild tensors and passes over all others, so a file cannot do harm here; but one that
//! calls anything else was not written to carry weights, and must not be passed on as if it were.
//!
//! Source: the opcodes of Python's `Lib/pickletools.py`; what may be called follows
//! `torch/_weights_only_unpickler.py`.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read},
    path::Path,
};

/// The pickles in a file from before PyTorch 1.6: magic number, version, system, tensors, storages.
const PICKLES: usize = 5;

/// An error that names the first thing a file would call that weights have no need of.
pub(super) fn refuse_calls(path: &Path) -> Result<(), String> {
    let words = |error: std::io::Error| error.to_string();
    let mut file = BufReader::new(fs_err::File::open(path).map_err(words)?);
    let start = file.fill_buf().map_err(words)?;
    if !start.starts_with(b"PK\x03\x04") {
        for _ in 0..PICKLES {
            if file.fill_buf().map_err(words)?.is_empty() {
                break;
            }
            scan(&mut file)?;
        }
        return Ok(());
    }
    let broken = |error: zip::result::ZipError| error.to_string();
    let mut archive = zip::ZipArchive::new(file).map_err(broken)?;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(broken)?;
        let name = entry.name().map_err(broken)?.into_owned();
        let is_pickle = Path::new(&name)
            .extension()
            .is_some_and(|ending| ending == "pkl");
        if is_pickle {
            scan(&mut BufReader::new(entry))?;
        }
    }
    Ok(())
}

/// Reads one pickle to its end.
fn scan(reader: &mut impl BufRead) -> Result<(), String> {
    let mut strings = Strings::default();
    loop {
        let [code] = exactly(reader)?;
        match code {
            b'.' => return Ok(()),
            // Names by text: GLOBAL and INST.
            b'c' | b'i' => {
                let (module, name) = (line(reader)?, line(reader)?);
                allow(&module, &name)?;
                strings.forget();
            }
            // Names by the last two strings.
            0x93 => match strings.last() {
                Some((module, name)) => allow(&module, &name)?,
                None => return Err("it calls what it does not name; it was not run".to_owned()),
            },
            // Strings.
            b'U' | 0x8c => {
                let [length] = exactly(reader)?;
                strings.push(text(reader, length.into())?);
            }
            b'T' | b'X' => {
                let length = u32::from_le_bytes(exactly(reader)?);
                strings.push(text(reader, length.into())?);
            }
            0x8d => {
                let length = u64::from_le_bytes(exactly(reader)?);
                strings.push(text(reader, length)?);
            }
            b'V' => {
                let text = line(reader)?;
                strings.push(Some(text));
            }
            // What is kept of them, and got again.
            b'p' => strings.keep(line(reader)?.parse().ok()),
            b'q' => strings.keep(Some(u64::from(exactly::<1>(reader)?[0]))),
            b'r' => strings.keep(Some(u64::from(u32::from_le_bytes(exactly(reader)?)))),
            0x94 => strings.keep(Some(strings.kept.len() as u64)),
            b'g' => strings.get(line(reader)?.parse().ok()),
            b'h' => strings.get(Some(u64::from(exactly::<1>(reader)?[0]))),
            b'j' => strings.get(Some(u64::from(u32::from_le_bytes(exactly(reader)?)))),
            // Neither changes what lies on the stack.
            0x80 => skip(reader, 1)?,
            0x95 => skip(reader, 8)?,
            other => {
                strings.forget();
                pass(reader, other)?;
            }
        }
    }
}

/// Goes over the rest of an instruction that neither names nor keeps anything.
fn pass(reader: &mut impl BufRead, code: u8) -> Result<(), String> {
    match code {
        b'I' | b'L' | b'F' | b'S' | b'P' => line(reader).map(drop),
        b'K' | 0x82 => skip(reader, 1),
        b'M' | 0x83 => skip(reader, 2),
        b'J' | 0x84 => skip(reader, 4),
        b'G' => skip(reader, 8),
        b'C' | 0x8a => {
            let [length] = exactly(reader)?;
            skip(reader, length.into())
        }
        b'B' | 0x8b => {
            let length = u32::from_le_bytes(exactly(reader)?);
            skip(reader, length.into())
        }
        0x8e | 0x96 => {
            let length = u64::from_le_bytes(exactly(reader)?);
            skip(reader, length)
        }
        b'('
        | b'0'
        | b'1'
        | b'2'
        | b'N'
        | b'R'
        | b'b'
        | b'd'
        | b'l'
        | b't'
        | b's'
        | b'a'
        | b'e'
        | b'u'
        | b')'
        | b']'
        | b'}'
        | b'o'
        | b'Q'
        | 0x81
        | 0x85..=0x89
        | 0x8f..=0x92
        | 0x97
        | 0x98 => Ok(()),
        _ => Err(format!(
            "it is neither weights of PyTorch nor of safetensors: no pickle has the byte {code:#04x}"
        )),
    }
}

/// The last two strings on the stack, as far as they lie there one on the other, and the strings
/// that were kept for later.
#[derive(Default)]
struct Strings {
    top: [Option<String>; 2],
    kept: HashMap<u64, Option<String>>,
}

impl Strings {
    fn push(&mut self, text: Option<String>) {
        let [_, last] = std::mem::take(&mut self.top);
        self.top = [last, text];
    }

    fn forget(&mut self) {
        self.top = [None, None];
    }

    fn keep(&mut self, place: Option<u64>) {
        if let Some(place) = place {
            self.kept.insert(place, self.top[1].clone());
        }
    }

    fn get(&mut self, place: Option<u64>) {
        let text = place.and_then(|place| self.kept.get(&place).cloned().flatten());
        self.push(text);
    }

    /// Both, where both are known.
    fn last(&mut self) -> Option<(String, String)> {
        let [module, name] = std::mem::take(&mut self.top);
        Some((module?, name?))
    }
}

/// An error where weights have no need of a function or class.
fn allow(module: &str, name: &str) -> Result<(), String> {
    let fine = match module {
        "collections" => matches!(name, "OrderedDict" | "defaultdict" | "Counter"),
        "builtins" | "__builtin__" => matches!(
            name,
            "set"
                | "frozenset"
                | "dict"
                | "list"
                | "tuple"
                | "int"
                | "float"
                | "complex"
                | "bool"
                | "str"
                | "bytes"
                | "bytearray"
                | "slice"
                | "range"
                | "object"
        ),
        "_codecs" => name == "encode",
        "argparse" => name == "Namespace",
        "torch._utils" => name.starts_with("_rebuild_"),
        "torch._tensor" => name == "_rebuild_from_type_v2",
        "torch.storage" => name.ends_with("Storage"),
        "torch.nn.parameter" => matches!(name, "Parameter" | "Buffer"),
        "torch.serialization" => name == "_get_layout",
        // Types of numbers and their storages; functions with other names there do things.
        "torch" | "torch.cuda" => {
            name.ends_with("Storage") || name.ends_with("Tensor") || is_plain_type(name)
        }
        "numpy" => matches!(name, "dtype" | "ndarray") || is_plain_type(name),
        "numpy.core.multiarray" | "numpy._core.multiarray" => {
            matches!(name, "scalar" | "_reconstruct")
        }
        _ => false,
    };
    if fine {
        return Ok(());
    }
    Err(format!(
        "it calls `{module}.{name}`, of which weights have no need; nothing of it was run"
    ))
}

/// The types of numbers of PyTorch and `NumPy`, and what describes a tensor.
fn is_plain_type(name: &str) -> bool {
    let number = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    matches!(
        number,
        "float"
            | "bfloat"
            | "int"
            | "uint"
            | "complex"
            | "bool"
            | "bool_"
            | "double"
            | "half"
            | "long"
            | "Size"
            | "device"
            | "dtype"
    )
}

fn exactly<const N: usize>(reader: &mut impl Read) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    reader
        .read_exact(&mut bytes)
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn skip(reader: &mut impl Read, length: u64) -> Result<(), String> {
    let passed = std::io::copy(&mut reader.take(length), &mut std::io::sink());
    match passed.map_err(|error| error.to_string())? {
        passed if passed == length => Ok(()),
        _ => Err("it ends too early".to_owned()),
    }
}

/// A string of `length` bytes; none where it is too long for a name.
fn text(reader: &mut impl Read, length: u64) -> Result<Option<String>, String> {
    const LONGEST: u64 = 1 << 16;
    if length > LONGEST {
        return skip(reader, length).map(|()| None);
    }
    let mut bytes = Vec::new();
    let read = reader.take(length).read_to_end(&mut bytes);
    if read.map_err(|error| error.to_string())? as u64 == length {
        Ok(String::from_utf8(bytes).ok())
    } else {
        Err("it ends too early".to_owned())
    }
}

/// A line of text, without its end.
fn line(reader: &mut impl BufRead) -> Result<String, String> {
    const LONGEST: u64 = 1 << 20;
    let mut bytes = Vec::new();
    reader
        .take(LONGEST)
        .read_until(b'\n', &mut bytes)
        .map_err(|error| error.to_string())?;
    match bytes.pop() {
        Some(b'\n') => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        _ => Err("it ends too early".to_owned()),
    }
}
