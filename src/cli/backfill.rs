//! `backfill`: runs for past intervals.

mod daemon;

use std::{path::Path, sync::Arc};

use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use serde_json::json;

use super::{
    failure::{FAILED, Failure, INTERRUPTED, OK},
    output::Output,
    remote::Remote,
    run::{key_value, nobody},
};
use crate::{
    app::{App, BackfillInfo, BackfillRequest, BackfillRuns, PlannedInterval},
    config::Settings,
    engine::{Handle, run_ended},
    server::Reprocess,
};

/// Run a pipeline for past intervals, one run each.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  trendmill backfill reddit --from 2026-01-01 --to 2026-01-31 --source \
                  dump:posts.ndjson.zst --dry-run\n  trendmill backfill list"
)]
pub(crate) struct Command {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    wanted: Option<WantedArguments>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the backfills.
    List,
    /// Print the intervals of a backfill.
    Show {
        /// The beginning of its id.
        id: String,
    },
    /// Start no more runs of a backfill until it is resumed.
    Pause {
        /// The beginning of its id.
        id: String,
    },
    /// Go on with a backfill that was paused or interrupted.
    Resume {
        /// The beginning of its id.
        id: String,
    },
    /// End a backfill and cancel its runs.
    Cancel {
        /// The beginning of its id.
        id: String,
    },
}

#[derive(Debug, Args)]
struct WantedArguments {
    /// The pipeline's name.
    #[arg(required = true)]
    pipeline: Option<String>,
    /// The first day, or the first moment at which an interval may begin.
    #[arg(long, value_name = "DATE", required = true)]
    from: Option<String>,
    /// The last day, or the last moment at which an interval may begin.
    #[arg(long, value_name = "DATE", required = true)]
    to: Option<String>,
    /// Whose intervals are meant, where the pipeline has several schedules.
    #[arg(long, value_name = "NAME")]
    schedule: Option<String>,
    /// Run intervals again that have a run: those that failed, or all.
    #[arg(long, value_parser = reprocess(), value_name = "WHICH")]
    reprocess: Option<Reprocess>,
    /// How many runs at once.
    #[arg(long, default_value_t = 1, value_name = "N")]
    concurrency: u32,
    /// Print the intervals and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Hand the backfill to the daemon and do not wait for its end.
    #[arg(long, conflicts_with = "dry_run")]
    detach: bool,
    /// Ask a live source all the same, which does not tell of the past.
    #[arg(long)]
    live: bool,
    /// Where records come from.
    #[arg(long, value_name = "KIND[:PATH]")]
    source: Option<String>,
    /// The set of encoders.
    #[arg(long)]
    profile: Option<String>,
    /// A parameter of the pipeline; may be given several times.
    #[arg(long, value_name = "K=V", value_parser = key_value)]
    param: Vec<(String, String)>,
}

/// The words that are taken; without one, intervals that have a run are left alone.
fn reprocess() -> impl TypedValueParser<Value = Reprocess> {
    PossibleValuesParser::new(["failed", "all"]).map(|word: String| match word.as_str() {
        "failed" => Reprocess::Failed,
        _ => Reprocess::All,
    })
}

impl From<WantedArguments> for BackfillRequest {
    fn from(wanted: WantedArguments) -> Self {
        Self {
            pipeline: wanted.pipeline.unwrap_or_default(),
            schedule: wanted.schedule,
            from: wanted.from.unwrap_or_default(),
            to: wanted.to.unwrap_or_default(),
            reprocess: wanted.reprocess.unwrap_or_default(),
            concurrency: wanted.concurrency,
            runs: BackfillRuns {
                source: wanted.source,
                profile: wanted.profile,
                params: wanted.param,
            },
            live: wanted.live,
        }
    }
}

/// Runs the command; the exit code says how the backfill ended.
///
/// # Errors
///
/// Where it cannot be asked for.
pub(crate) async fn run(
    command: Command,
    home: &Path,
    settings: Settings,
    output: Output,
) -> Result<u8, Failure> {
    let app = Arc::new(App::open(home, settings).await?);
    match (command.action, command.wanted) {
        (Some(action), _) => act(action, &app, output).await,
        (None, Some(wanted)) => create(wanted, &app, output).await,
        (None, None) => Ok(OK),
    }
}

/// Does something with backfills that there are. What only reads does not ask the daemon, which
/// may be silent.
async fn act(action: Action, app: &Arc<App>, output: Output) -> Result<u8, Failure> {
    let home = app.home();
    match action {
        Action::List => list(&app.backfills().await?, output)?,
        Action::Show { id } => show(app, &id, output).await?,
        Action::Pause { id } => {
            let info = match Remote::of(home).await? {
                Some(remote) => daemon::moved(&remote, &id, "pause").await?,
                None => app.pause_backfill(&id).await?,
            };
            tell(&info, output)?;
        }
        Action::Cancel { id } => {
            let info = match Remote::of(home).await? {
                Some(remote) => daemon::moved(&remote, &id, "cancel").await?,
                None => app.cancel_backfill(&id, None).await?,
            };
            tell(&info, output)?;
        }
        Action::Resume { id } => {
            if let Some(remote) = Remote::of(home).await? {
                let info = daemon::moved(&remote, &id, "resume").await?;
                return daemon::follow(&remote, &info.id, output).await;
            }
            let engine = app.start_engine().await?;
            let info = app.resume_backfill(&id).await?;
            return work_off(app, &info.id, engine, output).await;
        }
    }
    Ok(OK)
}

/// Asks for a backfill, and sees it to its end.
async fn create(wanted: WantedArguments, app: &Arc<App>, output: Output) -> Result<u8, Failure> {
    let WantedArguments {
        dry_run, detach, ..
    } = wanted;
    let request = BackfillRequest::from(wanted);
    if dry_run {
        print_plan(&app.plan_backfill(&request).await?, output)?;
        return Ok(OK);
    }
    if let Some(remote) = Remote::of(app.home()).await? {
        return match daemon::create(&remote, app.in_full(request).await?).await? {
            None => nothing_to_do(output),
            Some(info) if detach => {
                tell(&info, output)?;
                Ok(OK)
            }
            Some(info) => daemon::follow(&remote, &info.id, output).await,
        };
    }
    if detach {
        return Err(nobody("backfill"));
    }
    // This process works, and takes the home before it asks for anything.
    let engine = app.start_engine().await?;
    match app.create_backfill(&request).await? {
        None => nothing_to_do(output),
        Some(id) => work_off(app, &id, engine, output).await,
    }
}

/// Tells that no interval gets a run, as the API does.
fn nothing_to_do(output: Output) -> Result<u8, Failure> {
    if output.json {
        output.json(&json!({ "intervals": [] }))?;
    } else {
        output.say("every interval has a run; `--reprocess failed|all` runs them again")?;
    }
    Ok(OK)
}

/// Works a backfill off in this process.
async fn work_off(app: &Arc<App>, id: &str, engine: Handle, output: Output) -> Result<u8, Failure> {
    let mut events = engine.subscribe();
    for interval in app.backfill(id).await?.1 {
        if let (Some(run_id), Some(state)) = (&interval.run_id, interval.run_state)
            && !state.is_final()
        {
            engine.resume(run_id).await?;
        }
    }
    let scheduler = app.scheduler(&engine, false, false).start();
    let mut progress = Progress::default();
    let info = loop {
        scheduler.nudge().await;
        let (info, _) = app.backfill(id).await?;
        progress.say(&info, output)?;
        if info.state != "running" {
            break info;
        }
        tokio::select! {
            () = run_ended(&mut events) => {}
            () = engine.stopped_for_good() => {
                let fault = engine.fault().unwrap_or_else(|| "it was told to".to_owned());
                return Err(Failure::failed(format!("the engine has stopped: {fault}"))
                    .hint(format!("`trendmill backfill resume {id}` goes on")));
            }
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                output.say(format!("stopping; `trendmill backfill resume {id}` goes on"))?;
                scheduler.stop().await;
                engine.stop();
                engine.stopped_for_good().await;
                return Ok(INTERRUPTED);
            }
        }
    };
    scheduler.stop().await;
    engine.stop();
    engine.stopped_for_good().await;
    tell(&info, output)?;
    Ok(exit_code(&info))
}

/// How a backfill ended, as the command tells it.
fn exit_code(info: &BackfillInfo) -> u8 {
    if info.state == "succeeded" {
        OK
    } else {
        FAILED
    }
}

/// Says how far a backfill is, whenever it is further.
#[derive(Debug, Default)]
struct Progress {
    told: usize,
}

impl Progress {
    fn say(&mut self, info: &BackfillInfo, output: Output) -> Result<(), Failure> {
        let done = info.succeeded + info.failed;
        if done > self.told && !output.json {
            self.told = done;
            output.say(format!("{done} of {} intervals", info.intervals))?;
        }
        Ok(())
    }
}

fn print_plan(planned: &[PlannedInterval], output: Output) -> Result<(), Failure> {
    if output.json {
        output.json(&json!(planned))?;
        return Ok(());
    }
    for interval in planned {
        let state = match (interval.state, interval.runs) {
            (None, _) => "runs".to_owned(),
            (Some(state), true) => format!("runs again ({state})"),
            (Some(state), false) => format!("has a run ({state})"),
        };
        output.data(format!(
            "{}  {}  {state}",
            interval.interval_start, interval.interval_end
        ))?;
    }
    Ok(())
}

fn list(infos: &[BackfillInfo], output: Output) -> Result<(), Failure> {
    if output.json {
        output.json(&json!(infos))?;
        return Ok(());
    }
    if infos.is_empty() {
        output.say("no backfill was asked for")?;
    }
    for info in infos {
        output.data(line(info))?;
    }
    Ok(())
}

fn tell(info: &BackfillInfo, output: Output) -> Result<(), Failure> {
    if output.json {
        output.json(&json!(info))?;
    } else {
        output.data(line(info))?;
    }
    Ok(())
}

fn line(info: &BackfillInfo) -> String {
    format!(
        "{}  {}  {}  {} intervals: {} succeeded, {} failed, {} running",
        info.id,
        info.pipeline,
        info.state,
        info.intervals,
        info.succeeded,
        info.failed,
        info.running
    )
}

async fn show(app: &App, id: &str, output: Output) -> Result<(), Failure> {
    let (info, intervals) = app.backfill(id).await?;
    if output.json {
        output.json(&info.with_intervals(&intervals))?;
        return Ok(());
    }
    output.data(line(&info))?;
    for interval in intervals {
        let state = match (&interval.fault, interval.run_state) {
            (Some(fault), _) => fault.clone(),
            (None, Some(state)) => state.name().to_owned(),
            (None, None) => "waits".to_owned(),
        };
        output.data(format!(
            "{}  {}  {}  {state}",
            interval.interval_start,
            interval.interval_end,
            interval.run_id.as_deref().unwrap_or("–")
        ))?;
    }
    Ok(())
}
