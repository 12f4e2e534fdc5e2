//! The memory and time that the daemon and everything below it take.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Context as _;

use crate::daemon::{cpu, fields, posted};

/// How often it looks.
const PACE: Duration = Duration::from_millis(50);
/// The size of a page of memory.
const PAGE: f64 = 4096.0;

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The most resident bytes of all processes at one moment; what two share counts twice.
    pub(crate) most: f64,
    /// The most of each process, by what it works on.
    pub(crate) by_process: BTreeMap<String, f64>,
    /// Seconds of processors, of the daemon and its children that have ended.
    pub(crate) cpu: f64,
}

/// Looks at a daemon until it is told to end.
#[derive(Debug)]
pub(crate) struct Watch {
    ending: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
    daemon: u32,
    before: f64,
}

impl Watch {
    /// Begins with the daemon of a home.
    pub(crate) fn start(home: &Path) -> anyhow::Result<Self> {
        let daemon = u32::try_from(posted(home)?["pid"].as_u64().context("no pid")?)?;
        let ending = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ending);
        Ok(Self {
            ending,
            thread: std::thread::spawn(move || look(daemon, &told)),
            daemon,
            before: cpu(daemon)?.iter().sum(),
        })
    }

    /// Ends, and says what was seen.
    pub(crate) fn end(self) -> anyhow::Result<Seen> {
        let cpu = cpu(self.daemon)?.iter().sum::<f64>() - self.before;
        self.ending.store(true, Ordering::Relaxed);
        let seen = self.thread.join().ok().context("the watch has died")?;
        Ok(Seen { cpu, ..seen })
    }
}

fn look(daemon: u32, ending: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !ending.load(Ordering::Relaxed) {
        let processes = processes();
        let mut sum = 0.0;
        for (&pid, &(_, resident)) in &processes {
            if is_below(&processes, pid, daemon) {
                sum += resident;
                let name = if pid == daemon {
                    "daemon".to_owned()
                } else {
                    task_of(pid)
                };
                let most = seen.by_process.entry(name).or_default();
                *most = most.max(resident);
            }
        }
        seen.most = seen.most.max(sum);
        std::thread::sleep(PACE);
    }
    seen
}

/// By process: its parent, and its resident bytes.
fn processes() -> HashMap<u32, (u32, f64)> {
    let names = fs_err::read_dir("/proc").into_iter().flatten().flatten();
    let pids = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| {
        let fields = fields(pid).ok()?;
        let parent = fields.get(1)?.parse().ok()?;
        Some((pid, (parent, fields.get(21)?.parse::<f64>().ok()? * PAGE)))
    })
    .collect()
}

fn is_below(processes: &HashMap<u32, (u32, f64)>, pid: u32, daemon: u32) -> bool {
    let mut at = pid;
    while at != daemon {
        match processes.get(&at) {
            Some(&(parent, _)) if parent > 1 => at = parent,
            _ => return false,
        }
    }
    true
}

/// The attempt that a child makes, from its arguments.
fn task_of(pid: u32) -> String {
    let text = fs_err::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<&str> = text.split('\0').collect();
    words
        .get(1..)
        .unwrap_or_default()
        .join(" ")
        .trim()
        .to_owned()
}
