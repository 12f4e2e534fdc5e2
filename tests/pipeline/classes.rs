//! Targets that are classes: one of several, and any number of them.

use serde_json::{Value, json};

use crate::home::{Home, stderr, task};

/// A home with the pipeline `plain` and a table whose rows tell by two numbers what they are. The last
/// ten do not say it yet, and no class of the third kind has enough rows.
fn home() -> Home {
    let home = Home::empty();
    let pipeline = include_str!("plain.toml").replace(
        "numbers = [\"hour\", \"title_shape\", \"community_history\", \"author_history\", \"queue\"]",
        "numbers = [\"fields.heat\", \"fields.depth\"]",
    );
    let told =
        "\n[fields]\nheat = \"number\"\ndepth = \"number\"\nkind = \"text\"\ntags = \"text\"\n";
    let score = "\n[[task]]\nid = \"score\"\nop = \"score\"\nafter = [\"persist\"]\n";
    home.write("pipelines/plain.toml", pipeline + score + told);
    write_rows(&home, 290);
    home
}

/// The table; `labelled` of its rows say what they are.
fn write_rows(home: &Home, labelled: usize) {
    let line = |at: usize| {
        let (heat, depth) = (at * 7919 % 101, at * 104_729 % 97);
        let kind = match (at, heat) {
            _ if at >= labelled => "",
            (5, _) => "odd",
            (_, ..50) => "cold",
            _ => "warm",
        };
        let tags = match (heat > 50, depth > 48) {
            (true, true) => "['warm', 'deep']",
            (true, false) => "['warm']",
            (false, true) => "['deep']",
            (false, false) => "[]",
        };
        let day = 1 + at * 16 / 300;
        format!(
            "r{at},title {at},2026-01-{day:02}T{:02}:00:00Z,art,{heat},{depth},{kind},\"{tags}\"\n",
            at * 16 % 300 * 24 / 300
        )
    };
    let lines: String = (0..300).map(line).collect();
    home.write(
        "rows.csv",
        format!("id,title,created,community,heat,depth,kind,tags\n{lines}"),
    );
}

fn run(home: &Home, target: &str) -> Value {
    let target = format!("target={target}");
    let source = ["--source", "table:rows.csv", "--param", &target];
    home.json(&[&["run", "plain", "--date", "2026-01-18"], &source[..]].concat())
}

fn number(of: &Value) -> f64 {
    of.as_f64().unwrap()
}

#[test]
fn one_class_of_several_is_learned_asked_for_and_held_against_the_champion() {
    let home = home();
    let first = run(&home, "class(kind)");
    let metrics = &first["model"]["metrics"];
    assert!(number(&metrics["accuracy"]) > 0.9, "{metrics}");
    // Those that do not say what they are wait; of the odd kind is one row, too few to learn from.
    assert_eq!(task(&first, "train")["rows_in"], 290);
    assert_eq!(task(&first, "train")["message"], "2 classes");
    let shown = home.json(&["models", "show", "plain"]);
    let classes = shown["evaluation"]["classes"].as_array().unwrap();
    let names: Vec<&Value> = classes.iter().map(|of| &of["class"]).collect();
    assert_eq!(names, ["cold", "warm"]);
    let baseline = &shown["evaluation"]["baselines"]["community_median"]["metrics"];
    assert!(number(&baseline["accuracy"]) < 0.8, "{baseline}");

    home.write(
        "new.jsonl",
        "{\"id\":\"a\",\"title\":\"x\",\"heat\":3,\"depth\":50}\n{\"id\":\"b\",\"title\":\"y\",\"heat\":99}\n",
    );
    let predicted = home.json_lines(&["predict", "plain", "--input", "new.jsonl"]);
    for (row, class) in predicted.iter().zip(["cold", "warm"]) {
        let told = row["classes"].as_array().unwrap();
        assert_eq!((told.len(), &told[0]["class"]), (2, &Value::from(class)));
        assert_eq!(row["prediction"], told[0]["probability"]);
        let sum = number(&told[0]["probability"]) + number(&told[1]["probability"]);
        assert!((sum - 1.0).abs() < 1e-9, "{row}");
        assert_eq!(
            (&told[0]["chosen"], &told[1]["chosen"]),
            (&true.into(), &false.into())
        );
    }
    let asked = [
        "predict",
        "plain",
        "--input",
        "new.jsonl",
        "--top-k",
        "1",
        "--threshold",
        "0",
    ];
    for row in home.json_lines(&asked) {
        assert_eq!(row["classes"].as_array().unwrap().len(), 1);
        assert_eq!(row["classes"][0]["chosen"], true);
    }
    let page = home.run(&["models", "report", "plain"]);
    let page = String::from_utf8(page.stdout).unwrap();
    assert!(page.contains("By class") && page.contains("Accuracy of this version and others"));
    assert!(home.run(&["models", "verify", "plain"]).status.success());

    // Other settings on the same rows: no better, so the champion stays.
    let pipeline = fs_err::read_to_string(home.path().join("pipelines/plain.toml")).unwrap();
    home.write(
        "pipelines/plain.toml",
        pipeline.replace("head = \"ridge\"", "head = \"ridge\"\nseed = 5"),
    );
    let second = run(&home, "class(kind)");
    assert_eq!(second["model"]["version"], 2);
    let shown = home.json(&["models", "show", "plain/2"]);
    assert_eq!(shown["gate"]["verdict"], "ask", "{}", shown["gate"]);
    let compared = home.json(&["models", "compare", "plain/1", "plain/2"]);
    assert_eq!(compared["a"]["accuracy"], metrics["accuracy"]);
    assert_eq!(compared["difference"]["accuracy"]["value"], 0.0);
}

#[test]
fn any_number_of_classes_are_learned_and_told_from_a_threshold_on() {
    let home = home();
    let made = run(&home, "classes(items(tags))");
    let metrics = &made["model"]["metrics"];
    assert!(number(&metrics["macro_f1"]) > 0.85, "{metrics}");
    assert!(number(&metrics["macro_roc_auc"]) > 0.95, "{metrics}");
    let message = task(&made, "train")["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("2 classes, told from 0."), "{message}");

    let filed = home.json_lines(&["models", "show", "plain", "--predictions"]);
    assert!(filed.iter().any(|row| row["classes"].is_null()));
    let exported = home.json_lines(&["export", "predictions", "plain"]);
    for (row, line) in filed.iter().zip(&exported) {
        let own = row["classes"].as_array().map_or(&[][..], Vec::as_slice);
        let own: Vec<&str> = own.iter().map(|class| class.as_str().unwrap()).collect();
        assert_eq!(line["classes"], own.join("|"));
        assert_eq!(line["probability.deep"], row["probabilities"]["deep"]);
    }
    let asked = ["predict", "plain", "--set", "heat=99", "--set", "depth=96"];
    let both = &home.json_lines(&asked)[0]["classes"];
    assert_eq!(
        (&both[0]["chosen"], &both[1]["chosen"]),
        (&true.into(), &true.into())
    );
    let surest = [&asked[..], &["--threshold", "1"]].concat();
    let told = &home.json_lines(&surest)[0]["classes"];
    assert_eq!(told[1]["chosen"], number(&told[1]["probability"]) >= 1.0);
}

#[test]
fn what_makes_no_sense_of_classes_is_refused() {
    let home = home();
    let table = "table:rows.csv,score=heat@36h";
    let run = ["run", "plain", "--date", "2026-01-18", "--source", table];
    assert_eq!(home.json(&run)["state"], "succeeded");
    let output = home.run(&["predict", "plain", "--set", "heat=9", "--threshold", "0.5"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("predicts a number"),
        "{}",
        stderr(&output)
    );

    let pipeline = fs_err::read_to_string(home.path().join("pipelines/plain.toml")).unwrap();
    let wrong = pipeline
        .replace("\"fields.heat\"", "\"fields.heat\", \"author_history\"")
        .replace("target = \"log1p(score)\"", "target = \"class(kind)\"");
    home.write(
        "pipelines/plain.toml",
        wrong.replace("\"{{ params.target }}\"", "\"class(kind)\""),
    );
    let output = home.run(&["pipelines", "check"]);
    assert!(!output.status.success());
    let said = stderr(&output) + &String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("histories of numbers"), "{said}");
}

#[test]
fn what_was_said_of_classes_meets_what_they_became() {
    let home = home();
    let first = run(&home, "class(kind)");
    let score = task(&first, "score");
    assert_eq!(
        (&score["rows_out"], &score["state"]),
        (&10.into(), &"succeeded".into())
    );
    let waiting: Vec<Value> = home
        .json_lines(&["export", "predictions", "plain"])
        .into_iter()
        .filter(|row| row["split"] == "waiting")
        .collect();
    assert_eq!(waiting.len(), 10);
    for row in &waiting {
        let both = [&row["probability.cold"], &row["probability.warm"]].map(number);
        assert!((both[0] + both[1] - 1.0).abs() < 1e-9, "{row}");
        assert_eq!(row["prediction"], json!(both[0].max(both[1])));
    }

    write_rows(&home, 300);
    run(&home, "class(kind)");
    let shown = home.json(&["models", "show", "plain/2"]);
    let met = &shown["evaluation"]["prequential"];
    assert_eq!(
        (&met["rows"], &met["versions"]["1"]),
        (&10.into(), &10.into())
    );
    let right = waiting.iter().filter(|row| {
        let heat = row["id"].as_str().unwrap()[1..].parse::<usize>().unwrap() * 7919 % 101;
        (heat < 50) == (number(&row["probability.cold"]) > 0.5)
    });
    let right = right.count() as f64 / 10.0;
    assert!(right > 0.7);
    assert_eq!(met["metrics"]["accuracy"], json!(right));
    assert!(number(&met["intervals"]["accuracy"]["low"]) <= right);
    let page = home.run(&["models", "report", "plain/2"]);
    assert!(
        String::from_utf8(page.stdout)
            .unwrap()
            .contains("10 by version 1")
    );
}
