//! Where settings come from, and what is said about wrong ones.

use std::time::Duration;

use serde_json::json;

use super::{Origin, Settings};

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn load(text: &str, pairs: &[(&str, &str)]) -> Settings {
    Settings::from_layers(text, environment(pairs)).unwrap()
}

fn origin(settings: &Settings, key: &str) -> String {
    let entry = settings.entries().iter().find(|entry| entry.key == key);
    format!("{} from {}", entry.unwrap().value, entry.unwrap().origin)
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
    let file = "[engine]\nparallelism = 3\n\n[net]\nmax_bytes = 1000\nidle_timeout = \"2s\"\n";
    let settings = load(
        file,
        &[
            ("TRENDMILL_NET__MAX_BYTES", "2000"),
            ("TRENDMILL_HOME", "/elsewhere"),
            ("TRENDMILL_NET__CONNECT_TIMEOUT", ""),
            ("PATH", "/bin"),
        ],
    );
    assert_eq!(settings.engine.parallelism, 3);
    assert_eq!(settings.net.max_bytes, 2000);
    assert_eq!(settings.net.idle_timeout, Duration::from_secs(2));
    assert_eq!(
        origin(&settings, "engine.parallelism"),
        "3 from trendmill.toml:2"
    );
    assert_eq!(
        origin(&settings, "net.max_bytes"),
        "2000 from environment TRENDMILL_NET__MAX_BYTES"
    );
    assert_eq!(
        origin(&settings, "net.connect_timeout"),
        "\"5s\" from default"
    );
}

#[test]
fn pools_are_added_to_the_one_that_is_there() {
    let settings = load("[engine.pools]\nhub = 2\n", &[]);
    assert_eq!(json!(settings.engine.pools), json!({"device": 1, "hub": 2}));
    assert_eq!(
        origin(&settings, "engine.pools.hub"),
        "2 from trendmill.toml:2"
    );
    let settings = load(
        "[engine]\npools = { hub = 2 }\n",
        &[("TRENDMILL_ENGINE__POOLS__DEVICE", "4")],
    );
    assert_eq!(json!(settings.engine.pools), json!({"device": 4, "hub": 2}));
    let settings = load("", &[("TRENDMILL_ENGINE__POOLS", "device=2, api=3")]);
    assert_eq!(json!(settings.engine.pools), json!({"api": 3, "device": 2}));
}

#[test]
fn the_hub_is_asked_by_its_own_names() {
    let settings = load(
        "",
        &[
            ("HF_HOME", "/models"),
            ("HF_ENDPOINT", "https://mirror.example/"),
            ("HF_TOKEN", "hf_abc"),
            ("HOME", "/home/me"),
        ],
    );
    assert_eq!(settings.encoders.hf_home.to_str(), Some("/models"));
    assert_eq!(settings.encoders.hf_endpoint, "https://mirror.example");
    assert_eq!(
        settings.encoders.hf_token.as_ref().unwrap().expose(),
        "hf_abc"
    );
    assert_eq!(
        settings.encoders.cache_dir.to_str(),
        Some("/home/me/.cache/trendmill")
    );
    assert_eq!(
        origin(&settings, "encoders.hf_home"),
        "\"/models\" from environment HF_HOME"
    );
    let both = [("HF_HOME", "/a"), ("TRENDMILL_ENCODERS__HF_HOME", "/b")];
    assert_eq!(load("", &both).encoders.hf_home.to_str(), Some("/b"));
}

#[test]
fn secrets_are_never_shown() {
    let settings = load(
        "[reddit]\nclient_id = \"me\"\npassword = \"hunter2\"\n",
        &[
            ("TRENDMILL_REDDIT__CLIENT_SECRET", "s3cret"),
            ("HF_TOKEN", "hf_abc"),
        ],
    );
    let shown = format!("{settings:?}{}", json!(settings.entries()));
    for secret in ["hunter2", "s3cret", "hf_abc"] {
        assert!(!shown.contains(secret), "{secret}");
    }
    assert_eq!(
        origin(&settings, "reddit.client_secret"),
        "\"********\" from environment TRENDMILL_REDDIT__CLIENT_SECRET"
    );
    assert_eq!(origin(&settings, "reddit.username"), "null from default");
    let problems = Settings::from_layers("[reddit]\npassword = 12345\n", []).unwrap_err();
    assert_eq!(
        problems[0].message,
        "this is no value for `reddit.password`"
    );
}

#[test]
fn the_address_of_a_captioner_holds_no_secret() {
    let address = |text: &str| {
        let text = format!("[captioner.openai]\nbase_url = \"{text}\"\napi_key = \"sk-1\"\n");
        match Settings::from_layers(&text, []) {
            Ok(settings) => {
                assert!(!json!(settings.entries()).to_string().contains("sk-1"));
                origin(&settings, "captioner.openai.base_url")
            }
            Err(problems) => problems[0].to_string(),
        }
    };
    for text in ["http://127.0.0.1:8000", "http://127.0.0.1:8000/v1/"] {
        let shown = "\"http://127.0.0.1:8000\" from trendmill.toml:2";
        assert_eq!(address(text), shown);
    }
    assert!(address("https://host/llm/v1").starts_with("\"https://host/llm\""));
    for text in [
        "https://me:hunter2@host",
        "https://host?key=hunter2",
        "hunter2",
    ] {
        let said = address(text);
        assert!(
            said.contains("captioner.openai.api_key") && !said.contains("hunter2"),
            "{said}"
        );
    }
}

#[test]
fn wrong_settings_are_refused_with_what_is_allowed() {
    let said = |text: &str, pairs: &[(&str, &str)]| match Settings::from_layers(
        text,
        environment(pairs),
    ) {
        Ok(_) => "fine".to_owned(),
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            lines.join("\n")
        }
    };
    let lines = [
        said("[engine]\nparalelism = 3\n", &[]),
        said("[engin]\nparallelism = 3\n", &[]),
        said("engine = 3\n", &[]),
        said("[engine]\nparallelism = 0\npools = 3\n", &[]),
        said("[net]\nidle_timeout = 15\nmax_bytes = -1\n", &[]),
        said("[log]\nlevel = \"loud\"\nformat = \"xml\"\n", &[]),
        said("[net\n", &[]),
        said("", &[("TRENDMILL_NET__MAXBYTES", "1")]),
        said("", &[("TRENDMILL_NET__ALLOW_ADDRESSES", "127.0.0.1")]),
        said("", &[("HF_ENDPOINT", "huggingface.co")]),
        said("", &[("TRENDMILL_ENCODERS__OFFLINE", "maybe")]),
        said(
            "",
            &[("TRENDMILL_NET__ALLOW_ADDRESSES", "127.0.0.1:80, [::1]:8080")],
        ),
    ];
    insta::assert_snapshot!(lines.join("\n---\n"), @"
    trendmill.toml:2: unknown setting `engine.paralelism`
      hint: did you mean `engine.parallelism`? allowed: `engine.parallelism`, `engine.pools`, `engine.executor`, `engine.memory`, `engine.disk_reserve`, `engine.checkpoint_interval`
    ---
    trendmill.toml:2: unknown setting `engin.parallelism`
      hint: did you mean `engine.parallelism`? allowed: `engine`, `encoders`, `captioner`, `net`, `media`, `reddit`, `arctic`, `server`, `predict`, `notify`, `retention`, `log`
    ---
    trendmill.toml:1: unknown setting `engine`
      hint: did you mean `engine.parallelism`? allowed: `engine`, `encoders`, `captioner`, `net`, `media`, `reddit`, `arctic`, `server`, `predict`, `notify`, `retention`, `log`
    ---
    trendmill.toml:2: `0` is no value for `engine.parallelism`
      hint: write a whole number from 1
    trendmill.toml:3: `3` is no value for `engine.pools`
      hint: write `NAME=VALUE,…`; a value is a whole number from 0
    ---
    trendmill.toml:3: `-1` is no value for `net.max_bytes`
      hint: write a whole number from 0
    trendmill.toml:2: `15` is no value for `net.idle_timeout`
      hint: write a whole number with `ms`, `s`, `m`, `h` or `d`, as in `90s` or `36h`
    ---
    trendmill.toml:2: `loud` is no value for `log.level`
      hint: write one of `error`, `warn`, `info`, `debug`, `trace`, `off`, or `TARGET=LEVEL` with commas in between
    trendmill.toml:3: `xml` is no value for `log.format`
      hint: write `text` or `json`
    ---
    trendmill.toml:1: unclosed table, expected `]`
    ---
    environment TRENDMILL_NET__MAXBYTES: unknown setting `net.maxbytes`
      hint: did you mean `net.max_bytes`? allowed: `net.contact`, `net.allow_addresses`, `net.max_bytes`, `net.connect_timeout`, `net.idle_timeout`, `net.total_timeout`, `net.redirects`, `net.concurrency`, `net.per_host`, `net.use_proxy`
    ---
    environment TRENDMILL_NET__ALLOW_ADDRESSES: `127.0.0.1` is no value for `net.allow_addresses`
      hint: write a list; in the environment values with commas between them
    ---
    environment HF_ENDPOINT: `huggingface.co` is no value for `encoders.hf_endpoint`
      hint: write an address that begins with `https://`
    ---
    environment TRENDMILL_ENCODERS__OFFLINE: `maybe` is no value for `encoders.offline`
      hint: write `true` or `false`
    ---
    fine
    ");
}

#[test]
fn a_home_may_have_no_file() {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings::load(home.path(), []).unwrap();
    assert!(
        settings
            .entries()
            .iter()
            .all(|entry| entry.origin == Origin::Default)
    );
    fs_err::write(home.path().join(super::FILE), "[log]\nlevel = \"debug\"\n").unwrap();
    assert_eq!(Settings::load(home.path(), []).unwrap().log.level, "debug");
}
