//! `records scan`: what a source has, read as a run reads it and stored nowhere.

use std::{collections::BTreeMap, time::Instant};

use clap::Args;
use serde::Serialize;
use tokio::sync::mpsc;

use super::{
    failure::Failure,
    output::{Output, number, seconds, table},
    run::key_value,
};
use crate::{
    app::App,
    clock::Timestamp,
    sources::{Page, ScrapeRequest, SourceSpec, community_name},
};

/// What `--param` may name.
const PARAMS: &str = "`subreddits=a,b`, `since=2026-01-01` and `until=2026-02-01`";

/// Read a source to its end, count what is in it, and store nothing.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  trendmill records scan --source dump:RS_2026-01.zst\n  trendmill \
                        records scan --source dump:archive --param subreddits=pics,aww --param \
                        since=2026-01-01"
)]
pub(crate) struct Scan {
    /// Where records come from: `dump:FILE|DIR`, `table:FILE`, `sandbox`, `reddit`, `arctic`.
    #[arg(long, value_name = "KIND[:PATH]")]
    source: String,
    /// Which records count: `subreddits=a,b`, `since=TIME`, `until=TIME`; may be given several
    /// times.
    #[arg(long, value_name = "K=V", value_parser = key_value)]
    param: Vec<(String, String)>,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Found {
    source: String,
    /// Rows that are records or were dropped.
    lines: u64,
    /// Bytes read.
    bytes: u64,
    /// Bytes that they were decoded to.
    decoded_bytes: u64,
    kept: u64,
    dropped: BTreeMap<String, u64>,
    seconds: f64,
    /// Decoded megabytes (10⁶ bytes) a second.
    mb_per_s: f64,
}

/// Runs the command.
///
/// # Errors
///
/// Where the source cannot be read to its end.
pub(crate) async fn run(scan: Scan, app: &App, output: Output) -> Result<(), Failure> {
    let spec: SourceSpec = scan.source.parse()?;
    let text = spec.resolve(app.working_dir()).to_string();
    let request = request(&scan.param, app.clock().now())?;
    let source = app.environment().source(&text).await?.source;
    let begun = Instant::now();
    let (sender, mut pages) = mpsc::channel::<Page>(1);
    let mut found = Found::default();
    let count = async {
        while let Some(page) = pages.recv().await {
            found.add(page);
        }
    };
    let (walked, ()) = futures::join!(source.scrape(request, sender), count);
    found.seconds = begun.elapsed().as_secs_f64();
    found.mb_per_s = found.decoded_bytes as f64 / 1e6 / found.seconds;
    found.source = text;
    found.print(output)?;
    // What was found before a fault is told too.
    if let Some(files) = walked?.unfinished() {
        output.say(files)?;
    }
    Ok(())
}

/// What the parameters ask for.
fn request(params: &[(String, String)], now: Timestamp) -> Result<ScrapeRequest, Failure> {
    let mut request = ScrapeRequest {
        now: Some(now),
        ..ScrapeRequest::everything(now)
    };
    for (name, value) in params {
        let time = || {
            let parsed = value.parse::<Timestamp>();
            parsed.map_err(|error| Failure::wrong_use(format!("`{name}`: {error}")))
        };
        match name.as_str() {
            "subreddits" => request.communities = Some(communities(value)?),
            "since" => request.since = Some(time()?),
            "until" => request.as_of = time()?,
            _ => {
                return Err(
                    Failure::wrong_use(format!("a scan has no parameter `{name}`"))
                        .hint(format!("allowed are {PARAMS}")),
                );
            }
        }
    }
    if let Some(since) = request.since.filter(|since| *since > request.as_of) {
        return Err(Failure::wrong_use(format!(
            "`since` ({since}) lies behind `until` ({}, now where it is not given)",
            request.as_of
        ))
        .hint("give the earlier moment as `since`, the later one as `until`"));
    }
    Ok(request)
}

/// The names in a list of communities.
fn communities(list: &str) -> Result<Vec<String>, Failure> {
    let names = list.split(',').map(community_name);
    let names: Vec<String> = names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    let wrong = |message: String| {
        Failure::wrong_use(message).hint(
            "name communities as in `--param subreddits=pics,aww`; without the parameter all count",
        )
    };
    if names.is_empty() {
        return Err(wrong("`subreddits` names no community".to_owned()));
    }
    match names.iter().find(|name| name.contains('/')) {
        Some(name) => Err(wrong(format!("`{name}` is no name of a community"))),
        None => Ok(names),
    }
}

impl Found {
    fn add(&mut self, page: Page) {
        let kept = page.records.len() as u64;
        self.kept += kept;
        self.lines += kept;
        self.bytes += page.bytes;
        self.decoded_bytes += page.decoded;
        for (reason, rows) in page.dropped {
            self.lines += rows;
            *self.dropped.entry(reason).or_default() += rows;
        }
    }

    fn print(&self, output: Output) -> Result<(), Failure> {
        if output.json {
            return Ok(output.json(self)?);
        }
        let mut rows = table(&["", ""]);
        rows.add_row(["lines", &self.lines.to_string()]);
        rows.add_row(["kept", &self.kept.to_string()]);
        for (reason, lines) in &self.dropped {
            rows.add_row([format!("dropped: {reason}"), lines.to_string()]);
        }
        rows.add_row(["bytes read", &self.bytes.to_string()]);
        rows.add_row(["bytes decoded", &self.decoded_bytes.to_string()]);
        rows.add_row(["time", &seconds(self.seconds)]);
        rows.add_row(["MB/s", &number(Some(self.mb_per_s))]);
        Ok(output.data(rows.to_string())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(params: &[(&str, &str)]) -> Result<ScrapeRequest, Failure> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let params: Vec<_> = params.iter().map(owned).collect();
        request(&params, "2026-03-01".parse().unwrap())
    }

    #[test]
    fn parameters_say_what_is_wanted() {
        let request = asked(&[("subreddits", "pics, aww,"), ("since", "2026-01-01")]).unwrap();
        assert_eq!(
            request.choice(),
            "communities=aww,pics;since=2026-01-01T00:00:00Z"
        );
        assert_eq!(request.as_of, "2026-03-01".parse().unwrap());
        let request = asked(&[("until", "2026-02-01")]).unwrap();
        assert_eq!(request.as_of, "2026-02-01".parse().unwrap());
        assert_eq!(request.choice(), "");
    }

    #[test]
    fn another_parameter_is_wrong_use() {
        let failure = asked(&[("horizon", "36h")]).unwrap_err();
        assert!(failure.to_string().contains("horizon"));
        assert!(failure.to_string().contains("subreddits=a,b"));
        assert!(asked(&[("since", "yesterday")]).is_err());
    }

    #[test]
    fn communities_are_named_as_people_name_them() {
        let request = asked(&[("subreddits", "r/pics, /R/aww/ ,Art")]).unwrap();
        assert_eq!(request.communities.unwrap(), ["pics", "aww", "Art"]);
        for none in ["", " , ", "/"] {
            let failure = asked(&[("subreddits", none)]).unwrap_err();
            assert_eq!(failure.code, 2);
            assert!(failure.to_string().contains("subreddits=pics,aww"));
        }
        let address = asked(&[("subreddits", "https://reddit.com/r/pics")]);
        assert_eq!(address.unwrap_err().code, 2);
    }

    #[test]
    fn an_end_before_the_beginning_is_wrong_use() {
        let until = ("until", "2026-01-01");
        let failure = asked(&[("since", "2026-02-01"), until]).unwrap_err();
        assert_eq!(failure.code, 2);
        let text = failure.to_string();
        assert!(
            text.contains("2026-02-01") && text.contains("2026-01-01"),
            "{text}"
        );
        assert!(asked(&[("since", "2026-01-01"), until]).is_ok());
        let to_come = asked(&[("since", "2027-01-01")]).unwrap_err();
        assert!(to_come.to_string().contains("now where it is not given"));
    }
}
