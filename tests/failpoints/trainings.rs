//! The program dies between two passes of a training.
use std::process::Stdio;

use crate::{
    RUN, die, effects,
    home::{Home, stderr},
    result,
};

/// A home whose pipeline trains networks, which put down how far they are after every pass.
fn home(executor: &str) -> Home {
    let home = super::home();
    let pipeline = home.path().join("pipelines/deaths.toml");
    let text = fs_err::read_to_string(&pipeline).unwrap();
    let networks = text.replace(
        "op = \"train\"\n",
        "op = \"train\"\nhead = \"fusion_mlp\"\nmembers = 2\nepochs = 6\nema = 0.9\n",
    );
    assert_ne!(text, networks);
    home.write("pipelines/deaths.toml", networks);
    home.write(
        "trendmill.toml",
        format!("[engine]\ncheckpoint_interval = \"0s\"\nexecutor = \"{executor}\"\n"),
    );
    home
}

/// The networks have gone on, and nothing is left of what they went on from.
fn has_gone_on(home: &Home, place: &str) {
    let logs = home.run(&["runs", "logs", "latest", "train"]);
    let logs = String::from_utf8(logs.stdout).unwrap();
    assert!(logs.contains("a network goes on"), "{place}: {logs}");
    let (run, _) = &effects::runs(home.path())[0];
    let folder = home.path().join("data/runs").join(&run.id);
    assert!(folder.join("train.safetensors").exists(), "{place}");
    assert!(!folder.join("train.checkpoints").exists(), "{place}");
    effects::is_sound(home);
}

#[test]
fn the_weights_are_those_of_an_undisturbed_training() {
    let undisturbed = result(&home("auto").json(&RUN[1..]));
    for count in [1, 7, 14] {
        let place = format!("checkpoint.kept={count}");
        // The process of the attempt dies, and another goes on.
        let attempt = home("auto");
        let marker = attempt.path().join("died");
        let answer = attempt
            .command(&RUN)
            .env("TRENDMILL_DIE_AT", &place)
            .env("TRENDMILL_DIE_ONCE", &marker)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(marker.exists(), "{place} was not reached");
        assert!(answer.status.success(), "{place}: {}", stderr(&answer));
        let run = serde_json::from_slice(&answer.stdout).unwrap();
        assert_eq!(result(&run), undisturbed, "{place}");
        has_gone_on(&attempt, &place);

        // The whole program dies, and the same command goes on.
        let whole = home("inline");
        die(&whole, &place, &RUN);
        assert_eq!(result(&whole.json(&RUN[1..])), undisturbed, "{place}");
        has_gone_on(&whole, &place);
    }
}
