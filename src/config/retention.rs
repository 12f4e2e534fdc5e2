//! `[retention]`: what is kept, and for how long.

use std::time::Duration;

use super::{Size, reader::Reader};

/// What is kept, and for how long. What a run that has not ended or a model version needs is kept
/// whatever this says, and so are records, vectors and models.
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
        }
    }
}
