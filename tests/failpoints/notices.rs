//! Deaths between what happens and its being told: nothing is left untold, and what was told is
//! told again only where nobody could write down that it was.
use trendmill::store::Store;

use crate::{UP, around, commands::fragile, die, effects, home::Home, work_until};

#[test]
fn at_notices() {
    for (places, most) in [
        (around("notices"), 1),
        // The message was sent, and that it was sent is not known.
        (vec!["sending.before_commit=1".to_owned()], 2),
        (vec!["sending.after_commit=1".to_owned()], 1),
    ] {
        for place in places {
            let home = fails_once();
            die(&home, &place, &UP);
            effects::is_sound(&home);
            let messages = told(&home);
            assert!(
                (1..=most).contains(&messages.len()),
                "{place}: {messages:?}"
            );
            let standing = effects::ask(home.path(), async |store| {
                store.standing_notices().await.unwrap()
            });
            assert_eq!(standing.len(), 1, "{place}: {standing:?}");
            assert_eq!(standing[0].times, 1, "{place}");
        }
    }
    // That it works again is told as safely.
    for place in around("notices") {
        let home = fails_once();
        told(&home);
        fs_err::remove_file(home.path().join("told")).unwrap();
        fs_err::remove_file(home.path().join("broken")).unwrap();
        home.json(&["run", "fragile"]);
        die(&home, &place, &UP);
        let messages = told(&home);
        assert_eq!(messages.len(), 1, "{place}: {messages:?}");
        assert!(messages[0].contains("works again"), "{place}: {messages:?}");
        effects::is_sound(&home);
    }
}

/// A home with a run that failed since a daemon was there; nobody was told yet.
fn fails_once() -> Home {
    let home = fragile();
    let file = home.path().join("told");
    home.write(
        "trendmill.toml",
        format!(
            "[notify]\non = [\"run_failed\", \"run_recovered\"]\n\
             command = [\"sh\", \"-c\", \"cat >> {0}; echo >> {0}\"]\n",
            file.display()
        ),
    );
    // From here on ends of runs are news.
    die(&home, "notices.after_commit=1", &UP);
    home.write("broken", "");
    assert_eq!(home.run(&["run", "fragile"]).status.code(), Some(1));
    home
}

/// What is told until nothing is left to tell.
fn told(home: &Home) -> Vec<String> {
    let file = home.path().join("told");
    work_until(home, || {
        let left = async |store: Store| store.next_notice().await.unwrap();
        file.exists() && effects::ask(home.path(), left).is_none()
    });
    let text = fs_err::read_to_string(file).unwrap();
    text.lines().map(str::to_owned).collect()
}
