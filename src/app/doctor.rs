//! `doctor`: whether a home and its machine are fit for work, and what mends them.

mod disk;
mod outside;

use std::{path::Path, time::Duration};

use serde::Serialize;

use super::{App, Error, executors};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    config::Settings,
    engine::Cgroups,
    store::{self, Store},
};

pub use disk::DiskReport;

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// As it should be.
    Ok,
    /// Work goes on, and somebody should look.
    Warning,
    /// Work cannot be done until it is mended.
    Fault,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// How it stands.
    pub standing: Standing,
    /// In words.
    pub message: String,
    /// What mends it.
    pub hint: Option<String>,
}

impl Check {
    /// It is as it should be.
    pub fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self {
            name,
            standing: Standing::Ok,
            message: message.into(),
            hint: None,
        }
    }

    /// Somebody should look at it.
    pub fn warning(
        name: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            name,
            standing: Standing::Warning,
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    /// It keeps work from being done.
    pub fn fault(name: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            standing: Standing::Fault,
            ..Self::warning(name, message, hint)
        }
    }
}

/// What `doctor` found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnosis {
    /// Everything that was looked at.
    pub checks: Vec<Check>,
    /// What the disk holds, and for how long it is enough.
    #[serde(flatten)]
    pub disk: DiskReport,
}

impl Diagnosis {
    /// Whether nothing keeps work from being done.
    pub fn is_fit(&self) -> bool {
        self.checks
            .iter()
            .all(|check| check.standing != Standing::Fault)
    }
}

/// Looks at everything; changes nothing. `said` is what keeps attempts of the daemon within their
/// memory, where one lives and says it.
///
/// # Errors
///
/// None of what it finds is one; only what keeps it from looking.
pub async fn doctor(
    home: &Path,
    settings: Settings,
    said: Option<String>,
) -> Result<Diagnosis, Error> {
    let now = SystemClock.now();
    let mut checks = vec![writable(home)];
    let store = match Store::open_read_only(&home.join("data")).await {
        Ok(store) => Some(store),
        Err(store::Error::Missing(_)) => {
            checks.push(Check::ok("database", "none yet; the first run makes it"));
            None
        }
        Err(error) => {
            checks.push(Check::fault(
                "database",
                crate::telemetry::chain(&error),
                "trendmill db check",
            ));
            None
        }
    };
    let mut disk = DiskReport::of_home(home);
    if let Some(store) = &store {
        checks.push(database(store).await);
        disk.add_growth(home, store, now).await?;
        checks.push(clock(store, now).await?);
        checks.extend(notices(store).await?);
    } else {
        checks.push(Check::ok("clock", now.to_string()));
    }
    checks.push(disk.check(&settings));
    checks.push(memory_limits(said));
    let app = App::detached(home, settings).await?;
    checks.push(app.check_device().await);
    checks.push(outside::list_devices().await);
    checks.extend(app.check_pipelines(&app.decided().await?));
    checks.extend(app.check_captioner().await);
    Ok(Diagnosis { checks, disk })
}

fn writable(home: &Path) -> Check {
    let data = home.join("data");
    let folder = if data.is_dir() { data.as_path() } else { home };
    match tempfile::Builder::new()
        .prefix(".doctor-")
        .tempfile_in(folder)
    {
        Ok(_) => Check::ok("home", home.display().to_string()),
        Err(error) => Check::fault(
            "home",
            format!("`{}` cannot be written: {error}", folder.display()),
            format!("chown -R \"$USER\" '{}'", folder.display()),
        ),
    }
}

/// Whether the schema is this release's and the pages are sound.
async fn database(store: &Store) -> Check {
    let (have, want) = match store.schema_versions().await {
        Ok(have) => (have, Store::newest_schema()),
        Err(error) => {
            return Check::fault(
                "database",
                crate::telemetry::chain(&error),
                "trendmill db check",
            );
        }
    };
    if have.state > want.state || have.content > want.content {
        return Check::fault(
            "database",
            "it was made by a newer release",
            "install that release, or go back to a copy below data/backups",
        );
    }
    if have != want {
        return Check::warning(
            "database",
            format!(
                "its schema is older than this release (state {}, content {})",
                have.state, have.content
            ),
            "trendmill db migrate",
        );
    }
    match store.quick_check_state().await {
        Ok(faults) if faults.is_empty() => Check::ok(
            "database",
            format!("schema {} and {}", have.state, have.content),
        ),
        Ok(faults) => Check::fault(
            "database",
            format!("state.db is damaged: {}", faults.join("; ")),
            "trendmill db check",
        ),
        Err(error) => Check::fault(
            "database",
            crate::telemetry::chain(&error),
            "trendmill db check",
        ),
    }
}

/// A clock that was set back makes schedules wait.
async fn clock(store: &Store, now: Timestamp) -> Result<Check, Error> {
    let last = store.growth(now).await?.last_move;
    Ok(match last {
        Some(last) if last > now + Duration::from_mins(1) => Check::fault(
            "clock",
            format!("it says {now}, but the engine worked at {last}"),
            "timedatectl set-ntp true",
        ),
        _ => Check::ok("clock", now.to_string()),
    })
}

/// What keeps attempts within their memory: as the daemon says, else in this process.
fn memory_limits(said: Option<String>) -> Check {
    let message = said.unwrap_or_else(|| match Cgroups::look() {
        Ok(base) => format!("in cgroups below {}", base.display()),
        Err(reason) => executors::memory_limits(&Err(reason)),
    });
    Check::ok("memory", message)
}

/// What people were told and what still stands.
async fn notices(store: &Store) -> Result<Vec<Check>, Error> {
    // A database of an older release has no such table; that is told above.
    if store.schema_versions().await? != Store::newest_schema() {
        return Ok(Vec::new());
    }
    let standing = store.standing_notices().await?;
    Ok(standing
        .into_iter()
        .map(|notice| {
            let hint = match notice.kind.as_str() {
                "run_failed" | "deadline_missed" => "trendmill runs show latest",
                "no_promotion" => "trendmill models history NAME --metric spearman",
                _ => "trendmill runs list",
            };
            Check::warning("notice", notice.message, hint)
        })
        .collect())
}
