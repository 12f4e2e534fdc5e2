//! Backfills that are asked for again, on a home of their own.

use std::sync::Arc;

use super::*;
use crate::config::Settings;

/// Two schedules that have intervals for the same moments, and a task that fails once there is a
/// file `go` in the home.
const TWO: &str = r#"
name = "two"

[[schedule]]
name = "daily"
cron = "0 0 * * *"

[[schedule]]
name = "hourly"
cron = "0 * * * *"

[[task]]
id = "a"
op = "shell"
retries = 0
argv = ["sh", "-c", "until [ -e HOME/go ]; do sleep 0.02; done; exit 1"]
"#;

async fn app(folder: &std::path::Path) -> Arc<App> {
    fs_err::create_dir(folder.join("pipelines")).unwrap();
    let two = TWO.replace("HOME", &folder.display().to_string());
    fs_err::write(folder.join("pipelines/two.toml"), two).unwrap();
    let settings = Settings::from_layers("[engine]\nexecutor = \"inline\"", []).unwrap();
    Arc::new(App::open(folder, settings).await.unwrap())
}

fn request(schedule: &str, from: &str, to: &str) -> BackfillRequest {
    BackfillRequest {
        pipeline: "two".to_owned(),
        schedule: Some(schedule.to_owned()),
        from: from.to_owned(),
        to: to.to_owned(),
        ..BackfillRequest::default()
    }
}

/// Which of the intervals get a run.
async fn plan(app: &App, request: &BackfillRequest, reprocess: Reprocess) -> Vec<bool> {
    let request = BackfillRequest {
        reprocess,
        ..request.clone()
    };
    let planned = app.plan_backfill(&request).await.unwrap();
    planned.iter().map(|interval| interval.runs).collect()
}

#[tokio::test]
async fn two_schedules_have_intervals_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(folder.path()).await;
    let daily = request("daily", "2026-03-01", "2026-03-01");
    assert!(app.create_backfill(&daily).await.unwrap().is_some());
    assert_eq!(plan(&app, &daily, Reprocess::None).await, [false]);
    let hourly = request("hourly", "2026-03-01", "2026-03-01");
    assert_eq!(plan(&app, &hourly, Reprocess::None).await, [true; 24]);
}

#[tokio::test]
async fn the_same_words_go_on_and_what_failed_is_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(folder.path()).await;
    let wanted = request("daily", "2026-03-01", "2026-03-03");
    let engine = app.start_engine().await.unwrap();
    let scheduler = app.scheduler(&engine, false, false).start();
    let id = app.create_backfill(&wanted).await.unwrap().unwrap();
    scheduler.nudge().await;
    app.pause_backfill(&id).await.unwrap();
    let (_, intervals) = app.backfill(&id).await.unwrap();
    let run = intervals[0].run_id.as_ref().unwrap();
    // Now that no other interval can get a run.
    fs_err::write(folder.path().join("go"), "").unwrap();
    assert_eq!(engine.wait(run).await.unwrap().state, RunState::Failed);
    scheduler.stop().await;

    assert_eq!(plan(&app, &wanted, Reprocess::None).await, [false; 3]);
    let failed = plan(&app, &wanted, Reprocess::Failed).await;
    assert_eq!(failed, [true, false, false]);

    let same = app.create_backfill(&wanted).await.unwrap();
    assert_eq!(same.as_ref(), Some(&id));
    let state = async || app.backfill(&id).await.unwrap().0.state;
    assert_eq!(state().await, "running", "it was paused");

    app.pause_backfill(&id).await.unwrap();
    let store = app.store();
    store.set_backfill_fault(&id, 1, "no file").await.unwrap();
    let again = plan(&app, &wanted, Reprocess::None).await;
    assert_eq!(again, [false, true, false]);
    let new = app.create_backfill(&wanted).await.unwrap();
    assert_ne!(new.unwrap(), id);
    assert_eq!(state().await, "paused", "nothing of it was asked for");
}

#[tokio::test]
async fn intervals_that_have_not_ended_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(folder.path()).await;
    for (from, to, why) in [
        (
            "2900-01-01",
            "2900-01-02",
            "none of these intervals has ended",
        ),
        (
            "2026-03-01T00:00:01Z",
            "2026-03-01T00:00:02Z",
            "no interval begins",
        ),
        ("1970-01-01", "9000-01-01", "more than 10000 intervals"),
        ("2026-03-02", "2026-03-01", "`--to` is before `--from`"),
    ] {
        let refused = app.plan_backfill(&request("daily", from, to)).await;
        let said = refused.unwrap_err().to_string();
        assert!(said.contains(why), "{from} {to}: {said}");
    }
}
