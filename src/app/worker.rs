//! The executable that computes with LibTorch.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::{App, Error};
use crate::{
    dag::Graph,
    encoders::{self, DeviceSpec, DeviceSupport},
    operators,
};

/// What an executable whose libraries are not found ends with.
const NOT_LOADED: i32 = 127;

/// `trendmill-worker`: the same commands with LibTorch linked in.
///
/// It lies beside the command line, which so starts in milliseconds and links no LibTorch.
#[derive(Clone, Debug)]
pub struct Worker {
    executable: PathBuf,
}

impl Worker {
    /// The worker that computes on `device`; none where this executable does so itself.
    ///
    /// # Errors
    ///
    /// Where the device needs a worker and there is none.
    pub fn for_device(device: DeviceSpec) -> Result<Option<Self>, Error> {
        if device.is_built_in() {
            return Ok(None);
        }
        let this = std::env::current_exe().map_err(encoders::Error::from)?;
        let executable = this.with_file_name("trendmill-worker");
        // The worker asks nobody else about a device that it lacks, least of all itself.
        if executable != this && executable.is_file() {
            return Ok(Some(Self { executable }));
        }
        match device.open() {
            Ok(_) => Ok(None),
            Err(error) => Err(Error::Encoder(error.into())),
        }
    }

    /// Its file.
    pub fn executable(&self) -> &Path {
        &self.executable
    }

    /// Gives it this process's own arguments and waits; the answer is its exit code.
    ///
    /// # Errors
    ///
    /// Where it cannot be started or was killed.
    pub async fn stand_in(&self) -> Result<u8, Error> {
        let status = Command::new(&self.executable)
            .args(std::env::args_os().skip(1))
            .kill_on_drop(true)
            .status()
            .await
            .map_err(|error| self.not_started(&error.to_string()))?;
        match status.code() {
            Some(NOT_LOADED) => Err(self.not_started("its libraries were not found")),
            Some(code) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
            None => Err(Error::Failed(format!(
                "`{}` was ended from outside: {status}",
                self.executable.display()
            ))),
        }
    }

    /// Asks it whether it can compute on `device`.
    ///
    /// # Errors
    ///
    /// Where it cannot, with its reason.
    pub async fn probe(&self, device: DeviceSpec) -> Result<(), Error> {
        let output = Command::new(&self.executable)
            .args(["encoders", "device", &device.to_string()])
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| self.not_started(&error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        if output.status.code() == Some(NOT_LOADED) {
            return Err(self.not_started(said));
        }
        Err(Error::unfit(
            said.strip_prefix("error: ").unwrap_or(said).to_owned(),
            None,
        ))
    }

    fn not_started(&self, reason: &str) -> Error {
        Error::unfit(
            format!("`{}` cannot start: {reason}", self.executable.display()),
            "put the folder of LibTorch's libraries into `LD_LIBRARY_PATH`; \
             `eval \"$(.ci/setup-libtorch)\"` does so"
                .to_owned(),
        )
    }
}

/// What this executable and the worker beside it can compute on, one entry per kind of device.
pub async fn devices() -> Vec<DeviceSupport> {
    let mut all = encoders::device_support();
    for support in all.iter_mut().filter(|support| !support.usable) {
        if let Ok(Some(worker)) = Worker::for_device(support.device) {
            match worker.probe(support.device).await {
                Ok(()) => {
                    support.usable = true;
                    support.message.clear();
                }
                Err(error) => support.message = error.to_string(),
            }
        }
    }
    all
}

impl App {
    /// Makes sure that every task of a graph can compute where it is to.
    ///
    /// # Errors
    ///
    /// Where a device is not there, with what to do: nothing has begun then.
    pub async fn check_devices(&self, graph: &Graph) -> Result<(), Error> {
        let mut seen = Vec::new();
        for node in graph.nodes() {
            let device = operators::device_of(&node.op, &node.settings, self.environment.device)
                .map_err(|error| Error::wrong(error.message, error.hint))?;
            let Some(device) = device.filter(|device| !seen.contains(device)) else {
                continue;
            };
            seen.push(device);
            match Worker::for_device(device)? {
                Some(worker) => worker.probe(device).await?,
                None => {
                    device.open().map_err(encoders::Error::from)?;
                }
            }
        }
        Ok(())
    }
}
