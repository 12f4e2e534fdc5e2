//! A record made of what people type.

use serde_json::Value;

use crate::{
    app::Error,
    corpus::{MediaLocation, Record},
};

/// One record made of what people type: `--text`, `--image`, `--set K=V`.
///
/// # Errors
///
/// Where a value does not fit its field.
pub fn record_from_words(
    text: Option<&str>,
    images: &[std::path::PathBuf],
    values: &[(String, Value)],
) -> Result<Record, Error> {
    if let Some(missing) = images.iter().find(|image| !image.is_file()) {
        return Err(Error::wrong(
            format!("there is no image `{}`", missing.display()),
            None,
        ));
    }
    let mut record = Record {
        id: "1".to_owned(),
        community: None,
        author: None,
        title: text.map(str::to_owned),
        created_at: None,
        media: images.iter().cloned().map(MediaLocation::File).collect(),
        fields: serde_json::Map::new(),
    };
    for (name, value) in values {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        match name.as_str() {
            "id" => record.id = text,
            "title" => record.title = Some(text),
            "community" => record.community = Some(text),
            "author" => record.author = Some(text),
            "created_at" => {
                let time = text
                    .parse()
                    .map_err(|error: crate::clock::ParseTimestampError| {
                        Error::wrong(error.to_string(), None)
                    })?;
                record.created_at = Some(time);
            }
            _ => {
                record.fields.insert(name.clone(), value.clone());
            }
        }
    }
    Ok(record)
}
