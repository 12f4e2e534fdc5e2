//! The process that predicts for callers of the daemon: started, asked, ended.

use std::{
    convert::Infallible,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use tokio::{
    process::Command,
    sync::{mpsc, oneshot, watch},
};
use tokio_util::sync::CancellationToken;

use super::{
    App, Worker,
    executors::own_executable,
    predict::{Answer, Ask, exchange},
};
use crate::{
    config::Settings,
    engine::{self, ChildGroup},
    server::{Fault, PredictedRow},
};

/// How many requests wait at most, the one at work not counted.
const MOST_WAITING: usize = 64;
/// After how many seconds it is worth to ask again when the process has died.
const AGAIN: u64 = 1;

/// A request with whom to answer.
#[derive(Debug)]
pub(super) struct Job {
    ask: Ask,
    answer: oneshot::Sender<Result<Vec<PredictedRow>, Fault>>,
}

/// Where requests are handed in.
#[derive(Clone, Debug)]
pub(super) struct Desk(mpsc::Sender<Job>);

/// A desk, and what is handed in there.
pub(super) fn desk() -> (Desk, mpsc::Receiver<Job>) {
    let (hand_in, jobs) = mpsc::channel(MOST_WAITING);
    (Desk(hand_in), jobs)
}

impl Desk {
    /// Hands a request in and waits for its answer.
    ///
    /// # Errors
    ///
    /// What the process refuses; 429 where too many wait; 503 where it dies or the daemon ends.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Vec<PredictedRow>, Fault> {
        let (answer, answered) = oneshot::channel();
        self.0
            .try_send(Job { ask, answer })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Fault::too_many(format!(
                    "{MOST_WAITING} requests wait for predictions already"
                ))
                .hint("ask for several records in one request".to_owned()),
                mpsc::error::TrySendError::Closed(_) => ending(),
            })?;
        answered.await.unwrap_or_else(|_| Err(ending()))
    }
}

fn ending() -> Fault {
    Fault::unavailable("the daemon ends")
}

/// Whom the process works for, and how.
#[derive(Debug)]
pub(super) struct Predicting {
    pub(super) app: Arc<App>,
    /// As they are now: they may be read again.
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) jobs: mpsc::Receiver<Job>,
}

/// The process while it is there.
#[derive(Debug)]
struct Process {
    /// Asked and answered on; when it closes, the process ends.
    socket: tokio::net::UnixStream,
    group: ChildGroup,
}

/// What happens next.
enum Next {
    Asked(Job),
    Idle,
    Died(io::Result<ExitStatus>),
    End,
}

impl Predicting {
    /// Answers one request after the other until it is told to end.
    ///
    /// # Errors
    ///
    /// None: whoever asked is told what went wrong.
    pub(super) async fn run(mut self, ending: CancellationToken) -> Result<(), Infallible> {
        let mut process = None;
        loop {
            match self.next(&mut process, &ending).await {
                Next::End => break,
                Next::Idle => {
                    tracing::info!("nobody asks for predictions: their process leaves");
                    stop(&mut process).await;
                }
                Next::Died(status) => {
                    tracing::warn!("the process that predicts has ended: {}", said(status));
                    stop(&mut process).await;
                }
                // Whoever has gone needs no answer.
                Next::Asked(job) if job.answer.is_closed() => {}
                Next::Asked(job) => {
                    let answer = tokio::select! {
                        answer = self.ask(&mut process, &job.ask) => answer,
                        () = ending.cancelled() => break,
                    };
                    // Nobody may wait any more.
                    let _ = job.answer.send(answer);
                }
            }
        }
        stop(&mut process).await;
        Ok(())
    }

    async fn next(&mut self, process: &mut Option<Process>, ending: &CancellationToken) -> Next {
        let idle = self.settings.borrow().predict.idle;
        let alone = async {
            match process {
                Some(process) => tokio::select! {
                    status = process.group.child().wait() => Next::Died(status),
                    () = tokio::time::sleep(idle) => Next::Idle,
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = ending.cancelled() => Next::End,
            // One that has died meanwhile is started again before it is asked.
            next = alone => next,
            job = self.jobs.recv() => job.map_or(Next::End, Next::Asked),
        }
    }

    async fn ask(
        &self,
        process: &mut Option<Process>,
        ask: &Ask,
    ) -> Result<Vec<PredictedRow>, Fault> {
        let limit = self.settings.borrow().predict.timeout;
        let at_work = match process {
            Some(process) => process,
            None => process.insert(self.start()?),
        };
        let lost = |message: String| {
            tracing::warn!("{message}");
            Fault::told_later("predictor_lost", message, AGAIN)
        };
        let count = ask.wanted.records.len();
        tracing::debug!(
            model = ask.model,
            version = ask.version,
            "somebody asks for {count} predictions"
        );
        match tokio::time::timeout(limit, exchange(&mut at_work.socket, ask)).await {
            Ok(Ok(Answer::Done(rows))) => Ok(rows),
            Ok(Ok(Answer::Refused(status, detail))) => Err(Fault::told(status, detail)),
            Ok(Err(error)) => {
                let status = match stop(process).await {
                    Some(status) => said(status),
                    None => error.to_string(),
                };
                let message = format!("the process that predicts has died ({status})");
                Err(lost(message).hint("ask again: it is started anew".to_owned()))
            }
            Err(_) => {
                stop(process).await;
                let message = format!(
                    "the process that predicts gave no answer within {}, and was ended",
                    crate::config::duration::show(limit)
                );
                Err(lost(message)
                    .hint("ask for fewer records at once, or raise `predict.timeout`".to_owned()))
            }
        }
    }

    /// Starts the process; it says what it cannot do when it is asked.
    fn start(&self) -> Result<Process, Fault> {
        let device = self.app.environment.device;
        let executable = match Worker::for_device(device)? {
            Some(worker) => worker.executable().to_owned(),
            None => own_executable().ok_or_else(|| {
                Fault::unfit("this program has no command that predicts for callers")
            })?,
        };
        let failed = |error: io::Error| cannot_start(&executable, &error);
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let socket = tokio::net::UnixStream::from_std(ours).map_err(failed)?;
        // Another home's daemon has a process of this kind too.
        let mark = format!("predictor-{}", std::process::id());
        let mut command = Command::new(&executable);
        command
            .arg("--home")
            .arg(&self.app.home)
            .arg("answer-predictions")
            .arg(&mark)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mark = engine::Mark::new(&mark, self.app.data_dir());
        let mut group = ChildGroup::spawn(&mut command, mark).map_err(failed)?;
        let (output, errors) = (group.child().stdout.take(), group.child().stderr.take());
        tokio::spawn(async move {
            tokio::join!(engine::relay(output), engine::relay(errors));
        });
        let pid = group.child().id().unwrap_or_default();
        tracing::info!("process {pid} for predictions has started");
        Ok(Process { socket, group })
    }
}

/// Ends the process, if there is one; how it had ended, where it had done so by itself.
async fn stop(process: &mut Option<Process>) -> Option<io::Result<ExitStatus>> {
    /// How long one whose socket has closed may take to be gone.
    const GOING: Duration = Duration::from_millis(200);
    let mut process = process.take()?;
    let child = process.group.child();
    let alone = tokio::time::timeout(GOING, child.wait()).await.ok();
    process.group.stop(Duration::ZERO).await;
    alone
}

fn said(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

fn cannot_start(executable: &Path, error: &io::Error) -> Fault {
    let message = format!("cannot start `{}`: {error}", executable.display());
    Fault::told_later("predictor_lost", message, AGAIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::PredictWanted;

    fn ask() -> Ask {
        Ask {
            model: "m".to_owned(),
            version: 1,
            wanted: PredictWanted {
                records: Vec::new(),
                explain: false,
                nearest: 0,
                top_k: None,
                threshold: None,
            },
        }
    }

    #[tokio::test]
    async fn too_many_are_sent_away_and_those_who_wait_hear_of_the_end() {
        let (desk, jobs) = desk();
        let waiting: Vec<_> = (0..MOST_WAITING)
            .map(|_| {
                let desk = desk.clone();
                tokio::spawn(async move { desk.ask(ask()).await })
            })
            .collect();
        while jobs.len() < MOST_WAITING {
            tokio::task::yield_now().await;
        }
        let (status, detail) = desk.ask(ask()).await.unwrap_err().into_parts();
        assert_eq!((status, detail.code.as_str()), (429, "too_many"));
        drop(jobs);
        for waiting in waiting {
            let (status, _) = waiting.await.unwrap().unwrap_err().into_parts();
            assert_eq!(status, 503);
        }
        assert_eq!(desk.ask(ask()).await.unwrap_err().into_parts().0, 503);
    }
}
