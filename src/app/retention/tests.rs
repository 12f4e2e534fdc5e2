//! Retention on a home with made-up runs.

use super::*;
use crate::{clock::ManualClock, media::Limits};

struct Home {
    folder: tempfile::TempDir,
    store: Store,
    clock: Arc<ManualClock>,
}

impl Home {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            store: Store::open(folder.path()).await.unwrap(),
            folder,
            clock: Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap())),
        }
    }

    /// A run that begins now, ended where `state` is a last one, with a log and a matrix.
    async fn run(&self, id: &str, state: &'static str) {
        let now = self.clock.now();
        self.store.made_up_run(id, "reddit", now, None).await;
        if state != "running" {
            self.store.made_up_end(id, state, now).await;
        }
        self.write(&format!("logs/{id}/merge.1.log"), 1000);
        self.write(&format!("runs/{id}/merge.safetensors"), 5000);
        self.write(&format!("runs/{id}/train.json"), 100);
    }

    fn write(&self, path: &str, bytes: usize) {
        let path = self.folder.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, vec![0; bytes]).unwrap();
    }

    fn has(&self, path: &str) -> bool {
        self.folder.path().join(path).exists()
    }

    async fn retain(&self, settings: &str) -> Retained {
        let settings = Settings::from_layers(settings, []).unwrap();
        let retainer = Retainer {
            store: self.store.clone(),
            registry: Registry::new(
                self.folder.path().join("model_registry"),
                self.store.clone(),
            ),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            settings: watch::channel(Arc::new(settings)).1,
            data_dir: self.folder.path().to_owned(),
            media: MediaStore::new(self.folder.path().join("media"))
                .with_copies(64, Limits::default()),
        };
        retainer.once().await.unwrap()
    }
}

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn what_is_old_goes_and_what_lives_stays() {
    let home = Home::new().await;
    home.run("r1", "running").await;
    home.run("r2", "failed").await;
    home.clock.advance(40 * DAY);
    home.run("r3", "succeeded").await;
    home.clock.advance(DAY);
    // Artifacts go after 30 days, logs after 60.
    let done = home.retain("").await;
    assert_eq!((done.artifacts, done.logs, done.runs), (1, 0, 0));
    assert!(home.has("runs/r1/merge.safetensors") && !home.has("runs/r2"));
    home.clock.advance(401 * DAY);
    let done = home.retain("").await;
    // The newest run of a pipeline is kept, and the one that has not ended.
    assert_eq!((done.logs, done.runs), (2, 1));
    assert!(home.store.run("r2").await.unwrap().is_none());
    assert!(home.store.run("r3").await.unwrap().is_some());
    assert!(home.has("logs/r1/merge.1.log") && home.has("runs/r1/merge.safetensors"));
    assert_eq!(home.retain("").await, Retained::default());
}

#[tokio::test]
async fn what_was_sent_of_records_goes_where_that_is_asked_for() {
    let home = Home::new().await;
    for id in ["a", "b"] {
        let record = crate::corpus::Record {
            id: id.to_owned(),
            community: None,
            author: None,
            title: None,
            created_at: None,
            media: Vec::new(),
            fields: serde_json::Map::new(),
        };
        let raw = crate::corpus::RawBody {
            json: b"{}".as_slice().into(),
            tells_of: Vec::new(),
        };
        let now = home.clock.now();
        let page = crate::store::WalkedPage {
            records: &[(record, None)],
            raw: &std::collections::BTreeMap::from([(id.to_owned(), raw)]),
            bytes: 0,
            read_to: None,
        };
        let writer = crate::store::Writer {
            run_id: "r",
            task_id: "t",
            stored_at: now,
        };
        let stored = home.store.store_walked_page("live", page, now, writer);
        stored.await.unwrap();
        home.clock.advance(30 * DAY);
    }
    assert_eq!(home.retain("").await.raw, 0);
    assert_eq!(home.retain("[retention]\nraw = \"forever\"").await.raw, 0);
    assert_eq!(home.retain("[retention]\nraw = \"40d\"").await.raw, 1);
    assert!(home.store.raw("live", "a").await.unwrap().is_none());
    assert_eq!(home.retain("[retention]\nraw = \"never\"").await.raw, 1);
    let dropped = home.store.raw_dropped("live").await.unwrap();
    assert_eq!(dropped, Some(home.clock.now()));
    let records = home.store.records("live", home.clock.now()).await.unwrap();
    assert_eq!(records.len(), 2);
}

#[tokio::test]
async fn the_oldest_go_where_there_is_too_much() {
    let home = Home::new().await;
    for id in ["r1", "r2", "r3", "r4"] {
        home.run(id, "succeeded").await;
        home.clock.advance(DAY);
    }
    home.write("runs/being-made/merge.safetensors", 9);
    let done = home
        .retain("[retention]\nmatrices = 2\nlogs_size = 2500\nartifacts_size = 10250")
        .await;
    assert_eq!((done.matrices, done.logs, done.artifacts), (2, 2, 2));
    assert!(!home.has("logs/r2") && home.has("logs/r3"));
    assert!(!home.has("runs/r2") && home.has("runs/r3/merge.safetensors"));
    assert!(home.has("runs/being-made"));
}

#[tokio::test]
async fn what_others_deleted_goes_a_month_later_with_its_files() {
    let home = Home::new().await;
    let begin = async |run_id, experiment| {
        let new = crate::store::NewLoggedRun {
            run_id,
            experiment,
            name: "nightly",
            user: "me",
            started_at: home.clock.now(),
            tags: &[],
        };
        home.store.add_logged_run(new).await.unwrap();
        let point = [("lr".to_owned(), "0.1".to_owned())];
        let params = home.store.log_entries(run_id, &[], &point, &[]);
        params.await.unwrap();
        home.write(&format!("logged/{run_id}/report.html"), 1000);
    };
    let experiment = home.store.add_logged_experiment("e", &[], home.clock.now());
    let experiment = experiment.await.unwrap();
    begin("kept", 0).await;
    begin("deleted", 0).await;
    begin("of_deleted", experiment).await;
    // Of a process that died before it had removed the files.
    home.write("logged/orphan/model.pkl", 10);
    let now = home.clock.now();
    let deleted = home.store.set_logged_run_deleted("deleted", Some(now));
    deleted.await.unwrap();
    let deleted = home
        .store
        .set_logged_experiment_deleted(experiment, true, now);
    deleted.await.unwrap();

    home.clock.advance(30 * DAY);
    assert_eq!(home.retain("").await, Retained::default());
    home.clock.advance(DAY);
    let done = home.retain("").await;
    assert_eq!((done.logged, done.bytes), (2, 2000));
    let state = async |id| home.store.logged_run(id).await.unwrap().is_some();
    assert!(state("kept").await && !state("deleted").await && !state("of_deleted").await);
    assert!(home.has("logged/kept/report.html") && !home.has("logged/deleted"));
    let experiments = home.store.logged_experiments().await.unwrap();
    assert_eq!(experiments.len(), 1, "{experiments:?}");
    // Files are as old as the real clock says, which is ahead of the made-up one.
    assert!(home.has("logged/orphan"));
    home.clock.advance(1000 * DAY);
    let done = home.retain("").await;
    assert_eq!((done.logged, done.bytes), (0, 10));
    assert!(!home.has("logged/orphan"));
    assert!(home.has("logged/kept/report.html"));
}
