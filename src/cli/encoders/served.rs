//! `caption --model openai`: captions from the server of the settings.

use std::{path::Path, sync::Arc};

use futures::{StreamExt as _, stream};
use serde::Serialize;

use super::{Caption, Failure, Report};
use crate::encoders::openai::{Client, Defaults, Refusal, ServedCaption};

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    caption: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(super) async fn caption(arguments: &Caption, defaults: &Defaults) -> Result<Report, Failure> {
    if arguments.beams.is_some() {
        return Err(Failure::Usage(
            "`--beams` is for captioners in a folder; a server searches in its own way".to_owned(),
        ));
    }
    let question = defaults.question(None, arguments.prompt.clone(), arguments.max_tokens)?;
    let client = Client::new(defaults.server()?, question, &defaults.manners, None)?;
    let client = Arc::new(client);
    let answers: Vec<(&Path, Result<ServedCaption, Refusal>)> = stream::iter(&arguments.image_file)
        .map(|file| {
            let client = Arc::clone(&client);
            async move {
                let answer = match fs_err::tokio::read(file).await {
                    Ok(bytes) => client.caption(bytes).await,
                    Err(error) => Err(Refusal::Image {
                        reason: "missing_file".to_owned(),
                        message: error.to_string(),
                    }),
                };
                (file.as_path(), answer)
            }
        })
        .buffered(defaults.manners.concurrency.saturating_add(2))
        .collect()
        .await;
    let mut report = Report::default();
    let (mut broken, images) = (0, answers.len());
    let mut fault = None;
    for (file, answer) in answers {
        let mut line = Line {
            file,
            caption: None,
            error: None,
            reason: None,
        };
        match answer {
            Ok(caption) => line.caption = Some(caption.text),
            Err(refusal) => {
                broken += 1;
                line.error = Some(refusal.to_string());
                match refusal {
                    Refusal::Image { reason, .. } => line.reason = Some(reason),
                    Refusal::Server(found) => fault = Some(found),
                    Refusal::Budget => {}
                }
            }
        }
        let line = serde_json::to_string(&line).expect("plain data has a JSON form");
        report.lines.push(line);
    }
    if broken > 0 {
        let cause = fault.map_or_else(String::new, |fault| format!(": {fault}"));
        report.failed = Some(format!(
            "{broken} of {images} images have no caption{cause}"
        ));
    }
    Ok(report)
}
