//! What there is to tell: ends of runs, and what is looked at now and then.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde_json::json;

use crate::{
    artifacts,
    clock::Timestamp,
    config::{NoticeKind, Notify, duration},
    store::{Error, NewNotice, RunEnd, Store},
};

/// What is to be raised, and which causes are gone.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) raise: Vec<NewNotice>,
    pub(super) clear: Vec<String>,
}

impl Found {
    fn raise(&mut self, settings: &Notify, notice: NewNotice) {
        if settings.on.iter().any(|kind| kind.name() == notice.kind) {
            self.raise.push(notice);
        }
    }

    /// Raises or clears by whether something is wrong.
    fn state(&mut self, settings: &Notify, notice: NewNotice, wrong: bool) {
        if wrong {
            self.raise(settings, notice);
        } else {
            self.clear.push(notice.cause);
        }
    }
}

fn notice(
    kind: NoticeKind,
    about: &str,
    message: String,
    details: serde_json::Value,
    settings: &Notify,
) -> NewNotice {
    NewNotice {
        cause: format!("{}:{about}", kind.name()),
        kind: kind.name(),
        message,
        details,
        times: 1,
        passing: false,
        ends: None,
        ways: super::send::ways(settings),
    }
}

/// What the ends of runs tell: of each pipeline the last one counts, for what it says still holds.
/// One that worked after one that failed is told as well.
pub(super) fn of_runs(ends: &[RunEnd], settings: &Notify) -> Found {
    let mut found = Found::default();
    for (nth, end) in ends.iter().enumerate() {
        let of_it = |other: &&RunEnd| other.pipeline == end.pipeline;
        if ends[nth + 1..].iter().any(|later| of_it(&later)) {
            continue;
        }
        let failed = |end: &&RunEnd| end.state == "failed";
        let times = ends.iter().rev().filter(of_it).take_while(failed).count();
        let failure = NewNotice {
            times: u32::try_from(times).unwrap_or(u32::MAX),
            ..notice(
                NoticeKind::RunFailed,
                &end.pipeline,
                format!(
                    "{} failed: {} (run {})",
                    end.pipeline, end.cause, end.run_id
                ),
                json!({"pipeline": end.pipeline, "run_id": end.run_id, "ended_at": end.at}),
                settings,
            )
        };
        if times == 0 {
            let again = recovered(end, failure.cause.clone(), settings);
            found.raise(settings, again);
        }
        found.state(settings, failure, times > 0);
    }
    found
}

/// That a pipeline works again; it is told where the failure stands until now.
fn recovered(end: &RunEnd, failure: String, settings: &Notify) -> NewNotice {
    NewNotice {
        passing: true,
        ends: Some(failure),
        ..notice(
            NoticeKind::RunRecovered,
            &end.pipeline,
            format!("{} works again (run {})", end.pipeline, end.run_id),
            json!({"pipeline": end.pipeline, "run_id": end.run_id}),
            settings,
        )
    }
}

/// What is looked at now and then: the disk, the champions, the newest records.
pub(super) async fn of_state(
    store: &Store,
    data_dir: &Path,
    settings: &Notify,
    now: Timestamp,
) -> Result<Found, Error> {
    let mut found = Found::default();
    if let Ok(space) = artifacts::space(data_dir) {
        let low = notice(
            NoticeKind::DiskLow,
            "data",
            format!(
                "the disk is nearly full: {} MB are free, less than {}",
                space.free / 1_000_000,
                crate::config::size::show(settings.disk_low)
            ),
            json!({"free_bytes": space.free, "total_bytes": space.total}),
            settings,
        );
        // A tenth more before all is well: at the edge it would come and go.
        let standing = space.free < settings.disk_low.0;
        let well = space.free > settings.disk_low.0.saturating_add(settings.disk_low.0 / 10);
        if standing || well {
            found.state(settings, low, standing);
        }
    }
    for late in late(&store.missed_deadlines(now).await?, settings) {
        found.raise(settings, late);
    }
    for (model, at) in store.last_promotions().await? {
        let old = now.since(at);
        let none = notice(
            NoticeKind::NoPromotion,
            &model,
            format!(
                "no version of {model} became champion since {at}, {} ago",
                in_days(old)
            ),
            json!({"model": model, "since": at}),
            settings,
        );
        found.state(settings, none, old > settings.no_promotion_after);
    }
    for (dataset, at) in store.newest_arrivals().await? {
        let silent = now.since(at);
        let none = notice(
            NoticeKind::NoNewRecords,
            &dataset,
            format!(
                "no new record of {dataset} since {at}, longer than {}",
                duration::show(settings.no_new_records_after)
            ),
            json!({"dataset": dataset, "since": at}),
            settings,
        );
        found.state(settings, none, silent > settings.no_new_records_after);
    }
    Ok(found)
}

/// What missed deadlines tell, once per pipeline: after an outage many of its runs are late.
fn late(missed: &[(String, String, Timestamp)], settings: &Notify) -> Vec<NewNotice> {
    let mut first: BTreeMap<&str, (&str, Timestamp, u32)> = BTreeMap::new();
    for (run, pipeline, at) in missed {
        let (_, _, count) = first.entry(pipeline).or_insert((run, *at, 0));
        *count += 1;
    }
    let tell = |(pipeline, (run, at, count)): (&str, (&str, Timestamp, u32))| {
        let others = match count {
            1 => String::new(),
            2 => ", nor has a later run of it".to_owned(),
            more => format!(", nor have {} later runs of it", more - 1),
        };
        notice(
            NoticeKind::DeadlineMissed,
            pipeline,
            format!("{pipeline} has not ended by its deadline, {at} (run {run}){others}"),
            json!({"pipeline": pipeline, "run_id": run, "deadline_at": at, "runs": count}),
            settings,
        )
    };
    first.into_iter().map(tell).collect()
}

fn in_days(time: Duration) -> String {
    match time.as_secs() / 86_400 {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(pipeline: &str, state: &str) -> RunEnd {
        RunEnd {
            run_id: "r1".to_owned(),
            pipeline: pipeline.to_owned(),
            state: state.to_owned(),
            cause: "`train` failed".to_owned(),
            at: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn the_last_end_of_a_pipeline_counts() {
        let settings = crate::config::Settings::default().notify;
        let ends = [
            end("a", "failed"),
            end("a", "succeeded"),
            end("b", "succeeded"),
            end("b", "failed"),
        ];
        let found = of_runs(&ends, &settings);
        let raised: Vec<(&str, Option<&str>)> = found
            .raise
            .iter()
            .map(|notice| (notice.cause.as_str(), notice.ends.as_deref()))
            .collect();
        assert_eq!(
            raised,
            [
                ("run_recovered:a", Some("run_failed:a")),
                ("run_failed:b", None)
            ]
        );
        assert_eq!(found.raise[0].message, "a works again (run r1)");
        assert_eq!(found.clear, ["run_failed:a"]);
        let quiet = Notify {
            on: vec![NoticeKind::DiskLow],
            ..settings
        };
        assert_eq!(of_runs(&ends, &quiet).raise, []);
    }
}
