//! Vectors and captions that nothing needs any more.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::plan::ROW;
use crate::{
    app::{App, Error, RunRequest},
    corpus::{Fingerprint, ImageStatistics},
    encoders::{self, weights::catalogue},
    operators::Encoding,
    pipelines::{self, Definition, Schedule},
    registry::ModelVersion,
    store::EncodedKind,
};

/// How many rows go in one transaction: whoever else writes waits for no longer than that.
const AT_ONCE: u32 = 500;

/// What is known of the results of one encoder or captioner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Its name, where anything here still knows it.
    pub encoder: Option<String>,
    /// Which one exactly.
    pub fingerprint: String,
    /// What it has made.
    pub kind: EncodedKind,
    /// How many of them there were.
    pub rows: u64,
    /// About how many bytes of the database they took.
    pub bytes: u64,
    /// What needs them; where nothing does, they are dropped.
    pub kept_for: Vec<String>,
}

/// What was dropped, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Collection {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// How many rows were dropped.
    pub rows: u64,
    /// About how many bytes they took.
    pub bytes: u64,
    /// Every encoder and captioner that has made something.
    pub encoders: Vec<Collected>,
}

/// What needs the results of an encoder, and what the encoder is called.
#[derive(Debug, Default)]
struct Uses {
    by: BTreeMap<Fingerprint, BTreeSet<String>>,
    names: BTreeMap<Fingerprint, String>,
}

impl Uses {
    fn add(&mut self, fingerprint: Fingerprint, what: &str) {
        self.by
            .entry(fingerprint)
            .or_default()
            .insert(what.to_owned());
    }

    fn name(&mut self, fingerprint: Fingerprint, name: &str) {
        self.names
            .entry(fingerprint)
            .or_insert_with(|| name.to_owned());
    }

    fn add_all(&mut self, encodings: &[Encoding], what: &str) {
        for encoding in encodings {
            self.name(encoding.fingerprint, &encoding.encoder);
            for fingerprint in encoding.fingerprints() {
                self.add(fingerprint, what);
            }
        }
    }

    /// Everything that a version reads when it predicts.
    fn add_version(&mut self, version: &ModelVersion, is_kept: bool) {
        let manifest = &version.manifest;
        let what = format!("model {}/{}", manifest.name, manifest.version);
        for block in &manifest.encoders {
            let captioner = block.captioner.as_deref();
            // The first release filed the captioner's name alone.
            let captioned = block.captioner_fingerprint.or_else(|| {
                let captioner = captioner?;
                encoders::fingerprint(captioner).ok()
            });
            let reads = captioner
                .and_then(catalogue::find)
                .and_then(|entry| entry.reads.as_deref());
            let read = reads.and_then(|name| Some((encoders::fingerprint(name).ok()?, name)));
            let used = [(block.fingerprint, block.encoder.as_str())];
            let used = used.into_iter().chain(captioned.zip(captioner)).chain(read);
            for (fingerprint, name) in used {
                self.name(fingerprint, name);
                if is_kept {
                    self.add(fingerprint, &what);
                }
            }
        }
    }
}

impl App {
    /// Drops vectors and captions that no profile of a pipeline, no kept version and no run that
    /// goes on needs; of each encoder all or nothing. Kept are the versions with an alias, and the
    /// newest ones of each model as the settings say.
    ///
    /// # Errors
    ///
    /// Where a pipeline cannot be read, so that nobody knows what it needs, or the store fails. What
    /// went until then is gone.
    pub async fn collect_encoded(&self, dry_run: bool) -> Result<Collection, Error> {
        let mut uses = self.uses_of_pipelines().await?;
        // Five numbers of an image, which any pipeline may ask for: no encoder makes them again.
        let statistics = ImageStatistics::fingerprint();
        uses.name(statistics, "image statistics");
        uses.add(statistics, "the feature image_look");
        self.add_versions(&mut uses).await?;
        self.add_live_runs(&mut uses).await?;
        for entry in catalogue::entries() {
            uses.name(encoders::fingerprint(&entry.name)?, &entry.name);
        }
        let mut collection = Collection {
            dry_run,
            rows: 0,
            bytes: 0,
            encoders: Vec::new(),
        };
        for made in self.store().encoded().await? {
            let bytes = made.bytes + made.rows * ROW;
            let kept_for = uses.by.get(&made.fingerprint);
            if kept_for.is_none() {
                let dropped = if dry_run {
                    made.rows
                } else {
                    self.drop_all(made.fingerprint, made.kind).await?
                };
                collection.rows += dropped;
                // A run that began meanwhile may need the rest.
                collection.bytes += bytes / made.rows.max(1) * dropped;
            }
            collection.encoders.push(Collected {
                encoder: uses.names.get(&made.fingerprint).cloned(),
                fingerprint: made.fingerprint.to_string(),
                kind: made.kind,
                rows: made.rows,
                bytes,
                kept_for: kept_for.into_iter().flatten().cloned().collect(),
            });
        }
        if !dry_run {
            self.store().sync_content().await?;
        }
        Ok(collection)
    }

    /// Drops what an encoder has made, batch by batch, unless a run comes that needs it.
    async fn drop_all(&self, encoder: Fingerprint, kind: EncodedKind) -> Result<u64, Error> {
        let mut dropped = 0;
        loop {
            let mut live = Uses::default();
            self.add_live_runs(&mut live).await?;
            if live.by.contains_key(&encoder) {
                return Ok(dropped);
            }
            match self.store().drop_encoded(encoder, kind, AT_ONCE).await? {
                0 => return Ok(dropped),
                rows => dropped += rows,
            }
            // Another process that waits to write looks again only after a pause of its own.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// What the pipelines need, with every profile and the parameters of every schedule.
    async fn uses_of_pipelines(&self) -> Result<Uses, Error> {
        let mut uses = Uses::default();
        let decided = self.decided().await?;
        for file in pipelines::files(self.home())? {
            let shown = file.shown.display().to_string();
            let mut definition = pipelines::load(&file).map_err(|error| unknown(&shown, &error))?;
            definition.apply(&decided);
            self.add_pipeline(&definition, &mut uses)
                .map_err(|error| unknown(&shown, &error))?;
        }
        Ok(uses)
    }

    fn add_pipeline(&self, definition: &Definition, uses: &mut Uses) -> Result<(), Error> {
        let named = definition
            .profiles
            .iter()
            .map(|profile| Some(&profile.name));
        // A pipeline without profiles may name its encoders itself.
        let profiles: BTreeSet<Option<&String>> =
            named.chain([definition.profile.as_ref()]).collect();
        let mut params = vec![Vec::new()];
        params.extend(definition.schedules.iter().map(Schedule::params_as_given));
        for profile in profiles {
            for params in &params {
                let request = RunRequest {
                    pipeline: definition.name.clone(),
                    profile: profile.cloned(),
                    params: params.clone(),
                    ..RunRequest::default()
                };
                let prepared = self.prepare_for(definition.clone(), &request, None)?;
                let encodings = Encoding::all_of(&prepared.compiled.graph, &self.environment())?;
                let what = match profile {
                    Some(profile) => format!("profile {profile} of {}", definition.name),
                    None => format!("pipeline {}", definition.name),
                };
                uses.add_all(&encodings, &what);
            }
        }
        Ok(())
    }

    async fn add_versions(&self, uses: &mut Uses) -> Result<(), Error> {
        let mut kept: BTreeMap<String, usize> = BTreeMap::new();
        // Oldest first they are listed; the newest count.
        for version in self.registry().list(None).await?.iter().rev() {
            let newer = kept.entry(version.manifest.name.clone()).or_default();
            let is_kept = *newer < self.settings().retention.versions;
            *newer += 1;
            uses.add_version(version, is_kept || !version.aliases.is_empty());
        }
        Ok(())
    }

    async fn add_live_runs(&self, uses: &mut Uses) -> Result<(), Error> {
        for run in self.store().unfinished_runs(None).await? {
            let graph = self.store().run_graph(&run.id).await?;
            let encodings = Encoding::all_of(&graph, &self.environment())?;
            uses.add_all(&encodings, &format!("run {}", run.id));
        }
        Ok(())
    }
}

fn unknown(file: &str, error: &dyn std::error::Error) -> Error {
    Error::Refused {
        message: format!(
            "nothing is dropped: `{file}` cannot be read, so nobody knows what it needs: {error}"
        ),
        hint: Some("mend the file, or move it out of `pipelines/`".to_owned()),
    }
}
