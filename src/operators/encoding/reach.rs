//! Which records have a result of an encoding, which can get one from what is kept, and why the
//! others cannot.

use std::collections::{HashMap, HashSet};

use super::{
    super::{
        embed::{Contents, Input, images_of},
        fetch_images::{place, places_of},
        filter,
    },
    Encoding, Work, filters_above,
};
use crate::{
    clock::Timestamp,
    corpus::{ContentHash, Record},
    dag::Graph,
    engine::TaskError,
    operators::Environment,
    store::{PlaceState, Store},
};

/// How a record stands with a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It has it.
    Has,
    /// It can be computed from what is kept.
    Can,
    /// It cannot; a code that says why.
    Lacks(&'static str),
}

impl Encoding {
    /// How each of these records stands with it, by record id.
    ///
    /// # Errors
    ///
    /// Where the store fails.
    pub(crate) async fn reach(
        &self,
        environment: &Environment,
        records: &[Record],
    ) -> Result<HashMap<String, Reach>, TaskError> {
        let images = Images::of(environment, records).await?;
        let store = &environment.store;
        let (contents, input, done) = match &self.work {
            Work::Embed(output) => {
                let contents = Contents::of(environment, output, records).await?;
                let distinct: Vec<ContentHash> = contents.distinct.into_keys().collect();
                let done = store.embedded(output.fingerprint, &distinct).await?;
                (contents.by_record, output.input, done)
            }
            Work::Caption(output, _) | Work::Write(output, _) => {
                let distinct = images.distinct();
                let done = store.captions(output.fingerprint, &distinct).await?;
                let done: HashSet<ContentHash> = done.into_keys().collect();
                (images.by_record.clone(), Input::Image, done)
            }
        };
        let reach = |record: &Record| {
            let contents = contents.get(&record.id).map_or(&[][..], Vec::as_slice);
            if contents.iter().any(|content| done.contains(content)) {
                return Reach::Has;
            }
            match input {
                Input::Title if contents.is_empty() => Reach::Lacks("no_title"),
                Input::Title => Reach::Can,
                // What was written of an image needs it no more.
                Input::Caption if !contents.is_empty() => Reach::Can,
                Input::Caption | Input::Image | Input::Visual => images.reach(environment, record),
            }
        };
        Ok(records
            .iter()
            .map(|record| (record.id.clone(), reach(record)))
            .collect())
    }
}

/// What became of the images of records.
struct Images {
    /// The stored ones, by record id.
    by_record: HashMap<String, Vec<ContentHash>>,
    places: HashMap<String, PlaceState>,
}

impl Images {
    async fn of(environment: &Environment, records: &[Record]) -> Result<Self, TaskError> {
        Ok(Self {
            by_record: images_of(environment, records).await?,
            places: environment.store.media_places(&places_of(records)).await?,
        })
    }

    fn distinct(&self) -> Vec<ContentHash> {
        let distinct: HashSet<ContentHash> = self.by_record.values().flatten().copied().collect();
        distinct.into_iter().collect()
    }

    /// Whether there is a file that an encoder can read.
    fn reach(&self, environment: &Environment, record: &Record) -> Reach {
        if record.media.is_empty() {
            return Reach::Lacks("no_image");
        }
        if let Some(stored) = self.by_record.get(&record.id) {
            let is_there = |content| environment.media.find(content).is_some();
            return if stored.iter().any(is_there) {
                Reach::Can
            } else {
                Reach::Lacks("image_removed")
            };
        }
        let states = record.media.iter().map(|at| self.places.get(&place(at)));
        states.fold(
            Reach::Lacks("image_not_fetched"),
            |found, state| match state {
                Some(PlaceState::Refused(_)) => Reach::Lacks("image_refused"),
                Some(PlaceState::Unavailable { .. }) => Reach::Lacks("image_unavailable"),
                Some(PlaceState::Stored(_)) | None => found,
            },
        )
    }
}

/// Which of these records have a stored image.
///
/// # Errors
///
/// Where the store fails.
pub(crate) async fn with_images(
    environment: &Environment,
    records: &[Record],
) -> Result<HashSet<String>, TaskError> {
    Ok(images_of(environment, records).await?.into_keys().collect())
}

/// The records of a data set that are known at `as_of` and reach the task at `position`, in the
/// order of creation time and id.
///
/// # Errors
///
/// Where the store fails or a filter cannot decide.
pub(crate) async fn records_at(
    graph: &Graph,
    position: usize,
    store: &Store,
    dataset: &str,
    as_of: Timestamp,
) -> Result<Vec<Record>, TaskError> {
    filter::kept(store, dataset, as_of, &filters_above(graph, position)).await
}
