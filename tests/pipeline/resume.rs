//! A death while images are fetched: what is committed is not asked for again.
use std::{
    collections::BTreeMap,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use serde_json::Value;

use crate::home::{Home, posts, task};

/// The image at which the host falls silent; it is in the second batch.
const SILENT: usize = 100;
/// How many images a batch has.
const BATCH: usize = 64;
const RUN: [&str; 4] = ["run", "plain", "--source", "dump:posts.ndjson"];

/// A host of images, what was asked of it, and whether it falls silent.
#[derive(Clone, Default)]
struct Host {
    asked: Arc<Mutex<BTreeMap<usize, usize>>>,
    silent: Arc<AtomicBool>,
}

impl Host {
    async fn answer(self, name: String) -> Result<Vec<u8>, StatusCode> {
        let number = name.strip_suffix(".jpg").and_then(|name| name.parse().ok());
        let number: usize = number.ok_or(StatusCode::NOT_FOUND)?;
        *self.asked.lock().unwrap().entry(number).or_default() += 1;
        if number == SILENT && self.silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let shade = u8::try_from(number).unwrap();
        let picture = image::RgbImage::from_pixel(8, 8, image::Rgb([shade, 0, 0]));
        let mut bytes = std::io::Cursor::new(Vec::new());
        let written = picture.write_to(&mut bytes, image::ImageFormat::Png);
        written.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        Ok(bytes.into_inner())
    }
}

#[test]
fn what_was_fetched_before_a_death_is_not_fetched_again() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let host = Host::default();
    host.silent.store(true, Ordering::SeqCst);
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    let served = host.clone();
    let answer = get(move |Path(name): Path<String>| served.clone().answer(name));
    runtime
        .spawn(async move { axum::serve(listener, Router::new().route("/{name}", answer)).await });
    let home = Home::with_plain();
    let text = posts(2 * BATCH).replace("https://example.invalid", &format!("http://{address}"));
    home.write("posts.ndjson", text);
    home.write(
        "trendmill.toml",
        format!("[net]\nallow_addresses = [\"{address}\"]\n"),
    );

    let mut child = home
        .command(&RUN)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !is_stored(&home, "p0000") {
        assert!(
            began.elapsed() < Duration::from_mins(2),
            "no batch was committed"
        );
        thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        !is_stored(&home, "p0127"),
        "the second batch cannot have ended"
    );
    host.silent.store(false, Ordering::SeqCst);

    let run = home.json(&RUN);
    let fetch = task(&run, "fetch_images");
    assert_eq!(fetch["state"], "succeeded");
    assert_eq!(fetch["rows_computed"], 2 * BATCH, "{fetch}");
    let asked = host.asked.lock().unwrap();
    assert_eq!(asked.len(), 2 * BATCH);
    for (number, times) in asked.iter() {
        let most = if *number < BATCH { 1 } else { 2 };
        assert!(*times <= most, "image {number} was asked for {times} times");
    }
}

/// Whether the image of a record is in the store and noted.
fn is_stored(home: &Home, id: &str) -> bool {
    let output = home.run(&["--json", "records", "show", id]);
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    shown["images"][0]["state"] == "stored"
}
