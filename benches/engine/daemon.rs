//! The daemon as a process: how soon it is ready, and what it costs when it has nothing to do.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;

/// The kernel counts time in these parts of a second.
const TICKS: f64 = 100.0;

/// A daemon that is killed when it is no longer looked at.
pub(crate) struct Daemon {
    child: Child,
    /// Milliseconds from its start to the first answer that it is ready.
    pub(crate) ready: f64,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    /// Starts the shipped binary on a home and waits until it says that it is ready.
    pub(crate) fn start(home: &Path) -> anyhow::Result<Self> {
        let began = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_trendmill"))
            .arg("--home")
            .arg(home)
            .args(["--quiet", "up", "--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let mut daemon = Self { child, ready: 0.0 };
        loop {
            anyhow::ensure!(
                daemon.child.try_wait()?.is_none() && began.elapsed() < Duration::from_mins(1),
                "the daemon does not become ready"
            );
            if daemon.is_ready(home).unwrap_or(false) {
                daemon.ready = began.elapsed().as_secs_f64() * 1e3;
                return Ok(daemon);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn is_ready(&self, home: &Path) -> anyhow::Result<bool> {
        let posted = posted(home)?;
        let url = posted["url"].as_str().context("no address")?;
        if posted["pid"] != self.child.id() {
            return Ok(false);
        }
        let address = url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address)?;
        write!(
            stream,
            "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200"))
    }

    /// Its resident megabytes, and its part of a core in per cent while nothing happens for
    /// `time`.
    pub(crate) fn idle(&self, time: Duration) -> anyhow::Result<(f64, f64)> {
        // What a start leaves behind is not idleness.
        std::thread::sleep(Duration::from_secs(2));
        let before = self.seconds()?;
        std::thread::sleep(time);
        let seconds = self.seconds()? - before;
        let status = fs_err::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let resident: f64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next())
            .context("no resident size")?
            .parse()?;
        Ok((resident / 1024.0, 100.0 * seconds / time.as_secs_f64()))
    }

    fn seconds(&self) -> anyhow::Result<f64> {
        let [user, system, ..] = cpu(self.child.id())?;
        Ok(user + system)
    }
}

/// What the daemon of a home says of itself.
pub(crate) fn posted(home: &Path) -> anyhow::Result<serde_json::Value> {
    let text = fs_err::read_to_string(home.join("data/daemon.json"))?;
    Ok(serde_json::from_str(&text)?)
}

/// The fields of `/proc/PID/stat` behind the name.
pub(crate) fn fields(pid: u32) -> anyhow::Result<Vec<String>> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no fields")?;
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}

/// Seconds of processors: of a process itself in user space and in the kernel, and the same of
/// those children that have ended.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<[f64; 4]> {
    let fields = fields(pid)?;
    let mut seconds = [0.0; 4];
    for (seconds, ticks) in seconds
        .iter_mut()
        .zip(fields.get(11..15).context("no times")?)
    {
        *seconds = ticks.parse::<f64>()? / TICKS;
    }
    Ok(seconds)
}
