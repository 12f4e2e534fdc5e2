//! The features of a pipeline, one after the other, over its records.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    raw::{Bodies, RawField},
    span::FeatureSpan,
};
use crate::{
    app::{App, Error, Prepared, RunRequest, encoding},
    clock::Timestamp,
    config::duration,
    corpus::{Observation, Record},
    dag::Graph,
    operators::{Encoding, Reach, records_at, with_images},
    store::{EncodedKind, Horizon},
};

/// What of a pipeline's features can be computed, and since when.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeatureCheck {
    /// The pipeline.
    pub pipeline: String,
    /// The profile; none where the pipeline has none.
    pub profile: Option<String>,
    /// The source whose records are meant.
    pub source: Option<String>,
    /// The data set of these records.
    pub dataset: Option<String>,
    /// How many records reach the matrix, or are there where the pipeline makes none.
    pub records: u64,
    /// When the oldest of them was published.
    pub oldest: Option<Timestamp>,
    /// When the newest of them was published.
    pub newest: Option<Timestamp>,
    /// What the matrix is made of, and what else is known of the records.
    pub features: Vec<FeatureSpan>,
    /// What was stored of their JSON before this moment was removed, because it had had its time.
    pub raw_removed_before: Option<Timestamp>,
    /// The fields of their JSON from which others can be made.
    pub raw_fields: Vec<RawField>,
}

impl App {
    /// Of which records that a run would select now each feature can be computed, and since when.
    /// Of the JSON that is kept the outermost fields are counted, or those in `fields` where it
    /// names any: names, or places as JSON pointers.
    ///
    /// # Errors
    ///
    /// Where the request is wrong or the store fails.
    pub async fn check_features(
        &self,
        request: &RunRequest,
        fields: &[String],
    ) -> Result<FeatureCheck, Error> {
        let prepared = self.prepare(request).await?;
        let graph = &prepared.compiled.graph;
        let dataset = encoding::dataset_of(&prepared)?;
        let merge = position_of(graph, "merge");
        // A run that is made today stands for a moment that may be to come.
        let as_of = self.clock().now().max(prepared.as_of);
        let records = match (&dataset, merge) {
            (Some(dataset), Some(merge)) => {
                records_at(graph, merge, self.store(), dataset, as_of).await?
            }
            (Some(dataset), None) => self.store().records(dataset, as_of).await?,
            (None, _) => Vec::new(),
        };
        let known = Known {
            app: self,
            dataset: dataset.as_deref().unwrap_or_default(),
            as_of,
            records: &records,
        };
        let mut features = known.encoded(&prepared, merge).await?;
        if let Some(merge) = merge {
            features.extend(known.metadata(&graph.nodes()[merge].settings).await?);
            features.extend(known.target(graph, merge).await?);
        }
        features.extend(known.readings().await?);
        features.extend(known.people().await?);
        let (raw, raw_fields) = known.raw(fields).await?;
        features.push(raw);
        let times = || records.iter().filter_map(|record| record.created_at);
        Ok(FeatureCheck {
            pipeline: prepared.compiled.pipeline.clone(),
            profile: prepared.compiled.profile.clone(),
            source: encoding::source_of(&prepared),
            raw_removed_before: self.store().raw_dropped(known.dataset).await?,
            dataset,
            records: records.len() as u64,
            oldest: times().min(),
            newest: times().max(),
            features,
            raw_fields,
        })
    }
}

/// The records, and who knows more of them.
struct Known<'a> {
    app: &'a App,
    dataset: &'a str,
    as_of: Timestamp,
    /// In the order of their publication.
    records: &'a [Record],
}

impl Known<'_> {
    /// The blocks of the matrix, and the captions; without a matrix, all that is encoded.
    async fn encoded(
        &self,
        prepared: &Prepared,
        merge: Option<usize>,
    ) -> Result<Vec<FeatureSpan>, Error> {
        let graph = &prepared.compiled.graph;
        let environment = self.app.environment();
        let encodings = Encoding::all_of(graph, &environment)?;
        let mut names: BTreeMap<String, String> = merge
            .map(|merge| texts(&graph.nodes()[merge].settings, "blocks"))
            .unwrap_or_default()
            .into_iter()
            .map(|(block, task)| (task, block))
            .collect();
        let mut spans = Vec::new();
        for encoding in &encodings {
            let kind = match encoding.makes {
                EncodedKind::Vectors => "vectors",
                EncodedKind::Captions => "captions",
            };
            let name = names.remove(&encoding.task);
            let name = name.as_ref().unwrap_or(&encoding.task);
            let reach = encoding.reach(&environment, self.records).await?;
            let span = FeatureSpan::over(self.records, (kind, name), |record| reach[&record.id]);
            spans.push(span.of(&encoding.encoder));
        }
        for block in names.into_values() {
            spans.push(FeatureSpan::over(self.records, ("vectors", &block), |_| {
                Reach::Lacks("no_encoder")
            }));
        }
        Ok(spans)
    }

    /// The numbers and the categories.
    async fn metadata(&self, merge: &Map<String, Value>) -> Result<Vec<FeatureSpan>, Error> {
        let images = with_images(&self.app.environment(), self.records).await?;
        let mut spans = Vec::new();
        for (kind, list) in [("number", "numbers"), ("category", "categories")] {
            let names = merge.get(list).and_then(Value::as_array);
            for name in names.into_iter().flatten().filter_map(Value::as_str) {
                spans.push(FeatureSpan::over(self.records, (kind, name), |record| {
                    told(record, name, &images)
                }));
            }
        }
        Ok(spans)
    }

    /// The label: a reading at the horizon.
    async fn target(&self, graph: &Graph, merge: usize) -> Result<Option<FeatureSpan>, Error> {
        let above = graph.ancestors(merge);
        let mut above = above.iter().map(|&at| &graph.nodes()[at]);
        let Some(refresh) = above.find(|node| node.op == "refresh") else {
            return Ok(None);
        };
        let time = |name: &str| -> Option<Duration> {
            duration::parse(refresh.settings.get(name)?.as_str()?)
        };
        let (Some(age), Some(tolerance)) = (time("horizon"), time("tolerance")) else {
            return Ok(None);
        };
        let horizon = Horizon { age, tolerance };
        let ids: Vec<&str> = self
            .records
            .iter()
            .map(|record| record.id.as_str())
            .collect();
        let labels = self
            .app
            .store()
            .labels(self.dataset, &ids, self.as_of, horizon)
            .await?;
        let kept_out = self.app.store().kept_out(self.dataset).await?;
        let span = FeatureSpan::over(self.records, ("target", "label"), |record| {
            if kept_out.contains(&record.id) {
                Reach::Lacks("kept_out")
            } else if labels.contains_key(&record.id) {
                Reach::Has
            } else {
                Reach::Lacks("no_reading_at_horizon")
            }
        });
        Ok(Some(span.of(format!("reading at {}", duration::show(age)))))
    }

    /// The score and the other numbers that are read again and again.
    async fn readings(&self) -> Result<Vec<FeatureSpan>, Error> {
        let readings = self.app.store().last_readings(self.dataset).await?;
        let mut names: Vec<&str> = readings
            .values()
            .flat_map(|reading| reading.values.keys())
            .map(String::as_str)
            .collect::<HashSet<_>>()
            .into_iter()
            .collect();
        names.sort_unstable();
        let over = |name: &str, has: &dyn Fn(&Observation) -> bool| {
            FeatureSpan::over(self.records, ("reading", name), |record| {
                match readings.get(&record.id) {
                    Some(reading) if has(reading) => Reach::Has,
                    Some(_) => Reach::Lacks("not_told"),
                    None => Reach::Lacks("no_reading"),
                }
            })
        };
        let mut spans = vec![over("score", &|reading| reading.score.is_some())];
        spans.extend(
            names
                .into_iter()
                .map(|name| over(name, &|reading| reading.values.contains_key(name))),
        );
        Ok(spans)
    }

    /// What is known of authors and communities.
    async fn people(&self) -> Result<[FeatureSpan; 2], Error> {
        let store = self.app.store();
        let authors = store.authors_read(self.dataset).await?;
        let communities = store.communities_read(self.dataset).await?;
        let over = |name: &str,
                    first: &HashMap<String, Timestamp>,
                    of: &dyn Fn(&Record) -> Option<String>| {
            FeatureSpan::over(self.records, ("people", name), |record| match of(record) {
                Some(id) if first.contains_key(&id) => Reach::Has,
                Some(_) => Reach::Lacks("not_read"),
                None => Reach::Lacks("not_told"),
            })
            .first_at(first.values().min().copied())
        };
        let account = |record: &Record| {
            let account = record.fields.get("author_fullname")?;
            account.as_str().map(str::to_owned)
        };
        let community = |record: &Record| record.community.as_ref().map(|name| name.to_lowercase());
        Ok([
            over("authors", &authors, &account),
            over("communities", &communities, &community),
        ])
    }

    /// The JSON as it came, and its fields.
    async fn raw(&self, fields: &[String]) -> Result<(FeatureSpan, Vec<RawField>), Error> {
        let meant: HashSet<&str> = self
            .records
            .iter()
            .map(|record| record.id.as_str())
            .collect();
        let store = self.app.store();
        let bodies = Bodies::read(store, self.dataset, fields, |id| meant.contains(id)).await?;
        let span = FeatureSpan::over(self.records, ("raw", "JSON"), |record| {
            if bodies.received.contains_key(&record.id) {
                Reach::Has
            } else {
                Reach::Lacks("not_kept")
            }
        });
        let first = bodies.received.values().min().copied();
        Ok((span.first_at(first), bodies.fields))
    }
}

/// Whether a record tells what a number or a category is made of.
fn told(record: &Record, name: &str, images: &HashSet<String>) -> Reach {
    let is_told = match name {
        "hour" | "weekday" | "community_history" => record.created_at.is_some(),
        "title_length" | "title_style" | "title_shape" => record.title.is_some(),
        "queue" => record.created_at.is_some() && record.community.is_some(),
        "author_history" => record.created_at.is_some() && record.author.is_some(),
        "media_count" => true,
        "image_shape" | "image_look" => images.contains(&record.id),
        "repost" => record.created_at.is_some() && images.contains(&record.id),
        // Of two vectors, which are told of by themselves.
        similarity if similarity.starts_with("similarity.") => true,
        "community" => record.community.is_some(),
        "author" => record.author.is_some(),
        other => {
            let field = other.strip_prefix("fields.").unwrap_or(other);
            record
                .fields
                .get(field)
                .is_some_and(|value| !value.is_null())
        }
    };
    match (is_told, name) {
        (true, _) => Reach::Has,
        (false, "image_shape" | "image_look" | "repost") => Reach::Lacks("no_stored_image"),
        (false, _) => Reach::Lacks("not_told"),
    }
}

/// Where the first task with this operator is.
fn position_of(graph: &Graph, op: &str) -> Option<usize> {
    graph
        .order()
        .iter()
        .copied()
        .find(|&at| graph.nodes()[at].op == op)
}

/// An object of texts in settings.
fn texts(settings: &Map<String, Value>, name: &str) -> BTreeMap<String, String> {
    let object = settings.get(name).and_then(Value::as_object);
    let texts = object.into_iter().flatten();
    texts
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}
