//! The champion and those before it, as a new version is held against them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Environment, merge::MergeOutput, report::upstream_text, score::difference};
use crate::{
    corpus::FeatureMatrix,
    engine::{TaskContext, TaskError},
    learning::{
        self, Challenge, Decision, Duel, Fitted, Foresight, GateSettings, Head, Kinship, Opponent,
        Profile, TrainSettings, Verdict, anchor, decide, duel,
    },
    registry::{self, CHAMPION, ModelName, ModelVersion},
};

/// Champions of so long ago are former ones that a new version is held against.
const FORMER: Duration = Duration::from_hours(30 * 24);
/// So many of them at most, the newest.
const MOST_FORMER: usize = 30;

/// Versions with their heads, read.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    champion: Option<u32>,
    /// Why the champion cannot be held against.
    incomparable: Option<String>,
    /// Whether the champion learned from simulated records, and this run has real ones.
    was_simulated: bool,
    kinship: Kinship,
    older: bool,
    /// The champion first, where it can be compared; then former ones.
    opponents: Vec<Opponent>,
    /// What the rows were like that the champion has learned.
    profile: Option<Profile>,
}

/// How a new version stands against the champion and those before.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Contest {
    champion: Option<u32>,
    incomparable: Option<String>,
    was_simulated: bool,
    kinship: Kinship,
    older: bool,
    duel: Option<Duel>,
    former: Vec<Duel>,
}

impl Rivals {
    /// Reads the champion, and those before it, where they can predict this run's rows.
    pub(super) async fn of(
        environment: &Environment,
        context: &TaskContext,
        merged: &MergeOutput,
        training: &TrainSettings,
    ) -> Result<Self, TaskError> {
        let registry = &environment.registry;
        let name = &context.pipeline;
        let champion = ModelName::Alias(name.clone(), CHAMPION.to_owned());
        let champion = match registry.resolve(&champion).await {
            Ok(champion) => champion,
            Err(registry::Error::Unknown { .. }) => return Ok(Self::default()),
            Err(error) => return Err(error.into()),
        };
        let dataset = upstream_text(context, "dataset", "scrape")?;
        let manifest = &champion.manifest;
        let mut rivals = Self {
            champion: Some(manifest.version),
            was_simulated: is_simulated(&manifest.dataset) && !is_simulated(&dataset),
            older: context.interval.end < manifest.interval_end,
            profile: serde_json::from_value(manifest.profile.clone()).ok(),
            kinship: kinship(&champion, merged, training),
            ..Self::default()
        };
        match opponent(&champion, &dataset, merged) {
            Ok(opponent) => rivals.opponents.push(opponent),
            Err(why) => {
                rivals.incomparable = Some(why);
                return Ok(rivals);
            }
        }
        let oldest = context.clock.now() - FORMER;
        let moves = registry.champions(name).await?;
        let mut former: Vec<u32> = manifest.gate["anchor"]
            .as_u64()
            .and_then(|version| u32::try_from(version).ok())
            .into_iter()
            .collect();
        for moved in moves.iter().rev().filter(|moved| moved.moved_at >= oldest) {
            if let Some(version) = moved.version
                && version != manifest.version
                && !former.contains(&version)
                && former.len() <= MOST_FORMER
            {
                former.push(version);
            }
        }
        for version in former {
            let version = ModelName::Version(name.clone(), version);
            let version = registry.resolve(&version).await?;
            // One that cannot predict these rows is no anchor for them.
            match opponent(&version, &dataset, merged) {
                Ok(opponent) => rivals.opponents.push(opponent),
                Err(why) => tracing::debug!(why, "a former champion is passed over"),
            }
        }
        Ok(rivals)
    }

    /// How far this run's new rows are from those that the champion has learned, as JSON; `null` where
    /// nobody can tell.
    pub(super) fn drift(&self, matrix: &FeatureMatrix) -> Value {
        let drift = self.profile.as_ref().and_then(|of| of.drift(matrix));
        drift.map_or(
            Value::Null,
            |drift| json!({ "champion": self.champion, "drift": drift }),
        )
    }

    /// Holds a fitted head against them.
    pub(super) fn contest(
        self,
        matrix: &FeatureMatrix,
        fitted: &Fitted,
        training: &TrainSettings,
    ) -> Result<Contest, learning::Error> {
        let mut duels = duel(matrix, fitted, training, &self.opponents)?.into_iter();
        Ok(Contest {
            champion: self.champion,
            duel: if self.incomparable.is_none() {
                duels.next()
            } else {
                None
            },
            former: duels.collect(),
            incomparable: self.incomparable,
            was_simulated: self.was_simulated,
            kinship: self.kinship,
            older: self.older,
        })
    }
}

impl Contest {
    /// What the gate says, now that `champion` is the champion.
    pub(super) fn decide(
        &self,
        settings: &GateSettings,
        finite: bool,
        coverage: f64,
        champion: Option<u32>,
    ) -> Decision {
        if champion != self.champion {
            return Decision {
                verdict: Verdict::Ask,
                cause: "the champion moved while it was evaluated".to_owned(),
            };
        }
        if finite && self.was_simulated {
            return Decision {
                verdict: Verdict::Promote,
                cause: "the champion had learned from simulated records".to_owned(),
            };
        }
        let rival = match (&self.duel, &self.incomparable) {
            (Some(duel), _) => Some(Ok(duel)),
            (None, Some(why)) => Some(Err(why.as_str())),
            (None, None) => None,
        };
        decide(
            settings,
            &Challenge {
                finite,
                kinship: self.kinship,
                older: self.older,
                coverage,
                champion: rival,
                former: &self.former,
            },
        )
    }

    /// The gate's part of the manifest.
    pub(super) fn document(&self, settings: &GateSettings, decision: &Decision) -> Value {
        let anchor = self
            .duel
            .as_ref()
            .map(|duel| anchor(settings, duel, &self.former).version);
        json!({
            "verdict": decision.verdict,
            "cause": decision.cause,
            "settings": settings,
            "kinship": self.kinship,
            "champion": self.champion,
            "anchor": anchor,
            "duel": self.duel,
            "former": self.former,
        })
    }
}

/// Whether a data set is made up.
fn is_simulated(dataset: &str) -> bool {
    dataset.starts_with("sandbox")
}

/// A version as one to be held against, where it predicts the same of the same data set; else why
/// not.
fn opponent(
    version: &ModelVersion,
    dataset: &str,
    merged: &MergeOutput,
) -> Result<Opponent, String> {
    let manifest = &version.manifest;
    if manifest.dataset != dataset {
        return Err(format!(
            "version {} has learned from `{}`, this one from `{dataset}`",
            manifest.version, manifest.dataset
        ));
    }
    if manifest.target != merged.target {
        return Err(format!(
            "version {} predicts `{}`, this one `{}`",
            manifest.version, manifest.target, merged.target
        ));
    }
    let same_features = difference((&manifest.schema, &manifest.encoders), merged).is_none();
    let read = || -> anyhow::Result<Opponent> {
        let rows = version.evaluated_rows()?.into_iter();
        let (tested, learned): (Vec<_>, Vec<_>) = rows.partition(|row| row.split == "test");
        let foresight = if same_features {
            Foresight::Head(Box::new(Head::from_safetensors(
                &version.evaluated_weights()?,
            )?))
        } else if merged.classes.is_some() {
            anyhow::bail!("it predicts classes from other features");
        } else {
            let filed = tested.into_iter().map(|row| (row.id, row.prediction));
            Foresight::Filed(filed.collect())
        };
        Ok(Opponent {
            version: manifest.version,
            foresight,
            learned: learned.into_iter().map(|row| row.id).collect(),
        })
    };
    read().map_err(|error| format!("version {}: {error}", manifest.version))
}

/// What a new version has in common with the champion.
fn kinship(champion: &ModelVersion, merged: &MergeOutput, training: &TrainSettings) -> Kinship {
    let manifest = &champion.manifest;
    if difference((&manifest.schema, &manifest.encoders), merged).is_some() {
        return Kinship::OtherFeatures;
    }
    match TrainSettings::deserialize(&manifest.training) {
        Ok(settings) if settings == *training => Kinship::SameRecipe,
        _ => Kinship::OtherSettings,
    }
}
