//! What `pipelines` prints.

use clap::{FromArgMatches, Subcommand as _};

use std::collections::BTreeMap;

use super::*;

fn said(home: &Path, words: &[&str], json: bool) -> (u8, String) {
    let parser = Look::augment_subcommands(clap::Command::new("pipelines"));
    let matches = parser.get_matches_from([&["pipelines"], words].concat());
    let command = Look::from_arg_matches(&matches).unwrap();
    let mut out = Vec::new();
    let now = "2026-11-22T04:00:00Z".parse().unwrap();
    let paused = BTreeMap::from([("loop".to_owned(), now)]);
    let decided = Decided {
        paused,
        ..Decided::default()
    };
    let moment = Moment {
        now,
        decided: &decided,
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
    let (_, shown) = said(home.path(), &["show", "reddit"], false);
    let (about, tasks) = shown.split_once("tasks\n").unwrap();
    assert!(tasks.starts_with(" 1  scrape\n"), "{tasks}");
    insta::assert_snapshot!(about, @r#"
    reddit · pipelines/reddit.toml
    Popularity of image posts, learned again every day

    schedule  0 4 * * * (UTC)

    parameter   type      default
    source      text      reddit
    subreddits  list      ["art","aww","pics","earthporn"]
    keep        text      media_count > 0 and not over_18|default(false)
    target      text      log1p(score)
    window      integer   100000
    order       text
    horizon     duration  36h
    tolerance   duration  1h

    profile        text              image                                       caption          visual
    cpu (default)  all-minilm-l6-v2  efficientnet-lite0                          imagenet-tags    none
    gpu            bge-m3            vit_large_patch16_384.augreg_in21k_ft_in1k  florence-2-base  visualized-bge-m3
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
fn a_file_with_faults_goes_by_the_name_that_it_gives_itself() {
    let home = home();
    let folder = home.path().join("pipelines");
    fs_err::remove_file(folder.join("loop.toml")).unwrap();
    fs_err::write(folder.join("another.toml"), "name = \"loop\"\nodd = 1\n").unwrap();
    let (_, listed) = said(home.path(), &["list"], true);
    let row = &serde_json::from_str::<Value>(&listed).unwrap()[0];
    assert_eq!(row["file"], "pipelines/another.toml");
    assert_eq!(row["name"], "loop");
    assert_eq!(row["paused_at"], "2026-11-22T04:00:00Z");
    assert_ne!(row["faults"], 0);
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
