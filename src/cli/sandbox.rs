//! `trendmill sandbox`: the simulated Reddit as a server, and the truth about it.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use chrono::NaiveDate;
use clap::{Args, Subcommand};
use fs_err as fs;
use tokio::net::TcpListener;

use super::failure::Failure;
use crate::{
    clock::{Clock as _, Timestamp},
    sandbox::{
        HORIZON, MOST_POSTS_PER_DAY, SandboxSettings, SandboxState, Troubles, Truth, serve,
        spearman_ceiling, truth,
    },
};

/// A simulated Reddit: OAuth, listings, info, users, comments, images; time moves as told
#[derive(Clone, Debug, Args)]
pub(super) struct SandboxArguments {
    #[command(subcommand)]
    command: Option<SandboxCommand>,

    #[command(flatten)]
    world: WorldArguments,

    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8089", value_parser = read_address)]
    listen: String,

    /// The time at which the sandbox's clock stands at first [default: 17 days and 36 hours
    /// after the start]
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,

    /// How many seconds its clock moves in a second of this machine's; 0: only as it is told
    ///
    /// With 60 an hour passes in a minute: scores grow, posts come and go. Windows and tokens end
    /// by this machine's clock.
    #[arg(long, value_name = "N", default_value_t = 0.0, value_parser = read_speed)]
    speed: f64,

    /// How strict the server is and what goes wrong with it, by the machine's clock and the count
    /// of requests [default: nothing]
    ///
    /// `NAME[=VALUE],…`, of which the later goes before:
    ///
    /// `strict`: as Reddit was measured to be: `tokens=86400,budget=1000,cap=995,redirects`.
    ///
    /// `rough`: `strict` and `errors=5,malformed=3,cut=2,odd=20,slow=2,images=5`.
    ///
    /// `tokens=SECONDS`: a token is asked for and ends; a bad one gets 401 with a page.
    ///
    /// `budget=CALLS`: calls of an application in each ten minutes; more get 429.
    ///
    /// `cap=ITEMS`: what a listing shows over all of its pages.
    ///
    /// `redirects`: a community that does not exist leads to a search (302), in place of 404.
    ///
    /// `blocked`: the edge shuts this network out: 403 with a page to whatever is asked.
    ///
    /// `private=NAME+NAME`: communities that answer 403.
    ///
    /// `errors=PERCENT`: in how many stretches of five requests up to four get a 5xx.
    ///
    /// `malformed=PERCENT`: the same with a page, half a text or nothing, by 200.
    ///
    /// `cut=PERCENT`: the same with a connection that ends in the middle.
    ///
    /// `odd=PERCENT`: listings with a thing in them that is no post.
    ///
    /// `slow=PERCENT`: answers that come in four parts with pauses of `pause=MILLISECONDS` (2000).
    ///
    /// `images=PERCENT`: images that are placeholders, pages, halves, bombs or slow.
    #[arg(
        long,
        value_name = "TROUBLES",
        verbatim_doc_comment,
        default_value = ""
    )]
    trouble: Troubles,
}

#[derive(Clone, Debug, Subcommand)]
enum SandboxCommand {
    /// Writes each post's id and noise-free expected value, as JSON lines
    Truth {
        #[command(flatten)]
        world: WorldArguments,

        /// The file to write; `-` is the standard output
        #[arg(long, value_name = "FILE")]
        out: PathBuf,

        /// Only posts made up to this time [default: 17 days and 36 hours after the start]
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
    },
}

/// Which world.
#[derive(Clone, Debug, Args)]
struct WorldArguments {
    /// The world as a source is written, such as `sandbox:seed=7,posts=96`
    #[arg(long, value_name = "SOURCE")]
    source: Option<SandboxSettings>,

    /// What all chance grows from
    #[arg(long, value_name = "S")]
    seed: Option<u64>,

    /// How many posts are made each day
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(MOST_POSTS_PER_DAY)))]
    posts_per_day: Option<u32>,

    /// The day of the first posts
    #[arg(long, value_name = "DATE")]
    start: Option<NaiveDate>,

    /// On how many days posts are made [default: no end]
    #[arg(long, value_name = "N")]
    days: Option<u32>,

    /// How many posts in a hundred are deleted, removed or gone after a while, and how many
    /// accounts in a hundred are deleted [default: 0]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    removed: Option<u32>,
}

impl WorldArguments {
    /// The world, with what is not given taken from `base`.
    fn settings(&self, base: SandboxSettings) -> SandboxSettings {
        let settings = self.source.clone().unwrap_or(base);
        SandboxSettings {
            seed: self.seed.unwrap_or(settings.seed),
            start: self.start.unwrap_or(settings.start),
            days: self.days.or(settings.days),
            posts_per_day: self.posts_per_day.unwrap_or(settings.posts_per_day),
            removed_percent: self.removed.unwrap_or(settings.removed_percent),
        }
    }
}

/// `HOST:PORT`; whether there is such a host is seen later.
fn read_address(text: &str) -> Result<String, String> {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    text.rsplit_once(':')
        .filter(|(host, port)| !host.is_empty() && is_port(port))
        .map(|_| text.to_owned())
        .ok_or_else(|| "write an address with a port, such as 127.0.0.1:8089".to_owned())
}

fn read_speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok();
    speed
        .filter(|speed| (0.0..=1e6).contains(speed))
        .ok_or_else(|| "write a number from 0 to 1000000, such as 60".to_owned())
}

/// The `as_of` of a first run: its interval begins 16 days after the start.
fn first_run(settings: &SandboxSettings) -> Timestamp {
    Timestamp::at_midnight(settings.start) + Duration::from_hours(17 * 24) + HORIZON
}

/// Serves the sandbox until the interrupt, or writes its truth.
///
/// # Errors
///
/// Where the address cannot be listened at, or the file cannot be written.
pub(super) async fn run(arguments: SandboxArguments) -> Result<(), Failure> {
    match arguments.command {
        Some(SandboxCommand::Truth { world, out, until }) => {
            // Flags before and after the word `truth` mean the same.
            let settings = world.settings(arguments.world.settings(SandboxSettings::default()));
            let until = until.unwrap_or_else(|| first_run(&settings));
            let posts: Vec<Truth> = truth(&settings, until).collect();
            write_truth(&posts, &out)?;
            let ceiling = spearman_ceiling(&posts)
                .map_or_else(|| "none".to_owned(), |ceiling| format!("{ceiling:.4}"));
            writeln!(
                io::stderr(),
                "{} posts of {settings} until {until}; best reachable Spearman: {ceiling}",
                posts.len(),
            )
            .map_err(anyhow::Error::from)?;
            Ok(())
        }
        None => {
            let settings = arguments.world.settings(SandboxSettings::default());
            let now = arguments.now.unwrap_or_else(|| first_run(&settings));
            let state = SandboxState::new(settings, now)
                .with_troubles(arguments.trouble)
                .with_speed(arguments.speed);
            listen(state, &arguments.listen).await
        }
    }
}

async fn listen(state: SandboxState, address: &str) -> Result<(), Failure> {
    let unfit = |error: io::Error| {
        Failure::unfit(format!("cannot listen at `{address}`: {error}"))
            .hint("choose another address or port with `--listen`; port 0 is any that is free")
    };
    let listener = TcpListener::bind(address).await.map_err(unfit)?;
    let bound = listener.local_addr().map_err(unfit)?;
    writeln!(
        io::stderr(),
        "{} at http://{bound}, its clock at {}; set it by POST /sandbox/clock {{\"now\": \"…\"}}",
        state.world().settings(),
        state.clock().now(),
    )
    .map_err(anyhow::Error::from)?;
    let state = Arc::new(state);
    let interrupted = async {
        // Without a handler for the interrupt, the server is ended by it anyhow.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    serve(state, listener, interrupted)
        .await
        .context("the sandbox's server failed")?;
    Ok(())
}

fn write_truth(posts: &[Truth], out: &Path) -> anyhow::Result<()> {
    if out == Path::new("-") {
        return write_lines(posts, io::stdout().lock());
    }
    write_lines(posts, fs::File::create(out)?)
}

fn write_lines(posts: &[Truth], out: impl Write) -> anyhow::Result<()> {
    let mut out = BufWriter::new(out);
    for post in posts {
        serde_json::to_writer(&mut out, post)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::failure::UNFIT;

    #[test]
    fn an_address_has_a_port() {
        for wrong in ["foo", ":80", "127.0.0.1", "127.0.0.1:x", "host:99999"] {
            assert!(read_address(wrong).is_err(), "{wrong}");
        }
        assert_eq!(read_address("[::1]:0").unwrap(), "[::1]:0");
    }

    #[tokio::test]
    async fn a_port_in_use_is_no_fault_of_the_command() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let start = Timestamp::from_millis(1_767_225_600_000);
        let state = SandboxState::new(SandboxSettings::default(), start);
        let failure = listen(state, &address).await.unwrap_err();
        assert_eq!(failure.code, UNFIT);
        assert!(failure.message.contains(&address), "{failure}");
    }
}
