//! One process per home: a lock on a file, which ends with the process however it ends.

use std::{
    io::{Seek, SeekFrom, Write},
    path::Path,
    sync::Mutex,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    Error,
    executor::{has_ended, kill_leftovers},
};
use crate::clock::Timestamp;

/// The right to run things on a home; given back when it is dropped or the process ends.
#[derive(Debug)]
pub struct HomeLock(Mutex<Held>);

/// The locked file and what it says.
#[derive(Debug)]
struct Held {
    file: fs_err::File,
    holder: Holder,
}

/// What the lock file says of its holder.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Holder {
    pid: Option<u32>,
    started_at: Option<Timestamp>,
    run_id: Option<String>,
    /// Where it listens, where it is a daemon.
    address: Option<String>,
}

/// How often it is looked whether the lock of a holder that has died is free.
const LOOKS: u32 = 400;
/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(5);

impl HomeLock {
    /// Takes the lock of the home whose data folder this is, making the folder as needed. What
    /// attempts of an earlier holder have left running is killed: nobody watches over it any more.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] with process and run where another process holds it; [`Error::Lock`]
    /// where the file cannot be made.
    pub fn acquire(data_dir: &Path, now: Timestamp) -> Result<Self, Error> {
        let path = data_dir.join("lock");
        let failed = |source| Error::Lock {
            path: path.clone(),
            source,
        };
        fs_err::create_dir_all(data_dir).map_err(failed)?;
        let file = fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        let mut looks = 0;
        while let Err(refusal) = file.file().try_lock() {
            if let std::fs::TryLockError::Error(source) = refusal {
                return Err(failed(source));
            }
            // The holder may be writing it just now; then its name stays unknown.
            let holder: Holder = fs_err::read_to_string(&path)
                .ok()
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default();
            // A process that it was just starting when it died holds the lock until it is another
            // program.
            if looks < LOOKS && holder.pid.is_some_and(has_ended) {
                looks += 1;
                std::thread::sleep(PAUSE);
                continue;
            }
            return Err(Error::Locked {
                pid: holder.pid,
                run_id: holder.run_id,
                started_at: holder.started_at,
                address: holder.address,
            });
        }
        let lock = Self(Mutex::new(Held {
            file,
            holder: Holder {
                pid: Some(std::process::id()),
                started_at: Some(now),
                ..Holder::default()
            },
        }));
        lock.tell(|_| {}).map_err(failed)?;
        kill_leftovers(data_dir);
        Ok(lock)
    }

    /// Tells whoever finds the home locked where this process listens.
    ///
    /// # Errors
    ///
    /// Where the lock file cannot be written.
    pub fn set_address(&self, address: &str) -> Result<(), std::io::Error> {
        self.tell(|holder| holder.address = Some(address.to_owned()))
    }

    /// Tells whom it may concern which run this process is at work on.
    pub(super) fn set_run(&self, run_id: Option<&str>) -> Result<(), std::io::Error> {
        self.tell(|holder| holder.run_id = run_id.map(str::to_owned))
    }

    fn tell(&self, change: impl FnOnce(&mut Holder)) -> Result<(), std::io::Error> {
        let mut held = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut held.holder);
        let text = serde_json::to_string(&held.holder).expect("plain data");
        held.file.seek(SeekFrom::Start(0))?;
        held.file.set_len(0)?;
        fail::fail_point!("lock.emptied");
        held.file.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_second_holder_and_names_the_first() {
        let home = tempfile::tempdir().unwrap();
        let now = "2026-01-17T08:00:00Z".parse().unwrap();
        let first = HomeLock::acquire(home.path(), now).unwrap();
        first.set_run(Some("0190-run")).unwrap();
        let refusal = HomeLock::acquire(home.path(), now).unwrap_err().to_string();
        for part in [
            &format!("process {}", std::process::id()),
            "run `0190-run`",
            "since 2026-01-17T08:00:00Z",
        ] {
            assert!(refusal.contains(part), "{refusal}");
        }
        first.set_address("http://127.0.0.1:7878").unwrap();
        let refusal = HomeLock::acquire(home.path(), now).unwrap_err().to_string();
        for part in ["at http://127.0.0.1:7878", "run `0190-run`"] {
            assert!(refusal.contains(part), "{refusal}");
        }
        drop(first);
        HomeLock::acquire(home.path(), now).unwrap();
    }
    #[test]
    fn waits_for_what_a_dead_holder_was_just_starting() {
        let home = tempfile::tempdir().unwrap();
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let path = home.path().join("lock");
        fs_err::write(&path, format!("{{\"pid\":{}}}", ended.id())).unwrap();
        let inherited = fs_err::File::open(&path).unwrap();
        inherited.file().lock().unwrap();
        let other = std::thread::spawn(move || {
            std::thread::sleep(PAUSE * 5);
            drop(inherited);
        });
        let now = "2026-01-17T08:00:00Z".parse().unwrap();
        HomeLock::acquire(home.path(), now).unwrap();
        other.join().unwrap();
    }
}
