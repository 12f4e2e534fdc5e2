//! The posts that are most like a record.

use std::collections::HashMap;

use super::Predictor;
use crate::{
    app::Error,
    corpus::{ContentHash, MediaLocation, Record},
    operators::{mean_vector, place, places_of},
    registry::BlockEncoder,
    server::Neighbour,
    store::PlaceState,
};

/// The most posts that are looked among, the newest of those that the version knows.
const MOST: usize = 50_000;
/// How many vectors are read from the store at once.
const AT_ONCE: usize = 500;

/// The posts that a version learned from or was tested on, and that are in the store with a vector.
#[derive(Debug)]
pub(super) struct Posts {
    /// The block whose vectors are compared, by its place in the schema.
    block: usize,
    /// Their ids and targets.
    known: Vec<(String, f64)>,
    /// Their vectors of length 1, one after the other.
    vectors: Vec<f32>,
}

impl Posts {
    /// The `count` posts most like a vector, by their cosine with it; the most alike first.
    fn like(&self, vector: &[f32], count: usize) -> Vec<(&str, f64, f64)> {
        let Some(unit) = unit(vector.to_vec()) else {
            return Vec::new();
        };
        let cosine = |known: &[f32]| -> f64 {
            let products = known.iter().zip(&unit).map(|(a, b)| a * b);
            f64::from(products.sum::<f32>()).clamp(-1.0, 1.0)
        };
        let known = self.vectors.chunks(vector.len());
        let mut all: Vec<(f64, usize)> = known.map(cosine).zip(0..).collect();
        let first = |a: &(f64, usize), b: &(f64, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if all.len() > count {
            all.select_nth_unstable_by(count, first);
            all.truncate(count);
        }
        all.sort_unstable_by(first);
        let post = |(cosine, at): (f64, usize)| {
            let (id, target) = &self.known[at];
            (id.as_str(), *target, cosine)
        };
        all.into_iter().map(post).collect()
    }
}

/// A vector made as long as 1; none where it has no direction.
fn unit(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if !length.is_normal() {
        return None;
    }
    for value in &mut vector {
        *value /= length;
    }
    Some(vector)
}

impl Predictor {
    /// The posts most like each row, by the vectors of one of the blocks; `columns` has those of
    /// every block. The posts of the version are read when somebody first asks.
    ///
    /// # Errors
    ///
    /// Where the model has neither titles nor images, or the store fails.
    pub(super) async fn nearest_of(
        &mut self,
        columns: &[Vec<Option<Vec<f32>>>],
        count: usize,
    ) -> Result<Vec<Vec<Neighbour>>, Error> {
        let posts = match self.posts.take() {
            Some(posts) => posts,
            None => self.read_posts().await?,
        };
        let nearest = self.nearest(&posts, &columns[posts.block], count).await;
        self.posts = Some(posts);
        nearest
    }

    /// Whether posts can be alike to it: whether it has vectors of titles or images.
    pub fn has_vectors(&self) -> bool {
        self.compared().is_some()
    }

    /// The encoder by whose vectors posts are compared: of titles, else of images.
    fn compared(&self) -> Option<&BlockEncoder> {
        let encoders = &self.version.manifest.encoders;
        let of = |input: &str| encoders.iter().find(|encoder| encoder.input == input);
        of("title").or_else(|| of("image"))
    }

    async fn read_posts(&self) -> Result<Posts, Error> {
        let encoder = self.compared().ok_or_else(|| {
            Error::wrong(
                "the model has no vectors of titles or images, by which posts could be alike",
                "ask without `nearest`".to_owned(),
            )
        })?;
        let schema = &self.schema.blocks;
        let block = schema.iter().position(|block| block.name == encoder.block);
        let block = block
            .ok_or_else(|| Error::Failed(format!("the schema has no block `{}`", encoder.block)))?;
        let rows = self.version.evaluated_rows()?;
        // They are in the order of their publication.
        let rows = &rows[rows.len().saturating_sub(MOST)..];
        let mut found = Posts {
            block,
            known: Vec::with_capacity(rows.len()),
            vectors: Vec::new(),
        };
        let dataset = &self.version.manifest.dataset;
        for rows in rows.chunks(AT_ONCE) {
            let targets: HashMap<&str, f64> = rows
                .iter()
                .map(|row| (row.id.as_str(), row.target))
                .collect();
            let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
            let records = self.environment.store.records_by_id(dataset, &ids).await?;
            let vectors = self.stored_vectors(encoder, &records).await?;
            for (record, vector) in records.iter().zip(vectors) {
                if let Some(vector) = vector.and_then(unit) {
                    found.vectors.extend(vector);
                    let target = targets[record.id.as_str()];
                    found.known.push((record.id.clone(), target));
                }
            }
        }
        Ok(found)
    }

    /// The vectors of these records that the store has.
    async fn stored_vectors(
        &self,
        encoder: &BlockEncoder,
        records: &[Record],
    ) -> Result<Vec<Option<Vec<f32>>>, Error> {
        let store = &self.environment.store;
        let contents: Vec<Vec<ContentHash>> = if encoder.input == "title" {
            let of = |record: &Record| record.title.iter().map(ContentHash::of).collect();
            records.iter().map(of).collect()
        } else {
            let places = store.media_places(&places_of(records)).await?;
            let stored = |location: &MediaLocation| match places.get(&place(location)) {
                Some(PlaceState::Stored(info)) => Some(info.content),
                _ => None,
            };
            let of = |record: &Record| record.media.iter().filter_map(&stored).collect();
            records.iter().map(of).collect()
        };
        let all: Vec<ContentHash> = contents.iter().flatten().copied().collect();
        let vectors = store.embeddings(encoder.fingerprint, &all).await?;
        Ok(contents
            .iter()
            .map(|contents| mean_vector(&vectors, contents))
            .collect())
    }

    /// The posts most like each of these vectors.
    async fn nearest(
        &self,
        posts: &Posts,
        vectors: &[Option<Vec<f32>>],
        count: usize,
    ) -> Result<Vec<Vec<Neighbour>>, Error> {
        let like: Vec<Vec<(&str, f64, f64)>> = vectors
            .iter()
            .map(|vector| {
                let vector = vector.as_deref();
                vector.map_or_else(Vec::new, |vector| posts.like(vector, count))
            })
            .collect();
        let mut ids: Vec<String> = like
            .iter()
            .flatten()
            .map(|post| post.0.to_owned())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let (store, dataset) = (&self.environment.store, &self.version.manifest.dataset);
        let records = store.records_by_id(dataset, &ids).await?;
        let scores = store.last_scores(dataset, &ids).await?;
        let records: HashMap<&str, &Record> = records
            .iter()
            .map(|record| (record.id.as_str(), record))
            .collect();
        let neighbour = |&(id, target, similarity): &(&str, f64, f64)| {
            // One that was purged since is no neighbour any more.
            let record = records.get(id)?;
            Some(Neighbour {
                id: id.to_owned(),
                title: record.title.clone(),
                target,
                score: scores.get(id).copied(),
                similarity,
            })
        };
        Ok(like
            .iter()
            .map(|posts| posts.iter().filter_map(neighbour).collect())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_points_the_same_way_is_nearest() {
        let posts = Posts {
            block: 0,
            known: vec![
                ("a".to_owned(), 1.0),
                ("b".to_owned(), 2.0),
                ("c".to_owned(), 3.0),
            ],
            vectors: [[1.0, 0.0], [3.0, 4.0], [0.0, -2.0]]
                .into_iter()
                .flat_map(|vector| unit(vector.to_vec()).unwrap())
                .collect(),
        };
        let near = posts.like(&[0.0, 9.0], 2);
        assert_eq!((near[0].0, near[0].1, near[1].0), ("b", 2.0, "a"));
        assert!((near[0].2 - 0.8).abs() < 1e-6, "{near:?}");
        assert_eq!(posts.like(&[0.0, 9.0], 9).len(), 3);
        assert!(posts.like(&[0.0, 0.0], 2).is_empty(), "it has no direction");
    }
}
