//! `caption`: images → words, as JSON lines.

use std::path::PathBuf;

use serde::Serialize;

use super::{Caption, Failure, Report, commands::source};
use crate::encoders::{
    self, CaptionOptions, ImageError, ImageInput, Kind, Precision, Tag, WeightsSettings,
    weights::catalogue,
};

/// One line of `encoders caption`.
#[derive(Default, Serialize)]
struct Captioned<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    caption: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_ids: Option<Vec<u32>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Tag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A tagger names classes; other captioners, and those in directories, write sentences.
pub(super) fn run(arguments: &Caption, settings: &WeightsSettings) -> Result<Report, Failure> {
    let inputs: Vec<ImageInput<'_>> = arguments
        .image_file
        .iter()
        .map(|path| ImageInput::File(path))
        .collect();
    let named = catalogue::find(&arguments.model);
    if named.is_some_and(|entry| entry.kind != Kind::Captioner) {
        tags(arguments, &inputs, settings)
    } else {
        sentences(arguments, &inputs, settings)
    }
}

fn sentences(
    arguments: &Caption,
    inputs: &[ImageInput<'_>],
    settings: &WeightsSettings,
) -> Result<Report, Failure> {
    let device = arguments.device.or_precision(Precision::F32);
    let captioner = encoders::load_captioner(&arguments.model, &device, settings)?;
    let options = CaptionOptions {
        prompt: arguments.prompt.clone(),
        max_tokens: arguments.max_tokens,
        beams: arguments.beams,
    };
    captioner.check(&options)?;
    let found = captioner.caption(inputs, &options);
    Ok(report(&arguments.image_file, found, |file, found| {
        Captioned {
            file,
            caption: Some(found.text),
            token_ids: Some(found.token_ids),
            ..Captioned::default()
        }
    }))
}

fn tags(
    arguments: &Caption,
    inputs: &[ImageInput<'_>],
    settings: &WeightsSettings,
) -> Result<Report, Failure> {
    for (flag, given) in [
        ("--prompt", arguments.prompt.is_some()),
        ("--max-tokens", arguments.max_tokens.is_some()),
        ("--beams", arguments.beams.is_some()),
    ] {
        if given {
            return Err(Failure::Usage(format!(
                "`{flag}` is for captioners that write sentences; `{}` names classes",
                arguments.model
            )));
        }
    }
    let tagger = encoders::load_tagger(&arguments.model, settings)?;
    let encoder = catalogue::find(&arguments.model).map_or("", |entry| source(entry).name.as_str());
    let encoder = encoders::load_image(encoder, &arguments.device, settings)?;
    let found = encoder.embed(inputs);
    Ok(report(&arguments.image_file, found, |file, vector| {
        let caption = tagger.caption(&vector);
        Captioned {
            file,
            caption: Some(caption.text),
            tags: caption.tags,
            ..Captioned::default()
        }
    }))
}

/// One line for each file, and how many have no caption.
fn report<T>(
    files: &[PathBuf],
    found: Vec<Result<T, ImageError>>,
    line: impl for<'a> Fn(&'a str, T) -> Captioned<'a>,
) -> Report {
    let mut report = Report::default();
    let mut broken = 0;
    for (file, found) in files.iter().zip(found) {
        let name = file.to_string_lossy();
        let line = match found {
            Ok(found) => line(&name, found),
            Err(error) => {
                broken += 1;
                Captioned {
                    file: &name,
                    error: Some(error.to_string()),
                    ..Captioned::default()
                }
            }
        };
        report
            .lines
            .push(serde_json::to_string(&line).expect("plain data has a JSON form"));
    }
    if broken > 0 {
        report.failed = Some(format!(
            "{broken} of {} images have no caption",
            files.len()
        ));
    }
    report
}
