//! What it takes until everything is encoded: contents, hours, bytes.

use serde::{Deserialize, Serialize};

use crate::{
    app::{App, Error, Prepared, RunRequest, open_source},
    clock::Timestamp,
    engine::TaskError,
    operators::{Encoding, Sample, Selections},
    store::EncodedKind,
};

/// What the database adds to a vector or a caption: hashes, the run, the index, room in pages.
pub(super) const ROW: u64 = 200;

/// What it takes until a pipeline's contents are encoded under a profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EncoderPlan {
    /// The pipeline.
    pub pipeline: String,
    /// The profile; none where the pipeline has none.
    pub profile: Option<String>,
    /// The source whose records are meant.
    pub source: Option<String>,
    /// The data set of these records.
    pub dataset: Option<String>,
    /// How many of its records the pipeline goes on with, at most over its tasks.
    pub records: u64,
    /// The tasks that encode, in their order.
    pub tasks: Vec<PlannedEncoding>,
    /// All of them together.
    pub total: PlanTotal,
}

/// What one task has to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedEncoding {
    /// The task's id.
    pub task: String,
    /// Its encoder or captioner.
    pub encoder: String,
    /// Which one exactly.
    pub fingerprint: String,
    /// What it reads: `title`, `image`, `caption`, `visual`.
    pub input: String,
    /// What it makes.
    pub makes: EncodedKind,
    /// Where it computes.
    pub device: String,
    /// Its contents, each once; captions that are still to be written are taken for new ones.
    pub contents: u64,
    /// How many have a result.
    pub present: u64,
    /// How many lack one.
    pub missing: u64,
    /// How many of the missing are captions that are still to be written.
    pub to_come: u64,
    /// How many contents the rate was measured on.
    pub sampled: u64,
    /// The rate on this device; none where it was not measured.
    pub rows_per_second: Option<f64>,
    /// How long the missing ones take.
    pub hours: Option<f64>,
    /// What the missing ones take in the database.
    pub bytes: Option<u64>,
}

/// The tasks of a plan together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PlanTotal {
    /// Contents.
    pub contents: u64,
    /// Those with a result.
    pub present: u64,
    /// Those without.
    pub missing: u64,
    /// How long the missing ones take; none where a rate is not known.
    pub hours: Option<f64>,
    /// What the missing ones take in the database; none where a length is not known.
    pub bytes: Option<u64>,
}

impl App {
    /// What it takes until everything that a run would select now is encoded. Where `sampled`, a few
    /// contents are encoded for their rate, and forgotten: what is kept is made by runs alone.
    ///
    /// # Errors
    ///
    /// Where the request is wrong, the store fails, or an encoder that is sampled cannot be had.
    pub async fn plan_encoders(
        &self,
        request: &RunRequest,
        sampled: bool,
    ) -> Result<EncoderPlan, Error> {
        let prepared = self.prepare(request).await?;
        let dataset = dataset_of(&prepared)?;
        // What a run has stored without a time of reading counts as read at its own moment, which
        // may lie ahead of the clock.
        let as_of = self.clock().now().max(prepared.as_of);
        self.plan_at(&prepared, dataset, as_of, sampled).await
    }

    pub(super) async fn plan_at(
        &self,
        prepared: &Prepared,
        dataset: Option<String>,
        as_of: Timestamp,
        sampled: bool,
    ) -> Result<EncoderPlan, Error> {
        let environment = self.environment();
        let mut selections = Selections::default();
        let mut tasks = Vec::new();
        let mut records = 0;
        for encoding in Encoding::all_of(&prepared.compiled.graph, &environment)? {
            let selected = match &dataset {
                Some(dataset) => {
                    selections
                        .of(&encoding, &environment.store, dataset, as_of)
                        .await?
                }
                None => std::sync::Arc::default(),
            };
            records = records.max(selected.len() as u64);
            let stock = encoding.stock(&environment, &selected).await?;
            let sample = if sampled && !stock.known.is_empty() {
                encoding.sample(&environment, &stock).await?
            } else {
                None
            };
            let length = match sample.and_then(|sample| sample.bytes) {
                Some(length) => Some(length),
                None => encoding.stored_length(&environment.store).await?,
            };
            tasks.push(PlannedEncoding {
                to_come: stock.to_come as u64,
                ..planned(&encoding, stock.contents(), stock.lacking(), sample, length)
            });
        }
        borrow_rates(&mut tasks);
        Ok(EncoderPlan {
            pipeline: prepared.compiled.pipeline.clone(),
            profile: prepared.compiled.profile.clone(),
            source: source_of(prepared),
            dataset,
            records,
            total: total(&tasks),
            tasks,
        })
    }
}

/// The source that a run reads: its parameter, or what its task `scrape` says.
pub(in crate::app) fn source_of(prepared: &Prepared) -> Option<String> {
    prepared.source.clone().or_else(|| {
        let nodes = prepared.compiled.graph.nodes();
        let scrape = nodes.iter().find(|node| node.op == "scrape")?;
        let source = scrape.settings.get("source")?;
        source.as_str().map(str::to_owned)
    })
}

/// The data set that a run reads; none where it has no source.
pub(in crate::app) fn dataset_of(prepared: &Prepared) -> Result<Option<String>, Error> {
    let source = source_of(prepared);
    Ok(source.as_deref().map(open_source::dataset).transpose()?)
}

/// A task with so many contents, of which so many lack a result.
pub(super) fn planned(
    encoding: &Encoding,
    contents: u64,
    missing: u64,
    sample: Option<Sample>,
    length: Option<f64>,
) -> PlannedEncoding {
    let rate = sample.map(|sample| sample.rows as f64 / sample.seconds.max(1e-9));
    let none_left = |zero: f64| (missing == 0).then_some(zero);
    PlannedEncoding {
        task: encoding.task.clone(),
        encoder: encoding.encoder.clone(),
        fingerprint: encoding.fingerprint.to_string(),
        input: encoding.input.clone(),
        makes: encoding.makes,
        device: encoding.device.to_string(),
        contents,
        present: contents - missing,
        missing,
        to_come: 0,
        sampled: sample.map_or(0, |sample| sample.rows as u64),
        rows_per_second: rate,
        hours: none_left(0.0).or_else(|| Some(missing as f64 / rate? / 3600.0)),
        bytes: none_left(0.0)
            .or_else(|| Some(missing as f64 * (length? + ROW as f64)))
            .map(whole),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate of bytes is neither negative nor near the end of the numbers"
)]
fn whole(bytes: f64) -> u64 {
    bytes.round() as u64
}

/// Gives tasks whose contents are all to come the rate of another task with the same encoder: the
/// captions' that of the titles.
pub(super) fn borrow_rates(tasks: &mut [PlannedEncoding]) {
    let measured: Vec<PlannedEncoding> = tasks
        .iter()
        .filter(|task| task.rows_per_second.is_some())
        .cloned()
        .collect();
    for task in tasks {
        let same = |other: &&PlannedEncoding| other.fingerprint == task.fingerprint;
        let (None, Some(other)) = (task.rows_per_second, measured.iter().find(same)) else {
            continue;
        };
        task.rows_per_second = other.rows_per_second;
        task.hours = other
            .rows_per_second
            .map(|rate| task.missing as f64 / rate / 3600.0);
        let of_one = other
            .bytes
            .and_then(|bytes| bytes.checked_div(other.missing));
        task.bytes = task.bytes.or_else(|| Some(of_one? * task.missing));
    }
}

/// The sums over tasks.
pub(super) fn total(tasks: &[PlannedEncoding]) -> PlanTotal {
    let sum = |of: fn(&PlannedEncoding) -> u64| tasks.iter().map(of).sum();
    PlanTotal {
        contents: sum(|task| task.contents),
        present: sum(|task| task.present),
        missing: sum(|task| task.missing),
        hours: tasks.iter().map(|task| task.hours).sum(),
        bytes: tasks.iter().map(|task| task.bytes).sum(),
    }
}

impl From<TaskError> for Error {
    fn from(error: TaskError) -> Self {
        let (TaskError::Retry(cause) | TaskError::Fail(cause)) = error else {
            return Self::Failed(error.to_string());
        };
        // What an encoder lacks is for the person at this machine to mend.
        match cause.downcast::<crate::encoders::Error>() {
            Ok(error) => Self::Encoder(error),
            Err(cause) => Self::Failed(format!("{cause:#}")),
        }
    }
}
