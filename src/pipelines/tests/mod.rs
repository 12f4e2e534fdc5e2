//! What pipeline files mean, and what is said about wrong ones.

mod conditions;
mod faults;
mod schedules;

use std::path::Path;

use futures::future::BoxFuture;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{
    Compiled, Definition, Error, RunArguments, check::check_definition, compile, find, mermaid,
    read::read, text,
};
use crate::{
    clock::Timestamp,
    dag::TriggerRule,
    engine::{Catalogue, Interval, Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
};

const REDDIT: &str = include_str!("../../../pipelines/reddit.toml");

/// An operator that allows some settings and does nothing.
struct Fake(&'static str, &'static [&'static str]);

impl Operator for Fake {
    fn name(&self) -> &'static str {
        self.0
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        let refuse = |key: &str, message: String| {
            Err(SettingsError {
                key: Some(key.to_owned()),
                message,
                hint: None,
            })
        };
        for (key, value) in settings {
            if !self.1.contains(&key.as_str()) {
                return refuse(key, format!("`{}` has no setting `{key}`", self.0));
            }
            if key == "encoder" && !value.is_string() {
                return refuse(key, format!("`{value}` is no encoder"));
            }
            if key == "horizon" && value.as_str().is_none_or(str::is_empty) {
                return refuse(key, format!("`{value}` is no horizon"));
            }
        }
        Ok(())
    }

    fn run(&self, _: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(async { Ok(TaskOutcome::default()) })
    }
}

fn catalogue() -> Catalogue {
    Catalogue::default()
        .with(Fake("scrape", &["source", "communities"]))
        .with(Fake("refresh", &["horizon", "tolerance"]))
        .with(Fake("filter", &["keep", "window"]))
        .with(Fake("fetch_images", &[]))
        .with(Fake("caption", &["captioner", "from", "share"]))
        .with(Fake("embed", &["encoder", "input", "share"]))
        .with(Fake(
            "merge",
            &["blocks", "numbers", "categories", "target", "order"],
        ))
        .with(Fake(
            "train",
            &["head", "seed", "test", "embargo", "holdout"],
        ))
        .with(Fake("evaluate", &[]))
        .with(Fake("persist", &[]))
        .with(Fake("score", &[]))
        .with(Fake("shell", &["argv", "env"]))
        .with(Fake("noop", &[]))
}

fn arguments(params: &[(&str, &str)]) -> RunArguments {
    let day = |text: &str| text.parse::<Timestamp>().unwrap();
    RunArguments {
        params: params
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        profile: None,
        source: None,
        scheduled_for: day("2026-01-17T04:00:00Z"),
        interval: Interval {
            start: day("2026-01-16"),
            end: day("2026-01-17"),
        },
        as_of: day("2026-01-18T12:00:00Z"),
    }
}

fn definition(text: &str) -> Definition {
    let (definition, faults) = read(Path::new("pipelines/x.toml"), text);
    assert_eq!(faults, []);
    definition
}

fn faults(text: &str) -> String {
    let (definition, mut faults) = read(Path::new("x.toml"), text);
    faults.extend(check_definition(&definition, &catalogue()));
    faults.sort();
    faults.dedup();
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn compiled(text: &str, arguments: &RunArguments) -> Result<Compiled, String> {
    compile(&definition(text), arguments, &catalogue()).map_err(|error| match error.hint() {
        Some(hint) => format!("{error}\nhint: {hint}"),
        None => error.to_string(),
    })
}

fn settings(compiled: &Compiled, task: &str) -> Value {
    let position = compiled.graph.position(task).unwrap();
    Value::Object(compiled.graph.nodes()[position].settings.clone())
}

#[test]
fn the_file_that_ships_is_right() {
    assert_eq!(faults(REDDIT), "");
    let compiled = compiled(REDDIT, &arguments(&[])).unwrap();
    assert_eq!(compiled.profile.as_deref(), Some("cpu"));
    assert_eq!(compiled.hash.len(), 64);
    assert_eq!(
        settings(&compiled, "scrape"),
        json!({"source": "reddit", "communities": ["art", "aww", "pics", "earthporn"]})
    );
    assert_eq!(settings(&compiled, "embed_visual")["encoder"], "none");
    let merge = &compiled.graph.nodes()[compiled.graph.position("merge").unwrap()];
    assert_eq!(merge.trigger, TriggerRule::NoneFailed);
    assert_eq!((merge.retry.retries, merge.retry.delay.as_secs()), (2, 120));
    assert_eq!(merge.timeout.unwrap().as_secs(), 7200);
}

#[test]
fn draws_the_file_that_ships() {
    let graph = compiled(REDDIT, &arguments(&[])).unwrap().graph;
    insta::assert_snapshot!(text(&graph), @"
     1  scrape
     2  refresh                            ← scrape
     3  filter                             ← refresh
     4  fetch_images                       ← filter
        embed_title (embed)                ← filter
     5  embed_image (embed)                ← fetch_images
     6  caption                            ← embed_image
     7  embed_caption (embed)              ← caption
        embed_visual (embed, none_failed)  ← fetch_images, caption
     8  merge (none_failed)                ← embed_title, embed_image,
                                             embed_caption, embed_visual
     9  train                              ← merge
    10  evaluate                           ← train
    11  persist                            ← evaluate
    12  score (none_failed)                ← persist
    ");
    insta::assert_snapshot!(mermaid(&graph), @r#"
    flowchart TD
        t0["scrape"]
        t1["refresh"]
        t2["filter"]
        t3["fetch_images"]
        t4["embed_image<br/>embed"]
        t5["caption"]
        t6["embed_caption<br/>embed"]
        t7["embed_title<br/>embed"]
        t8["embed_visual<br/>embed, none_failed"]
        t9["merge<br/>none_failed"]
        t10["train"]
        t11["evaluate"]
        t12["persist"]
        t13["score<br/>none_failed"]
        t0 --> t1
        t1 --> t2
        t2 --> t3
        t3 --> t4
        t4 --> t5
        t5 --> t6
        t2 --> t7
        t3 --> t8
        t5 --> t8
        t7 --> t9
        t4 --> t9
        t6 --> t9
        t8 --> t9
        t9 --> t10
        t10 --> t11
        t11 --> t12
        t12 --> t13
    "#);
}

#[test]
fn draws_a_wide_graph_in_eighty_columns() {
    use std::fmt::Write as _;
    let mut file = "name = \"wide\"\n".to_owned();
    for layer in 0..2 {
        for task in 0..12 {
            let upper: Vec<String> = (0..12).map(|i| format!("\"a_long_name_{i}\"")).collect();
            let after = if layer == 0 {
                String::new()
            } else {
                upper.join(",")
            };
            let name = ["a_long_name", "below"][layer];
            write!(
                file,
                "[[task]]\nid = \"{name}_{task}\"\nop = \"noop\"\nafter = [{after}]\n"
            )
            .unwrap();
        }
    }
    file += "[[task]]\nid = \"some\"\nop = \"noop\"\nafter = [\"below_1\", \"a_long_name_1\", \
             \"a_long_name_2\", \"a_long_name_3\", \"a_long_name_4\", \"a_long_name_5\"]\n";
    let drawing = text(&compiled(&file, &arguments(&[])).unwrap().graph);
    assert!(drawing.lines().all(|line| line.chars().count() <= 80));
    let ends: Vec<&str> = drawing.lines().skip(22).collect();
    insta::assert_snapshot!(ends.join("\n"), @"
       below_10 (noop)        ← all 12 of layer 1
       below_11 (noop)        ← all 12 of layer 1
    3  some (noop)            ← below_1, a_long_name_1, a_long_name_2,
                                a_long_name_3, a_long_name_4, a_long_name_5
    ");
}

#[test]
fn parameters_keep_the_type_of_their_default() {
    let file = r#"
name = "x"
[params]
text = "a"
whole = 3
number = 0.5
flag = false
list = ["a"]
numbers = [1]
span = { default = "1h", type = "duration" }
pick = { default = "a", choices = ["a", "b"], description = "one of two" }
[[task]]
id = "t"
op = "shell"
argv = ["{{ params.text }}", "{{ params.whole }}", "{{ params.number }}", "{{ params.flag }}",
  "{{ params.list }}", "{{ params.numbers }}", "{{ params.span }}", "{{ params.pick }}"]
env = { MIX = "{{ params.whole }}-{{ run.date }}", AT = "{{ run.as_of }}", P = "{{ pipeline }}", G = "{{ run.given }}" }
"#;
    let given = [
        ("text", "7"),
        ("whole", "4"),
        ("number", "2"),
        ("flag", "true"),
        ("list", "x, y"),
        ("numbers", "[1, 2]"),
        ("span", "2d"),
        ("pick", "b"),
    ];
    let compiled = compiled(file, &arguments(&given)).unwrap();
    insta::assert_snapshot!(settings(&compiled, "t"), @r#"{"argv":["7",4,2.0,true,["x","y"],[1,2],"2d","b"],"env":{"MIX":"4-2026-01-16","AT":"2026-01-18T12:00:00Z","P":"x","G":["text","whole","number","flag","list","numbers","span","pick"]}}"#);
    let wrong = |name: &str, value: &str| {
        compile(
            &definition(file),
            &arguments(&[(name, value)]),
            &catalogue(),
        )
        .map(|_| ())
        .map_err(|error| format!("{error}; {}", error.hint().unwrap_or_default()))
        .unwrap_err()
    };
    let messages = [
        wrong("whole", "4.5"),
        wrong("number", "nan"),
        wrong("flag", "yes"),
        wrong("numbers", "1,b"),
        wrong("list", "[1"),
        wrong("span", "2 days"),
        wrong("pick", "c"),
        wrong("wole", "1"),
    ];
    insta::assert_snapshot!(messages.join("\n"), @"
    `4.5` is no value for the parameter `whole`; write a whole number
    `nan` is no value for the parameter `number`; write a number
    `yes` is no value for the parameter `flag`; write `true` or `false`
    `1,b` is no value for the parameter `numbers`; write values with commas between them, or a JSON list
    `[1` is no value for the parameter `list`; write values with commas between them, or a JSON list
    `2 days` is no value for the parameter `span`; write a whole number with `ms`, `s`, `m`, `h` or `d`, as in `90s` or `36h`
    `c` is no value for the parameter `pick`; allowed: `a`, `b`
    pipeline `x` has no parameter `wole`; did you mean `whole`? allowed: `text`, `whole`, `number`, `flag`, `list`, `numbers`, `span`, `pick`
    ");
}

#[test]
fn what_a_run_is_told_is_checked_before_it_starts() {
    let run = |params: &[(&str, &str)], profile: Option<&str>, source: Option<&str>| {
        let mut arguments = arguments(params);
        arguments.profile = profile.map(str::to_owned);
        arguments.source = source.map(str::to_owned);
        match compiled(REDDIT, &arguments) {
            Ok(compiled) => format!(
                "{} with {:?}, {}",
                compiled.profile.as_deref().unwrap_or_default(),
                compiled.given,
                settings(&compiled, "scrape")["source"]
            ),
            Err(message) => message,
        }
    };
    let lines = [
        run(&[], None, Some("sandbox")),
        run(&[("source", "a")], Some("gpu"), Some("dump:x.zst")),
        run(&[], Some("tpu"), None),
        run(&[("keep", "ovr_18")], None, None),
        run(&[("target", "log1p(title)")], None, None),
        run(&[("keep", "hour > ")], None, None),
    ];
    insta::assert_snapshot!(lines.join("\n---\n"), @r#"
    cpu with ["source"], "sandbox"
    ---
    gpu with ["source"], "dump:x.zst"
    ---
    pipeline `reddit` has no profile `tpu`
    hint: did you mean `cpu`? allowed: `cpu`, `gpu`
    ---
    parameter `keep`: unknown name `ovr_18` (at column 1)
    hint: did you mean `over_18`? allowed: `author`, `community`, `created_at`, `domain`, `hour`, `id`, `is_gallery`, `is_original_content`, `is_self`, `is_video`, `link_flair_text`, `media_count`, `num_comments`, `num_crossposts`, `over_18`, `post_hint`, `selftext`, `spoiler`, `stickied`, `subscribers`, `title`, `upvote_ratio`, `weekday`; declare further ones in `[fields]`
    ---
    parameter `target`: `log1p` takes a number, not `title` (a text) (at column 7)
    ---
    parameter `keep`: unexpected end of input, expected expression (at column 6)
    "#);
}

#[test]
fn finds_pipelines_by_name_and_says_which_there_are() {
    let home = tempfile::tempdir().unwrap();
    let hint = |name: &str| match find(home.path(), name) {
        Ok(definition) => format!("{} in {}", definition.name, definition.path.display()),
        Err(Error::Unknown { name, hint }) => format!("no {name}; {hint}"),
        Err(error) => error.to_string(),
    };
    assert_eq!(hint("reddit"), "reddit in built-in/reddit.toml");
    let folder = home.path().join("pipelines");
    fs_err::create_dir_all(&folder).unwrap();
    assert!(hint("reddit").starts_with("no reddit; there is no pipeline file in"));
    let file = |name: &str| format!("name = \"{name}\"\n[[task]]\nid = \"a\"\nop = \"noop\"\n");
    fs_err::write(folder.join("one.toml"), file("reddit")).unwrap();
    fs_err::write(folder.join("two.toml"), file("films")).unwrap();
    fs_err::write(folder.join("bad.toml"), b"name = \"bad\"\n# \xff\n").unwrap();
    fs_err::write(folder.join("notes.txt"), "x").unwrap();
    let said = [
        hint("reddit"),
        hint("two"),
        hint("redit"),
        hint("../pipelines/one"),
        hint("bad"),
    ];
    insta::assert_snapshot!(said.join("\n"), @"
    reddit in pipelines/one.toml
    films in pipelines/two.toml
    no redit; did you mean `reddit`? allowed: `bad`, `reddit`, `films`
    no ../pipelines/one; allowed: `bad`, `reddit`, `films`
    pipelines/bad.toml:2:3: the file is not UTF-8 text
    ");
    fs_err::write(folder.join("three.toml"), file("films")).unwrap();
    fs_err::remove_file(folder.join("bad.toml")).unwrap();
    let faults = super::check(&super::files(home.path()).unwrap(), &catalogue()).unwrap();
    insta::assert_snapshot!(faults[0], @"
    pipelines/two.toml:1:8: `pipelines/three.toml` has the name `films` too
      hint: names of pipelines must differ
    ");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens to a file, checking it ends with faults or without, and a file without
    /// faults compiles.
    #[test]
    fn no_file_makes_the_check_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..40, ".{0,6}"), 1..5)
    ) {
        let mut characters: Vec<char> = REDDIT.chars().collect();
        for (place, removed, inserted) in edits {
            let start = place.index(characters.len());
            let end = (start + removed).min(characters.len());
            characters.splice(start..end, inserted.chars());
        }
        let file: String = characters.into_iter().collect();
        let (definition, mut faults) = read(Path::new("x.toml"), &file);
        faults.extend(check_definition(&definition, &catalogue()));
        if faults.is_empty() {
            prop_assert!(compile(&definition, &arguments(&[]), &catalogue()).is_ok());
        }
    }
}
