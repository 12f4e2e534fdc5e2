//! Which records a purge is about.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::{key::known, people::any};
use crate::store::{Error, Store};

/// Which records are to be purged: those with these ids, and those of an author or a community.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeWish {
    /// The data set; its [`family`] is meant.
    pub dataset: String,
    /// Ids, also of records that are not there: none of them shall come later.
    pub ids: Vec<String>,
    /// Everything by this author, in whatever case the name is written.
    pub author: Option<String>,
    /// Everything in this community, in whatever case it is written.
    pub community: Option<String>,
}

/// A record by its data set and id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey {
    /// The data set.
    pub dataset: String,
    /// The id within it.
    pub id: String,
}

/// How an id is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Acquaintance {
    /// It was purged, and is not here.
    PurgedBefore,
    /// A record of the family has it.
    Here,
}

/// Data sets in which one id is one record. A table and a simulated world count for themselves;
/// dumps and the live source tell of the same posts.
pub fn family(dataset: &str) -> &str {
    if dataset.starts_with("table:") || dataset.starts_with("sandbox") {
        dataset
    } else {
        "posts"
    }
}

impl Store {
    /// The records that a wish means, in all data sets of its family. Ids that are nowhere are
    /// among them, under the data set of the wish.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.purge.choose", skip_all)]
    pub async fn chosen(&self, wish: &PurgeWish) -> Result<Vec<RecordKey>, Error> {
        let mut chosen = self.found(wish).await?;
        let known: BTreeSet<&String> = chosen.iter().map(|key| &key.id).collect();
        let unknown = wish.ids.iter().filter(|id| !known.contains(id));
        let unknown = unknown.map(|id| RecordKey {
            dataset: wish.dataset.clone(),
            id: id.clone(),
        });
        let unknown: Vec<RecordKey> = unknown.collect();
        chosen.extend(unknown);
        Ok(chosen.into_iter().collect())
    }

    /// The records that a wish means and that are here.
    async fn found(&self, wish: &PurgeWish) -> Result<BTreeSet<RecordKey>, Error> {
        let mut chosen = BTreeSet::new();
        let ids = serde_json::json!(wish.ids).to_string();
        for (dataset, _) in self.datasets().await? {
            if family(&dataset) != family(&wish.dataset) {
                continue;
            }
            let found = sqlx::query_scalar!(
                "SELECT id FROM records WHERE dataset = ?1
                   AND (id IN (SELECT value FROM json_each(?2))
                        OR author = ?3 COLLATE NOCASE OR community = ?4 COLLATE NOCASE)",
                dataset,
                ids,
                wish.author,
                wish.community,
            )
            .fetch_all(self.content.read())
            .await?;
            chosen.extend(found.into_iter().map(|id| RecordKey {
                dataset: dataset.clone(),
                id,
            }));
        }
        Ok(chosen)
    }

    /// Which of these ids are known in the family of a data set.
    ///
    /// # Errors
    ///
    /// Where the database or the key of purged ids cannot be read.
    #[tracing::instrument(name = "db.purge.acquaintance", skip_all, fields(rows = ids.len()))]
    pub async fn acquaintance(
        &self,
        dataset: &str,
        ids: &[String],
    ) -> Result<HashMap<String, Acquaintance>, Error> {
        let mut connection = self.content.read().acquire().await?;
        let mut found = HashMap::new();
        if any(&mut connection).await? {
            let hashes = ids
                .iter()
                .map(|id| Ok((id.as_str(), self.purge_key.hash(dataset, id)?)))
                .collect::<Result<Vec<_>, Error>>()?;
            let purged = known(&mut connection, &hashes).await?;
            let purged = purged.into_iter();
            found.extend(purged.map(|id| (id.to_owned(), Acquaintance::PurgedBefore)));
        }
        drop(connection);
        let wish = PurgeWish {
            dataset: dataset.to_owned(),
            ids: ids.to_vec(),
            ..PurgeWish::default()
        };
        let here = self.found(&wish).await?.into_iter();
        found.extend(here.map(|key| (key.id, Acquaintance::Here)));
        Ok(found)
    }
}
