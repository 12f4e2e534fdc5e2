//! Looking after a home: explain, backup, a matrix again, doctor, vacuum.
use serde_json::Value;

use crate::home::{Home, posts, stderr};

#[test]
fn a_home_is_looked_after() {
    let home = Home::with_plain();
    home.write("posts.ndjson", posts(80));
    let run = home.json(&["run", "plain", "--source", "dump:posts.ndjson"]);
    let run_id = run["run_id"].as_str().unwrap();

    let explained = home.json(&["runs", "explain", "latest", "merge"]);
    assert_eq!(explained["state"], "succeeded");
    assert!(
        explained["sentence"]
            .as_str()
            .unwrap()
            .starts_with("`merge` succeeded: ")
    );
    let unknown = home.run(&["runs", "explain", "latest", "embed"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", stderr(&unknown));

    // A matrix that was dropped is made again, byte for byte.
    let matrix = home
        .path()
        .join(format!("data/runs/{run_id}/merge.safetensors"));
    let bytes = fs_err::read(&matrix).unwrap();
    fs_err::remove_file(&matrix).unwrap();
    let listed = home.json(&["runs", "list"]);
    let as_of = listed[0]["as_of"].as_str().unwrap();
    let rebuilt = home.json(&["merge", "plain", "--as-of", as_of]);
    assert_eq!(rebuilt[0]["same"], true);
    assert_eq!(rebuilt[0]["sha256"], run["model"]["matrix"]["sha256"]);
    assert_eq!(fs_err::read(&matrix).unwrap(), bytes);
    let never = home.run(&["merge", "plain", "--as-of", "2001-01-01"]);
    assert_eq!(never.status.code(), Some(2));
    assert!(stderr(&never).contains(as_of), "{}", stderr(&never));

    is_copied(&home);

    let found = home.json(&["doctor"]);
    let standing = |name: &str| {
        let checks = found["checks"].as_array().unwrap();
        let check: &Value = checks.iter().find(|check| check["name"] == name).unwrap();
        check["standing"].clone()
    };
    for name in ["home", "database", "clock", "device", "pipelines"] {
        assert_eq!(standing(name), "ok", "{name}: {found}");
    }
    assert_eq!(found["records"], 80);
    assert!(found["bytes_per_1000_records"].as_u64().unwrap() > 0);

    let vacuumed = home.json(&["db", "vacuum"]);
    assert_eq!(vacuumed["removed"]["runs"], 0);
    assert_eq!(home.json(&["runs", "show", "latest"])["state"], "succeeded");
    home.write("pipelines/broken.toml", "name = ");
    assert_eq!(home.run(&["doctor"]).status.code(), Some(1));
}

/// A backup holds what the home holds, and is a home's databases again.
fn is_copied(home: &Home) {
    let copied = home.json(&["db", "backup", "copies/monday.db"]);
    assert_eq!(
        (&copied["runs"], &copied["records"]),
        (&1.into(), &80.into())
    );
    let again = home.run(&["db", "backup", "copies/monday.db"]);
    assert_eq!(again.status.code(), Some(2), "{}", stderr(&again));
    let itself = home.run(&["db", "backup", "data/state.db", "--force"]);
    assert_eq!(itself.status.code(), Some(2), "{}", stderr(&itself));
    let other = Home::empty();
    for (from, to) in [
        ("monday.db", "state.db"),
        ("monday.content.db", "content.db"),
    ] {
        let bytes = fs_err::read(home.path().join("copies").join(from)).unwrap();
        other.write(&format!("data/{to}"), bytes);
    }
    let migrated = other.json(&["db", "migrate"]);
    assert_eq!(migrated["before"], migrated["after"]);
    assert_eq!(other.json(&["runs", "list"])[0]["state"], "succeeded");
}
