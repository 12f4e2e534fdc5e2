//! The source against a simulated Reddit that is strict and fails: nothing is lost.

use std::collections::BTreeSet;

use tokio::net::TcpListener;

use super::{
    super::served_tests::{SimulatedTime, SkewedClock, client_in},
    *,
};
use crate::sandbox::{SandboxState, communities, serve, truth};

const TROUBLES: &str =
    "strict,tokens=7200,budget=8,errors=10,malformed=5,cut=5,odd=60,slow=20,pause=0";

const WORLD: &str = "sandbox:seed=3,posts=300";

/// A source of a server with `troubles`, whose time goes on when the source pauses.
async fn troubled(troubles: &str) -> (RedditSource, Arc<SandboxState>, Arc<SimulatedTime>) {
    let start: Timestamp = "2026-01-02".parse().unwrap();
    let time = SimulatedTime::starting(start);
    let clock = SkewedClock {
        time: Arc::clone(&time),
        ahead: Arc::default(),
    };
    let state = SandboxState::new(WORLD.parse().unwrap(), start)
        .with_troubles(troubles.parse().unwrap())
        .with_server_clock(Arc::new(clock));
    let state = Arc::new(state);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let forever = std::future::pending();
    tokio::spawn(serve(Arc::clone(&state), listener, forever));
    let credentials = Credentials::sandbox();
    let ledger = Ledger::in_memory();
    let source = RedditSource {
        client: client_in(&time, &Arc::default(), &base, credentials, ledger),
        dataset: WORLD.to_owned(),
        communities: communities(),
        step: ReadingStep::default(),
    };
    (source, state, time)
}

/// Does it again after a while where it fails, as the engine does with a task's attempts.
async fn patiently<T>(time: &SimulatedTime, mut what: impl AsyncFnMut() -> Result<T, Error>) -> T {
    loop {
        match what().await {
            Ok(done) => return done,
            Err(Error::RateLimited { reset, .. }) => time.server.advance(reset),
            Err(Error::Unavailable { .. }) => time.server.advance(Duration::from_mins(1)),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Reads what is new; what comes before a failure is read too.
async fn scraped(
    source: &RedditSource,
    as_of: Timestamp,
    watermarks: &BTreeMap<String, Timestamp>,
    pages: &mut Vec<Page>,
) -> Result<ScrapeSummary, Error> {
    let (sender, mut receiver) = mpsc::channel(4);
    let request = ScrapeRequest {
        watermarks: watermarks.clone(),
        ..ScrapeRequest::everything(as_of)
    };
    let receive = async {
        while let Some(page) = receiver.recv().await {
            pages.push(page);
        }
    };
    tokio::join!(source.scrape(request, sender), receive).0
}

#[tokio::test]
async fn a_strict_and_failing_server_costs_time_and_no_posts() {
    let (source, state, time) = troubled(TROUBLES).await;
    let world = WORLD.parse().unwrap();
    let mut as_of: Timestamp = "2026-01-02".parse().unwrap();
    let (mut known, mut odd, mut waited) = (BTreeMap::new(), 0, Duration::ZERO);
    let (mut watermarks, mut authors) = (BTreeMap::new(), BTreeSet::new());
    for _ in 0..12 {
        as_of = as_of + Duration::from_hours(4);
        state.clock().set(as_of);
        time.server.set(time.server.now().max(as_of));
        let began = time.server.now();
        let mut pages = Vec::new();
        let walk = async || scraped(&source, as_of, &watermarks, &mut pages).await;
        let summary = patiently(&time, walk).await;
        for page in pages {
            odd += page.dropped.values().sum::<u64>();
            for (record, _) in page.records {
                let author = record.fields["author_fullname"].as_str();
                authors.insert(author.unwrap().to_owned());
                known.insert(record.id, record.created_at.unwrap());
            }
        }
        watermarks = summary.watermarks;
        waited += time.server.now().since(began);
        let made: BTreeSet<String> = truth(&world, as_of).map(|post| post.id).collect();
        assert!(known.keys().eq(&made), "{} of {}", known.len(), made.len());
    }
    let due: Vec<Due> = known
        .iter()
        .map(|(id, made)| Due {
            id: id.clone(),
            at: *made,
        })
        .collect();
    let began = time.server.now();
    let read = patiently(&time, async || source.observe(&due, as_of).await).await;
    let read: BTreeSet<String> = read
        .observations
        .into_iter()
        .map(|reading| reading.record_id)
        .collect();
    assert!(read.iter().eq(known.keys()));
    let authors: Vec<String> = authors.into_iter().collect();
    let all = communities();
    let told = patiently(&time, async || source.people(&authors, &all, as_of).await).await;
    assert_eq!(told.authors.len(), authors.len());
    let told = told.communities;
    assert!(told.iter().all(|told| told.subscribers > Some(1e6)) && told.len() == 4);
    assert!(
        known.len() > 800 && odd > 5,
        "{} posts, {odd} odd",
        known.len()
    );
    // Windows were spent, and the next were waited for.
    waited += time.server.now().since(began);
    assert!(waited > Duration::from_mins(10), "{waited:?}");
}
