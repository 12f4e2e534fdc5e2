//! What `[schedule]` means, and what is said about wrong ones.

use std::path::Path;

use super::read;

/// The schedules of a file as JSON, or what is wrong with them.
fn schedules(text: &str) -> String {
    let head = "name = \"x\"\n[params]\nlevel = 1\n[[task]]\nid = \"a\"\nop = \"noop\"\n";
    let (definition, faults) = read(Path::new("x.toml"), &format!("{head}{text}"));
    if faults.is_empty() {
        let lines = definition.schedules.iter();
        return lines
            .map(|schedule| schedule.to_json().to_string())
            .collect::<Vec<_>>()
            .join("\n");
    }
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn has_defaults_and_every_key() {
    insta::assert_snapshot!(schedules("[schedule]\ncron = \"@daily\"\n"), @r#"{"name":"default","cron":"@daily","every":null,"offset":null,"timezone":"UTC","start":null,"end":null,"catchup":"last","catchup_window":null,"overlap":"skip","depends_on_past":false,"deadline":null,"params":{}}"#);
    let two = "[[schedule]]
name = \"often\"
every = \"6h\"
offset = \"5h\"
timezone = \"Asia/Tokyo\"
start = 2026-01-01
end = \"2026-12-31\"
catchup = \"window\"
catchup_window = \"2d\"
overlap = \"queue-all\"
depends_on_past = true
deadline = \"6h\"
params = { level = 2 }
[[schedule]]
cron = \"0 4 * * MON\"
overlap = \"cancel-other\"
catchup = \"all\"
";
    insta::assert_snapshot!(schedules(two), @r#"
    {"name":"often","cron":null,"every":"6h","offset":"5h","timezone":"Asia/Tokyo","start":"2025-12-31T15:00:00Z","end":"2026-12-31T14:59:59.999Z","catchup":"window","catchup_window":"2d","overlap":"queue-all","depends_on_past":true,"deadline":"6h","params":{"level":2}}
    {"name":"default","cron":"0 4 * * MON","every":null,"offset":null,"timezone":"UTC","start":null,"end":null,"catchup":"all","catchup_window":null,"overlap":"cancel-other","depends_on_past":false,"deadline":null,"params":{}}
    "#);
}

#[test]
fn says_what_is_wrong() {
    let wrong = "[[schedule]]
cron = \"0 4 * * *\"
every = \"1h\"
[[schedule]]
every = \"1ms\"
[[schedule]]
cron = \"0 4 * * *\"
offset = \"1h\"
catchup = \"window\"
overlap = \"queue\"
start = \"soon\"
depends_on_past = 1
[[schedule]]
cron = \"0 4 * * *\"
catchup_window = \"1d\"
params = { levle = 2, level = \"high\" }
";
    insta::assert_snapshot!(schedules(wrong), @r#"
    x.toml:9:9: a schedule has `cron` or `every`, not both
      hint: write two with `[[schedule]]`
    x.toml:11:9: the time between two ticks is too short
      hint: write at least `1s`
    x.toml:12:1: `catchup = "window"` without `catchup_window`
      hint: write `catchup_window = "2d"`
    x.toml:14:10: `offset` belongs to `every`, not to `cron`
    x.toml:16:11: `queue` is no value for `overlap`
      hint: did you mean `queue-one`? allowed: `skip`, `queue-one`, `queue-all`, `cancel-other`, `allow`
    x.toml:17:9: `soon` is not a time
      hint: write `2026-01-31` or `2026-01-31T08:00:00Z`
    x.toml:18:19: `1` is an integer, not `true` or `false`
    x.toml:19:1: two schedules are called `default`
      hint: give each a `name` of its own
    x.toml:21:18: `catchup_window` without `catchup = "window"`
      hint: write `catchup = "window"`
    x.toml:22:12: the pipeline has no parameter `levle`
      hint: did you mean `level`? allowed: `level`
    x.toml:22:31: `high` is no value for the parameter `level`
      hint: write a whole number
    "#);
}
