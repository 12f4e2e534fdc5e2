//! What of records is embedded.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    super::{
        Environment,
        caption::CaptionOutput,
        fetch_images::{place, places_of},
    },
    EmbedOutput, Input,
};
use crate::{
    corpus::{ContentHash, Record},
    engine::TaskError,
    store::{PlaceState, StoredCaption},
};

/// One content, and what stands behind its hash.
pub(crate) type Content = (ContentHash, What);

/// What stands behind the hash of a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The image of this hash.
    Image,
    /// A text.
    Text(String),
    /// The image of the hash here, with its caption, which may be empty.
    Pair(ContentHash, String),
}

impl What {
    /// An image with its caption, which may be empty, and their hash.
    pub(in crate::operators) fn pair(image: ContentHash, caption: &str) -> Content {
        (image.with(caption), Self::Pair(image, caption.to_owned()))
    }

    /// Its text; empty where it has none.
    pub(in crate::operators) fn text(&self) -> &str {
        match self {
            Self::Image => "",
            Self::Text(text) | Self::Pair(_, text) => text,
        }
    }

    /// The image that is seen where `content` is embedded.
    pub(in crate::operators) const fn image(&self, content: ContentHash) -> ContentHash {
        match self {
            Self::Pair(image, _) => *image,
            Self::Image | Self::Text(_) => content,
        }
    }
}

/// The contents of records under an input.
#[derive(Debug, Default)]
pub(in crate::operators) struct Contents {
    /// Each content once.
    pub(in crate::operators) distinct: BTreeMap<ContentHash, What>,
    /// The contents of each record that has one, in the author's order.
    pub(in crate::operators) by_record: HashMap<String, Vec<ContentHash>>,
}

impl Contents {
    /// The contents of `records` that `output` embeds.
    pub(in crate::operators) async fn of(
        environment: &Environment,
        output: &EmbedOutput,
        records: &[Record],
    ) -> Result<Self, TaskError> {
        let mut contents = Self::default();
        match (&output.captioner, output.input) {
            (_, Input::Title) => {
                for record in records {
                    if let Some(title) = record.title.as_deref().filter(|title| !title.is_empty()) {
                        let text = What::Text(title.to_owned());
                        contents.add(&record.id, ContentHash::of(title), text);
                    }
                }
            }
            (captioner, Input::Visual) => {
                let images = images_of(environment, records).await?;
                let captions = match captioner {
                    Some(captioner) => captions_of(environment, captioner, &images).await?,
                    None => HashMap::new(),
                };
                for record in records {
                    for image in images.get(&record.id).into_iter().flatten() {
                        // An image that has no caption is embedded alone.
                        let caption = captions.get(image).map_or("", |found| &found.caption);
                        let (content, pair) = What::pair(*image, caption);
                        contents.add(&record.id, content, pair);
                    }
                }
            }
            (Some(captioner), _) => {
                let images = images_of(environment, records).await?;
                let captions = captions_of(environment, captioner, &images).await?;
                for record in records {
                    for image in images.get(&record.id).into_iter().flatten() {
                        if let Some(caption) = captions.get(image) {
                            let text = &caption.caption;
                            let content = ContentHash::of(text);
                            contents.add(&record.id, content, What::Text(text.clone()));
                        }
                    }
                }
            }
            (None, _) => {
                for (id, images) in images_of(environment, records).await? {
                    for image in images {
                        contents.add(&id, image, What::Image);
                    }
                }
            }
        }
        Ok(contents)
    }

    /// Takes the contents of other records in.
    pub(in crate::operators) fn extend(&mut self, others: Self) {
        self.distinct.extend(others.distinct);
        self.by_record.extend(others.by_record);
    }

    fn add(&mut self, id: &str, content: ContentHash, what: What) {
        self.distinct.insert(content, what);
        self.by_record
            .entry(id.to_owned())
            .or_default()
            .push(content);
    }
}

/// What a captioner wrote about images.
async fn captions_of(
    environment: &Environment,
    captioner: &CaptionOutput,
    images: &HashMap<String, Vec<ContentHash>>,
) -> Result<HashMap<ContentHash, StoredCaption>, TaskError> {
    let distinct: HashSet<ContentHash> = images.values().flatten().copied().collect();
    let distinct: Vec<ContentHash> = distinct.into_iter().collect();
    let store = &environment.store;
    Ok(store.captions(captioner.fingerprint, &distinct).await?)
}

/// The stored images of each record that has one, in the author's order.
pub(in crate::operators) async fn images_of(
    environment: &Environment,
    records: &[Record],
) -> Result<HashMap<String, Vec<ContentHash>>, TaskError> {
    let known = environment.store.media_places(&places_of(records)).await?;
    let mut images: HashMap<String, Vec<ContentHash>> = HashMap::new();
    for record in records {
        for location in &record.media {
            if let Some(PlaceState::Stored(info)) = known.get(&place(location)) {
                images
                    .entry(record.id.clone())
                    .or_default()
                    .push(info.content);
            }
        }
    }
    Ok(images)
}
