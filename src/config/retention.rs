//! `[retention]`: what is kept, and for how long.

use std::time::Duration;

use serde_json::Value;

use super::{Size, duration, reader::Reader, setting::Setting};

/// What is kept, and for how long. What a run that has not ended or a model version needs is kept
/// whatever this says, and so are records and vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Logs of attempts. Default: 60 days.
    pub logs: Duration,
    /// The most that logs take together; the oldest go first. Default: 2 GB.
    pub logs_size: Size,
    /// The files that runs leave: matrices, weights, reports. Default: 30 days.
    pub artifacts: Duration,
    /// The most that these files take together; the oldest go first. Default: 20 GB.
    pub artifacts_size: Size,
    /// How many of the newest matrices of each pipeline are kept; `trendmill merge PIPELINE
    /// --as-of T` makes others again. Default: 7.
    pub matrices: usize,
    /// Rows of runs, their tasks and attempts. Default: 400 days.
    pub runs: Duration,
    /// Images as they were fetched, of which a copy is kept (`media.copy_side`): encoders read that
    /// then. Default: none is removed.
    pub originals: Option<Duration>,
    /// Of how many of the newest versions of each model `trendmill encoders gc` keeps the vectors
    /// and captions; those of versions with an alias, as `champion`, stay anyway. Default: 7.
    pub versions: usize,
    /// Of how many of the newest versions of each model the files are kept; those of versions with an
    /// alias, and of those that were the champion within a month, stay anyway. The metrics of all
    /// versions, and where they came from, are kept for ever. Default: 100.
    pub models: usize,
    /// Runs and experiments that `MLflow`'s clients logged and deleted, with their files; until then
    /// they can be restored. Default: 30 days.
    pub logged: Duration,
    /// The JSON of each record as a live source sent it when the record was first seen, from which
    /// a feature can be computed that nobody thought of then. It goes with its record in any case,
    /// and is not kept of what `reddit.transport = "roux"` reads, which hides it. With a length of
    /// time it goes when it is that old, and `trendmill features check` says since when there is
    /// any; with `never` none is kept, and what there was goes. A body of 2.8 kB takes 1.2 kB of the
    /// database. Default: forever.
    pub raw: RawKept,
    /// Whether the JSON of records of dumps is kept too, from when this is set on: a second copy of
    /// files that are the user's own. Default: false.
    pub raw_dumps: bool,
}

/// How long the JSON of records is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawKept {
    /// As long as its record.
    Forever,
    /// Not at all.
    Never,
    /// So long.
    For(Duration),
}

impl RawKept {
    /// How old it may become; `None` where it is kept as long as its record.
    pub const fn longest(self) -> Option<Duration> {
        match self {
            Self::Forever => None,
            Self::Never => Some(Duration::ZERO),
            Self::For(time) => Some(time),
        }
    }
}

impl Setting for RawKept {
    const FORM: &'static str =
        "`forever`, `never`, or a whole number with `ms`, `s`, `m`, `h` or `d`, as in `90d`";

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "forever" => Some(Self::Forever),
            "never" => Some(Self::Never),
            text => duration::parse(text).map(Self::For),
        }
    }

    fn show(&self) -> Value {
        match self {
            Self::Forever => Value::from("forever"),
            Self::Never => Value::from("never"),
            Self::For(time) => time.show(),
        }
    }
}

impl Retention {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let days = |days: u64| Duration::from_hours(days * 24);
        Self {
            logs: reader.get("retention.logs", days(60)),
            logs_size: reader.get("retention.logs_size", Size(2_000_000_000)),
            artifacts: reader.get("retention.artifacts", days(30)),
            artifacts_size: reader.get("retention.artifacts_size", Size(20_000_000_000)),
            matrices: reader.get("retention.matrices", 7),
            runs: reader.get("retention.runs", days(400)),
            originals: reader.get("retention.originals", None),
            versions: reader.get("retention.versions", 7),
            models: reader.get("retention.models", 100),
            logged: reader.get("retention.logged", days(30)),
            raw: reader.get("retention.raw", RawKept::Forever),
            raw_dumps: reader.get("retention.raw_dumps", false),
        }
    }
}
