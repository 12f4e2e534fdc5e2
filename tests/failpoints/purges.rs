//! Deaths of a purge: what was noted is carried out by whoever comes next, and counted once.
use serde_json::{Value, json};

use crate::{
    around, die, effects,
    home::{Home, posts, stderr},
};

const PURGE: [&str; 5] = ["records", "purge", "--id", "p0005", "--yes"];

/// A home with a model that has learned from 80 posts.
fn learned() -> Home {
    let home = Home::with_plain();
    home.write("posts.ndjson", posts(80));
    home.json(&["run", "plain", "--source", "dump:posts.ndjson"]);
    home
}

fn state(home: &Home) -> Value {
    let ids = |rows: Vec<Value>| -> Vec<Value> {
        rows.into_iter().map(|row| row["id"].clone()).collect()
    };
    let run = home.json(&["run", "plain", "--source", "dump:posts.ndjson", "--force"]);
    json!([
        ids(home.json_lines(&["records", "export"])),
        ids(home.json_lines(&["models", "show", "plain/1", "--predictions"])),
        home.json(&["models", "show", "plain/1"])["purged_rows"],
        crate::home::task(&run, "scrape")["dropped"],
    ])
}

#[test]
fn at_a_purge() {
    let undisturbed = {
        let home = learned();
        home.json(&PURGE);
        state(&home)
    };
    assert_eq!(undisturbed[2], 1, "{undisturbed}");
    let places = [
        around("purge_note"),
        around("purge"),
        around("purged_rows"),
        around("purge_words"),
        around("purge_finish"),
        around("purge_scrub"),
    ];
    for place in places.concat() {
        let home = learned();
        die(&home, &place, &PURGE);
        effects::is_sound(&home);
        // It goes on by itself, unless it died before it was noted.
        let goes_on: &[&str] = if place.starts_with("purge_note.before") {
            &PURGE
        } else {
            &["records", "purge"]
        };
        let again = home.run(goes_on);
        assert!(again.status.success(), "{place}: {}", stderr(&again));
        effects::is_sound(&home);
        let bytes = fs_err::read(home.path().join("data/content.db")).unwrap();
        let url = b"example.invalid/5.jpg";
        assert!(
            !bytes.windows(url.len()).any(|window| window == url),
            "{place}"
        );
        assert_eq!(state(&home), undisturbed, "{place}");
    }
}
