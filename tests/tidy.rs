//! The sources keep the rules of the architecture: layers, invariants, file heads.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Which layers a layer may import; the same table as in `src/lib.rs`.
const GRANTS: &[(&str, &str)] = &[
    ("clock", ""),
    ("corpus", "clock"),
    ("telemetry", "clock"),
    ("config", "clock expression"),
    ("expression", "clock config corpus"),
    ("net", "corpus config"),
    ("media", "corpus"),
    ("dag", "clock"),
    ("store", "clock corpus dag config"),
    ("artifacts", "corpus"),
    ("sources", "clock corpus config expression net media"),
    ("encoders", "corpus config net media"),
    ("learning", "clock corpus encoders config expression"),
    ("registry", "clock corpus store artifacts"),
    (
        "engine",
        "clock config dag expression store artifacts telemetry",
    ),
    (
        "operators",
        "clock dag engine corpus expression store artifacts sources encoders learning registry media net",
    ),
    ("pipelines", "clock dag engine config expression"),
    (
        "server",
        "clock config corpus dag encoders engine operators pipelines registry store telemetry",
    ),
    ("sandbox", "clock corpus media"),
    (
        "app",
        "clock corpus telemetry config expression net media dag store artifacts sources encoders \
         learning registry engine operators pipelines server sandbox",
    ),
    (
        "cli",
        "app clock corpus telemetry config dag store artifacts sources encoders learning registry \
         engine operators pipelines server sandbox",
    ),
];

#[test]
fn imports_point_down() {
    let grants: BTreeMap<&str, Vec<&str>> = GRANTS
        .iter()
        .map(|(layer, may)| (*layer, may.split_whitespace().collect()))
        .collect();
    let mut faults = Vec::new();
    for file in sources() {
        let Some(layer) = layer_of(&file) else {
            continue;
        };
        let text = production(&file);
        for used in grants.keys().filter(|used| **used != layer) {
            let imports = text.contains(&format!("crate::{used}::"))
                || text.contains(&format!("crate::{used};"))
                || grouped(&text).any(|name| name == *used);
            if imports && !grants[layer.as_str()].contains(used) {
                faults.push(format!(
                    "{}: `{layer}` may not use `{used}`",
                    file.display()
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn outside_crates_have_one_owner() {
    let owners = [
        ("sqlx::", vec!["store"]),
        ("burn::", vec!["encoders", "learning"]),
        ("burn_store::", vec!["encoders", "learning"]),
        ("minijinja::", vec!["expression"]),
        ("axum::", vec!["sandbox", "server"]),
        ("utoipa_axum::", vec!["server"]),
        ("clap::", vec!["cli"]),
    ];
    let mut faults = Vec::new();
    for file in sources() {
        let Some(layer) = layer_of(&file) else {
            continue;
        };
        let text = production(&file);
        for (name, layers) in &owners {
            let used = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .any(|line| line.contains(name));
            if used && !layers.contains(&layer.as_str()) {
                faults.push(format!(
                    "{}: `{name}` belongs to {layers:?}",
                    file.display()
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// It takes a thread from the runtime that ends when it likes; a child that this thread has started
/// is then told that its parent has died.
#[test]
fn no_worker_of_the_runtime_is_turned_into_another_thread() {
    let takers: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|file| production(file).contains("block_in_place"))
        .collect();
    assert!(takers.is_empty(), "use `spawn_blocking` in {takers:?}");
}

#[test]
fn every_file_begins_with_what_it_is() {
    let bare: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|file| !fs_err::read_to_string(file).unwrap().starts_with("//!"))
        .collect();
    assert!(bare.is_empty(), "files without a `//!` head: {bare:?}");
}

/// A durable write without a test that dies at it is one that nobody has tried.
#[test]
fn every_fail_point_has_a_death() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let deaths: String = fs_err::read_dir(root.join("tests/failpoints"))
        .unwrap()
        .map(|entry| fs_err::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let (mut points, mut untried) = (0, Vec::new());
    for file in sources() {
        let text = production(&file);
        let named = text.split("fail::fail_point!(\"").skip(1);
        let commits = text.split(".commit(transaction, \"").skip(1);
        let all = named.map(|rest| (rest, false));
        for (rest, is_commit) in all.chain(commits.map(|rest| (rest, true))) {
            let name = rest.split('"').next().unwrap();
            points += 1;
            let has = |text: String| deaths.contains(&text);
            let is_tried = if is_commit {
                // It has a point before it and one after it.
                has(format!("names(\"{name}\")"))
                    || has(format!("around(\"{name}\")"))
                    || ["before", "after"]
                        .iter()
                        .all(|side| has(format!("\"{name}.{side}_commit")))
            } else {
                has(format!("\"{name}\"")) || has(format!("\"{name}="))
            };
            if !is_tried {
                untried.push(format!("{}: `{name}`", file.display()));
            }
        }
    }
    assert!(points > 30, "found only {points}");
    assert!(
        untried.is_empty(),
        "no test dies at\n{}",
        untried.join("\n")
    );
}

/// The names in `use crate::{a::…, b::…}`.
fn grouped(text: &str) -> impl Iterator<Item = String> {
    let mut names = Vec::new();
    for part in text.split("use crate::{").skip(1) {
        let mut depth = 0;
        let mut name = String::new();
        for letter in part.chars() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    names.push(std::mem::take(&mut name));
                    continue;
                }
                _ => {}
            }
            if depth == 0 {
                name.push(letter);
            }
        }
        names.push(name);
    }
    names
        .into_iter()
        .map(|name| name.trim().split("::").next().unwrap_or("").to_owned())
}

/// The part of a file before its tests.
fn production(file: &Path) -> String {
    let text = fs_err::read_to_string(file).unwrap();
    text.split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or("")
        .to_owned()
}

fn layer_of(file: &Path) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let inside = file.strip_prefix(root).unwrap();
    let first = inside.components().next()?.as_os_str().to_str()?;
    let layer = first.trim_end_matches(".rs");
    let is_test = file.file_stem()?.to_str()?.ends_with("tests")
        || inside.components().any(|part| part.as_os_str() == "tests");
    (!is_test && GRANTS.iter().any(|(name, _)| *name == layer)).then(|| layer.to_owned())
}

fn sources() -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
