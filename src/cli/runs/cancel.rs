//! `runs cancel`: a run or one of its tasks is ended, by its owner or here.

use std::io::Write;

use anyhow::bail;

use super::{Error, Scene, other, print_asked};
use crate::{
    engine::{self, HomeLock, find_task},
    server::RunAsked,
    store::RunRow,
};

/// Asks the owner of a run to end it; without an owner, ends it here.
pub(super) async fn cancel(
    scene: Scene<'_>,
    row: &RunRow,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if row.state.is_final() {
        bail!("run `{}` has ended: it is {}", row.id, row.state);
    }
    scene.store.request_cancel(&row.id).await?;
    let state = match HomeLock::acquire(scene.data_dir, scene.clock.now()) {
        // Nobody is at work on this home, so nobody else will do it.
        Ok(lock) => {
            let state = engine::cancel_idle(scene.store, &row.id, scene.clock.now()).await?;
            drop(lock);
            state.name()
        }
        Err(engine::Error::Locked { .. }) => "cancelling",
        Err(error) => return Err(error.into()),
    };
    print_asked(&RunAsked::new(&row.id, None, state), scene.json, out)
}

/// Asks the owner of a run to end one of its tasks; without an owner, ends it here.
pub(super) async fn cancel_task(
    scene: Scene<'_>,
    row: &RunRow,
    task: &str,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let found = find_task(scene.store, &row.id, task).await?;
    if found.run.state.is_final() {
        let state = found.run.state.name();
        return Err(other(anyhow::anyhow!(
            "task `{task}` has ended: it is {state}"
        )));
    }
    let store = scene.store;
    store
        .request_task_cancel(&row.id, task)
        .await
        .map_err(other)?;
    let state = match HomeLock::acquire(scene.data_dir, scene.clock.now()) {
        Ok(lock) => {
            engine::cancel_task_idle(store, &row.id, task, scene.clock.now()).await?;
            drop(lock);
            "cancelled"
        }
        Err(engine::Error::Locked { .. }) => "cancelling",
        Err(error) => return Err(error.into()),
    };
    let asked = RunAsked::new(&row.id, Some(task), state);
    Ok(print_asked(&asked, scene.json, out)?)
}
