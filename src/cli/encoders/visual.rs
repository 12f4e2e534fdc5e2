//! `embed` with a model that sees text and image together.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{
    Embed, Failure,
    embed::{device, line_of, lines, row},
    vectors::VectorFile,
};
use crate::encoders::{self, ImageError, ImageInput, WeightsSettings};

/// One line of a file of pairs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    /// The text.
    #[serde(default)]
    text: Option<String>,
    /// The image's file, relative to the file of pairs.
    #[serde(default)]
    image: Option<PathBuf>,
}

/// The vectors of the texts, the images or the pairs that the arguments name.
pub(super) fn vectors(
    arguments: &Embed,
    settings: &WeightsSettings,
) -> Result<VectorFile, Failure> {
    if arguments.pooling.is_some() || arguments.normalize {
        return Err(Failure::Usage(
            "`--pooling` and `--normalize` are for text encoders".to_owned(),
        ));
    }
    let pairs = read(arguments)?;
    let device = device(arguments);
    let encoder = encoders::load_visual(&arguments.model, &device, settings)?;
    let (dimension, fingerprint) = (encoder.dimension(), encoder.fingerprint());
    let mut out = VectorFile::create(arguments, device, pairs.len(), dimension, fingerprint)?;
    for chunk in pairs.chunks(arguments.batch) {
        let items: Vec<_> = chunk
            .iter()
            .flatten()
            .map(|pair| {
                let image = pair.image.as_deref().map(ImageInput::File);
                (image, pair.text.as_deref())
            })
            .collect();
        let mut vectors = encoder.embed(&items).into_iter();
        for pair in chunk {
            let vector = match pair {
                Ok(_) => row(vectors.next().unwrap_or(Err(ImageError::Nothing)))?,
                Err(error) => Err(error.clone()),
            };
            let number = out.rows + 1;
            out.push(vector, || source(arguments, pair, number))?;
        }
    }
    Ok(out)
}

/// Where a row comes from.
fn source(arguments: &Embed, pair: &Result<Pair, String>, number: usize) -> String {
    let image = pair.as_ref().ok().and_then(|pair| pair.image.as_deref());
    match (
        image,
        arguments.text_file.as_ref().or(arguments.pairs.as_ref()),
    ) {
        (Some(image), _) => format!("`{}`", image.display()),
        (None, Some(file)) => line_of(file, number),
        (None, None) => "a text".to_owned(),
    }
}

/// What is to be embedded, of the one kind that is given.
fn read(arguments: &Embed) -> Result<Vec<Result<Pair, String>>, Failure> {
    let text = |text: &str| Pair {
        text: Some(text.to_owned()),
        image: None,
    };
    let image = |path: &PathBuf| Pair {
        text: None,
        image: Some(path.clone()),
    };
    match (
        &arguments.text_file,
        arguments.image_file.as_slice(),
        &arguments.pairs,
    ) {
        (Some(file), [], None) => {
            let content = fs_err::read(file)?;
            let lines = lines(&content).into_iter();
            Ok(lines.map(|line| line.map(text)).collect())
        }
        (None, images @ [_, ..], None) => Ok(images.iter().map(image).map(Ok).collect()),
        (None, [], Some(file)) => pairs(file),
        _ => Err(Failure::Usage(
            "give one of `--text-file`, `--image-file` and `--pairs`".to_owned(),
        )),
    }
}

/// The lines of a file of pairs.
fn pairs(file: &Path) -> Result<Vec<Result<Pair, String>>, Failure> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let content = fs_err::read(file)?;
    let pair = |(index, line): (usize, Result<&str, String>)| {
        let line = match line {
            Ok(line) => line,
            Err(error) => return Ok(Err(error)),
        };
        let wrong = |words: &str| Failure::Usage(format!("{}: {words}", line_of(file, index + 1)));
        let mut pair: Pair =
            serde_json::from_str(line).map_err(|error| wrong(&error.to_string()))?;
        if pair.text.is_none() && pair.image.is_none() {
            return Err(wrong("it has neither `text` nor `image`"));
        }
        pair.image = pair.image.map(|image| folder.join(image));
        Ok(Ok(pair))
    };
    lines(&content).into_iter().enumerate().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use safetensors::SafeTensors;

    use super::*;
    use crate::cli::encoders::embed;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        embed: Embed,
    }

    /// The rows of what `embed` writes, each by its bytes.
    fn embedded(folder: &Path, words: &[&str]) -> Result<Vec<Vec<u8>>, String> {
        let model = "tests/fixtures/visual/base";
        let out = folder.join("out.safetensors");
        let start = ["embed", "--model", model, "--out", out.to_str().unwrap()];
        let line = Line::try_parse_from([&start, words].concat()).unwrap();
        let settings = WeightsSettings {
            offline: true,
            hf_home: folder.to_owned(),
            hf_endpoint: encoders::weights::HF_ENDPOINT.to_owned(),
            hf_token: None,
            cache_dir: folder.to_owned(),
        };
        let report =
            embed::run(&line.embed, &settings, true).map_err(|failure| failure.to_string())?;
        report.failed.map_or(Ok(()), Err)?;
        let bytes = fs_err::read(&out).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let rows = file.tensor("embeddings").unwrap();
        assert_eq!(rows.shape()[1], 18);
        Ok(rows
            .data()
            .chunks_exact(18 * 4)
            .map(<[u8]>::to_vec)
            .collect())
    }

    #[test]
    fn texts_images_and_pairs_lie_in_one_space() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = Path::new("tests/fixtures/timm");
        for name in ["wide.png", "tall.png"] {
            fs_err::copy(pictures.join(name), folder.path().join(name)).unwrap();
        }
        let put = |name: &str, content: &str| {
            let path = folder.path().join(name);
            fs_err::write(&path, content).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let file = put(
            "pairs.jsonl",
            "{\"text\": \"the red dog\", \"image\": \"wide.png\"}\n{\"image\": \"tall.png\"}\n\
             {\"text\": \"a cat\"}\n",
        );
        let pairs = embedded(folder.path(), &["--pairs", &file]).unwrap();
        let file = put("texts.txt", "a cat\n");
        let texts = embedded(folder.path(), &["--text-file", &file]).unwrap();
        let image = folder.path().join("tall.png");
        let images = embedded(folder.path(), &["--image-file", image.to_str().unwrap()]).unwrap();
        assert_eq!(pairs.len(), 3);
        assert_eq!(pairs[1..], [images, texts].concat());
        assert_ne!(pairs[0], pairs[1]);

        let file = put(
            "pairs.jsonl",
            "{\"text\": \"a\", \"image\": \"none.png\"}\n",
        );
        let error = embedded(folder.path(), &["--pairs", &file]).unwrap_err();
        assert!(error.contains("none.png`: cannot read"), "{error}");
        let error = embedded(folder.path(), &[]).unwrap_err();
        assert!(error.contains("give one of"), "{error}");
    }

    fn read(text: &str) -> Result<Vec<Pair>, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pairs.jsonl");
        fs_err::write(&file, text).unwrap();
        let pairs = pairs(&file).map_err(|failure| failure.to_string())?;
        pairs.into_iter().collect()
    }

    #[test]
    fn pairs_have_a_text_an_image_or_both() {
        let pairs = read(
            "{\"text\": \"a cat\", \"image\": \"b/c.png\"}\n{\"text\": \"\"}\n\
             {\"image\": \"/d.png\", \"text\": null}\n",
        )
        .unwrap();
        assert_eq!(pairs.len(), 3);
        assert!(pairs[0].image.as_ref().unwrap().ends_with("b/c.png"));
        assert_eq!(pairs[1].text.as_deref(), Some(""));
        assert_eq!(pairs[2].image.as_deref(), Some(Path::new("/d.png")));
        for (text, words) in [
            (
                "{\"text\": \"a\"}\n{\"txt\": \"b\"}",
                "line 2: unknown field `txt`",
            ),
            ("{\"text\": null}", "neither `text` nor `image`"),
            ("{\"text\": 3}", "line 1: invalid type"),
            ("a cat", "line 1: expected value"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
