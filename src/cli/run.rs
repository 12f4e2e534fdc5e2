//! `run`: one run, now.

use std::path::Path;

use chrono::NaiveDate;
use clap::Args;
use serde_json::{Value, json};

use super::{
    encoders::{plan_table, reading},
    failure::{Failure, INTERRUPTED, OK, chain},
    follow,
    output::Output,
    progress,
    remote::Remote,
    report,
};
use crate::{
    app::{self, App, Basis, IntervalPlan, Prepared, RunRequest, Wanted, Worker},
    config::Settings,
    engine::{self, Submitted},
    pipelines,
    server::RunWanted,
};

/// Run a pipeline once, now.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  trendmill run reddit --source sandbox\n  trendmill run reddit \
                        --source dump:posts.ndjson.zst --date 2026-01-31\n  trendmill run reddit \
                        --source table:posts.csv,images=photos --param keep=true\n  trendmill run \
                        reddit --source sandbox --from train\n\nThe same command goes on with a run \
                        that was interrupted."
)]
pub(crate) struct Command {
    /// The pipeline's name.
    pipeline: String,
    /// The day of the data interval; default: the one that has just ended.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = date)]
    date: Option<NaiveDate>,
    /// Where records come from: `sandbox`, `dump:FILE|DIR`, `table:FILE`, `reddit`, `arctic`.
    #[arg(long, value_name = "KIND[:PATH]")]
    source: Option<String>,
    /// The set of encoders.
    #[arg(long)]
    profile: Option<String>,
    /// A parameter of the pipeline; may be given several times.
    #[arg(long, value_name = "K=V", value_parser = key_value)]
    param: Vec<(String, String)>,
    /// Begin at this task; the tasks before it are taken over from the last run.
    #[arg(long, value_name = "TASK", conflicts_with = "only")]
    from: Option<String>,
    /// Run this task alone.
    #[arg(long, value_name = "TASK")]
    only: Option<String>,
    /// Start a new run and compute everything again.
    #[arg(long)]
    force: bool,
    /// Hand the run to the daemon and do not wait for its end.
    #[arg(long, conflicts_with = "dry_run")]
    detach: bool,
    /// Show what would run, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

fn date(text: &str) -> Result<NaiveDate, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a date; write it as in 2026-01-31"))
}

pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is not `K=V`"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Runs the command; the exit code says how the run ended.
///
/// # Errors
///
/// Where the run cannot start.
pub(crate) async fn run(
    command: Command,
    home: &Path,
    settings: Settings,
    output: Output,
) -> Result<u8, Failure> {
    // Everything that can be wrong is found before anything is written.
    let request = RunRequest {
        pipeline: command.pipeline.clone(),
        date: command.date,
        source: command.source.clone(),
        profile: command.profile.clone(),
        params: command.param.clone(),
    };
    let detached = App::detached(home, settings.clone()).await?;
    let prepared = detached.prepare(&request).await?;
    let wanted = Wanted {
        from: command.from.clone(),
        only: command.only.clone(),
        force: command.force,
        fill: false,
    };
    wanted.check(&prepared)?;
    if let Some(source) = &prepared.source {
        detached.environment().source(source).await?;
    }
    if command.dry_run {
        if let Some(worker) = Worker::for_device(app::device(&settings)?)? {
            return Ok(worker.stand_in().await?);
        }
        let app = reading(home, settings).await?;
        let plan = app.plan_interval(&prepared).await?;
        return dry_run(&prepared, &plan, &command, output);
    }
    let task = Task {
        for_daemon: command.for_daemon(&prepared),
        prepared,
        wanted,
        detach: command.detach,
    };
    Box::pin(task.carry_out(detached, home, settings, output)).await
}

/// A run that was checked and is wanted now.
#[derive(Debug)]
pub(super) struct Task {
    /// What is to be run.
    pub(super) prepared: Prepared,
    /// Which part of it, and how.
    pub(super) wanted: Wanted,
    /// The same in the words of the API.
    pub(super) for_daemon: RunWanted,
    /// Whether its end is not waited for.
    pub(super) detach: bool,
}

impl Task {
    /// Hands the run to the daemon where one lives, else does it in this process, and tells how it
    /// ended.
    ///
    /// # Errors
    ///
    /// Where the run cannot start.
    pub(super) async fn carry_out(
        self,
        detached: App,
        home: &Path,
        settings: Settings,
        output: Output,
    ) -> Result<u8, Failure> {
        if let Some(remote) = Remote::of(home).await? {
            let answer = remote.post("/runs", &self.for_daemon).await?;
            return follow::to_its_end(&remote, answer, self.detach, home, settings, output).await;
        }
        if self.detach {
            return Err(nobody("run"));
        }
        detached
            .check_devices(&self.prepared.compiled.graph)
            .await?;
        drop(detached);

        let app = App::open(home, settings).await?;
        let engine = app.start_engine().await?;
        let request = app.request_of(self.prepared, &self.wanted).await?;
        let events = engine.subscribe();
        let submitted = engine.submit(request).await?;
        let Submitted { run_id, resumed } = submitted;
        if resumed {
            output.say(format!("going on with run {run_id}, which was interrupted"))?;
        }
        let shown = tokio::spawn(progress::show(events, output.lively));
        let summary = tokio::select! {
            summary = engine.wait(&run_id) => summary?,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                output.say("stopping; the same command goes on with the run")?;
                engine.stop();
                engine.stopped_for_good().await;
                return Ok(INTERRUPTED);
            }
        };
        engine.stop();
        engine.stopped_for_good().await;
        // What is shown is not worth failing for.
        let _shown = shown.await;
        report::print(&app, summary, output).await
    }
}

/// What is said where work is for the daemon and there is none.
pub(super) fn nobody(work: &str) -> Failure {
    Failure::wrong_use(format!(
        "no daemon runs on this home, so nobody would do the {work}"
    ))
    .hint("start one with `trendmill up`, or leave `--detach` out")
}

impl Command {
    /// The same in the words of the API. The source is written in full, because the daemon works
    /// in another folder.
    fn for_daemon(&self, prepared: &Prepared) -> RunWanted {
        let given = self.param.iter().filter(|(name, _)| name != "source");
        RunWanted {
            pipeline: self.pipeline.clone(),
            date: self.date,
            source: prepared.source.clone(),
            profile: self.profile.clone(),
            params: given
                .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
                .collect(),
            from: self.from.clone(),
            only: self.only.clone(),
            force: self.force,
            fill: false,
        }
    }
}

fn dry_run(
    prepared: &Prepared,
    plan: &IntervalPlan,
    command: &Command,
    output: Output,
) -> Result<u8, Failure> {
    let graph = &prepared.compiled.graph;
    let count = graph.nodes().len();
    let runs = match (&command.from, &command.only) {
        (Some(from), _) => {
            let mut runs = graph.with_descendants(graph.position(from));
            graph.choose_setups(&mut runs, |_| true);
            runs
        }
        (None, Some(only)) => (0..count).map(|at| graph.nodes()[at].id == *only).collect(),
        (None, None) => vec![true; count],
    };
    let chosen: Vec<&str> = (0..count)
        .filter(|&position| runs[position])
        .map(|position| graph.nodes()[position].id.as_str())
        .collect();
    if output.json {
        output.json(&json!({
            "pipeline": prepared.compiled.pipeline,
            "source": prepared.source,
            "interval_start": prepared.interval.start,
            "interval_end": prepared.interval.end,
            "as_of": prepared.as_of,
            "params": prepared.compiled.params,
            "profile": prepared.compiled.profile,
            "tasks": graph.nodes(),
            "runs": chosen,
            "encoding": plan,
        }))?;
        return Ok(OK);
    }
    output.data(format!(
        "{} for {} to {}, with what is known at {}\nsource: {}\nprofile: {}\n",
        prepared.compiled.pipeline,
        prepared.interval.start,
        prepared.interval.end,
        prepared.as_of,
        prepared.source.as_deref().unwrap_or("none"),
        prepared.compiled.profile.as_deref().unwrap_or("none"),
    ))?;
    output.data(pipelines::text(graph))?;
    if chosen.len() < graph.nodes().len() {
        output.data(format!("only these run: {}", chosen.join(", ")))?;
    }
    if !plan.tasks.is_empty() {
        let records = plan.records;
        output.data(match plan.basis {
            Basis::Known => format!("\nto encode, of the {records} records of this interval:"),
            Basis::Mean => format!(
                "\nto encode, of about {records} records, the mean of the intervals before:"
            ),
            Basis::Nothing => "\nto encode: nothing is stored that would tell how much".to_owned(),
        })?;
    }
    if plan.total.contents > 0 {
        output.data(plan_table(&plan.tasks, &plan.total))?;
    }
    if let Some(note) = &plan.note {
        output.say(format!("no rate: {note}"))?;
    }
    Ok(OK)
}

impl From<engine::Error> for Failure {
    fn from(error: engine::Error) -> Self {
        match error {
            engine::Error::Locked { .. } | engine::Error::Lock { .. } => Self::unfit(chain(&error)),
            engine::Error::UnknownOperator { .. }
            | engine::Error::UnknownTask { .. }
            | engine::Error::NoEarlierResult { .. }
            | engine::Error::OtherSettings { .. }
            | engine::Error::SeveralRuns(_)
            | engine::Error::Unfinished(_)
            | engine::Error::NothingToClear(_)
            | engine::Error::FilesGone { .. }
            | engine::Error::UnknownRun(_) => Self::wrong_use(chain(&error)),
            _ => Self::failed(chain(&error)),
        }
    }
}
