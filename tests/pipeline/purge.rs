//! A purged record is gone from every byte of the home, and stays away.
use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use serde_json::Value;
use trendmill::{artifacts, corpus, store::Store};

use crate::{
    home::{Home, stderr, task},
    served::{Captions, Reply},
    tables, tiny,
};

const PIPELINE: &str = r#"
name = "all"

[params]
source = "sandbox:posts=14"

[[task]]
id = "scrape"
op = "scrape"
source = "{{ params.source }}"

[[task]]
id = "refresh"
op = "refresh"
after = ["scrape"]
horizon = "36h"
tolerance = "1h"

[[task]]
id = "filter"
op = "filter"
after = ["refresh"]
keep = "media_count > 0"

[[task]]
id = "fetch_images"
op = "fetch_images"
after = ["filter"]

[[task]]
id = "caption"
op = "caption"
after = ["fetch_images"]
captioner = "openai"

[[task]]
id = "embed_title"
op = "embed"
after = ["filter"]
encoder = "weights/tiny"
input = "title"

[[task]]
id = "embed_image"
op = "embed"
after = ["fetch_images"]
encoder = "weights/vit"
input = "image"

[[task]]
id = "embed_visual"
op = "embed"
after = ["caption"]
encoder = "weights/seeing"
input = "visual"

[[task]]
id = "merge"
op = "merge"
after = ["embed_title", "embed_image", "embed_visual"]
blocks = { title = "embed_title", image = "embed_image", visual = "embed_visual" }
numbers = ["hour"]
categories = ["community"]
target = "log1p(score)"

[[task]]
id = "train"
op = "train"
after = ["merge"]

[[task]]
id = "evaluate"
op = "evaluate"
after = ["train"]
ablation = false

[[task]]
id = "persist"
op = "persist"
after = ["evaluate"]

[[task]]
id = "score"
op = "score"
after = ["persist"]
"#;

fn home(server: &Captions) -> Home {
    let home = Home::empty();
    for (fixture, folder) in [("visual/m3", "weights/seeing"), ("timm/vit", "weights/vit")] {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        for file in fs_err::read_dir(fixtures.join(fixture)).unwrap() {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            let bytes = fs_err::read(file.path()).unwrap();
            home.write(&format!("{folder}/{name}"), bytes);
        }
    }
    tiny::write(&home.path().join("weights/tiny"));
    let settings = format!(
        "[captioner.openai]\nbase_url = \"{}/v1/\"\nmodel = \"see/it\"\n",
        server.url()
    );
    home.write("trendmill.toml", settings);
    home.write("pipelines/all.toml", PIPELINE);
    home
}

/// All files of the home's data and registry, and the exports.
fn files(home: &Home) -> Vec<PathBuf> {
    let mut folders = vec![home.path().to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("weights") && !path.ends_with("copies") {
                    folders.push(path);
                }
            } else {
                files.push(path);
            }
        }
    }
    files
}

/// The files that hold these bytes.
fn files_with(home: &Home, bytes: &[u8]) -> Vec<PathBuf> {
    let found = files(home).into_iter().filter(|path| {
        let held = fs_err::read(path).unwrap();
        held.windows(bytes.len()).any(|window| window == bytes)
    });
    found.collect()
}

/// The author of fewest posts, all of which have an image and a title of their own; and the posts.
fn victim(posts: &[Value]) -> (String, Vec<&Value>) {
    let mut titles: HashMap<&str, usize> = HashMap::new();
    let mut by_author: HashMap<&str, Vec<&Value>> = HashMap::new();
    for post in posts {
        *titles.entry(post["title"].as_str().unwrap()).or_default() += 1;
        by_author
            .entry(post["author"].as_str().unwrap())
            .or_default()
            .push(post);
    }
    let mut authors: Vec<_> = by_author
        .into_iter()
        .filter(|(_, posts)| {
            posts.iter().all(|post| {
                titles[post["title"].as_str().unwrap()] == 1
                    && post["images"].as_array().unwrap().len() == 1
                    && post["images"][0].as_str().unwrap().contains("data/media")
            })
        })
        .collect();
    authors.sort_by_key(|(author, posts)| (posts.len(), (*author).to_owned()));
    let (author, posts) = authors.swap_remove(0);
    (author.to_owned(), posts)
}

/// What was sent of records, as it lies in the database: a part of it that no other has.
fn packed(home: &Home, ids: &[&str]) -> Vec<(String, Vec<u8>)> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Store::open_read_only(&home.path().join("data"))
            .await
            .unwrap();
        let dataset = store.datasets().await.unwrap().swap_remove(0).0;
        let mut found = Vec::new();
        for id in ids {
            let raw = store.raw(&dataset, id).await.unwrap().unwrap();
            let packed = zstd::bulk::compress(&raw.json, 3).unwrap();
            let middle = packed.len() / 2;
            found.push(((*id).to_owned(), packed[middle..][..100].to_vec()));
        }
        found
    })
}

/// How many captions are in a file.
fn spoken(path: &Path) -> usize {
    const WORDS: &[u8] = b"words about picture ";
    let bytes = fs_err::read(path).unwrap();
    let found = bytes.windows(WORDS.len() + 4).filter_map(|window| {
        let number = window.strip_prefix(WORDS)?;
        Some(
            String::from_utf8_lossy(number)
                .chars()
                .take_while(char::is_ascii_digit)
                .collect(),
        )
    });
    found.collect::<HashSet<String>>().len()
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "a home with everything in it takes minutes to make"
)]
fn no_byte_of_a_purged_author_stays() {
    let server =
        Captions::that(|asked| Reply::Say(format!("words about picture {}", asked.number)));
    let home = home(&server);
    let run = home.json(&["run", "all"]);
    let run_id = run["run_id"].as_str().unwrap();
    for format in ["jsonl", "csv", "parquet"] {
        let name = format!("posts.{format}");
        let output = home.run(&["records", "export", "--format", format, "--out", &name]);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    home.json(&["db", "backup", "copies/monday.db"]);
    let posts = home.json_lines(&["records", "export"]);
    let (author, gone) = victim(&posts);
    let ids: Vec<&str> = gone
        .iter()
        .map(|post| post["id"].as_str().unwrap())
        .collect();
    home.write(
        &format!("data/logs/{run_id}/scrape.1.log"),
        format!("nothing is wrong\nthe image of t3_{} is odd\n", ids[0]),
    );

    // What there is to be found of them.
    let mut needles: Vec<(String, Vec<u8>)> = vec![("author".to_owned(), author.clone().into())];
    let matrix_file = home
        .path()
        .join(format!("data/runs/{run_id}/merge.safetensors"));
    let matrix = artifacts::read_matrix(&matrix_file).unwrap();
    let evaluated = home.json_lines(&["models", "show", "all", "--predictions"]);
    for post in &gone {
        let id = post["id"].as_str().unwrap();
        needles.push((format!("id of {id}"), format!("\"{id}\"").into()));
        needles.push((
            format!("title of {id}"),
            post["title"].as_str().unwrap().into(),
        ));
        let image = fs_err::read(home.path().join(post["images"][0].as_str().unwrap())).unwrap();
        let hash = corpus::ContentHash::of(&image);
        needles.push((
            format!("image of {id}"),
            // What is before it are tables that other images have too.
            image[image.len() / 2..][..100].to_vec(),
        ));
        needles.push((format!("hash of {id}"), hash.as_bytes().to_vec()));
        let row = matrix.rows.iter().position(|row| row.id == id).unwrap();
        for block in matrix
            .blocks
            .iter()
            .filter(|block| block.columns.is_empty())
        {
            let values = block.row(row);
            let kinds = [corpus::VectorType::F32, corpus::VectorType::F16];
            for kind in kinds {
                let vector = corpus::Vector::new(values, kind);
                let name = format!("{} of {id} as {}", block.name, kind.name());
                needles.push((name, vector.as_bytes().to_vec()));
            }
        }
    }
    for (id, packed) in packed(&home, &ids) {
        needles.push((format!("JSON of {id}"), packed));
    }
    // A vector that two contents share is not theirs alone: the tiny encoder knows few words.
    let shared = |needle: &[u8]| {
        matrix.blocks.iter().any(|block| {
            let same = |row: &usize| {
                let as_bytes = |kind| {
                    corpus::Vector::new(block.row(*row), kind)
                        .as_bytes()
                        .to_vec()
                };
                as_bytes(corpus::VectorType::F32) == needle
                    || as_bytes(corpus::VectorType::F16) == needle
            };
            let others =
                (0..matrix.rows.len()).filter(|row| !ids.contains(&&*matrix.rows[*row].id));
            others.filter(same).count() > 0
        })
    };
    needles.retain(|(_, needle)| !shared(needle));
    for (name, needle) in &needles {
        assert!(
            !files_with(&home, needle).is_empty(),
            "there is no {name} to begin with"
        );
    }
    for block in ["image of", "visual of"] {
        assert!(
            needles.iter().any(|(name, _)| name.starts_with(block)),
            "{block}"
        );
    }

    let refused = home.run(&["records", "purge", "--author", &author]);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    let meant = home.json(&["records", "purge", "--author", &author, "--dry-run"]);
    assert_eq!(meant["records"].as_array().unwrap().len(), gone.len());
    assert_eq!(home.json_lines(&["records", "export"]).len(), posts.len());

    let said_before = spoken(&home.path().join("copies/monday.content.db"));
    let purged = home.json(&["records", "purge", "--author", &author, "--yes"]);
    for (name, needle) in &needles {
        let found = files_with(&home, needle);
        assert!(found.is_empty(), "{name} is in {found:?}\n{purged}");
    }
    let removed = &purged["removed"];
    let count = gone.len() as u64;
    for name in ["records", "raw", "images", "captions", "media_places"] {
        assert_eq!(removed[name], count, "{name}: {purged}");
    }
    assert!(
        removed["embeddings"].as_u64().unwrap() >= 2 * count,
        "{purged}"
    );
    assert_eq!(
        (&purged["matrices"], &purged["log_lines"]),
        (&1.into(), &1.into())
    );
    assert_eq!(purged["exports"].as_array().unwrap().len(), 3);
    let exported = tables::rows(&home.path().join("posts.parquet"));
    assert_eq!(exported.len(), posts.len() - gone.len());
    let names = |row: &parquet::record::Row| {
        let row = row.to_string();
        ids.iter().any(|id| row.contains(id)) || row.contains(&author)
    };
    assert!(!exported.iter().any(names));
    assert_eq!(purged["left"], Value::Array(Vec::new()), "{purged}");
    assert_eq!(purged["waiting"], 0);
    assert_eq!(purged["scrub_due"], false);
    let backups = purged["backups"].as_array().unwrap();
    assert!(backups.len() == 1 && backups[0].as_str().unwrap().ends_with("monday.content.db"));

    // Each other row is where it was.
    let left = artifacts::read_matrix_rows(&matrix_file).unwrap();
    assert_eq!(left.len(), matrix.rows.len() - gone.len());
    assert_eq!(
        home.json_lines(&["records", "export"]).len(),
        posts.len() - gone.len()
    );
    let lost = evaluated
        .iter()
        .filter(|row| ids.contains(&row["id"].as_str().unwrap()))
        .count();
    assert!(lost > 0, "the test needs an author with a label");
    let captions = home.path().join("data/content.db");
    assert_eq!(spoken(&captions), said_before - gone.len());
    let shown = home.json(&["models", "show", "all"]);
    assert_eq!(shown["purged_rows"], lost);
    assert_eq!(purged["models"][0]["rows"], lost);
    assert_eq!(meant["models"], purged["models"]);
    let verified = home.run(&["models", "verify", "all"]);
    assert_eq!(verified.status.code(), Some(1));
    let said = stderr(&verified);
    assert!(
        said.contains(&format!("all/1 is not reproducible: {lost} rows purged")),
        "{said}"
    );
    let verified = home.run(&["--json", "models", "verify", "all"]);
    assert_eq!(verified.status.code(), Some(1));
    let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(
        verified["reason"],
        format!("not reproducible: {lost} rows purged"),
        "{verified}"
    );
    assert_eq!(verified["reproducible"], false);
    let checked = home.json(&["db", "check"]);
    assert_eq!(checked["sound"], true, "{checked}");

    // Nothing is left to do, and nothing comes back.
    let again = home.json(&["records", "purge"]);
    assert_eq!(again["removed"]["records"], 0);
    let forced = home.json(&["run", "all", "--force"]);
    assert_eq!(
        task(&forced, "scrape")["dropped"]["purged"],
        count,
        "{forced}"
    );
    for (name, needle) in &needles {
        let found = files_with(&home, needle);
        assert!(found.is_empty(), "{name} came back in {found:?}");
    }
}
