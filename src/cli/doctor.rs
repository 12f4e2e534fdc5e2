//! `doctor`: what is missing, and the command that mends it.

use std::path::Path;

use super::{
    failure::{FAILED, Failure, OK},
    output::Output,
    remote::Remote,
};
use crate::{
    app::{self, Check, Standing},
    config::Settings,
    server::DaemonAnswer,
};

/// Looks at everything; the exit code says whether work can be done.
///
/// # Errors
///
/// Where it cannot look.
pub(super) async fn run(home: &Path, settings: Settings, output: Output) -> Result<u8, Failure> {
    let (daemon, memory_limits) = daemon(home).await;
    let mut found = app::doctor(home, settings, memory_limits).await?;
    found.checks.insert(0, daemon);
    let code = if found.is_fit() { OK } else { FAILED };
    if output.json {
        output.json(&found)?;
        return Ok(code);
    }
    for check in &found.checks {
        let mark = match check.standing {
            Standing::Ok => "ok",
            Standing::Warning => "warning",
            Standing::Fault => "FAULT",
        };
        output.data(format!("{mark:<8} {:<12} {}", check.name, check.message))?;
        if let Some(hint) = &check.hint {
            output.data(format!("{:<21} → {hint}", ""))?;
        }
    }
    Ok(code)
}

/// Whether a daemon is at work, and what keeps it from work; beside it what it says of the memory
/// of its attempts.
async fn daemon(home: &Path) -> (Check, Option<String>) {
    let remote = match Remote::of(home).await {
        Ok(Some(remote)) => remote,
        Ok(None) => return (Check::ok("daemon", "none is running"), None),
        Err(silent) => {
            let hint = silent.hint.unwrap_or_default();
            return (Check::fault("daemon", silent.message, hint), None);
        }
    };
    let daemon: DaemonAnswer = match remote.get("/daemon").await {
        Ok(daemon) => daemon,
        Err(lost) => {
            let hint = lost.hint.unwrap_or_else(|| "trendmill up".to_owned());
            return (Check::warning("daemon", lost.message, hint), None);
        }
    };
    let (url, since) = (remote.url(), daemon.started_at);
    let check = if daemon.disk.full {
        Check::fault(
            "daemon",
            format!("at {url}; nothing starts: {}", daemon.disk.in_words()),
            "make room, or keep less by `[retention]` in trendmill.toml",
        )
    } else {
        Check::ok("daemon", format!("at {url} since {since}"))
    };
    (check, Some(daemon.memory_limits))
}
