//! Commands that the daemon does where one lives, and this process where none does.

use std::path::Path;

use serde_json::{Value, json};

use super::{
    failure::{Failure, OK},
    follow,
    output::Output,
    remote::{self, Remote},
    report, runs,
};
use crate::{
    app::App,
    config::Settings,
    server::{ClearAnswer, ClearWanted, Paused, RunAnswer},
};

/// `pipelines pause` and `pipelines unpause`, by the daemon where one lives.
pub(super) async fn pause(
    name: &str,
    paused: bool,
    home: &Path,
    settings: Settings,
    output: Output,
) -> Result<(), Failure> {
    let changed = if let Some(remote) = Remote::of(home).await? {
        let verb = if paused { "pause" } else { "unpause" };
        let path = format!("/pipelines/{}/{verb}", remote::segment(name));
        remote.post::<Paused>(&path, &json!({})).await?.changed
    } else {
        let app = App::open(home, settings).await?;
        if paused {
            app.pause(name).await?
        } else {
            app.unpause(name).await?
        }
    };
    if output.json {
        let answer = serde_json::json!({ "pipeline": name, "paused": paused, "changed": changed });
        output.json(&answer)?;
        return Ok(());
    }
    output.say(match (paused, changed) {
        (true, true) => format!("`{name}` is paused: its schedules make no runs"),
        (true, false) => format!("`{name}` was paused before"),
        (false, true) => format!("`{name}` goes on"),
        (false, false) => format!("`{name}` was not paused"),
    })?;
    Ok(())
}

/// `runs`: reading works beside a live run; ending and repeating one needs to write.
pub(super) async fn runs(
    command: runs::Command,
    home: &Path,
    settings: Settings,
    output: Output,
) -> Result<u8, Failure> {
    let writes = matches!(
        command,
        runs::Command::Cancel { .. }
            | runs::Command::Retry { .. }
            | runs::Command::Clear { dry_run: false, .. }
    );
    // Why a task waits the engine knows best, which has seen the disk.
    if writes || matches!(command, runs::Command::Explain { .. }) {
        match Remote::of(home).await {
            Ok(Some(remote)) => return by_daemon(command, &remote, home, settings, output).await,
            Ok(None) => {}
            Err(silent) if writes => return Err(silent),
            // What only reads does so all the same.
            Err(silent) => output.say(format!("{}; its databases say:", silent.message))?,
        }
    }
    let app = if writes {
        App::open(home, settings).await?
    } else {
        App::read(home, settings).await?
    };
    let data_dir = home.join("data");
    let slots = app.slots();
    let scene = runs::Scene {
        slots: &slots,
        registry: app.registry(),
        disk: app.disk(),
        store: app.store(),
        data_dir: &data_dir,
        clock: app.clock().as_ref(),
        json: output.json,
    };
    let engine = async || app.start_engine().await;
    match runs::run(command, scene, engine, &mut std::io::stdout()).await? {
        None => Ok(OK),
        Some(summary) => report::print(&app, summary, output).await,
    }
}

/// `runs`, as far as the daemon does it: it alone ends and repeats runs while it lives.
async fn by_daemon(
    command: runs::Command,
    remote: &Remote,
    home: &Path,
    settings: Settings,
    output: Output,
) -> Result<u8, Failure> {
    match command {
        runs::Command::Retry { run, from, .. } => {
            let path = format!("/runs/{}/retry", remote::segment(&run));
            let answer = remote.post(&path, &json!({ "from": from })).await?;
            follow::to_its_end(remote, answer, false, home, settings, output).await
        }
        runs::Command::Clear {
            run, from, task, ..
        } => {
            let path = format!("/runs/{}/clear", remote::segment(&run));
            let wanted = ClearWanted {
                from,
                task,
                dry_run: false,
            };
            let cleared: ClearAnswer = remote.post(&path, &wanted).await?;
            let answer = RunAnswer {
                run_id: cleared.run_id,
                resumed: false,
                event: cleared.event,
            };
            follow::to_its_end(remote, answer, false, home, settings, output).await
        }
        runs::Command::Cancel { run, task } => {
            let run = remote::segment(&run);
            let path = match task {
                None => format!("/runs/{run}/cancel"),
                Some(task) => format!("/runs/{run}/tasks/{}/cancel", remote::segment(&task)),
            };
            let asked = remote.post(&path, &json!({})).await?;
            runs::print_asked(&asked, output.json, &mut std::io::stdout())?;
            Ok(OK)
        }
        runs::Command::Explain { run, task } => {
            let (run, task) = (remote::segment(&run), remote::segment(&task));
            let path = format!("/runs/{run}/tasks/{task}/explain");
            let explanation: Value = remote.get(&path).await?;
            output.data(match explanation["sentence"].as_str() {
                Some(sentence) if !output.json => sentence.to_owned(),
                _ => explanation.to_string(),
            })?;
            Ok(OK)
        }
        runs::Command::List { .. } | runs::Command::Show { .. } | runs::Command::Logs { .. } => {
            Err(Failure::failed("this command does not ask the daemon"))
        }
    }
}
