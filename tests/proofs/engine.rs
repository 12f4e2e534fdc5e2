//! An engine in this process, for what is looked at from inside.
use std::{path::Path, sync::Arc};

use serde_json::Map;
use trendmill::{
    clock::{Clock as _, SystemClock, Timestamp},
    dag::{Graph, Node},
    engine::{
        Catalogue, EngineParts, EngineSettings, ExecutorChoice, Handle, HomeLock, Interval,
        RunRequest, Selection, Trigger,
    },
    store::Store,
};

/// Starts an engine on a home.
pub(crate) async fn start(
    home: &Path,
    catalogue: Catalogue,
    change: impl FnOnce(&mut EngineSettings),
) -> (Handle, Store) {
    let mut settings = EngineSettings::new(home);
    change(&mut settings);
    let clock = Arc::new(SystemClock);
    let lock = HomeLock::acquire(&settings.data_dir(), clock.now()).unwrap();
    let store = Store::open(&settings.data_dir()).await.unwrap();
    let parts = EngineParts {
        settings,
        store: store.clone(),
        catalogue,
        clock,
        executors: ExecutorChoice::default(),
    };
    (Handle::start(parts, lock).await.unwrap(), store)
}

/// A task without settings.
pub(crate) fn node(id: String, op: &str, after: Vec<String>) -> Node {
    Node {
        id,
        op: op.to_owned(),
        after,
        ..Node::default()
    }
}

/// A run of these tasks; one with another name is another run.
pub(crate) fn request(name: &str, nodes: Vec<Node>) -> RunRequest {
    let at = Timestamp::from_millis;
    RunRequest {
        pipeline: name.to_owned(),
        definition: String::new(),
        graph: Graph::new(nodes).unwrap(),
        interval: Interval {
            start: at(0),
            end: at(1),
        },
        scheduled_for: at(1),
        as_of: at(1),
        source: None,
        profile: None,
        params: Map::new(),
        force: false,
        schedule: None,
        trigger: Trigger::Manual,
        selection: Selection::All,
        hold: None,
    }
}
