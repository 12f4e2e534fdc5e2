//! The processes of an attempt, found in the process table and killed.
//!
//! Whatever an attempt starts inherits two variables, its [`Mark`]. A process that leaves its
//! group, its session or its parent still carries them; one that takes them off is still a
//! descendant of the attempt's own process, which adopts whoever loses its parent.

use std::{
    collections::HashSet,
    ffi::OsString,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, child_subreaper, getpid, kill_process,
    pidfd_open, pidfd_send_signal, waitid,
};
use tokio::process::Command;

const ATTEMPT: &str = "TRENDMILL_ATTEMPT_ID";
const DATA: &str = "TRENDMILL_DATA";

/// How long a killed process may take to go; one that waits for a broken disk takes for ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the processes of an attempt are known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    attempt_id: String,
    data_dir: PathBuf,
}

impl Mark {
    /// That of an attempt, or of other work, of this id in this home.
    pub fn new(attempt_id: &str, data_dir: &Path) -> Self {
        Self {
            attempt_id: attempt_id.to_owned(),
            data_dir: data_dir.to_owned(),
        }
    }

    /// Makes a command's process, and all that it will start, known as the attempt's.
    pub fn put_on(&self, command: &mut Command) {
        command
            .env(ATTEMPT, &self.attempt_id)
            .env(DATA, canonical(&self.data_dir));
    }

    /// Kills everything that the attempt has started and returns when it is gone; this process
    /// stays.
    pub async fn kill_all(&self) {
        let mark = self.clone();
        // A walk through the process table; on a large machine that takes milliseconds.
        let killed = tokio::task::spawn_blocking(move || mark.kill_all_now());
        if let Err(error) = killed.await {
            tracing::error!(%error, "cannot look for what the attempt has left");
        }
    }

    /// [`Mark::kill_all`] where nothing can be awaited.
    pub(in crate::engine) fn kill_all_now(&self) {
        if adopts_all() && childless() {
            return;
        }
        let left = kill_all(&variable(ATTEMPT, self.attempt_id.as_ref()), Spare::Callers);
        if left > 0 {
            tracing::warn!("{left} processes of the attempt do not go, though killed");
        }
    }
}

/// Kills what attempts of this home have left behind. Only the holder of its lock may do so: then
/// nobody watches over them.
pub(in crate::engine) fn kill_leftovers(data_dir: &Path) {
    let left = kill_all(
        &variable(DATA, canonical(data_dir).as_os_str()),
        Spare::CallersAndTheirs,
    );
    if left > 0 {
        tracing::warn!("{left} processes of earlier attempts do not go, though killed");
    }
}

/// How many bytes of memory the processes of an attempt hold together, its own process included.
pub(super) fn resident_bytes(root: u32) -> u64 {
    let table = table();
    let family = family(&table, |process| u32::try_from(process.pid) == Ok(root));
    match family.len() {
        // The kernel keeps this count; it has to look through all pages for the other one.
        0 | 1 => family.into_iter().map(resident_of).sum(),
        _ => family.into_iter().map(share_of).sum(),
    }
}

/// How many bytes of memory one process holds; none, if it has ended.
fn resident_of(pid: i32) -> u64 {
    kibibytes(&format!("/proc/{pid}/status"), "VmRSS:").unwrap_or(0) * 1024
}

/// The same, with what it shares with others divided by their number: a forked process has all
/// pages of its parent, and neither holds them twice.
fn share_of(pid: i32) -> u64 {
    kibibytes(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
        .map_or_else(|| resident_of(pid), |kibibytes| kibibytes * 1024)
}

/// The figure of this name in a file of the process table.
fn kibibytes(file: &str, name: &str) -> Option<u64> {
    let text = fs_err::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().strip_suffix(" kB")?.trim().parse().ok()
}

pub(super) fn canonical(data_dir: &Path) -> PathBuf {
    fs_err::canonicalize(data_dir).unwrap_or_else(|_| data_dir.to_owned())
}

fn variable(name: &str, value: &std::ffi::OsStr) -> OsString {
    let mut variable = OsString::from(name);
    variable.push("=");
    variable.push(value);
    variable
}

/// Whether processes that lose their parent become children of this one.
fn adopts_all() -> bool {
    matches!(child_subreaper(), Ok(Some(_)))
}

/// Whether this process has no children, not even ended ones.
fn childless() -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::All, look), Err(rustix::io::Errno::CHILD))
}

/// Who is not killed though it belongs to the family.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spare {
    /// This process and those that it descends from.
    Callers,
    /// Those, and what this process has started.
    CallersAndTheirs,
}

/// Kills every process with this variable and all descendants of such ones, until none is found;
/// returns how many do not go.
fn kill_all(variable: &OsString, spare: Spare) -> usize {
    let begun = Instant::now();
    let mut pause = Duration::from_micros(500);
    loop {
        let targets = targets(variable, spare);
        if targets.is_empty() {
            return 0;
        }
        if begun.elapsed() > PATIENCE {
            return targets.len();
        }
        // The heads of families last: they adopt what their dying members leave behind.
        let members: HashSet<i32> = targets.iter().map(|process| process.pid).collect();
        let is_head = |process: &Process| !members.contains(&process.parent);
        let only_heads = targets.iter().all(is_head);
        for process in &targets {
            if only_heads || !is_head(process) {
                process.kill();
            }
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn targets(variable: &OsString, spare: Spare) -> Vec<Process> {
    let table = table();
    let own = getpid().as_raw_nonzero().get();
    let mut spared = HashSet::from([own]);
    let mut above = own;
    while let Some(process) = table.iter().find(|process| process.pid == above)
        && spared.insert(process.parent)
    {
        above = process.parent;
    }
    if spare == Spare::CallersAndTheirs {
        spared.extend(family(&table, |process| process.pid == own));
    }
    let family = family(&table, |process| process.carries(variable));
    table
        .into_iter()
        .filter(|process| family.contains(&process.pid) && !spared.contains(&process.pid))
        .filter(|process| !process.ended)
        .collect()
}

/// Whether a process has ended, its parent told or not.
pub(in crate::engine) fn has_ended(pid: u32) -> bool {
    let process = i32::try_from(pid).ok().and_then(Process::read);
    process.is_none_or(|process| process.ended)
}

/// The processes for which `belongs` holds, and all their descendants.
fn family(table: &[Process], belongs: impl Fn(&Process) -> bool) -> HashSet<i32> {
    let mut family: HashSet<i32> = table
        .iter()
        .filter(|process| belongs(process))
        .map(|process| process.pid)
        .collect();
    let mut size = 0;
    while family.len() > size {
        size = family.len();
        let children = table
            .iter()
            .filter(|process| family.contains(&process.parent))
            .map(|process| process.pid);
        family.extend(children.collect::<Vec<_>>());
    }
    family
}

/// A line of the process table.
#[derive(Clone, Debug)]
struct Process {
    pid: i32,
    parent: i32,
    /// In ticks since the machine started: with the number it is unique.
    started: u64,
    /// Whether it only waits to be counted by its parent.
    ended: bool,
}

fn table() -> Vec<Process> {
    let Ok(entries) = fs_err::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Process::read)
        .collect()
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let stat = fs_err::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        // The second word is the program's name in brackets, whatever that name holds.
        let words: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        Some(Self {
            pid,
            parent: words.get(1)?.parse().ok()?,
            started: words.get(19)?.parse().ok()?,
            ended: matches!(*words.first()?, "Z" | "X"),
        })
    }

    /// Whether it has inherited this variable; what belongs to others cannot be read.
    fn carries(&self, variable: &OsString) -> bool {
        fs_err::read(format!("/proc/{}/environ", self.pid)).is_ok_and(|variables| {
            variables
                .split(|&byte| byte == 0)
                .any(|known| known == variable.as_bytes())
        })
    }

    fn kill(&self) {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return;
        };
        // A handle, because a number may be given to another process between look and signal.
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => {
                let same = Self::read(self.pid).is_some_and(|now| now.started == self.started);
                if same {
                    // One that is gone already needs no signal.
                    let _ = pidfd_send_signal(handle, Signal::KILL);
                }
            }
            Err(rustix::io::Errno::NOSYS) => drop(kill_process(pid, Signal::KILL)),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// That of the only attempt of a test, whose home has a name of its own.
    fn mark(data: &Path) -> Mark {
        Mark::new(data.file_name().unwrap().to_str().unwrap(), data)
    }

    /// Runs a script that writes numbers of processes into files, and waits for these.
    fn start(data: &Path, script: &str, files: &[&str]) -> (std::process::Child, Vec<String>) {
        let Mark {
            attempt_id,
            data_dir,
        } = mark(data);
        let child = Command::new("sh")
            .args(["-c", script])
            .current_dir(data)
            .env(ATTEMPT, attempt_id)
            .env(DATA, canonical(&data_dir))
            .spawn()
            .unwrap();
        let read = |name: &&str| loop {
            let text = fs_err::read_to_string(data.join(name)).unwrap_or_default();
            if text.ends_with('\n') {
                return text.trim().to_owned();
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        (child, files.iter().map(read).collect())
    }

    fn alive(pid: &str) -> bool {
        Process::read(pid.parse().unwrap()).is_some_and(|process| !process.ended)
    }

    const WILD: &str = "trap '' TERM HUP
        (setsid sh -c 'echo $$ > forked; exec sleep 1000' &)
        echo $$ > deaf
        sleep 1000";

    #[test]
    fn finds_what_has_left_its_group_and_its_parent() {
        let home = tempfile::tempdir().unwrap();
        let (mut child, pids) = start(home.path(), WILD, &["deaf", "forked"]);
        assert!(resident_bytes(child.id()) > 0);
        Mark::new("another", home.path()).kill_all_now();
        assert!(pids.iter().all(|pid| alive(pid)));
        mark(home.path()).kill_all_now();
        assert!(!pids.iter().any(|pid| alive(pid)), "{pids:?}");
        child.wait().unwrap();
    }

    #[test]
    fn counts_pages_once_that_forked_processes_share() {
        let home = tempfile::tempdir().unwrap();
        let script = "x=$(head -c 20000000 /dev/zero | tr '\\0' x)
            for n in 1 2 3 4; do (echo $n > forked$n; sleep 1000; echo $x) & done
            wait";
        let files = ["forked1", "forked2", "forked3", "forked4"];
        let (mut child, _) = start(home.path(), script, &files);
        let root = i32::try_from(child.id()).unwrap();
        let table = table();
        let family = family(&table, |process| process.pid == root);
        let summed: u64 = family.into_iter().map(resident_of).sum();
        let counted = resident_bytes(child.id());
        mark(home.path()).kill_all_now();
        child.wait().unwrap();
        assert!(counted > 20_000_000, "{counted}");
        assert!(counted < summed / 2, "{counted} of {summed}");
    }

    #[test]
    fn leaves_what_this_process_has_started_where_it_looks_for_what_others_left() {
        let home = tempfile::tempdir().unwrap();
        let (mut child, pids) = start(home.path(), WILD, &["deaf", "forked"]);
        kill_leftovers(home.path());
        assert!(alive(&pids[0]), "a child of this process");
        assert!(!alive(&pids[1]), "nobody's child");
        child.kill().unwrap();
        child.wait().unwrap();
        mark(home.path()).kill_all_now();
    }
}
