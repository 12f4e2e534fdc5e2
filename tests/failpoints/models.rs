//! Deaths of commands that change the registry.

use std::path::Path;

use serde_json::{Value, json};

use crate::{around, commands::dies_at, home::Home};

/// A home with two versions, of which the second is the champion.
fn two_versions() -> Home {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/homes");
    let home = Home::unpacked(&folder.join("0.1.0.zip"));
    // The databases are brought up to date, which is not what dies here.
    home.json(&["tokens", "create", "ci"]);
    home
}

/// What the registry says of both versions.
fn registry(home: &Home) -> Value {
    let of = |version: &str| {
        let shown = home.json(&["models", "show", version]);
        let files = home.path().join("model_registry").join(version);
        json!([
            shown["aliases"],
            shown["tags"],
            shown["removed_at"].is_null(),
            files.exists(),
        ])
    };
    json!([of("reddit/1"), of("reddit/2")])
}

#[test]
fn at_a_move_of_the_champion() {
    let promote = ["models", "promote", "reddit/1"];
    dies_at(&around("alias"), &two_versions, &promote, &registry);
}

#[test]
fn at_a_tag() {
    let tag = ["models", "tag", "reddit/1", "reviewed=yes"];
    dies_at(&around("tags"), &two_versions, &tag, &registry);
}

#[test]
fn at_the_removal_of_a_version() {
    let remove = ["models", "rm", "reddit/1", "--yes"];
    dies_at(
        &around("version_removed"),
        &two_versions,
        &remove,
        &registry,
    );
}
