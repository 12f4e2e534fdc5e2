//! When a pipeline runs by itself: `[schedule]`, or `[[schedule]]` for several.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Definition, Error, Param, params, read::Reader};
use crate::{
    clock::Timestamp,
    config::{
        document::{Data, Entry, Item, find},
        duration, suggest,
    },
    dag::{
        schedule::{self, Catchup, Overlap, Tick},
        ticks::{self, Ticks, TicksError},
    },
};

const KEYS: [&str; 13] = [
    "name",
    "cron",
    "every",
    "offset",
    "timezone",
    "start",
    "end",
    "catchup",
    "catchup_window",
    "overlap",
    "depends_on_past",
    "deadline",
    "params",
];

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

impl Reader<'_> {
    /// The schedules of a file: one table, or a list of them.
    pub(super) fn schedules(&mut self, root: &[Entry], params: &[Param]) -> Vec<Schedule> {
        let Some(entry) = find(root, "schedule") else {
            return Vec::new();
        };
        let tables: Vec<(usize, &[Entry])> = match &entry.value.data {
            Data::Table(table) => vec![(entry.key_span.start, table.as_slice())],
            Data::List(items) => items
                .iter()
                .filter_map(|item| {
                    let Data::Table(table) = &item.data else {
                        self.wrong(item, "a table");
                        return None;
                    };
                    Some((item.span.start, table.as_slice()))
                })
                .collect(),
            _ => {
                let message = format!("`schedule` is {}, not a table", entry.value.kind());
                let hint = Some("write `[schedule]`".to_owned());
                self.faults.add(entry.key_span.start, message, hint);
                return Vec::new();
            }
        };
        let mut schedules: Vec<Schedule> = Vec::new();
        for (place, table) in tables {
            let Some(schedule) = self.schedule(place, table, params) else {
                continue;
            };
            if schedules.iter().any(|other| other.name == schedule.name) {
                let message = format!("two schedules are called `{}`", schedule.name);
                let hint = "give each a `name` of its own".to_owned();
                self.faults.add(place, message, Some(hint));
            }
            schedules.push(schedule);
        }
        schedules
    }

    fn schedule(&mut self, place: usize, table: &[Entry], params: &[Param]) -> Option<Schedule> {
        self.known_keys(table, &KEYS, " in `[schedule]`");
        let value = |key: &str| find(table, key).map(|entry| &entry.value);
        let timezone = value("timezone").and_then(|item| {
            let name = self.text(item)?;
            match ticks::check_zone(&name) {
                Ok(()) => Some(name),
                Err(error) => {
                    self.faults.add(item.span.start, error.to_string(), None);
                    None
                }
            }
        });
        let timezone = timezone.unwrap_or_else(|| "UTC".to_owned());
        let timing = self.timing(place, table);
        let catchup = self.catchup(place, table);
        let schedule_params = self.schedule_params(table, params);
        let start = value("start").and_then(|item| self.moment(item, &timezone, false));
        let end = value("end").and_then(|item| self.moment(item, &timezone, true));
        if let (Some(start), Some(end), Some(item)) = (start, end, value("end"))
            && end < start
        {
            let message = "`end` is before `start`";
            self.faults.add(item.span.start, message, None);
        }
        let overlap = value("overlap")
            .and_then(|item| self.choice(item, "overlap", &Overlap::ALL.map(Overlap::name)))
            .map(|choice| Overlap::ALL[choice]);
        Some(Schedule {
            name: value("name")
                .and_then(|item| self.name(item))
                .unwrap_or_else(|| Schedule::DEFAULT_NAME.to_owned()),
            timing: timing?,
            start,
            end,
            catchup,
            overlap: overlap.unwrap_or_default(),
            depends_on_past: value("depends_on_past")
                .and_then(|item| self.switch(item))
                .unwrap_or_default(),
            deadline: value("deadline").and_then(|item| self.duration(item)),
            params: schedule_params,
            timezone,
        })
    }

    fn timing(&mut self, place: usize, table: &[Entry]) -> Option<Timing> {
        let value = |key: &str| find(table, key).map(|entry| &entry.value);
        let offset = value("offset").and_then(|item| self.duration(item));
        match (value("cron"), value("every")) {
            (Some(item), None) => {
                if let Some(offset) = value("offset") {
                    let message = "`offset` belongs to `every`, not to `cron`";
                    self.faults.add(offset.span.start, message, None);
                }
                let cron = self.text(item)?;
                if let Err(error) = ticks::check_cron(&cron) {
                    self.faults.add(item.span.start, error.to_string(), None);
                    return None;
                }
                Some(Timing::Cron(cron))
            }
            (None, Some(item)) => {
                let period = self.duration(item)?;
                if period < Duration::from_secs(1) {
                    let hint = "write at least `1s`".to_owned();
                    let message = "the time between two ticks is too short";
                    self.faults.add(item.span.start, message, Some(hint));
                    return None;
                }
                let offset = offset.unwrap_or_default();
                Some(Timing::Every { period, offset })
            }
            (Some(_), Some(item)) => {
                let message = "a schedule has `cron` or `every`, not both";
                let hint = "write two with `[[schedule]]`".to_owned();
                self.faults.add(item.span.start, message, Some(hint));
                None
            }
            (None, None) => {
                let hint = "write `cron = \"0 4 * * *\"` for every day at four, or `every = \
                            \"6h\"`";
                self.faults
                    .add(place, "a schedule without `cron`", Some(hint.to_owned()));
                None
            }
        }
    }

    fn catchup(&mut self, place: usize, table: &[Entry]) -> Catchup {
        let value = |key: &str| find(table, key).map(|entry| &entry.value);
        let window = value("catchup_window").and_then(|item| self.duration(item));
        let chosen = value("catchup")
            .and_then(|item| self.choice(item, "catchup", &Catchup::NAMES))
            .map(|choice| Catchup::NAMES[choice]);
        match (chosen, window) {
            (Some("window"), Some(window)) => return Catchup::Window(window),
            (Some("window"), None) if value("catchup_window").is_none() => {
                let hint = "write `catchup_window = \"2d\"`".to_owned();
                let message = "`catchup = \"window\"` without `catchup_window`";
                self.faults.add(place, message, Some(hint));
            }
            (_, Some(_)) => {
                let item = value("catchup_window").map_or(place, |item| item.span.start);
                let hint = "write `catchup = \"window\"`".to_owned();
                let message = "`catchup_window` without `catchup = \"window\"`";
                self.faults.add(item, message, Some(hint));
            }
            _ => {}
        }
        match chosen {
            Some("all") => Catchup::All,
            Some("none") => Catchup::None,
            _ => Catchup::Last,
        }
    }

    /// A moment, or a day on the clocks of a zone: its beginning or its end.
    fn moment(&mut self, item: &Item, zone: &str, end: bool) -> Option<Timestamp> {
        let text = self.text(item)?;
        let moment = moment(&text, zone, end);
        if moment.is_none() {
            let message = format!("`{text}` is not a time");
            let hint = "write `2026-01-31` or `2026-01-31T08:00:00Z`".to_owned();
            self.faults.add(item.span.start, message, Some(hint));
        }
        moment
    }

    fn switch(&mut self, item: &Item) -> Option<bool> {
        if let Data::Bool(value) = item.data {
            return Some(value);
        }
        self.wrong(item, "`true` or `false`");
        None
    }

    fn schedule_params(&mut self, table: &[Entry], params: &[Param]) -> Map<String, Value> {
        let mut given = Map::new();
        let Some((_, table)) = self.table(table, "params") else {
            return given;
        };
        for entry in table {
            let value = entry.value.to_json();
            let Some(param) = params.iter().find(|param| param.name == entry.key) else {
                let message = format!("the pipeline has no parameter `{}`", entry.key);
                let names = params.iter().map(|param| param.name.as_str());
                let hint = suggest::hint(&entry.key, names);
                self.faults.add(entry.key_span.start, message, Some(hint));
                continue;
            };
            if let Err(error) = param.parse(&params::shown(&value)) {
                let place = entry.value.span.start;
                self.faults
                    .add(place, error.to_string(), error.hint().map(str::to_owned));
                continue;
            }
            given.insert(entry.key.clone(), value);
        }
        given
    }
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
