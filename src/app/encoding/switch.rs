//! The switch: from now on a pipeline's runs use another profile, where they do not say.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::plan::dataset_of;
use crate::{
    app::{App, Error, RunRequest},
    corpus::ContentHash,
    operators::{Encoding, Selections},
    pipelines::{self, Schedule},
};

/// What a task would lack after a switch: contents that have a result under the profile of today,
/// and none under the new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lacking {
    /// The task's id.
    pub task: String,
    /// Its encoder or captioner under the new profile.
    pub encoder: String,
    /// Its contents.
    pub contents: u64,
    /// How many would be without a result.
    pub missing: u64,
}

impl App {
    /// Lets the runs of a pipeline use this profile from now on, where they do not say: those of its
    /// schedules too. It is one row, written in one transaction: a run is prepared with the one
    /// profile or with the other. Versions that are there go on with the encoders that they were
    /// trained with.
    ///
    /// # Errors
    ///
    /// Where there is no such pipeline or profile; and, unless `force`d, where contents that have a
    /// result today would have none.
    pub async fn switch_profile(
        &self,
        request: &RunRequest,
        profile: &str,
        force: bool,
    ) -> Result<Vec<Lacking>, Error> {
        let definition = pipelines::find(self.home(), &request.pipeline)?;
        let lacking = self
            .lacking(request, profile, &definition.schedules)
            .await?;
        if !force && !lacking.is_empty() {
            let words: Vec<String> = lacking
                .iter()
                .map(|task| {
                    format!(
                        "`{}` lacks {} of {} results of {}",
                        task.task, task.missing, task.contents, task.encoder
                    )
                })
                .collect();
            let name = &definition.name;
            return Err(Error::Refused {
                message: format!("`{name}` is not switched: {}", words.join(", ")),
                hint: Some(format!(
                    "`trendmill encoders fill {name} --profile {profile}` makes them; `--force` \
                     switches all the same, and the next run makes them"
                )),
            });
        }
        self.store()
            .switch_profile(&definition.name, profile, self.clock().now())
            .await?;
        Ok(lacking)
    }

    /// Lets a pipeline use the profile of its file again. `false` where it did.
    ///
    /// # Errors
    ///
    /// Where there is no such pipeline, or the store fails.
    pub async fn clear_profile(&self, pipeline: &str) -> Result<bool, Error> {
        let name = pipelines::find(self.home(), pipeline).map(|definition| definition.name);
        let known = self
            .store()
            .clear_profile(name.as_deref().unwrap_or(pipeline))
            .await?;
        match name {
            Err(error) if !known => Err(error.into()),
            _ => Ok(known),
        }
    }

    /// What the tasks would lack, over the records of every source that the pipeline's runs read by
    /// themselves, or of the one that is asked for.
    async fn lacking(
        &self,
        request: &RunRequest,
        profile: &str,
        schedules: &[Schedule],
    ) -> Result<Vec<Lacking>, Error> {
        let mut asked = vec![request.params.clone()];
        if request.source.is_none() {
            asked.extend(schedules.iter().map(Schedule::params_as_given));
        }
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        for params in asked {
            let old = RunRequest {
                params,
                profile: None,
                ..request.clone()
            };
            let new = RunRequest {
                profile: Some(profile.to_owned()),
                ..old.clone()
            };
            // The profile must be one of the pipeline's, whatever there is to encode.
            let prepared = self.prepare(&new).await?;
            if let Some(dataset) = dataset_of(&prepared)?
                && seen.insert(dataset.clone())
            {
                all.extend(self.lacking_of(&old, &new, &dataset).await?);
            }
        }
        Ok(all)
    }

    async fn lacking_of(
        &self,
        old: &RunRequest,
        new: &RunRequest,
        dataset: &str,
    ) -> Result<Vec<Lacking>, Error> {
        let environment = self.environment();
        let now = self.clock().now();
        let mut selections = Selections::default();
        let mut has: HashMap<String, Vec<(ContentHash, bool)>> = HashMap::new();
        let old = self.prepare(old).await?;
        for encoding in Encoding::all_of(&old.compiled.graph, &environment)? {
            let records = selections
                .of(&encoding, &environment.store, dataset, now)
                .await?;
            let stock = encoding.stock(&environment, &records).await?;
            let missing: BTreeSet<ContentHash> =
                stock.missing.iter().map(|(content, _)| *content).collect();
            let known = stock.known.iter();
            let known = known.map(|(content, _)| (*content, !missing.contains(content)));
            has.insert(encoding.task.clone(), known.collect());
        }
        let mut lacking = Vec::new();
        let new = self.prepare(new).await?;
        for encoding in Encoding::all_of(&new.compiled.graph, &environment)? {
            let records = selections
                .of(&encoding, &environment.store, dataset, now)
                .await?;
            let stock = encoding.stock(&environment, &records).await?;
            // What the old encoder could not do either, and what no run has met yet, is no loss.
            let useless: BTreeSet<ContentHash> = has
                .get(&encoding.task)
                .into_iter()
                .flatten()
                .filter(|(_, has)| !has)
                .map(|(content, _)| *content)
                .collect();
            let missing = stock.missing.iter();
            let missing = missing.filter(|(content, _)| !useless.contains(content));
            let missing = missing.count() as u64;
            if missing > 0 {
                lacking.push(Lacking {
                    contents: stock.known.len() as u64,
                    task: encoding.task,
                    encoder: encoding.encoder,
                    missing,
                });
            }
        }
        Ok(lacking)
    }
}
