//! Models are trained on what Reddit's API gave by permission only.
use serde_json::{Value, json};
use trendmill::clock::{Clock as _, SystemClock};

use crate::{
    deleted::{ACCOUNT, serve, settings},
    home::{Home, stderr, task},
};

/// What reads; and what learns from what was read.
const READS: &str = r#"
name = "reads"

[params]
source = "reddit"

[[task]]
id = "scrape"
op = "scrape"
source = "{{ params.source }}"
communities = ["pics"]
"#;

const LEARNS: &str = r#"
name = "learns"

[params]
source = "reddit"

[[task]]
id = "stored"
op = "stored"
dataset = "reddit"
source = "{{ params.source }}"

[[task]]
id = "refresh"
op = "refresh"
after = ["stored"]
horizon = "2h"
tolerance = "1h"

[[task]]
id = "filter"
op = "filter"
after = ["refresh"]
keep = "true"

[[task]]
id = "merge"
op = "merge"
after = ["filter"]
blocks = {}
numbers = ["hour", "title_length"]
target = "log1p(score)"

[[task]]
id = "train"
op = "train"
after = ["merge"]

[[task]]
id = "evaluate"
op = "evaluate"
after = ["train"]

[[task]]
id = "persist"
op = "persist"
after = ["evaluate"]
"#;

/// Posts that are about two hours old, as the server lists them.
fn posts() -> Vec<Value> {
    let now = SystemClock.now().as_millis() / 1000;
    let post = |number: i64| {
        json!({"kind": "t3", "data": {
            "id": format!("post{number}"), "name": format!("t3_post{number}"),
            "title": format!("a title of {number}"), "subreddit": "pics",
            "author": format!("author_{number}"), "author_fullname": format!("t2_{number}"),
            "created_utc": now - 7_300 - number, "score": number * 37 % 211,
            "is_self": true,
        }})
    };
    (0..80).map(post).collect()
}

#[test]
fn what_the_api_gave_is_learned_from_by_permission_only() {
    let address = serve(posts(), |_| None);
    let home = Home::empty();
    home.write("pipelines/reads.toml", READS);
    home.write("pipelines/learns.toml", LEARNS);
    // A server on this machine is no Reddit, whatever the settings name from then on.
    home.write("trendmill.toml", settings(address));
    let run = home.json(&["run", "reads"]);
    assert_eq!(task(&run, "scrape")["rows_out"], 80, "{run}");
    home.write("trendmill.toml", ACCOUNT);
    let run = home.json(&["run", "learns"]);
    assert_eq!(task(&run, "persist")["state"], "succeeded", "{run}");
    // What came from Reddit stays so, although the settings name a server here meanwhile.
    came_from_reddit(&home);
    let refused = |home: &Home, code: i32, run: &[&str]| {
        let output = home.run(run);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(
            said.contains("without permission") && said.contains("permission = "),
            "{said}"
        );
    };
    let runs = home.json(&["runs", "list"]);
    for named in [ACCOUNT.to_owned(), settings(address)] {
        home.write("trendmill.toml", named);
        refused(&home, 3, &["run", "learns"]);
    }
    // Words with nothing in them are no permission.
    home.write("trendmill.toml", format!("{ACCOUNT}permission = \" \"\n"));
    refused(&home, 3, &["run", "learns"]);
    assert_eq!(home.json(&["runs", "list"]), runs, "no run has begun");
    // The task asks too.
    refused(&home, 1, &["run", "learns", "--from", "train"]);
    let permission = "permission = \"Reddit, contract 7 of 2026\"\n";
    home.write("trendmill.toml", format!("{ACCOUNT}{permission}"));
    let run = home.json(&["run", "learns", "--force"]);
    assert_eq!(task(&run, "persist")["state"], "succeeded", "{run}");
}

/// Marks the records of the home as Reddit itself would have given them.
fn came_from_reddit(home: &Home) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let settings = trendmill::config::Settings::from_layers("", []).unwrap();
        let app = trendmill::app::App::open(home.path(), settings);
        let store = app.await.unwrap().store().clone();
        let now = SystemClock.now();
        store.note_by_permission("reddit", now).await.unwrap();
    });
}
