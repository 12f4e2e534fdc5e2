//! `config show`: every setting and where it comes from.

use std::io::{self, Write};

use clap::Subcommand;
use serde_json::Value;

use crate::config::Settings;

/// The settings and where each comes from.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    /// Print each setting with its value and where it comes from; secrets are masked.
    Show,
}

/// Runs a `config` command; data goes to `out`.
///
/// # Errors
///
/// Where `out` cannot be written.
pub(super) fn run(
    command: &Command,
    settings: &Settings,
    json: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    match command {
        Command::Show if json => {
            serde_json::to_writer_pretty(&mut *out, settings.entries())?;
            writeln!(out)
        }
        Command::Show => show(settings, out),
    }
}

fn show(settings: &Settings, out: &mut dyn Write) -> io::Result<()> {
    let value = |value: &Value| match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let rows: Vec<[String; 3]> = settings
        .entries()
        .iter()
        .map(|entry| {
            [
                entry.key.clone(),
                value(&entry.value),
                entry.origin.to_string(),
            ]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let (keys, values) = (width(0).unwrap_or(0), width(1).unwrap_or(0).min(50));
    for [key, value, origin] in &rows {
        writeln!(out, "{key:<keys$}  {value:<values$}  {origin}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_values_with_their_origin() {
        let environment = [("HF_TOKEN", "hf_abc"), ("TRENDMILL_LOG__LEVEL", "debug")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let file = "[engine]\nparallelism = 2\n[encoders]\ncache_dir = \"c\"\nhf_home = \"h\"\n";
        let settings = Settings::from_layers(file, environment).unwrap();
        let mut out = Vec::new();
        run(&Command::Show, &settings, false, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
        engine.parallelism                2                                                   trendmill.toml:2
        engine.pools.device               1                                                   default
        engine.executor                   auto                                                default
        engine.memory                     –                                                   default
        engine.disk_reserve               64MB                                                default
        engine.checkpoint_interval        30s                                                 default
        encoders.device                   flex                                                default
        encoders.offline                  false                                               default
        encoders.cache_dir                c                                                   trendmill.toml:4
        encoders.hf_home                  h                                                   trendmill.toml:5
        encoders.hf_endpoint              https://huggingface.co                              default
        encoders.hf_token                 ********                                            environment HF_TOKEN
        captioner.openai.base_url         –                                                   default
        captioner.openai.api_key          –                                                   default
        captioner.openai.model            –                                                   default
        captioner.openai.prompt           Describe this image in one or two sentences.        default
        captioner.openai.max_tokens       128                                                 default
        captioner.openai.max_side         1024                                                default
        captioner.openai.concurrency      4                                                   default
        captioner.openai.request_timeout  1m                                                  default
        captioner.openai.budget           –                                                   default
        net.contact                       no contact given                                    default
        net.allow_addresses               []                                                  default
        net.max_bytes                     25000000                                            default
        net.connect_timeout               5s                                                  default
        net.idle_timeout                  15s                                                 default
        net.total_timeout                 1m                                                  default
        net.redirects                     3                                                   default
        net.concurrency                   64                                                  default
        net.per_host                      8                                                   default
        net.use_proxy                     false                                               default
        media.max_bytes                   25000000                                            default
        media.max_pixels                  50000000                                            default
        media.max_alloc                   268435456                                           default
        media.hosts                       ["i.redd.it","preview.redd.it","external-preview.redd.it","i.imgur.com"]  default
        media.size                        original                                            default
        media.preview_side                384                                                 default
        media.copy_side                   640                                                 default
        reddit.client_id                  –                                                   default
        reddit.client_secret              –                                                   default
        reddit.username                   –                                                   default
        reddit.password                   –                                                   default
        reddit.refresh_token              –                                                   default
        reddit.user_agent                 –                                                   default
        reddit.reddit_url                 –                                                   default
        reddit.oauth_url                  –                                                   default
        reddit.transport                  own                                                 default
        reddit.calls_per_window           –                                                   default
        reddit.budget_dir                 –                                                   default
        reddit.permission                 –                                                   default
        arctic.url                        –                                                   default
        server.listen                     127.0.0.1:7878                                      default
        server.require_token              false                                               default
        server.token                      –                                                   default
        server.hosts                      []                                                  default
        predict.idle                      5m                                                  default
        predict.timeout                   5m                                                  default
        notify.command                    []                                                  default
        notify.webhook                    –                                                   default
        notify.secret                     –                                                   default
        notify.on                         ["run_failed","run_recovered","deadline_missed","no_promotion","disk_low","no_new_records"]  default
        notify.timeout                    10s                                                 default
        notify.interval                   1m                                                  default
        notify.no_promotion_after         7d                                                  default
        notify.no_new_records_after       1d                                                  default
        notify.disk_low                   2GB                                                 default
        retention.logs                    60d                                                 default
        retention.logs_size               2GB                                                 default
        retention.artifacts               30d                                                 default
        retention.artifacts_size          20GB                                                default
        retention.matrices                7                                                   default
        retention.runs                    400d                                                default
        retention.originals               –                                                   default
        retention.versions                7                                                   default
        retention.models                  100                                                 default
        retention.logged                  30d                                                 default
        retention.raw                     forever                                             default
        retention.raw_dumps               false                                               default
        log.level                         debug                                               environment TRENDMILL_LOG__LEVEL
        log.format                        text                                                default
        "#);
    }
}
