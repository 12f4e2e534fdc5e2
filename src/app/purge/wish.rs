//! What people write where they mean records, and what it stands for.

use std::collections::BTreeSet;

use super::super::{App, Error};
use crate::{
    server::PurgeWanted,
    sources::reddit::{author_name, community_name, post_id},
    store::{Acquaintance, PurgeWish, RecordKey, family},
};

/// What is wanted to be gone, as far as it is known here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Understood {
    /// The data set that is meant.
    pub dataset: String,
    /// The records that are here.
    pub records: Vec<RecordKey>,
    /// All that is to be noted: ids that are not here too, so that none of them comes later.
    pub noted: Vec<RecordKey>,
    /// The author by whom nothing is to be stored any more.
    pub author: Option<String>,
    /// What was purged before.
    pub purged_before: Vec<String>,
    /// What is not here and never was purged.
    pub unknown: Vec<String>,
}

impl App {
    /// What is wanted to be gone. Changes nothing.
    pub(super) async fn understand(&self, wanted: &PurgeWanted) -> Result<Understood, Error> {
        if wanted.is_empty() {
            return Ok(Understood::default());
        }
        let dataset = self.purged_dataset(wanted.dataset.as_deref()).await?;
        let mut meant = Understood {
            dataset,
            ..Understood::default()
        };
        self.understand_ids(&wanted.ids, &mut meant).await?;
        if let Some(author) = &wanted.author {
            self.understand_author(author, &mut meant).await?;
        }
        if let Some(community) = &wanted.community {
            self.understand_community(community, &mut meant).await?;
        }
        meant.records.sort();
        meant.records.dedup();
        let noted: BTreeSet<_> = meant.noted.iter().chain(&meant.records).cloned().collect();
        meant.noted = noted.into_iter().collect();
        Ok(meant)
    }

    /// The data set that is meant: it is guessed only where there is nothing to be mistaken.
    async fn purged_dataset(&self, wanted: Option<&str>) -> Result<String, Error> {
        let store = self.store();
        let stored = store.datasets().await?;
        let mut names: BTreeSet<String> = stored.into_iter().map(|(name, _)| name).collect();
        // Of one whose records are all purged, and of one that only other homes have read yet.
        names.extend(store.datasets_of_runs().await?.into_values().flatten());
        if let Some(wanted) = wanted {
            if names.contains(wanted) || LIVE.contains(&wanted) {
                return Ok(wanted.to_owned());
            }
            let known: Vec<&str> = names.iter().map(String::as_str).chain(LIVE).collect();
            return Err(Error::wrong(
                format!("there is no data set `{wanted}`"),
                format!("the data sets are: `{}`", known.join("`, `")),
            ));
        }
        let families: BTreeSet<&str> = names.iter().map(|name| family(name)).collect();
        match (names.first(), families.len()) {
            (Some(only), 1) => Ok(only.clone()),
            (None, _) => Err(Error::wrong(
                "the store has no records yet",
                "say by `--dataset` of which data set the ids are; `--dataset reddit` is for posts"
                    .to_owned(),
            )),
            _ => {
                let names: Vec<String> = names.into_iter().collect();
                Err(Error::wrong(
                    "there are several data sets; say which by `--dataset`",
                    format!("the data sets are: `{}`", names.join("`, `")),
                ))
            }
        }
    }

    async fn understand_ids(&self, given: &[String], meant: &mut Understood) -> Result<(), Error> {
        if given.is_empty() {
            return Ok(());
        }
        let as_posts = !meant.dataset.starts_with("table:");
        let forms = given.iter().map(|text| text.trim());
        let forms = forms.flat_map(|text| [Some(text.to_owned()), post_id(text)]);
        let forms: Vec<String> = forms.flatten().collect();
        let known = self.store().acquaintance(&meant.dataset, &forms).await?;
        let mut ids = BTreeSet::new();
        for text in given {
            let text = text.trim();
            let short = post_id(text);
            // As it is written before all others.
            let best = [Some(text), short.as_deref()]
                .into_iter()
                .flatten()
                .filter_map(|form| Some((known.get(form)?, form == text, form)))
                .max();
            let id = match (best, short.as_deref()) {
                (Some((_, _, id)), _) => id,
                (None, Some(short)) if as_posts => short,
                (None, _) if !as_posts && !text.is_empty() => text,
                (None, _) => {
                    return Err(Error::wrong(
                        format!("`{text}` is no id of a post, nor an address with one"),
                        ID_HINT.to_owned(),
                    ));
                }
            };
            ids.insert(id.to_owned());
        }
        for id in &ids {
            match known.get(id) {
                None => meant.unknown.push(id.clone()),
                Some(Acquaintance::PurgedBefore) => meant.purged_before.push(id.clone()),
                Some(Acquaintance::Here) => {}
            }
        }
        let here = |id: &String| known.get(id) == Some(&Acquaintance::Here);
        let wish = PurgeWish {
            dataset: meant.dataset.clone(),
            ids: ids.into_iter().collect(),
            ..PurgeWish::default()
        };
        meant.noted = self.store().chosen(&wish).await?;
        let records = meant.noted.iter().filter(|key| here(&key.id));
        meant.records.extend(records.cloned());
        Ok(())
    }

    async fn understand_author(&self, given: &str, meant: &mut Understood) -> Result<(), Error> {
        let wish = |name: &str| PurgeWish {
            dataset: meant.dataset.clone(),
            author: Some(name.to_owned()),
            ..PurgeWish::default()
        };
        let (name, found) = self.find(given, author_name, wish).await?;
        if found.is_empty() {
            let said = format!("u/{name}");
            if self.store().is_purged_author(&meant.dataset, &name).await? {
                meant.purged_before.push(said);
            } else {
                meant.unknown.push(said);
            }
        }
        meant.author = Some(name);
        meant.records.extend(found);
        Ok(())
    }

    async fn understand_community(&self, given: &str, meant: &mut Understood) -> Result<(), Error> {
        let wish = |name: &str| PurgeWish {
            dataset: meant.dataset.clone(),
            community: Some(name.to_owned()),
            ..PurgeWish::default()
        };
        let (name, found) = self.find(given, community_name, wish).await?;
        if found.is_empty() {
            meant.unknown.push(format!("r/{name}"));
        }
        meant.records.extend(found);
        Ok(())
    }

    /// The records of a name as it is written, or else in its short form; and the form.
    async fn find(
        &self,
        given: &str,
        short: fn(&str) -> &str,
        wish: impl Fn(&str) -> PurgeWish,
    ) -> Result<(String, Vec<RecordKey>), Error> {
        let given = given.trim();
        if given.is_empty() {
            return Err(Error::wrong(
                "a name is empty",
                "give the name of an author or a community".to_owned(),
            ));
        }
        let found = self.store().chosen(&wish(given)).await?;
        let name = short(given);
        if !found.is_empty() || name == given {
            return Ok((given.to_owned(), found));
        }
        let found = self.store().chosen(&wish(name)).await?;
        Ok((name.to_owned(), found))
    }
}

/// Data sets of posts whose ids may be kept away before anything of them was read.
const LIVE: [&str; 1] = ["reddit"];

/// How an id may be written.
const ID_HINT: &str = "give ids like `1abcde` or `t3_1abcde`, or the address of a post with \
                       `/comments/` in it";
