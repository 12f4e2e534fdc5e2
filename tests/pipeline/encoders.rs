//! Changing an encoder: plan, fill, switch, and what is left of the old one.

use std::{process::Stdio, thread, time::Duration};

use serde_json::Value;

use crate::home::{Home, stderr, task};

const SOURCE: &str = "sandbox:posts=6";

/// The repository's `reddit`, with titles alone unless a run says `--profile cpu`.
fn of_words() -> Home {
    let home = Home::new();
    let text = fs_err::read_to_string(home.path().join("pipelines/reddit.toml")).unwrap();
    let words = "\n[profiles.words]\ntext = \"all-minilm-l6-v2\"\nimage = \"none\"\n\
                 caption = \"none\"\nvisual = \"none\"\n\n# What holds";
    let text = text.replace("\nprofile = \"cpu\"", "\nprofile = \"words\"");
    home.write(
        "pipelines/reddit.toml",
        text.replacen("\n# What holds", words, 1),
    );
    home
}

/// Takes the profile `cpu` out of the file.
fn forget_cpu(home: &Home) -> String {
    let path = home.path().join("pipelines/reddit.toml");
    let whole = fs_err::read_to_string(&path).unwrap();
    let start = whole.find("[profiles.cpu]").unwrap();
    let end = whole.find("[profiles.words]").unwrap();
    fs_err::write(&path, [&whole[..start], &whole[end..]].concat()).unwrap();
    whole
}

fn plan(home: &Home, profile: &str) -> Value {
    home.json(&[
        "encoders",
        "plan",
        "reddit",
        "--source",
        SOURCE,
        "--profile",
        profile,
    ])
}

fn planned<'a>(plan: &'a Value, id: &str) -> &'a Value {
    let tasks = plan["tasks"].as_array().unwrap();
    tasks.iter().find(|task| task["task"] == id).unwrap()
}

const FILL: [&str; 8] = [
    "--json",
    "encoders",
    "fill",
    "reddit",
    "--source",
    SOURCE,
    "--profile",
    "cpu",
];

fn run(home: &Home, profile: &[&str]) -> Value {
    let run = home.json(&[&["run", "reddit", "--source", SOURCE], profile].concat());
    assert_eq!(run["state"], "succeeded", "{run}");
    run
}

fn champion_predicts(home: &Home) {
    let rows = home.json_lines(&["predict", "reddit@champion", "--text", "a red fox"]);
    assert!(rows[0]["prediction"].is_number(), "{rows:?}");
}

#[test]
fn an_encoder_is_changed_while_the_old_one_serves() {
    let home = of_words();
    let empty = home.run(&["encoders", "plan", "reddit", "--source", SOURCE]);
    assert_eq!(empty.status.code(), Some(0), "{}", stderr(&empty));
    assert!(
        stderr(&empty).contains("no contents yet"),
        "{}",
        stderr(&empty)
    );
    let day = home.json(&["run", "reddit", "--source", SOURCE, "--dry-run"]);
    assert_eq!(day["encoding"]["basis"], "nothing");
    run(&home, &[]);

    // Pictures were fetched, and none is encoded.
    let before = plan(&home, "cpu");
    assert_eq!(planned(&before, "embed_title")["missing"], 0);
    for id in ["embed_image", "caption", "embed_caption"] {
        let task = planned(&before, id);
        assert!(task["missing"].as_u64() > Some(10), "{task}");
        assert_eq!(task["missing"], task["contents"]);
    }
    let images = planned(&before, "embed_image");
    assert!(images["rows_per_second"].as_f64().unwrap() > 0.0);
    assert!(images["hours"].as_f64().unwrap() > 0.0);
    assert!(images["sampled"].as_u64().unwrap() <= 32);
    let rows = images["missing"].as_u64().unwrap();
    assert_eq!(images["bytes"], rows * (2 * 1280 + 200));
    assert_eq!(
        plan(&home, "cpu")["total"]["missing"],
        before["total"]["missing"]
    );

    // The day's share, known and not.
    let day = home.json(&[
        "run",
        "reddit",
        "--source",
        SOURCE,
        "--profile",
        "cpu",
        "--dry-run",
    ]);
    assert_eq!(day["encoding"]["basis"], "known");
    assert!(day["encoding"]["total"]["missing"].as_u64().unwrap() > 0);
    assert!(day["encoding"]["total"]["hours"].as_f64().unwrap() > 0.0);
    let coming = home.json(&[
        "run",
        "reddit",
        "--source",
        SOURCE,
        "--date",
        "2026-01-20",
        "--dry-run",
    ]);
    assert_eq!(coming["encoding"]["basis"], "mean");
    assert!(
        planned(&coming["encoding"], "embed_title")["missing"]
            .as_u64()
            .unwrap()
            > 0
    );

    let switch = [
        "pipelines",
        "switch",
        "reddit",
        "--source",
        SOURCE,
        "--profile",
        "cpu",
    ];
    let refused = home.run(&switch);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    assert!(
        stderr(&refused).contains("`embed_image` lacks"),
        "{}",
        stderr(&refused)
    );
    let unknown = home.run(&["pipelines", "switch", "reddit", "--profile", "cqu"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", stderr(&unknown));

    let filled = fill_through_kills(&home);
    assert_eq!(filled["state"], "succeeded", "{filled}");
    assert!(filled["model"].is_null());
    let after = plan(&home, "cpu");
    assert_eq!(after["total"]["missing"], 0, "{after}");
    assert_eq!(
        planned(&after, "embed_image")["contents"],
        images["contents"]
    );
    let again: Value = serde_json::from_slice(&home.run(&FILL).stdout).unwrap();
    assert_eq!(task(&again, "embed_image")["rows_computed"], 0);
    champion_predicts(&home);

    switches_and_back(&home, &switch);
    collects(&home);
}

/// Fills, killed twice on the way.
fn fill_through_kills(home: &Home) -> Value {
    for wait in [700, 1500] {
        let mut child = home
            .command(&FILL)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    let output = home.run(&FILL);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn switches_and_back(home: &Home, switch: &[&str]) {
    let profile = || home.json(&["pipelines", "show", "reddit"])["profile"].clone();
    let of_run = |more: &[&str]| {
        let words = [&["run", "reddit", "--source", SOURCE, "--dry-run"], more].concat();
        home.json(&words)["profile"].clone()
    };
    home.json(switch);
    assert_eq!(profile(), "cpu");
    assert_eq!(of_run(&[]), "cpu");
    assert_eq!(of_run(&["--profile", "words"]), "words");
    let listed = home.json(&["pipelines", "list"]);
    let row = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "reddit");
    let row = row.unwrap();
    assert_eq!(row["profile"], "cpu");
    assert!(row["switched_at"].is_string());
    home.json(&["pipelines", "switch", "reddit", "--clear"]);
    assert_eq!((profile(), of_run(&[])), ("words".into(), "words".into()));
    assert_eq!(
        home.json(&["pipelines", "switch", "reddit", "--clear"])["changed"],
        false
    );
    home.json(switch);
    // The file may change under the switch.
    let whole = forget_cpu(home);
    let gone = home.run(&["run", "reddit", "--source", SOURCE, "--dry-run"]);
    assert_eq!(gone.status.code(), Some(2));
    assert!(stderr(&gone).contains("--clear"), "{}", stderr(&gone));
    let refused = home.run(&["encoders", "gc"]);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    home.write("pipelines/reddit.toml", whole);
    home.json(&["pipelines", "switch", "reddit", "--clear"]);
}

fn collects(home: &Home) {
    let made = |collection: &Value, encoder: &str| {
        let encoders = collection["encoders"].as_array().unwrap();
        encoders
            .iter()
            .find(|made| made["encoder"] == encoder)
            .cloned()
    };
    let named = home.json(&["encoders", "gc"]);
    assert_eq!(named["rows"], 0, "{named}");
    // Nothing names the pictures' encoder any more, but the text encoder goes on.
    let whole = forget_cpu(home);
    let shown = home.json(&["encoders", "gc", "--dry-run"]);
    let dropped = home.json(&["encoders", "gc"]);
    assert_eq!(dropped["rows"], shown["rows"]);
    for encoder in ["efficientnet-lite0", "imagenet-tags"] {
        let made = made(&dropped, encoder).unwrap();
        assert_eq!(made["kept_for"], Value::Array(Vec::new()), "{made}");
        assert!(made["rows"].as_u64().unwrap() > 0);
    }
    let kept = home.json(&["encoders", "gc", "--dry-run"]);
    assert!(made(&kept, "efficientnet-lite0").is_none(), "{kept}");
    assert!(made(&kept, "all-minilm-l6-v2").is_some(), "{kept}");
    champion_predicts(home);
    home.write("pipelines/reddit.toml", whole);
    let plan = plan(home, "cpu");
    assert!(planned(&plan, "embed_image")["missing"].as_u64().unwrap() > 0);

    // What the champion needs stays, though no pipeline names it.
    let run = run(home, &["--profile", "cpu"]);
    assert_eq!(run["model"]["version"], 2);
    forget_cpu(home);
    let mut command = home.command(&["--json", "encoders", "gc"]);
    let output = command
        .env("TRENDMILL_RETENTION__VERSIONS", "0")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let collection: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(collection["rows"], 0, "{collection}");
    let images = made(&collection, "efficientnet-lite0").unwrap();
    assert_eq!(images["kept_for"], serde_json::json!(["model reddit/2"]));
    champion_predicts(home);
    assert_eq!(home.json(&["db", "check"])["sound"], true);
}

#[test]
fn a_new_encoder_reads_the_copies_of_dropped_images() {
    let home = of_words();
    home.write(
        "trendmill.toml",
        "[media]\ncopy_side = 64\n[retention]\noriginals = \"0s\"\n",
    );
    run(&home, &[]);
    let media = home.path().join("data/media");
    let folders = fs_err::read_dir(&media).unwrap();
    let files = folders.flat_map(|folder| fs_err::read_dir(folder.unwrap().path()).unwrap());
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let copies = names.filter(|name| name.ends_with(".copy.jpg")).count();
    assert!(copies > 10, "{copies}");
    let vacuumed = home.json(&["db", "vacuum"]);
    assert_eq!(vacuumed["removed"]["originals"], copies, "{vacuumed}");
    assert_eq!(home.json(&["db", "vacuum"])["removed"]["originals"], 0);
    let filled = home.json(&FILL[1..]);
    let images = task(&filled, "embed_image");
    assert!(images["rows_computed"].as_u64().unwrap() > 10, "{images}");
    assert_eq!(images["dropped"], serde_json::json!({}));
    assert_eq!(plan(&home, "cpu")["total"]["missing"], 0);
    // The next run fetches nothing again, and its champion reads pictures.
    let again = run(&home, &["--profile", "cpu"]);
    assert_eq!(task(&again, "fetch_images")["rows_computed"], 0);
    champion_predicts(&home);
}

#[test]
fn nobody_is_asked_where_the_network_is_forbidden() {
    let home = Home::new();
    let cache = home.path().join("nothing");
    let offline = |arguments: &[&str]| {
        let output = home
            .command(arguments)
            .env("HF_HOME", &cache)
            .output()
            .unwrap();
        (output.status.code(), stderr(&output))
    };
    for arguments in [
        &["--offline", "encoders", "pull", "resnet18"][..],
        &["encoders", "pull", "resnet18", "--offline"],
    ] {
        let (code, said) = offline(arguments);
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains("the network may not be asked"), "{said}");
    }
    // A run may be done by another process, which has settings of its own.
    let (code, said) = offline(&["run", "reddit", "--offline"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("encoders.offline = true"), "{said}");
}
