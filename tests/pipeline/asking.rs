//! What a person can ask after runs: the registry, the runs, the records.
use std::{io::Write as _, process::Stdio};

use serde_json::{Value, json};

use crate::home::{Home, stderr};

/// A pipeline without encoders and a dump, run twice.
fn home() -> Home {
    let home = Home::with_plain();
    home.write("posts.ndjson", crate::home::posts(80));
    for date in ["2026-01-01", "2026-01-02"] {
        let source = ["--source", "dump:posts.ndjson", "--date", date];
        let run = home.json(&[&["run", "plain"], &source[..]].concat());
        assert_eq!(run["state"], "succeeded");
    }
    home
}

/// What a command prints, with what differs from run to run replaced.
fn said(home: &Home, arguments: &[&str]) -> String {
    let output = home.run(arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut words = Vec::new();
    for line in text.lines() {
        let line: Vec<&str> = line
            .split_whitespace()
            .map(|word| match word {
                _ if word.len() == 36 && word.matches('-').count() == 4 => "[run]",
                _ if word.len() == 24 && word.ends_with('Z') => "[time]",
                _ if word.ends_with('s') && word.trim_end_matches('s').parse::<f64>().is_ok() => {
                    "[took]"
                }
                _ => word,
            })
            .collect();
        words.push(line.join(" "));
    }
    words.join("\n")
}

#[test]
fn runs_are_listed_shown_and_their_logs_read() {
    let home = home();
    insta::assert_snapshot!(said(&home, &["runs", "list"]), @r"
    run pipeline for state began took
    [run] plain 2026-01-03T00:00:00Z succeeded [time] [took]
    [run] plain 2026-01-02T00:00:00Z succeeded [time] [took]
    ");
    let runs = home.json(&["runs", "list"]);
    let id = runs[0]["run_id"].as_str().unwrap();
    let shown = home.json(&["runs", "show", id]);
    assert_eq!(shown["run_id"], id);
    assert_eq!(shown["tasks"].as_array().unwrap().len(), 8);
    let logs = said(&home, &["runs", "logs", "latest", "scrape"]);
    assert!(logs.contains("scrape"), "{logs}");
    for (arguments, code) in [
        (&["runs", "show", "nothing"][..], 2),
        (&["runs", "logs", "latest", "nothing"], 2),
        (&["models", "show", "plain/99"], 2),
        (&["models", "show", "nothing@champion"], 2),
        (&["models", "history", "plain", "--metric", "nothing"], 2),
    ] {
        let output = home.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stderr(&output).starts_with("error: "), "{arguments:?}");
    }
}

#[test]
fn a_day_that_changes_nothing_links_to_the_version_that_is_there() {
    let home = home();
    let versions = home.json(&["models", "list"]);
    assert_eq!(versions.as_array().unwrap().len(), 1);
    assert_eq!(versions[0]["aliases"][0], "champion");
    let history = home.json(&["models", "history", "plain", "--metric", "mae"]);
    let point = |version: u32, day: &str| json!([version, format!("{day}T00:00:00Z")]);
    let points: Vec<Value> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|point| json!([point["version"], point["interval_start"]]))
        .collect();
    assert_eq!(points, [point(1, "2026-01-01")]);
}

#[test]
fn a_version_has_a_page() {
    let home = home();
    let output = home.run(&["models", "report", "plain@champion"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.contains("<title>plain, version 1</title>"), "{page}");
    let output = home.run(&["models", "report", "plain", "--out", "page.html"]);
    assert!(output.status.success(), "{}", stderr(&output));
    for file in ["page.html", "model_registry/plain/1/report.html"] {
        let filed = fs_err::read_to_string(home.path().join(file)).unwrap();
        assert_eq!(filed.trim_end(), page.trim_end(), "{file}");
    }
    let output = home.run(&["models", "report", "plain/99"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn what_was_exported_comes_in_again_as_a_table() {
    let home = home();
    let output = home.run(&["records", "export", "--format", "jsonl", "--out", "a.jsonl"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let run = home.json(&["run", "plain", "--source", "table:a.jsonl"]);
    assert_eq!(crate::home::task(&run, "scrape")["rows_out"], 80);
    assert_eq!(run["model"]["matrix"]["rows"], 80);
}

#[test]
fn a_reader_who_has_read_enough_is_no_fault() {
    let home = home();
    let mut child = home
        .command(&["records", "export"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), stderr(&output).as_str()),
        (Some(0), "")
    );
}

#[test]
fn an_export_in_either_form_is_predicted_as_it_was_evaluated() {
    let home = home();
    let evaluated = home.json_lines(&["models", "show", "plain/1", "--predictions"]);
    for (format, file) in [("jsonl", "a.jsonl"), ("csv", "a.csv")] {
        let output = home.run(&["records", "export", "--format", format, "--out", file]);
        assert!(output.status.success(), "{}", stderr(&output));
        let predicted =
            home.json_lines(&["predict", "plain", "--fit", "evaluated", "--input", file]);
        assert_eq!(predicted.len(), 80);
        for row in &evaluated {
            let same = predicted.iter().find(|other| other["id"] == row["id"]);
            assert_eq!(same.unwrap()["prediction"], row["prediction"], "{format}");
        }
    }
}

#[test]
fn each_row_that_is_asked_for_has_an_answer() {
    let home = home();
    let answers = |text: &str| {
        let mut child = home
            .command(&["predict", "plain", "--input", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let ids: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone())
            .collect();
        (output.status.code(), ids)
    };
    let twice =
        "{\"id\":\"x\",\"title\":\"a\"}\n{\"id\":\"x\",\"title\":\"b\"}\n{\"title\":\"c\"}\n";
    assert_eq!(
        answers(twice),
        (Some(0), vec![json!("x"), json!("x"), json!("3")])
    );
    assert_eq!(
        answers("id,title\r\ny,\"a, b\"\r\n"),
        (Some(0), vec![json!("y")])
    );
    assert_eq!(answers(""), (Some(2), Vec::new()));
    let output = home.run(&["predict", "plain", "--text", "a", "--image", "nowhere.jpg"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn a_table_without_times_is_split_by_the_order_that_it_is_given() {
    let home = home();
    let rows: Vec<String> = (0..80)
        .map(|row| {
            format!(
                "{{\"id\":\"r{row}\",\"title\":\"a {row}\",\"score\":{},\"seq\":{row}}}",
                row % 9
            )
        })
        .collect();
    home.write("rows.jsonl", format!("\u{feff}{}\n", rows.join("\n")));
    let run = home.json(&["run", "plain", "--source", "table:rows.jsonl,order=seq"]);
    assert_eq!(crate::home::task(&run, "scrape")["rows_out"], 80);
    assert_eq!(run["model"]["split"]["basis"], "order");
    let output = home.run(&["run", "plain", "--source", "table:rows.jsonl,order=foo("]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn an_export_without_a_name_is_of_the_newest_run() {
    let home = home();
    home.json(&["run", "plain", "--source", "sandbox:posts=14"]);
    let exported = home.json_lines(&["records", "export"]);
    assert!(exported.len() > 200, "{}", exported.len());
    home.json(&["run", "plain", "--source", "dump:posts.ndjson"]);
    assert_eq!(home.json_lines(&["records", "export"]).len(), 80);
}

#[test]
fn a_condition_may_be_a_number_and_a_target_a_condition() {
    let home = home();
    let with = |param: &str| {
        let command = ["run", "plain", "--source", "dump:posts.ndjson", "--param"];
        home.run(&[&command[..], &[param]].concat())
    };
    for param in ["keep=media_count", "target=score > 100"] {
        let output = with(param);
        assert!(output.status.success(), "{param}: {}", stderr(&output));
    }
    let output = with("target=title");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("not a number"),
        "{}",
        stderr(&output)
    );
}
