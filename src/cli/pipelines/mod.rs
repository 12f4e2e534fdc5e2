//! `pipelines`: list, show, check and draw the pipeline files of a home.

mod next;
mod show;

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
};

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::{
    clock::Timestamp,
    engine::Catalogue,
    pipelines::{self, Definition, Error, PipelineFile},
};

/// See and check pipelines.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    #[command(flatten)]
    Look(Look),
    /// Let the schedules of a pipeline make no runs until it is unpaused.
    Pause {
        /// The pipeline's name.
        name: String,
    },
    /// Let the schedules of a paused pipeline go on; `catchup` says what is made up for.
    Unpause {
        /// The pipeline's name.
        name: String,
    },
}

/// What only looks at the files.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Look {
    /// List the pipelines of this home.
    List,
    /// Print a pipeline's schedule, parameters, profiles and tasks.
    Show {
        /// The pipeline's name.
        name: String,
    },
    /// Say what is wrong in pipeline files, and where; exit code 1 where something is.
    Check {
        /// The files; by default all of this home.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Draw a pipeline's tasks.
    Graph {
        /// The pipeline's name.
        name: String,
        /// How it is drawn.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Print when a pipeline will run by itself, and for which intervals.
    Next {
        /// The pipeline's name.
        name: String,
        /// How many runs.
        #[arg(short = 'n', default_value_t = 5, value_name = "N")]
        count: usize,
    },
}

/// What pipelines are looked at with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'a> {
    /// What time it is.
    pub(super) now: Timestamp,
    /// The pipelines that are paused, and since when.
    pub(super) paused: &'a BTreeMap<String, Timestamp>,
}

/// How a graph is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For a terminal of 80 columns.
    #[default]
    Text,
    /// A Mermaid flow chart.
    Mermaid,
}

/// Runs a `pipelines` command; data goes to `out`.
///
/// The answer is the exit code: 1 where a check has found something, else 0.
///
/// # Errors
///
/// An unknown or faulty pipeline, a file that cannot be read, or an `out` that cannot be written.
pub(super) fn run(
    command: &Look,
    home: &Path,
    catalogue: &Catalogue,
    moment: Moment<'_>,
    json: bool,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    match command {
        Look::List => list(home, moment, json, out)?,
        Look::Show { name } => show::show(&pipelines::find(home, name)?, json, out)?,
        Look::Check { files } => return check(home, files, catalogue, json, out),
        Look::Graph { name, format } => {
            graph(&pipelines::find(home, name)?, *format, json, out)?;
        }
        Look::Next { name, count } => {
            next::next(&pipelines::find(home, name)?, moment.now, *count, json, out)?;
        }
    }
    Ok(0)
}

fn list(home: &Path, moment: Moment<'_>, json: bool, out: &mut dyn Write) -> Result<(), Error> {
    let rows = pipelines::listed(home, moment.now, moment.paused)?;
    if json {
        return print_json(&Value::Array(rows), out);
    }
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or("–").to_owned();
    let table: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let schedule = row["schedules"]
                .as_array()
                .filter(|schedules| !schedules.is_empty())
                .map_or_else(|| "–".to_owned(), |all| when(all));
            let about = match row["faults"].as_u64() {
                Some(0) | None => text(row, "description"),
                Some(_) => "has faults: see `pipelines check`".to_owned(),
            };
            let next = match &row["paused_at"] {
                Value::Null => text(row, "scheduled_for"),
                _ => "paused".to_owned(),
            };
            let tasks = row["tasks"].to_string();
            vec![text(row, "name"), schedule, next, tasks, about]
        })
        .collect();
    print_table(
        &["pipeline", "schedule", "next", "tasks", "description"],
        &table,
        out,
    )
}

/// When schedules fire, in a few words.
fn when(schedules: &[Value]) -> String {
    let words: Vec<String> = schedules
        .iter()
        .map(|schedule| match (&schedule["cron"], &schedule["every"]) {
            (Value::String(cron), _) => cron.clone(),
            (_, Value::String(every)) => format!("every {every}"),
            _ => "–".to_owned(),
        })
        .collect();
    words.join("; ")
}

fn check(
    home: &Path,
    files: &[PathBuf],
    catalogue: &Catalogue,
    json: bool,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    let files = if files.is_empty() {
        pipelines::files(home)?
    } else {
        files.iter().map(|file| PipelineFile::at(file)).collect()
    };
    let faults = pipelines::check(&files, catalogue)?;
    if json {
        print_json(&json!(faults), out)?;
    } else if faults.is_empty() {
        let count = files.len();
        let files = if count == 1 { "file" } else { "files" };
        writeln!(out, "{count} {files} checked, nothing is wrong")?;
    } else {
        for fault in &faults {
            writeln!(out, "{fault}")?;
        }
    }
    Ok(u8::from(!faults.is_empty()))
}

fn graph(
    definition: &Definition,
    format: Format,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let graph = pipelines::outline(definition)?;
    if json {
        let tasks: Vec<Value> = graph
            .nodes()
            .iter()
            .map(|node| {
                json!({
                    "id": node.id, "op": node.op, "after": node.after, "trigger": node.trigger,
                })
            })
            .collect();
        return print_json(&json!({"pipeline": definition.name, "tasks": tasks}), out);
    }
    let drawing = match format {
        Format::Text => pipelines::text(&graph),
        Format::Mermaid => pipelines::mermaid(&graph),
    };
    write!(out, "{drawing}")?;
    Ok(())
}

fn print_json(value: &Value, out: &mut dyn Write) -> Result<(), Error> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// Columns side by side, as wide as they need.
fn print_table(header: &[&str], rows: &[Vec<String>], out: &mut dyn Write) -> Result<(), Error> {
    let head: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            let cells = rows
                .iter()
                .chain([&head])
                .map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        })
        .collect();
    for row in [&head].into_iter().chain(rows) {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:<width$}"))
            .collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{FromArgMatches, Subcommand as _};

    use super::*;

    fn said(home: &Path, words: &[&str], json: bool) -> (u8, String) {
        let parser = Look::augment_subcommands(clap::Command::new("pipelines"));
        let matches = parser.get_matches_from([&["pipelines"], words].concat());
        let command = Look::from_arg_matches(&matches).unwrap();
        let mut out = Vec::new();
        let now = "2026-11-22T04:00:00Z".parse().unwrap();
        let paused = BTreeMap::from([("loop".to_owned(), now)]);
        let moment = Moment {
            now,
            paused: &paused,
        };
        let code = match run(
            &command,
            home,
            &Catalogue::default(),
            moment,
            json,
            &mut out,
        ) {
            Ok(code) => code,
            Err(error) => {
                writeln!(out, "{error}\n{}", error.hint().unwrap_or_default()).unwrap();
                2
            }
        };
        (code, String::from_utf8(out).unwrap())
    }

    fn home() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("pipelines");
        fs_err::create_dir_all(&folder).unwrap();
        let reddit = include_str!("../../../pipelines/reddit.toml");
        fs_err::write(folder.join("reddit.toml"), reddit).unwrap();
        let cycle = "name = \"loop\"\n[[task]]\nid = \"a\"\nop = \"noop\"\nafter = [\"a\"]\n";
        fs_err::write(folder.join("loop.toml"), cycle).unwrap();
        fs_err::write(folder.join("broken.toml"), "name = \n").unwrap();
        home
    }

    #[test]
    fn says_when_a_pipeline_will_run() {
        let home = home();
        insta::assert_snapshot!(said(home.path(), &["next", "reddit", "-n", "2"], false).1, @"
        scheduled for         interval start        interval end
        2026-11-23T04:00:00Z  2026-11-22T04:00:00Z  2026-11-23T04:00:00Z
        2026-11-24T04:00:00Z  2026-11-23T04:00:00Z  2026-11-24T04:00:00Z
        ");
        insta::assert_snapshot!(said(home.path(), &["next", "reddit", "-n", "1"], true).1, @r#"
        [
          {
            "schedule": "default",
            "scheduled_for": "2026-11-23T04:00:00Z",
            "interval_start": "2026-11-22T04:00:00Z",
            "interval_end": "2026-11-23T04:00:00Z"
          }
        ]
        "#);
    }

    #[test]
    fn several_schedules_come_in_order() {
        let home = home();
        let text = "name = \"both\"\n[[schedule]]\nname = \"daily\"\ncron = \"@daily\"\n\
                    timezone = \"Asia/Tokyo\"\n[[schedule]]\nname = \"often\"\nevery = \"8h\"\n\
                    end = \"2026-11-22\"\n[[task]]\nid = \"a\"\nop = \"noop\"\n";
        fs_err::write(home.path().join("pipelines/both.toml"), text).unwrap();
        insta::assert_snapshot!(said(home.path(), &["next", "both", "-n", "4"], false).1, @"
        scheduled for         interval start        interval end          schedule
        2026-11-22T08:00:00Z  2026-11-22T00:00:00Z  2026-11-22T08:00:00Z  often
        2026-11-22T15:00:00Z  2026-11-21T15:00:00Z  2026-11-22T15:00:00Z  daily
        2026-11-22T16:00:00Z  2026-11-22T08:00:00Z  2026-11-22T16:00:00Z  often
        2026-11-23T15:00:00Z  2026-11-22T15:00:00Z  2026-11-23T15:00:00Z  daily
        ");
        assert!(
            said(home.path(), &["show", "both"], false)
                .1
                .contains("schedule  often: every 8h")
        );
    }

    #[test]
    fn lists_and_shows() {
        let home = home();
        insta::assert_snapshot!(said(home.path(), &["list"], false).1, @"
        pipeline  schedule   next                  tasks  description
        broken    –          –                     0      has faults: see `pipelines check`
        loop      –          paused                1      –
        reddit    0 4 * * *  2026-11-23T04:00:00Z  14     Popularity of image posts, learned again every day
        ");
        insta::assert_snapshot!(said(home.path(), &["show", "reddit"], false).1, @r#"
        reddit · pipelines/reddit.toml
        Popularity of image posts, learned again every day

        schedule  0 4 * * * (UTC)

        parameter   type      default
        source      text      reddit
        subreddits  list      ["art","aww","pics","earthporn"]
        keep        text      media_count > 0 and not over_18|default(false)
        target      text      log1p(score)
        order       text
        horizon     duration  36h
        tolerance   duration  1h

        profile        text              image               caption        visual
        cpu (default)  all-minilm-l6-v2  efficientnet-lite0  imagenet-tags  none

        tasks
         1  scrape
         2  refresh                ← scrape
         3  filter                 ← refresh
         4  fetch_images           ← filter
            embed_title (embed)    ← filter
         5  embed_image (embed)    ← fetch_images
            embed_visual (embed)   ← fetch_images
         6  caption                ← embed_image
         7  embed_caption (embed)  ← caption
         8  merge (none_failed)    ← embed_title, embed_image, embed_caption,
                                     embed_visual
         9  train                  ← merge
        10  evaluate               ← train
        11  persist                ← evaluate
        12  score (none_failed)    ← persist
        "#);
        let (_, shown) = said(home.path(), &["show", "reddit"], true);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["tasks"][9]["trigger"], "none_failed");
        assert_eq!(shown["tasks"][9]["timeout"], "2h");
        let (_, listed) = said(home.path(), &["list"], true);
        assert_eq!(
            serde_json::from_str::<Value>(&listed).unwrap()[0]["faults"],
            1
        );
    }

    #[test]
    fn checks_and_draws() {
        let home = home();
        let (code, faults) = said(home.path(), &["check"], false);
        assert_eq!(code, 1);
        insta::assert_snapshot!(faults.lines().take(5).collect::<Vec<_>>().join("\n"), @"
        pipelines/broken.toml:1:8: string values must be quoted, expected literal string
        pipelines/loop.toml:4:6: unknown operator `noop`
          hint: allowed: nothing
        pipelines/loop.toml:5:10: tasks wait for each other: a → a
          hint: take one of these names out of `after`
        ");
        assert_eq!(said(home.path(), &["graph", "reddit"], false).0, 0);
        let (code, drawn) = said(
            home.path(),
            &["graph", "reddit", "--format", "mermaid"],
            false,
        );
        assert!(code == 0 && drawn.starts_with("flowchart TD\n"));
        insta::assert_snapshot!(said(home.path(), &["graph", "loop"], false).1, @"pipelines/loop.toml:5:10: tasks wait for each other: a → a");
        insta::assert_snapshot!(said(home.path(), &["graph", "redit"], false).1, @"
        unknown pipeline `redit`
        did you mean `reddit`? allowed: `broken`, `loop`, `reddit`
        ");
    }
}
