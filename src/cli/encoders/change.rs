//! `encoders plan`, `fill` and `gc`: a change of an encoder, in a home.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::{
    app::{
        self, App, Collection, EncoderPlan, PlanTotal, PlannedEncoding, Prepared, RunRequest,
        Worker,
    },
    cli::{
        db::bytes,
        failure::{Failure, OK},
        output::{Output, counted, number, table},
        run::{Task, key_value},
    },
    config::Settings,
    server::RunWanted,
    store::{self, EncodedKind},
};

/// What concerns the results that a home keeps.
#[derive(Debug, Subcommand)]
pub(crate) enum Change {
    /// Say what it takes until everything is encoded: contents, hours, bytes.
    ///
    /// Counts what a run of the pipeline would select now, and measures each encoder on at most 32
    /// of these contents, for a few seconds. Nothing of that is kept: only runs store results. A
    /// server that writes captions is counted and not asked.
    Plan(Wanted),
    /// Encode what is stored and lacks a result, beside everything else that runs.
    ///
    /// An ordinary run of only the tasks that encode: it asks no source, starts after other runs
    /// that wait, works in parts, and goes on where it was after a crash; the same command goes on
    /// with it. Where a daemon lives, it does it. `pipelines switch` comes after.
    Fill {
        #[command(flatten)]
        wanted: Wanted,
        /// Hand the run to the daemon and do not wait for its end.
        #[arg(long)]
        detach: bool,
    },
    /// Drop vectors and captions that nothing needs any more.
    ///
    /// Kept is what a profile of a pipeline names, what a run writes, and what model versions need:
    /// those with an alias and the newest of each model (`retention.versions`). The database file
    /// keeps its size, and what comes next takes the room; `trendmill db vacuum` makes it smaller.
    Gc {
        /// Say what would be dropped, and drop nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Whose contents are meant, and which encoders.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// The pipeline's name.
    pipeline: String,
    /// The set of encoders; default: what the pipeline uses.
    #[arg(long)]
    profile: Option<String>,
    /// Whose records are meant; default: what the pipeline says.
    #[arg(long, value_name = "KIND[:PATH]")]
    source: Option<String>,
    /// A parameter of the pipeline; may be given several times.
    #[arg(long, value_name = "K=V", value_parser = key_value)]
    param: Vec<(String, String)>,
}

impl Wanted {
    /// The run whose contents they are.
    pub(crate) fn request(&self) -> RunRequest {
        RunRequest {
            pipeline: self.pipeline.clone(),
            date: None,
            source: self.source.clone(),
            profile: self.profile.clone(),
            params: self.param.clone(),
        }
    }

    /// The run that fills, in the words of the API.
    fn run(&self, prepared: &Prepared) -> RunWanted {
        let given = self.param.iter().filter(|(name, _)| name != "source");
        RunWanted {
            pipeline: self.pipeline.clone(),
            source: prepared.source.clone(),
            profile: self.profile.clone(),
            params: given
                .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
                .collect(),
            fill: true,
            ..RunWanted::default()
        }
    }
}

/// Runs a command; the answer is its exit code.
///
/// # Errors
///
/// Where the request is wrong, or an encoder cannot be had.
pub(crate) async fn run(
    command: Change,
    home: &Path,
    settings: Settings,
    output: Output,
) -> Result<u8, Failure> {
    match command {
        Change::Plan(wanted) => {
            if let Some(worker) = Worker::for_device(app::device(&settings)?)? {
                return Ok(worker.stand_in().await?);
            }
            let app = reading(home, settings).await?;
            print(&app.plan_encoders(&wanted.request(), true).await?, output)?;
        }
        Change::Fill { wanted, detach } => {
            let detached = App::detached(home, settings.clone()).await?;
            let prepared = detached.prepare(&wanted.request()).await?;
            let for_daemon = wanted.run(&prepared);
            let fill = app::Wanted {
                fill: true,
                ..app::Wanted::default()
            };
            let task = Task {
                prepared,
                wanted: fill,
                for_daemon,
                detach,
            };
            return Box::pin(task.carry_out(detached, home, settings, output)).await;
        }
        Change::Gc { dry_run } => {
            let app = if dry_run {
                App::read(home, settings).await?
            } else {
                App::open(home, settings).await?
            };
            print_dropped(&app.collect_encoded(dry_run).await?, output)?;
        }
    }
    Ok(OK)
}

/// The home as it is; one without databases has no contents.
pub(crate) async fn reading(home: &Path, settings: Settings) -> Result<App, Failure> {
    match App::read(home, settings.clone()).await {
        Err(app::Error::Store(store::Error::Missing(_))) => {
            Ok(App::detached(home, settings).await?)
        }
        app => Ok(app?),
    }
}

fn print(plan: &EncoderPlan, output: Output) -> Result<(), Failure> {
    if output.json {
        return Ok(output.json(plan)?);
    }
    let with = plan.profile.as_ref();
    output.say(format!(
        "{}{}: {}{}",
        plan.pipeline,
        with.map_or_else(String::new, |profile| format!(" with profile {profile}")),
        counted(plan.records, "record"),
        plan.dataset
            .as_ref()
            .map_or_else(String::new, |dataset| format!(" of {dataset}")),
    ))?;
    if plan.tasks.is_empty() {
        output.say("no task of it encodes anything")?;
        return Ok(());
    }
    output.data(plan_table(&plan.tasks, &plan.total))?;
    if plan.total.contents == 0 {
        output.say("there are no contents yet, so nothing was measured: run the pipeline first")?;
    } else if plan.total.missing == 0 {
        output.say("nothing is missing")?;
    }
    Ok(())
}

/// The tasks as a table, with their sums.
pub(crate) fn plan_table(tasks: &[PlannedEncoding], total: &PlanTotal) -> String {
    let mut rows = table(&[
        "task", "encoder", "reads", "contents", "present", "missing", "rows/s", "hours", "size",
    ]);
    let size = |size: Option<u64>| size.map_or_else(|| "–".to_owned(), bytes);
    for task in tasks {
        rows.add_row([
            task.task.clone(),
            task.encoder.clone(),
            task.input.clone(),
            task.contents.to_string(),
            task.present.to_string(),
            task.missing.to_string(),
            number(task.rows_per_second),
            number(task.hours),
            size(task.bytes),
        ]);
    }
    rows.add_row([
        "total".to_owned(),
        String::new(),
        String::new(),
        total.contents.to_string(),
        total.present.to_string(),
        total.missing.to_string(),
        String::new(),
        number(total.hours),
        size(total.bytes),
    ]);
    rows.to_string()
}

fn print_dropped(collection: &Collection, output: Output) -> Result<(), Failure> {
    if output.json {
        return Ok(output.json(collection)?);
    }
    let mut rows = table(&["encoder", "fingerprint", "has made", "size", "needed by"]);
    for made in &collection.encoders {
        let kind = match made.kind {
            EncodedKind::Vectors => "vectors",
            EncodedKind::Captions => "captions",
        };
        rows.add_row([
            made.encoder.clone().unwrap_or_else(|| "–".to_owned()),
            made.fingerprint.chars().take(12).collect(),
            format!("{} {kind}", made.rows),
            bytes(made.bytes),
            match made.kept_for.as_slice() {
                [] => "nothing".to_owned(),
                uses => uses.join(", "),
            },
        ]);
    }
    output.data(rows.to_string())?;
    let what = format!("{} rows, {}", collection.rows, bytes(collection.bytes));
    output.say(match (collection.rows, collection.dry_run) {
        (0, _) => "nothing is dropped".to_owned(),
        (_, true) => format!("would be dropped: {what}"),
        (_, false) => format!(
            "dropped: {what}; what comes next takes the room, `trendmill db vacuum` gives it back"
        ),
    })?;
    Ok(())
}
