//! What makes vectors comparable, said without loading anything.

use std::path::Path;

use super::{
    CaptionOptions, DeviceSpec, Error, Precision, TextOptions, bert,
    checkpoint::Identity,
    timm,
    weights::{
        Kind,
        catalogue::{self, Entry},
    },
};
use crate::corpus::{ContentHash, Fingerprint};

/// The version of what is done with the files of a checkpoint in a directory: raise it with any
/// change that changes vectors.
const OF_DIRECTORIES: u32 = 3;

/// The fingerprint of a named encoder or captioner, or of a checkpoint in a directory: the one that
/// the loaded encoder says.
///
/// Loads no network. The catalogue pins the files of what has a name; those in a directory are
/// read, once per process as long as they stay as they are.
pub fn fingerprint(name_or_dir: &str) -> Result<Fingerprint, Error> {
    if let Some(entry) = catalogue::find(name_or_dir) {
        return Ok(of_entry(entry));
    }
    of_directory(
        existing_directory(name_or_dir, None)?,
        TextOptions::default(),
    )
}

/// [`fingerprint`] of an encoder that computes on `device`: fewer digits are other vectors.
pub fn fingerprint_on(name_or_dir: &str, device: DeviceSpec) -> Result<Fingerprint, Error> {
    let all_digits = fingerprint(name_or_dir)?;
    let precision = device.precision();
    if precision.is_half() && is_halved(name_or_dir) {
        Ok(in_precision(all_digits, precision))
    } else {
        Ok(all_digits)
    }
}

/// With which numbers the encoder computed that says `fingerprint` of itself; `None` where that was
/// another encoder.
pub fn precision_of(
    name_or_dir: &str,
    computed_with: Fingerprint,
) -> Result<Option<Precision>, Error> {
    Ok(precision_in(fingerprint(name_or_dir)?, computed_with))
}

/// With which numbers that computed which says `found` of itself, where the same one says
/// `all_digits` of itself with f32.
pub(super) fn precision_in(all_digits: Fingerprint, found: Fingerprint) -> Option<Precision> {
    [Precision::F32, Precision::Bf16, Precision::F16]
        .into_iter()
        .find(|precision| in_precision(all_digits, *precision) == found)
}

/// Whether an encoder computes with fewer digits where the device does: transformers do,
/// convolutions keep all of them.
fn is_halved(name_or_dir: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Config {
        architecture: Option<String>,
    }
    if let Some(entry) = catalogue::find(name_or_dir) {
        let is_bert = entry.architecture.ends_with("bert");
        return is_bert
            || entry.kind == Kind::Visual
            || entry.timm_architecture().is_some_and(timm::is_transformer);
    }
    let directory = Path::new(name_or_dir);
    let network = bert::network(directory).unwrap_or_else(|_| directory.to_owned());
    let config = network.join("config.json");
    let config = fs_err::read(config).unwrap_or_default();
    serde_json::from_slice::<Config>(&config).is_ok_and(|config| {
        config
            .architecture
            .is_none_or(|architecture| timm::is_transformer(&architecture))
    })
}

/// What is meant by the name of an encoder that is written in a file: a name of the catalogue, or a
/// directory, which is looked for from `base` on.
pub fn written_in(base: &Path, name_or_dir: &str) -> String {
    if catalogue::find(name_or_dir).is_some() {
        return name_or_dir.to_owned();
    }
    let path = base.join(name_or_dir);
    // What is neither is named in errors as it was written.
    if path.is_dir() || is_path(name_or_dir) {
        path.display().to_string()
    } else {
        name_or_dir.to_owned()
    }
}

/// Whether a text is meant to be a path and no name.
fn is_path(text: &str) -> bool {
    Path::new(text).components().count() > 1 || text.starts_with('.')
}

/// The directory that is meant by what is no encoder's name, or an error that says what it is not;
/// `kind` is what is looked for.
pub(super) fn existing_directory(name: &str, kind: Option<Kind>) -> Result<&Path, Error> {
    let path = Path::new(name);
    if path.is_dir() {
        return Ok(path);
    }
    if is_path(name) {
        return Err(Error::NoDirectory {
            path: path.to_owned(),
        });
    }
    Err(Error::Unknown {
        name: name.to_owned(),
        known: catalogue::names(kind),
    })
}

/// The fingerprint of the checkpoint in a directory, under what a caller says of it.
pub(super) fn of_directory(directory: &Path, options: TextOptions) -> Result<Fingerprint, Error> {
    let network = bert::network(directory)?;
    let Identity { weights, others } = Identity::with_network(directory, &network)?;
    let pooling = match options.pooling {
        Some(pooling) => pooling.name(),
        None => "its own",
    };
    let length = if options.normalize {
        ", unit length"
    } else {
        ""
    };
    Ok(of_parts(
        weights,
        &format!("{others}, {OF_DIRECTORIES}"),
        &format!("{pooling}{length}"),
        "",
    ))
}

/// The fingerprint of an entry of the catalogue.
pub(super) fn of_entry(entry: &Entry) -> Fingerprint {
    let other = |name: &Option<String>| name.as_deref().and_then(catalogue::find);
    let (read, text) = (other(&entry.reads), other(&entry.text));
    let weights = entry
        .weights_hash()
        .or_else(|| read.and_then(Entry::weights_hash))
        .expect("a test holds that every entry has weights or reads another's");
    // A captioner that reads vectors depends on how they were made, and one that stands beside a
    // text encoder on its tokens.
    let preprocessing = match read.or(text) {
        Some(read) => format!("{} of {}", entry.preprocessing, of_entry(read)),
        None => entry.preprocessing.clone(),
    };
    // What the catalogue does not pin by its hash is what lies at the revision.
    let preprocessing = match &entry.hub {
        Some(hub) if !entry.is_pinned() => {
            format!("{preprocessing} of {}@{}", hub.repository, hub.revision)
        }
        _ => preprocessing,
    };
    of_parts(weights, &preprocessing, &entry.pooling, &entry.prefix)
}

/// What the checkpoint of an entry of the catalogue is.
pub(super) fn identity_of_entry(entry: &Entry) -> Identity {
    Identity {
        weights: entry
            .weights_hash()
            .expect("a test holds that every entry has weights or reads another's"),
        others: ContentHash::of(of_entry(entry).to_string()),
    }
}

/// The fingerprint of an encoder from its parts.
fn of_parts(weights: ContentHash, preprocessing: &str, pooling: &str, prompt: &str) -> Fingerprint {
    Fingerprint::of(&[
        ("weights", &weights.to_string()),
        ("preprocessing", preprocessing),
        ("pooling", pooling),
        ("prompt", prompt),
        ("compute", Precision::F32.name()),
    ])
}

/// The fingerprint of a captioner in a directory: its weights, its other files, what is asked of
/// it, and with which numbers it computes.
pub(super) fn of_captioner(
    files: &Identity,
    options: &CaptionOptions,
    precision: Precision,
) -> Fingerprint {
    let Identity { weights, others } = files;
    let number = |wish: Option<usize>| wish.map_or_else(String::new, |wish| wish.to_string());
    let all_digits = Fingerprint::of(&[
        ("weights", &weights.to_string()),
        ("preprocessing", &format!("{others}, 1")),
        ("prompt", options.prompt.as_deref().unwrap_or("")),
        ("max tokens", &number(options.max_tokens)),
        ("beams", &number(options.beams)),
        ("compute", Precision::F32.name()),
    ]);
    in_precision(all_digits, precision)
}

/// The fingerprint of the same encoder where it computes with these numbers.
pub(super) fn in_precision(fingerprint: Fingerprint, precision: Precision) -> Fingerprint {
    if precision.is_half() {
        Fingerprint::of(&[
            ("encoder", &fingerprint.to_string()),
            ("compute", precision.name()),
        ])
    } else {
        fingerprint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_encoder_has_its_own() {
        let mut seen = Vec::new();
        for entry in catalogue::entries() {
            let fingerprint = fingerprint(&entry.name).unwrap();
            assert!(!seen.contains(&fingerprint), "{}", entry.name);
            seen.push(fingerprint);
        }
        let error = fingerprint("no-such").unwrap_err();
        assert!(error.to_string().contains("`all-minilm-l6-v2`"), "{error}");
    }

    #[test]
    fn every_file_that_decides_a_number_is_part_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        let name = folder.path().to_str().unwrap();
        let error = fingerprint(name).unwrap_err().to_string();
        assert!(error.contains("no `config.json`"), "{error}");
        put("config.json", "{}");
        let error = fingerprint(name).unwrap_err().to_string();
        assert!(error.contains("there is none"), "{error}");

        let index = r#"{"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}"#;
        put("model.safetensors.index.json", index);
        let mut seen = Vec::new();
        for (file, text) in [
            ("one.safetensors", "1"),
            ("two.safetensors", "2"),
            ("two.safetensors", "3"),
            ("tokenizer.json", "{}"),
            ("vocab.txt", "a"),
            ("modules.json", "[]"),
            ("1_Pooling/config.json", "{}"),
            ("1_Pooling/config.json", "[]"),
            ("2_Dense/model.safetensors", "4"),
            ("config.json", "[]"),
        ] {
            put(file, text);
            // Both pieces are there from the second on.
            if let Ok(found) = fingerprint(name) {
                assert!(!seen.contains(&found), "{file}");
                seen.push(found);
            }
        }
        assert_eq!(seen.len(), 9);
        put("README.md", "words");
        put(".hidden.json", "{}");
        put("onnx/config.json", "{}");
        assert_eq!(fingerprint(name).unwrap(), seen[8]);

        let missing = fingerprint("no/such").unwrap_err().to_string();
        assert!(missing.contains("no directory `no/such`"), "{missing}");
        assert_eq!(written_in(Path::new("/home"), "no/such"), "/home/no/such");
        assert_eq!(written_in(Path::new("/home"), "no-such"), "no-such");
        assert_eq!(
            written_in(Path::new("/home"), "all-minilm-l6-v2"),
            "all-minilm-l6-v2"
        );
    }
}
