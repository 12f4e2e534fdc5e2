//! What is said about wrong files: every fault, its place, and what is allowed.

use super::faults;

/// Wrong files, each after a line `=== what is wrong`.
const FILES: &str = include_str!("faults.txt");

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "the snapshot has a line for every fault"
)]
fn every_fault_names_its_place_and_what_is_allowed() {
    let said: Vec<String> = FILES
        .split("=== ")
        .skip(1)
        .filter_map(|file| file.split_once('\n'))
        .map(|(what, file)| format!("# {what}\n{}", faults(file)))
        .collect();
    insta::assert_snapshot!(said.join("\n\n"), @r#"
    # no TOML
    x.toml:1:8: string values must be quoted, expected literal string
    x.toml:2:8: unclosed array table, expected `]`

    # empty
    x.toml:1:1: the pipeline has no name
      hint: write `name = "…"`
    x.toml:1:1: the pipeline has no tasks
      hint: write `[[task]]` with an `id` and an `op`

    # a bad name
    x.toml:1:8: `../x` cannot be a name
      hint: letters without accents, digits, `_` and `-`, at most 100

    # unknown keys
    x.toml:5:2: unknown key `shedule`
      hint: did you mean `schedule`? allowed: `name`, `description`, `profile`, `schedule`, `params`, `profiles`, `defaults`, `fields`, `task`
    x.toml:8:1: unknown key `retry` in `[defaults]`
      hint: did you mean `retry_delay`? allowed: `retries`, `retry_delay`, `max_retry_delay`, `crash_retries`, `timeout`, `pool`, `trigger`, `priority`, `executor`, `retry_backoff`, `retry_jitter`, `retry_rules`, `stall_timeout`, `memory`, `max_run_crashes`

    # a bad schedule
    x.toml:6:8: `0 4 * *` is not a cron pattern: invalid pattern: pattern must have 5 fields when seconds are disallowed; write five fields (minute, hour, day of month, month, weekday), as in `0 4 * * *`
    x.toml:7:12: `Berlin` is not an IANA time zone; write a name such as `UTC` or `Europe/Berlin`
    x.toml:8:11: `first` is no value for `catchup`
      hint: allowed: `all`, `last`, `none`, `window`

    # a schedule without cron
    x.toml:5:2: a schedule without `cron`
      hint: write `cron = "0 4 * * *"` for every day at four, or `every = "6h"`

    # tables
    x.toml:2:1: `task` is an integer, not a list of tables
      hint: write `[[task]]`
    x.toml:3:1: `params` is an integer, not a table
      hint: write `[params]`
    x.toml:5:1: `cpu` is an integer, not a table
      hint: write `[profiles.cpu]`

    # no id
    x.toml:2:1: a task without `id`

    # bad policies
    x.toml:5:11: `-1` is an integer, not a count (a whole number from 0)
    x.toml:6:15: `2 minutes` is not a length of time
      hint: write a whole number with `ms`, `s`, `m`, `h` or `d`, as in `90s` or `36h`
    x.toml:7:11: `60` is not a length of time
      hint: write a whole number with `ms`, `s`, `m`, `h` or `d`, as in `90s` or `36h`
    x.toml:8:8: `` cannot be a name
      hint: letters without accents, digits, `_` and `-`, at most 100
    x.toml:9:11: `all_sucess` is no value for `trigger`
      hint: did you mean `all_success`? allowed: `all_success`, `all_failed`, `all_done`, `all_done_min_one_success`, `all_done_setup_success`, `one_success`, `one_failed`, `one_done`, `none_failed`, `none_failed_min_one_success`, `none_skipped`, `all_skipped`, `always`
    x.toml:10:9: `after` is a text, not a list of task ids
      hint: write `after = ["…"]`

    # bad rules for retries
    x.toml:5:12: `thread` is no value for `executor`
      hint: allowed: `inline`, `process`
    x.toml:6:10: `lots` is not an amount of memory
      hint: write a whole number of bytes, or one with `kB`, `MB`, `GB`, `TB`, `KiB`, `MiB`, `GiB` or `TiB`
    x.toml:7:16: `2` is an integer, not a number from 0 to 1
    x.toml:9:11: `timeout` is no class of ends
      hint: did you mean `timed_out`? allowed: `failed`, `retry`, `timed_out`, `panicked`, `process_lost`, `owner_lost`, `stalled`, `out_of_memory`, `unreachable`, `rate_limited`, `disk_full`, `exit:CODE`
    x.toml:10:3: a rule without `on`
      hint: `on` lists classes: `failed`, `retry`, `timed_out`, `panicked`, `process_lost`, `owner_lost`, `stalled`, `out_of_memory`, `unreachable`, `rate_limited`, `disk_full`, `exit:CODE`
    x.toml:11:10: `exit:75` is a text, not a list of classes
    x.toml:12:23: unknown key `wait` in a rule
      hint: allowed: `on`, `retries`, `delay`

    # an unknown operator
    x.toml:4:6: unknown operator `scarpe`
      hint: did you mean `scrape`? allowed: `caption`, `embed`, `evaluate`, `fetch_images`, `filter`, `merge`, `noop`, `persist`, `refresh`, `score`, `scrape`, `shell`, `train`

    # an unknown setting
    x.toml:5:1: `noop` has no setting `retires`
      hint: did you mean `retries`?

    # doubled ids
    x.toml:6:6: two tasks are called `a`; ids must differ

    # an unknown upstream
    x.toml:8:15: task `bee` comes after `be`, which is no task of this pipeline
      hint: allowed: `a`

    # a cycle
    x.toml:9:10: tasks wait for each other: a → b → c → a
      hint: take one of these names out of `after`

    # a task after itself
    x.toml:5:10: tasks wait for each other: a → a
      hint: take one of these names out of `after`

    # profiles
    x.toml:5:2: no profile is the default
      hint: write `profile = "two"` at the top
    x.toml:5:11: profile `one` lacks `visual`
      hint: write `visual = "none"` to do without
    x.toml:8:11: `3` is an integer, not a text
    x.toml:14:1: unknown key `video` in profile `two`
      hint: allowed: `text`, `image`, `caption`, `visual`

    # an unknown default profile
    x.toml:1:11: unknown profile `on`
      hint: did you mean `one`? allowed: `one`

    # parameters
    x.toml:6:11: `x` is no value for parameter `a`
      hint: write a whole number with `ms`, `s`, `m`, `h` or `d`, as in `90s` or `36h`
    x.toml:8:9: parameter `b` has no `default`
    x.toml:11:11: `1` is no value for parameter `c`
      hint: the default must be one of the `choices`
    x.toml:15:8: `int` is no value for `type`
      hint: did you mean `integer`? allowed: `text`, `integer`, `number`, `bool`, `list`, `duration`
    x.toml:16:1: unknown key `choice` in parameter `d`
      hint: did you mean `choices`? allowed: `default`, `type`, `choices`, `description`

    # fields
    x.toml:6:11: `boolean` is no value for `over_18`
      hint: did you mean `bool`? allowed: `bool`, `number`, `text`, `list`

    # templates
    x.toml:7:13: unknown name `params.m`
      hint: did you mean `params.n`? allowed: `params.n`
    x.toml:7:31: unknown name `profile.text`
      hint: allowed: nothing
    x.toml:7:62: unexpected end of input, expected end of variable block
    x.toml:8:17: tried to use + operator on unsupported types number and string

    # expressions
    x.toml:7:33: unknown name `nfsw`
      hint: did you mean `nsfw`? allowed: `author`, `community`, `created_at`, `hour`, `id`, `media_count`, `nsfw`, `title`, `weekday`; declare further ones in `[fields]`
    x.toml:11:9: cannot compare `title` (a text) with the number `36`
    x.toml:17:3: unexpected end of input, expected expression

    # an expression in a parameter
    x.toml:3:9: unknown name `huor`
      hint: did you mean `hour`? allowed: `author`, `community`, `created_at`, `hour`, `id`, `media_count`, `title`, `weekday`; declare further ones in `[fields]`

    # settings from parameters
    x.toml:3:11: `""` is no horizon
    x.toml:11:1: `3` is no encoder

    # references
    x.toml:9:33: `z` is no task of this pipeline
      hint: allowed: `a`
    x.toml:9:48: `c` is not upstream of `m`
      hint: allowed: `a`
    x.toml:13:8: `aa` is no task of this pipeline
      hint: allowed: `a`, `m`
    "#);
}
