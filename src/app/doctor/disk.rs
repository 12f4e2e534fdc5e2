//! What the disk holds, and for how long it is enough.

use std::{path::Path, time::Duration};

use serde::Serialize;

use super::{Check, Error};
use crate::{
    app::retention::size_of,
    artifacts,
    clock::Timestamp,
    config::{Settings, size},
    engine::DiskRoom,
    store::Store,
};

/// Growth is taken from this long.
const LOOK_BACK: Duration = Duration::from_hours(7 * 24);
const DAY: f64 = 86_400.0;

/// What the disk holds, and for how long it is enough.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DiskReport {
    /// Free bytes; none where the system does not tell.
    pub free_bytes: Option<u64>,
    /// All bytes of the disk; none where the system does not tell.
    pub total_bytes: Option<u64>,
    /// Records.
    pub records: u64,
    /// What they take with their images and vectors, per thousand; none without records.
    pub bytes_per_1000_records: Option<u64>,
    /// Records that came per day, over the last week.
    pub records_per_day: f64,
    /// Days until the disk is full at that rate; none where nothing grows.
    pub days_until_full: Option<f64>,
    /// What logs take.
    pub log_bytes: u64,
    /// What the files of runs take.
    pub artifact_bytes: u64,
}

impl DiskReport {
    /// What can be seen without a database.
    pub(super) fn of_home(home: &Path) -> Self {
        let data = home.join("data");
        let folder = if data.is_dir() { data.as_path() } else { home };
        let space = artifacts::space(folder).ok();
        Self {
            free_bytes: space.map(|space| space.free),
            total_bytes: space.map(|space| space.total),
            log_bytes: size_of(&data.join("logs")),
            artifact_bytes: size_of(&data.join("runs")),
            ..Self::default()
        }
    }

    /// Adds what the records take and how fast they come.
    pub(super) async fn add_growth(
        &mut self,
        home: &Path,
        store: &Store,
        now: Timestamp,
    ) -> Result<(), Error> {
        let growth = store.growth(now - LOOK_BACK).await?;
        self.records = growth.records;
        let (Some(first), 1..) = (growth.first, growth.records) else {
            return Ok(());
        };
        let content: u64 = ["content.db", "content.db-wal"]
            .iter()
            .filter_map(|name| fs_err::metadata(home.join("data").join(name)).ok())
            .map(|file| file.len())
            .sum();
        let bytes = content + growth.media_bytes;
        self.bytes_per_1000_records = Some(bytes.saturating_mul(1000) / growth.records);
        let days = now.since(first).min(LOOK_BACK).as_secs_f64() / DAY;
        self.records_per_day = growth.recent as f64 / days.max(1.0);
        let per_day = self.records_per_day * bytes as f64 / growth.records as f64;
        self.days_until_full = self
            .free_bytes
            .filter(|_| per_day > 0.0)
            .map(|free| free as f64 / per_day);
        Ok(())
    }

    /// Whether there is room.
    pub(super) fn check(&self, settings: &Settings) -> Check {
        let hint = "make room, or keep less by `[retention]` in trendmill.toml";
        let Some(free_bytes) = self.free_bytes else {
            // The engine lets that stop nobody.
            return Check::warning("disk", "the system does not tell how much is free", "df");
        };
        let free = size::show(size::Size(free_bytes / 1_000_000 * 1_000_000));
        let mut parts = vec![format!("{free} free")];
        if let Some(bytes) = self.bytes_per_1000_records {
            parts.push(format!("{:.1} MB per 1,000 records", bytes as f64 / 1e6));
        }
        if let Some(days) = self.days_until_full {
            let rate = self.records_per_day;
            parts.push(format!("full in {days:.0} days at {rate:.0} a day"));
        }
        let message = parts.join(", ");
        let room = DiskRoom::of(self.free_bytes, settings.engine.disk_reserve.0);
        if room.full {
            Check::fault("disk", format!("{}: nothing starts", room.in_words()), hint)
        } else if free_bytes < settings.notify.disk_low.0 / 10 {
            Check::fault("disk", message, hint)
        } else if free_bytes < settings.notify.disk_low.0
            || self.days_until_full.is_some_and(|days| days < 14.0)
        {
            Check::warning("disk", message, hint)
        } else {
            Check::ok("disk", message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Standing;

    #[test]
    fn space_that_is_not_told_is_no_full_disk() {
        let settings = Settings::from_layers("", []).unwrap();
        let standing = |free_bytes| {
            let report = DiskReport {
                free_bytes,
                ..DiskReport::default()
            };
            report.check(&settings).standing
        };
        assert_eq!(standing(None), Standing::Warning);
        assert_eq!(standing(Some(0)), Standing::Fault);
        assert_eq!(standing(Some(u64::MAX)), Standing::Ok);
    }
}
