//! Schedules as their file says them, with every fault.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Schedule, Timing, moment};
use crate::{
    clock::Timestamp,
    config::{
        document::{Data, Entry, Item, find},
        suggest,
    },
    dag::{
        schedule::{Catchup, Overlap},
        ticks,
    },
    pipelines::{Param, params, read::Reader},
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

impl Reader<'_> {
    /// The schedules of a file: one table, or a list of them.
    pub(in crate::pipelines) fn schedules(
        &mut self,
        root: &[Entry],
        params: &[Param],
    ) -> Vec<Schedule> {
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
