//! When a pipeline runs by itself: `[schedule]`, or `[[schedule]]` for several.

mod read;

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Definition, Error, params};
use crate::{
    clock::Timestamp,
    config::duration,
    dag::{
        schedule::{self, Catchup, Overlap, Tick},
        ticks::{self, Ticks, TicksError},
    },
};

/// When a pipeline runs by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Its name, unique in the pipeline. Default: `default`.
    pub name: String,
    /// When it fires.
    pub timing: Timing,
    /// The IANA time zone of cron fields and of dates. Default: `UTC`.
    pub timezone: String,
    /// No tick before this.
    pub start: Option<Timestamp>,
    /// No tick after this; a date counts whole.
    pub end: Option<Timestamp>,
    /// What happens to ticks that were missed. Default: `last`.
    pub catchup: Catchup,
    /// What happens to a tick while the run of an earlier one goes on. Default: `skip`.
    pub overlap: Overlap,
    /// Whether a run starts only once the one before it has succeeded. Default: no.
    pub depends_on_past: bool,
    /// How long after its tick a run is to have ended.
    pub deadline: Option<Duration>,
    /// The parameters of its runs.
    pub params: Map<String, Value>,
}

/// When a schedule fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Timing {
    /// Five cron fields, or a name such as `@daily`.
    Cron(String),
    /// Every `period`, counted in UTC from `offset` after 1970-01-01.
    Every {
        /// The time between two ticks.
        period: Duration,
        /// When the first one was.
        offset: Duration,
    },
}

impl Schedule {
    /// The name of a schedule that is given none.
    pub const DEFAULT_NAME: &'static str = "default";

    /// What the schedule of this pipeline is called in the store.
    pub fn id(&self, pipeline: &str) -> String {
        format!("{pipeline}/{}", self.name)
    }

    /// Its ticks.
    ///
    /// # Errors
    ///
    /// Where the pattern or the zone cannot be read, which a definition without faults rules out.
    pub fn ticks(&self) -> Result<Ticks, TicksError> {
        match &self.timing {
            Timing::Cron(pattern) => Ticks::cron(pattern, &self.timezone),
            Timing::Every { period, offset } => Ok(Ticks::every(*period, *offset)),
        }
    }

    /// What decides over its ticks.
    ///
    /// # Errors
    ///
    /// Where the pattern or the zone cannot be read, which a definition without faults rules out.
    pub fn rules(&self) -> Result<schedule::Schedule, TicksError> {
        Ok(schedule::Schedule {
            ticks: self.ticks()?,
            start: self.start,
            end: self.end,
            catchup: self.catchup,
            overlap: self.overlap,
            depends_on_past: self.depends_on_past,
        })
    }

    /// When it fires, in a few words.
    pub fn timing_in_words(&self) -> String {
        match &self.timing {
            Timing::Cron(pattern) => format!("{pattern} ({})", self.timezone),
            Timing::Every { period, offset } if offset.is_zero() => {
                format!("every {}", duration::show(*period))
            }
            Timing::Every { period, offset } => format!(
                "every {}, offset {}",
                duration::show(*period),
                duration::show(*offset)
            ),
        }
    }

    /// Its parameters as `--param` writes them.
    pub fn params_as_given(&self) -> Vec<(String, String)> {
        self.params
            .iter()
            .map(|(name, value)| (name.clone(), params::shown(value)))
            .collect()
    }

    /// Everything about it, with the names of the file.
    pub fn to_json(&self) -> Value {
        let (cron, every, offset) = match &self.timing {
            Timing::Cron(pattern) => (Some(pattern.clone()), None, None),
            Timing::Every { period, offset } => (
                None,
                Some(duration::show(*period)),
                Some(duration::show(*offset)),
            ),
        };
        let window = match self.catchup {
            Catchup::Window(window) => Some(duration::show(window)),
            Catchup::All | Catchup::Last | Catchup::None => None,
        };
        json!({
            "name": self.name,
            "cron": cron,
            "every": every,
            "offset": offset,
            "timezone": self.timezone,
            "start": self.start,
            "end": self.end,
            "catchup": self.catchup.name(),
            "catchup_window": window,
            "overlap": self.overlap.name(),
            "depends_on_past": self.depends_on_past,
            "deadline": self.deadline.map(duration::show),
            "params": self.params,
        })
    }
}

/// The next `count` ticks after a moment over all schedules of a pipeline, with the name of the
/// schedule, in order.
///
/// # Errors
///
/// Where a pattern or a zone cannot be read, which a definition without faults rules out.
pub fn next_ticks(
    definition: &Definition,
    moment: Timestamp,
    count: usize,
) -> Result<Vec<(String, Tick)>, Error> {
    let mut coming = Vec::new();
    for schedule in &definition.schedules {
        let rules = schedule.rules().map_err(|error| Error::Argument {
            message: error.to_string(),
            hint: None,
        })?;
        let ticks = rules.iter_after(moment).take(count);
        coming.extend(ticks.map(|tick| (schedule.name.clone(), tick)));
    }
    coming.sort_by_key(|(_, tick)| tick.scheduled_for);
    coming.truncate(count);
    Ok(coming)
}

/// A moment as people write it: RFC 3339, or a day on the clocks of a zone, of which it is the
/// beginning or the end.
pub fn moment(text: &str, zone: &str, end: bool) -> Option<Timestamp> {
    let Ok(date) = text.parse::<chrono::NaiveDate>() else {
        return text.parse().ok();
    };
    if end {
        let next = ticks::start_of_day(date.succ_opt()?, zone).ok()?;
        return Some(next - Duration::from_millis(1));
    }
    ticks::start_of_day(date, zone).ok()
}
