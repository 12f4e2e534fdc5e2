//! Attempts in control groups of their own, where this machine lets a test make some.

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use rustix::fs::{XattrFlags, setxattr};
use serde_json::Value;

use crate::{
    home::{Home, stderr, task},
    processes::wait_gone,
};

/// A control group that was delegated; taken away with what the test's programs left in it.
struct Delegated(PathBuf);

impl Delegated {
    fn new() -> Result<Self, String> {
        let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mounts
            .lines()
            .find(|line| line.contains(" - cgroup2 "))
            .and_then(|line| line.split(' ').nth(4))
            .ok_or("cgroup2 is not mounted")?;
        let path = Path::new(mount).join(format!("trendmill-test-{}", std::process::id()));
        fs_err::create_dir(&path).map_err(|error| error.to_string())?;
        let group = Self(path);
        setxattr(&group.0, "user.delegate", b"1", XattrFlags::empty())
            .map_err(|error| error.to_string())?;
        Ok(group)
    }

    /// The command line, started within the group.
    fn command(&self, home: &Home, arguments: &[&str]) -> Command {
        let plain = home.command(arguments);
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""])
            .arg(&self.0)
            .arg(plain.get_program())
            .args(plain.get_args())
            .current_dir(home.path());
        command
    }

    /// The groups below.
    fn below(&self) -> Vec<String> {
        let entries = fs_err::read_dir(&self.0).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        let _ = fs_err::write(self.0.join("cgroup.kill"), "1");
        // What is killed leaves its group a moment later.
        for _ in 0..100 {
            for name in self.below() {
                let _ = fs_err::remove_dir(self.0.join(name));
            }
            if fs_err::remove_dir(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

const PIPELINE: &str = r#"
name = "groups"

[[task]]
id = "wild"
op = "shell"
argv = ["sh", "-c", "cat /proc/self/cgroup > where; (env -i setsid sh -c 'echo $$ > wild; exec sleep 1000' &); until test -s wild; do sleep 0.01; done"]

[[task]]
id = "large"
op = "shell"
memory = "64MiB"
argv = ["sh", "-c", "head -c 300000000 /dev/zero | tail -n 1 | sleep 600"]
"#;

#[test]
fn what_an_attempt_starts_ends_with_its_group() {
    let home = Home::empty();
    home.write("pipelines/groups.toml", PIPELINE);
    let group = match Delegated::new() {
        Ok(group) => group,
        Err(reason) => {
            println!("no control group can be made here: {reason}");
            let said = memory(&home.json(&["doctor"]));
            assert!(
                said.contains("memory of their processes is watched"),
                "{said}"
            );
            return;
        }
    };
    let doctor = group
        .command(&home, &["--json", "doctor"])
        .output()
        .unwrap();
    let said = memory(&serde_json::from_slice(&doctor.stdout).unwrap());
    assert!(said.contains(group.0.to_str().unwrap()), "{said}");

    let run = group
        .command(&home, &["--json", "run", "groups"])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(1), "{}", stderr(&run));
    let run: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(task(&run, "wild")["state"], "succeeded");
    let large = task(&run, "large");
    let message = large["message"].as_str().unwrap();
    assert!(message.contains("its limit is 64MiB"), "{large}");

    let place = format!("{}/", group.0.file_name().unwrap().to_str().unwrap());
    let where_it_ran = find(&home, "where");
    let own = where_it_ran.lines().find(|line| line.contains(&place));
    assert!(
        own.is_some_and(|line| !line.ends_with("/daemon")),
        "{where_it_ran}"
    );
    // Nothing is left, though it had put off its marks.
    wait_gone(find(&home, "wild").trim());
    assert_eq!(group.below(), ["daemon"]);
}

/// What `doctor` says of limits of memory.
fn memory(found: &Value) -> String {
    let checks = found["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "memory");
    check.unwrap()["message"].as_str().unwrap().to_owned()
}

/// A file that a task has left in its folder.
fn find(home: &Home, name: &str) -> String {
    let mut folders = vec![home.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with(name) {
                return fs_err::read_to_string(path).unwrap();
            }
        }
    }
    panic!("no `{name}` below {}", home.path().display());
}
