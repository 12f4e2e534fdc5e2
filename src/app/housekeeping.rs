//! What keeps a home in order while its daemon runs: notices, retention, settings read again.

use std::sync::Arc;

use tokio::sync::watch;

use super::{App, notify::Notifier, reload::Reloader, retention::Retainer, services::Services};
use crate::{config::Settings, engine::Handle};

/// Starts it all. What is read again goes to `changes`.
pub(super) fn start(
    app: &App,
    engine: &Handle,
    changes: watch::Sender<Arc<Settings>>,
    services: &Services,
) {
    let settings = changes.subscribe();
    let data_dir = app.home().join("data");
    let notifier = Notifier {
        store: app.store().clone(),
        clock: Arc::clone(app.clock()),
        settings: settings.clone(),
        events: engine.subscribe(),
        data_dir: data_dir.clone(),
    };
    let retainer = Retainer {
        store: app.store().clone(),
        registry: app.registry().clone(),
        clock: Arc::clone(app.clock()),
        settings,
        data_dir,
        media: app.media().clone(),
    };
    services.start("notifier", |ending| notifier.run(ending));
    let full = engine.disk_full();
    services.start("retention", |ending| retainer.run(full, ending));
    let purger = app.purger(engine);
    services.start("purge", |ending| purger.run(ending));
    let looker = app.looker();
    services.start("looks", |ending| looker.run(ending));
    match Reloader::new(app.home(), changes, engine.clone()) {
        Ok(reloader) => services.start("reload of settings", |ending| reloader.run(ending)),
        Err(error) => tracing::warn!("settings are not read again: {error}"),
    }
}
