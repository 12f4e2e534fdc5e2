//! Control groups (v2): where this process may make some, each attempt gets one of its own.
//!
//! The kernel then limits what its processes hold together, and kills all of them at once, whatever
//! they have done to their names, parents and sessions. A group that has groups below it may hold
//! no processes itself, so this process moves into a leaf of its own first.

use std::{
    io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{fs::getxattr, process::geteuid};
use sha2::{Digest as _, Sha256};

/// The leaf of the process that starts attempts.
const OWN: &str = "daemon";

/// How long killed processes may take to go.
const PATIENCE: Duration = Duration::from_secs(5);

/// The control group below which attempts get theirs.
#[derive(Debug)]
pub struct Cgroups {
    base: PathBuf,
    /// What the groups of this home begin with.
    prefix: String,
    limits_memory: bool,
}

impl Cgroups {
    /// Makes this process's control group ready for those of attempts, and kills what is left in
    /// them of an earlier holder of this home's lock; or says in words why there can be none.
    ///
    /// # Errors
    ///
    /// Where nobody has given this process a control group to divide.
    pub fn take(data_dir: &Path) -> Result<Self, String> {
        let taken = Self::divide(Self::look()?, data_dir, std::process::id())?;
        taken.kill_leftovers();
        Ok(taken)
    }

    /// The group that [`Cgroups::take`] would divide.
    ///
    /// # Errors
    ///
    /// Where there is none, in words.
    pub fn look() -> Result<PathBuf, String> {
        let found = Found::look(Path::new("/proc/self"), Path::is_dir)?;
        if found.is_delegated() {
            return Ok(found.base);
        }
        let base = found.base.display();
        Err(format!("its cgroup {base} is not delegated to it"))
    }

    /// Whether the kernel limits memory here; else groups only serve to kill.
    pub const fn limits_memory(&self) -> bool {
        self.limits_memory
    }

    /// The group that is divided.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Moves this process into a leaf, and lets groups beside it have limits of memory.
    fn divide(base: PathBuf, data_dir: &Path, pid: u32) -> Result<Self, String> {
        let failed = |error: io::Error| format!("its cgroup cannot be divided: {error}");
        let leaf = base.join(OWN);
        make(&leaf).map_err(failed)?;
        write(&leaf, "cgroup.procs", &pid.to_string()).map_err(failed)?;
        let has = |file| words(&base, file).iter().any(|name| name == "memory");
        if has("cgroup.controllers")
            && !has("cgroup.subtree_control")
            && let Err(error) = write(&base, "cgroup.subtree_control", "+memory")
        {
            // Others are in the group too; all is left as it was.
            let _ = write(&base, "cgroup.procs", &pid.to_string());
            let _ = fs_err::remove_dir(&leaf);
            return Err(failed(error));
        }
        let home = super::processes::canonical(data_dir);
        let hash = Sha256::digest(home.as_os_str().as_bytes());
        let (first, _) = hash.split_first_chunk().expect("a hash has 32 bytes");
        Ok(Self {
            limits_memory: has("cgroup.controllers"),
            prefix: format!("{:016x}-", u64::from_be_bytes(*first)),
            base,
        })
    }

    /// A group for an attempt, which may hold so much memory.
    pub(super) fn group(&self, attempt_id: &str, memory: Option<u64>) -> io::Result<Group> {
        let group = Group {
            path: self.base.join(format!("{}{attempt_id}", self.prefix)),
            limited: memory.is_some() && self.limits_memory,
        };
        make(&group.path)?;
        if let Some(memory) = memory.filter(|_| group.limited) {
            write(&group.path, "memory.max", &memory.to_string())?;
            // One process less would leave an attempt that is neither done nor dead.
            write(&group.path, "memory.oom.group", "1")?;
            if group.path.join("memory.swap.max").exists() {
                write(&group.path, "memory.swap.max", "0")?;
            }
        }
        Ok(group)
    }

    fn kill_leftovers(&self) {
        let Ok(entries) = fs_err::read_dir(&self.base) else {
            return;
        };
        for entry in entries.flatten() {
            if entry
                .file_name()
                .to_string_lossy()
                .starts_with(&self.prefix)
            {
                // It ends here.
                drop(Group {
                    path: entry.path(),
                    limited: false,
                });
            }
        }
    }
}

/// Moves this process, with all of its threads, into a group that its parent has made for it.
///
/// # Errors
///
/// Where the kernel refuses.
pub fn enter_cgroup(path: &Path) -> io::Result<()> {
    write(path, "cgroup.procs", "0")
}

/// The group of an attempt; what is in it is killed when it is dropped.
#[derive(Debug)]
pub(super) struct Group {
    path: PathBuf,
    limited: bool,
}

impl Group {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the kernel keeps it below a limit of memory.
    pub(super) const fn is_limited(&self) -> bool {
        self.limited
    }

    /// Whether something in it was killed because it held too much memory.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        let events = fs_err::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        events
            .lines()
            .filter_map(|line| line.strip_prefix("oom_kill "))
            .any(|count| count.trim() != "0")
    }

    /// The most bytes that it has held, what the kernel keeps of its files included.
    pub(super) fn peak_bytes(&self) -> Option<u64> {
        let text = fs_err::read_to_string(self.path.join("memory.peak")).ok()?;
        text.trim().parse().ok()
    }

    /// Kills all that is in it.
    pub(super) fn kill(&self) {
        // A kernel before 5.14 has no such file; the marks find them too.
        let _ = write(&self.path, "cgroup.kill", "1");
    }

    /// Kills all that is in it, and takes it away once nothing is.
    pub(super) async fn end(self) {
        // Killed processes need a moment.
        if let Err(error) = tokio::task::spawn_blocking(move || drop(self)).await {
            tracing::error!(%error, "cannot take away the cgroup of an attempt");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        let begun = Instant::now();
        while let Err(error) = fs_err::remove_dir(&self.path) {
            if error.kind() == io::ErrorKind::NotFound {
                return;
            }
            if begun.elapsed() > PATIENCE {
                tracing::warn!(%error, "the cgroup of an attempt does not go");
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The control group of a process.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    base: PathBuf,
    /// Whether it is the topmost that can be seen from here.
    is_top: bool,
}

impl Found {
    /// The group of the process whose folder in `/proc` this is; `exists` tells of its folder.
    fn look(process: &Path, exists: fn(&Path) -> bool) -> Result<Self, String> {
        let read = |file| fs_err::read_to_string(process.join(file)).unwrap_or_default();
        let none = || "there is no cgroup v2".to_owned();
        let groups = read("cgroup");
        let group = groups
            .lines()
            .find_map(|line| line.strip_prefix("0::"))
            .ok_or_else(none)?;
        let mounts = read("mountinfo");
        let base = mounts
            .lines()
            .find_map(|line| {
                let (mount, filesystem) = line.split_once(" - ")?;
                let mut words = mount.split(' ').skip(3);
                let (root, at) = (words.next()?, words.next()?);
                let inside = Path::new(group).strip_prefix(root).ok()?;
                filesystem
                    .starts_with("cgroup2 ")
                    .then(|| Path::new(at).join(inside))
            })
            .ok_or_else(none)?;
        // It may have moved into its leaf before.
        let base = match base.parent() {
            Some(above) if base.ends_with(OWN) => above.to_owned(),
            _ => base,
        };
        if !exists(&base) {
            return Err(none());
        }
        Ok(Self {
            base,
            is_top: group == "/" || Path::new(group) == Path::new("/").join(OWN),
        })
    }

    /// Whether the group is this process's to divide: its owner has said so, it is all that a
    /// container sees, or it was given to this user and the one above it was not.
    fn is_delegated(&self) -> bool {
        let mut value = [0; 8];
        let says_so = ["user.delegate", "trusted.delegate"]
            .iter()
            .any(|name| getxattr(&self.base, *name, &mut value) == Ok(1) && value[0] == b'1');
        // The root of the machine has no such file.
        let is_container = self.is_top && self.base.join("cgroup.type").exists();
        let owner = |path: &Path| fs_err::metadata(path).ok().map(|about| about.uid());
        let own = geteuid();
        let was_given = !own.is_root()
            && owner(&self.base) == Some(own.as_raw())
            && self.base.parent().and_then(owner) != Some(own.as_raw());
        says_so || is_container || was_given
    }
}

fn make(path: &Path) -> io::Result<()> {
    match fs_err::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn write(group: &Path, file: &str, text: &str) -> io::Result<()> {
    fs_err::write(group.join(file), text)
}

/// The words of a file; none, where there is no such file.
fn words(group: &Path, file: &str) -> Vec<String> {
    let text = fs_err::read_to_string(group.join(file)).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `/proc` and the mounted groups look like, in a folder.
    fn process(groups: &str, mounts: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("cgroup"), groups).unwrap();
        fs_err::write(folder.path().join("mountinfo"), mounts).unwrap();
        folder
    }

    const MOUNTS: &str = "\
30 23 0:26 / /proc rw,relatime - proc proc rw
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
41 31 0:38 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
";

    #[test]
    fn finds_the_group_of_a_process() {
        let look = |groups: &str, mounts: &str| {
            Found::look(process(groups, mounts).path(), |_| true)
                .map(|found| (found.base.to_str().unwrap().to_owned(), found.is_top))
        };
        let of = |path: &str| look(&format!("4:memory:/x\n0::{path}\n"), MOUNTS);
        let found = |path: &str, top| Ok((path.to_owned(), top));
        assert_eq!(
            of("/system.slice/trendmill.service"),
            found("/sys/fs/cgroup/system.slice/trendmill.service", false)
        );
        // After it has moved into its leaf.
        assert_eq!(
            of("/system.slice/trendmill.service/daemon"),
            found("/sys/fs/cgroup/system.slice/trendmill.service", false)
        );
        assert_eq!(of("/"), found("/sys/fs/cgroup/", true));
        assert_eq!(of("/daemon"), found("/sys/fs/cgroup", true));
        // A part of the tree alone is mounted.
        let part = MOUNTS.replace("0:38 / ", "0:38 /a ");
        assert_eq!(look("0::/a/b", &part), found("/sys/fs/cgroup/b", false));
        for (groups, mounts) in [
            ("4:memory:/x\n", MOUNTS),
            ("0::/", "30 23 0:26 / /proc rw - proc proc rw\n"),
            ("0::/elsewhere", &part),
        ] {
            assert_eq!(look(groups, mounts).unwrap_err(), "there is no cgroup v2");
        }
        let gone = process("0::/", MOUNTS);
        assert!(Found::look(gone.path(), |_| false).is_err());
    }

    #[test]
    fn a_group_that_nobody_gave_away_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let found = |is_top| Found {
            base: folder.path().to_owned(),
            is_top,
        };
        if geteuid().is_root() {
            assert!(!found(false).is_delegated());
            // The root of the machine.
            assert!(!found(true).is_delegated());
        }
        // The root of a container.
        fs_err::write(folder.path().join("cgroup.type"), "domain").unwrap();
        assert!(found(true).is_delegated());
    }

    #[test]
    fn divides_a_group_and_limits_those_below() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        let read = |file: &str| fs_err::read_to_string(base.join(file)).unwrap();
        fs_err::write(base.join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        let cgroups = Cgroups::divide(base.to_owned(), base, 42).unwrap();
        assert!(cgroups.limits_memory());
        assert_eq!(read("daemon/cgroup.procs"), "42");
        assert_eq!(read("cgroup.subtree_control"), "+memory");

        let group = cgroups.group("a1", Some(1 << 30)).unwrap();
        let file = |name: &str| group.path().join(name);
        let text = |name: &str| fs_err::read_to_string(file(name)).unwrap();
        assert!(group.is_limited());
        assert_eq!(text("memory.max"), "1073741824");
        assert_eq!(text("memory.oom.group"), "1");
        assert!(!file("memory.swap.max").exists());
        assert!(!group.ran_out_of_memory());
        fs_err::write(file("memory.events"), "low 0\noom 3\noom_kill 2\n").unwrap();
        fs_err::write(file("memory.peak"), "1073737728\n").unwrap();
        assert!(group.ran_out_of_memory());
        assert_eq!(group.peak_bytes(), Some(1_073_737_728));
        group.kill();
        assert_eq!(text("cgroup.kill"), "1");
        // What the kernel would take away with its folder.
        fs_err::remove_dir_all(group.path()).unwrap();

        // Without the controller of memory, groups only serve to kill.
        fs_err::remove_file(base.join("cgroup.controllers")).unwrap();
        let cgroups = Cgroups::divide(base.to_owned(), base, 42).unwrap();
        let group = cgroups.group("a2", Some(1 << 30)).unwrap();
        assert!(!group.is_limited());
        assert!(!group.path().join("memory.max").exists());
        fs_err::remove_dir(group.path()).unwrap();
    }
}
