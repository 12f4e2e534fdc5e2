//! How many images are fetched and stored in a second: `cargo bench --bench images`.
//!
//! A host on this machine sends images of 100 kB, each with bytes of its own. They are fetched,
//! probed, written durably under their hash and noted in the database, as `fetch_images` does, with
//! the settings that are the default but without copies, so that nothing is decoded. `curl
//! --parallel` fetches the same images to files in the same run, with as many connections and
//! without a sync, a hash or a look inside. Prints one JSON object; `--images N` and `--kilobytes N`
//! say how many and how large. Host and both sides share the machine: hold them to two cores by
//! `taskset -c 0,1`.

use std::{
    net::SocketAddr,
    path::Path as FilePath,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use futures::StreamExt as _;
use serde_json::json;
use trendmill::{
    clock::Timestamp,
    corpus::{MediaInfo, MediaLocation, MediaOutcome},
    media::{Limits, MediaStore, encode_png},
    net::{FetchSettings, Fetcher},
    sources::{Obtained, obtain},
    store::{Store, Writer},
};

/// As in `fetch_images`.
const BATCH: usize = 64;
/// How often both sides take their turn; the fastest counts.
const ROUNDS: usize = 3;

#[expect(clippy::print_stdout, reason = "a bench prints what it measures")]
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (mut images, mut kilobytes) = (3000, 100);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--bench" {
            continue;
        }
        let value = arguments
            .next()
            .with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--images" => images = value.parse()?,
            "--kilobytes" => kilobytes = value.parse()?,
            _ => anyhow::bail!("`{name}`: allowed are --images, --kilobytes"),
        }
    }
    let host = serve(kilobytes * 1000).await?;
    let (mut ours, mut peer) = (Duration::MAX, Duration::MAX);
    for round in 0..ROUNDS {
        let urls = |side: &str| -> Vec<String> {
            let number = |n| format!("http://{host}/{side}{round}_{n}.png");
            (0..images).map(number).collect()
        };
        ours = ours.min(fetch(host, &urls("a")).await?);
        let theirs = urls("b");
        peer = peer.min(tokio::task::spawn_blocking(move || curl(&theirs)).await??);
    }
    let rate = |time: Duration| f64::from(images) / time.as_secs_f64();
    let printed = json!({
        "images": images,
        "kilobytes": kilobytes,
        "images_per_second": rate(ours).round(),
        "curl_images_per_second": rate(peer).round(),
        "of_curl": (rate(ours) / rate(peer) * 100.0).round() / 100.0,
    });
    println!("{printed}");
    Ok(())
}

/// A host of images of so many bytes, each of which ends with its own name.
async fn serve(bytes: usize) -> anyhow::Result<SocketAddr> {
    let mut image = encode_png(&image::RgbImage::new(64, 64))?;
    ensure!(image.len() + 100 < bytes, "too few --kilobytes");
    image.resize(bytes, 0);
    let send = |Path(name): Path<String>, State(mut image): State<Vec<u8>>| async move {
        let from = image.len() - name.len();
        image[from..].copy_from_slice(name.as_bytes());
        image
    };
    let app = Router::new().route("/{name}", get(send)).with_state(image);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

/// Fetches and stores as `fetch_images` does; the time it took.
async fn fetch(host: SocketAddr, urls: &[String]) -> anyhow::Result<Duration> {
    let home = tempfile::tempdir()?;
    let store = Store::open(home.path()).await?;
    let media = MediaStore::new(home.path().join("media"));
    let fetcher = Fetcher::new(&FetchSettings {
        allow_addresses: vec![host],
        ..FetchSettings::default()
    })?;
    let began = Instant::now();
    let fetches = futures::stream::iter(urls.to_vec()).map(|url| {
        let fetcher = fetcher.clone();
        async move {
            let location = MediaLocation::Url(url.clone());
            (url, obtain(&fetcher, Limits::default(), &location).await)
        }
    });
    let mut batches = std::pin::pin!(fetches.buffered(BATCH).chunks(BATCH));
    let mut stored = 0;
    while let Some(batch) = batches.next().await {
        let media = media.clone();
        let (outcomes, looks) = tokio::task::spawn_blocking(move || {
            let images: Vec<(&MediaInfo, &[u8])> = batch
                .iter()
                .filter_map(|(_, obtained)| match obtained {
                    Obtained::Image(info, bytes) => Some((info, bytes.as_slice())),
                    Obtained::Nothing(_) => None,
                })
                .collect();
            let looks = media.put_all(&images)?;
            let outcomes = batch.into_iter().map(|(url, obtained)| match obtained {
                Obtained::Image(info, _) => (url, MediaOutcome::Stored(info)),
                Obtained::Nothing(outcome) => (url, outcome),
            });
            Ok::<(Vec<_>, _), std::io::Error>((outcomes.collect(), looks))
        })
        .await??;
        stored += outcomes
            .iter()
            .filter(|(_, outcome)| matches!(outcome, MediaOutcome::Stored(_)))
            .count();
        let writer = Writer {
            run_id: "bench",
            task_id: "fetch_images",
            stored_at: Timestamp::from_millis(0),
        };
        store
            .store_media_outcomes(&outcomes, &looks, writer)
            .await?;
    }
    store.sync_content().await?;
    let took = began.elapsed();
    ensure!(stored == urls.len(), "only {stored} images were stored");
    Ok(took)
}

/// The same URLs to files, by curl.
fn curl(urls: &[String]) -> anyhow::Result<Duration> {
    let folder = tempfile::tempdir()?;
    let list = folder.path().join("list");
    let line = |(number, url)| {
        let file = folder.path().join(format!("{number}.png"));
        format!("url = \"{url}\"\noutput = \"{}\"\n", file.display())
    };
    let lines: String = urls.iter().enumerate().map(line).collect();
    fs_err::write(&list, lines)?;
    let at_once = FetchSettings::default().per_host.to_string();
    let began = Instant::now();
    let status = Command::new("curl")
        .args([
            "--silent",
            "--fail",
            "--parallel",
            "--parallel-max",
            &at_once,
        ])
        .args([FilePath::new("--config"), &list])
        // Many transfers show a meter even when told to be silent.
        .stderr(std::process::Stdio::null())
        .status()
        .context("curl is needed")?;
    let took = began.elapsed();
    ensure!(status.success(), "curl ended with {status}");
    Ok(took)
}
