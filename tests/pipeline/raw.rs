//! What a live source sent is kept as it came, and says since when a new feature can exist.
use serde_json::Value;

use crate::{
    home::{Home, PLAIN, posts, stderr},
    tiny,
};

/// The feature of this name and kind in the answer of `features check`.
fn feature<'a>(check: &'a Value, kind: &str, name: &str) -> &'a Value {
    let features = check["features"].as_array().unwrap();
    let found = features
        .iter()
        .find(|feature| feature["kind"] == kind && feature["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name} in {check}"))
}

/// A home with a pipeline that embeds titles, and fetches no image.
fn home() -> Home {
    let home = Home::empty();
    tiny::write(&home.path().join("weights/tiny"));
    let merge = "[[task]]\nid = \"merge\"\nop = \"merge\"\nafter = [\"fetch_images\"]\nblocks = {}";
    let fetch = "[[task]]\nid = \"fetch_images\"\nop = \"fetch_images\"\nafter = [\"filter\"]\n";
    let embed = "[[task]]\nid = \"embed_title\"\nop = \"embed\"\nafter = [\"filter\"]\n\
                 encoder = \"weights/tiny\"\ninput = \"title\"\n\n[[task]]\nid = \"embed_image\"\n\
                 op = \"embed\"\nafter = [\"filter\"]\nencoder = \"none\"\ninput = \"image\"\n";
    let merged = "[[task]]\nid = \"merge\"\nop = \"merge\"\n\
                  after = [\"embed_title\", \"embed_image\"]\ntrigger = \"none_failed\"\n\
                  blocks = { title = \"embed_title\", image = \"embed_image\" }";
    let pipeline = PLAIN.replace(fetch, embed).replace(merge, merged);
    assert!(pipeline.contains("embed_image = ") || pipeline.contains("image = \"embed_image\""));
    home.write("pipelines/plain.toml", pipeline);
    home
}

#[test]
fn what_was_sent_is_kept_and_says_since_when_a_feature_can_exist() {
    let home = home();
    let source = ["--source", "sandbox:posts=14"];
    home.json(&[&["run", "plain"], &source[..]].concat());
    let records = home.json_lines(&["records", "export"]);
    let check = [&["features", "check", "plain"], &source[..]].concat();
    let checked = home.json(&check);
    let all = Value::from(records.len());
    assert!(
        records.len() > 100 && checked["records"] == all,
        "{checked}"
    );

    let title = feature(&checked, "vectors", "title");
    assert_eq!(
        (&title["records"], &title["of"]),
        (&all, &"weights/tiny".into())
    );
    assert_eq!(title["since"], checked["oldest"]);
    assert_eq!(title["whole_since"], checked["oldest"]);
    let image = feature(&checked, "vectors", "image");
    assert_eq!(image["reasons"]["no_encoder"], all);
    assert_eq!(
        (&image["since"], &image["whole_since"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(feature(&checked, "number", "hour")["records"], all);
    let label = feature(&checked, "target", "label");
    assert!(label["records"].as_u64().unwrap() > 0, "{label}");
    assert!(label["lacking"].as_u64().unwrap() > 0, "{label}");
    assert_eq!(
        label["whole_since"],
        Value::Null,
        "the newest are too young"
    );
    assert_eq!(feature(&checked, "reading", "num_comments")["records"], all);
    assert_eq!(feature(&checked, "people", "authors")["records"], 0);
    let raw = feature(&checked, "raw", "JSON");
    assert_eq!((&raw["records"], &raw["since"]), (&all, &checked["oldest"]));
    assert_eq!(checked["raw_removed_before"], Value::Null);

    // A field that no feature has used yet, and one that few posts have.
    let asked = [
        &check[..],
        &[
            "--field",
            "subreddit_type",
            "--field",
            "/gallery_data/items/0",
        ],
    ];
    let asked = home.json(&asked.concat());
    let fields = asked["raw_fields"].as_array().unwrap();
    assert_eq!(fields.len(), 2);
    assert_eq!(
        (&fields[0]["bodies"], &fields[0]["with_value"]),
        (&all, &all)
    );
    assert_eq!(fields[0]["since"], raw["first_at"]);
    let galleries = fields[1]["bodies"].as_u64().unwrap();
    assert!(0 < galleries && galleries < records.len() as u64, "{asked}");
    let flair = checked["raw_fields"].as_array().unwrap();
    let flair = flair
        .iter()
        .find(|field| field["field"] == "author_flair_text");
    assert_eq!(flair.unwrap()["with_value"], 0);

    // It is shown as it came.
    let id = records[0]["id"].as_str().unwrap();
    let shown = home.run(&["records", "show", id, "--raw"]);
    let body: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(body["name"], format!("t3_{id}"));
    assert_eq!(body["title"], records[0]["title"]);
    assert_eq!(
        home.run(&["records", "show", "none", "--raw"])
            .status
            .code(),
        Some(2)
    );

    is_computable_by_another_encoder(&home, &check, &all);

    // What has had its time goes; the records stay.
    home.write("trendmill.toml", "[retention]\nraw = \"0s\"\n");
    assert_eq!(home.json(&["db", "vacuum"])["removed"]["raw"], all);
    let later = home.json(&check);
    assert_eq!(feature(&later, "raw", "JSON")["lacking"], all);
    assert!(later["raw_removed_before"].is_string(), "{later}");
    assert_eq!(later["records"], all);
    let gone = home.run(&["records", "show", id, "--raw"]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(
        stderr(&gone).contains("had had its time"),
        "{}",
        stderr(&gone)
    );

    let unknown = home.run(&["features", "check", "plani"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("plain"), "{}", stderr(&unknown));
    assert_eq!(home.json(&["db", "check"])["sound"], true);
}

fn is_computable_by_another_encoder(home: &Home, check: &[&str], all: &Value) {
    // An encoder that has not read anything yet can: the titles are there.
    fs_err::rename(
        home.path().join("weights/tiny"),
        home.path().join("weights/old"),
    )
    .unwrap();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/bert_tiny");
    for file in fs_err::read_dir(fixture).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        home.write(
            &format!("weights/tiny/{name}"),
            fs_err::read(file.path()).unwrap(),
        );
    }
    let new = home.json(check);
    let title = feature(&new, "vectors", "title");
    assert_eq!((&title["records"], &title["computable"]), (&0.into(), all));
}

#[test]
fn lines_of_dumps_are_kept_only_where_that_is_asked_for() {
    let home = Home::with_plain();
    home.write("posts.ndjson", posts(40));
    home.json(&["run", "plain", "--source", "dump:posts.ndjson"]);
    let check = [
        "features",
        "check",
        "plain",
        "--source",
        "dump:posts.ndjson",
    ];
    let raw = feature(&home.json(&check), "raw", "JSON").clone();
    assert_eq!((&raw["records"], &raw["lacking"]), (&0.into(), &40.into()));
    let other = home.run(&["records", "show", "p0003", "--raw"]);
    assert!(stderr(&other).contains("raw_dumps"), "{}", stderr(&other));

    home.write("trendmill.toml", "[retention]\nraw_dumps = true\n");
    home.write("more.ndjson", posts(40));
    home.json(&["run", "plain", "--source", "dump:more.ndjson"]);
    let shown = home.run(&["records", "show", "p0003", "--raw"]);
    let line = posts(40).lines().nth(3).unwrap().to_owned();
    assert_eq!(String::from_utf8(shown.stdout).unwrap(), line + "\n");
}

/// Without a time of reading a line counts as read at the moment of its run, which lies ahead of the
/// clock: the horizon is waited for.
#[test]
fn what_a_dump_holds_is_planned_right_behind_its_run() {
    let home = home();
    home.write("posts.ndjson", posts(40));
    let source = ["plain", "--source", "dump:posts.ndjson"];
    home.json(&[&["run"], &source[..]].concat());
    let plan = home.json(&[&["encoders", "plan"], &source[..]].concat());
    assert_eq!(plan["records"], 40, "{plan}");
    assert_eq!(plan["total"]["present"], 40, "{plan}");
}
