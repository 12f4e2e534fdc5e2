//! What a run has learned of the hosts that it asks: addresses, manners and failures.

use std::{
    collections::{BTreeMap, HashMap},
    fmt, io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{Semaphore, oneshot};

use super::guard::is_public;

/// How long a look-up may take.
const LOOKUP_LIMIT: Duration = Duration::from_secs(3);
/// How long the answer of a look-up is believed.
const LOOKUP_LIFE: Duration = Duration::from_mins(5);
/// After as many failures in a row a host is not asked again in this run.
const STRIKES: u32 = 3;
/// The same for answers that came too late: a slow line alone must not close a good host.
const SLOW_STRIKES: u32 = 8;

/// Turns a name into addresses; it may block.
pub type Lookup = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

/// One run's memory of the hosts that it asks.
///
/// A host that fails to resolve or to connect three times in a row is `unreachable` for the rest
/// of the run, at once and without asking; so is a host, at its first failure, while no name at
/// all could be resolved and three others have failed already. All fetches that need one name
/// share one look-up.
pub struct HostBook {
    lookup: Lookup,
    per_host: usize,
    hosts: Mutex<HashMap<String, Host>>,
}

#[derive(Debug)]
struct Host {
    slots: Arc<Semaphore>,
    /// Held while the name is looked up, so that the others wait for that answer.
    resolving: Arc<tokio::sync::Mutex<()>>,
    /// Counts look-ups, so that one who waited sees that there is a new answer.
    lookups: u64,
    addresses: Option<(Instant, Resolution)>,
    strikes: u32,
    closed: Option<&'static str>,
    answered: bool,
}

/// What a look-up gave.
type Resolution = Result<Arc<[IpAddr]>, Unresolved>;

/// Why a name has no address that may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unresolved {
    /// There was no answer, or none in time.
    #[error("the name could not be resolved")]
    Failed,
    /// The name resolves to addresses of this machine's own network only.
    #[error("the name resolves to no public address")]
    Blocked,
}

impl fmt::Debug for HostBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostBook")
            .field("per_host", &self.per_host)
            .field("closed", &self.closed())
            .finish_non_exhaustive()
    }
}

impl HostBook {
    /// An empty book that lets `per_host` fetches ask one host at a time and resolves names as
    /// this machine does.
    pub fn new(per_host: usize) -> Self {
        Self::with_lookup(per_host, Arc::new(system_lookup))
    }

    /// The same with another way to resolve names.
    pub fn with_lookup(per_host: usize, lookup: Lookup) -> Self {
        Self {
            lookup,
            per_host: per_host.max(1),
            hosts: Mutex::default(),
        }
    }

    /// The hosts that this run does not ask any more, and why.
    pub fn closed(&self) -> BTreeMap<String, &'static str> {
        self.lock()
            .iter()
            .filter_map(|(name, host)| Some((name.clone(), host.closed?)))
            .collect()
    }

    /// Why `host` is not asked any more, if so.
    pub(super) fn closed_for(&self, host: &str) -> Option<&'static str> {
        self.lock().get(host).and_then(|host| host.closed)
    }

    /// The places at `host`.
    pub(super) fn slots(&self, host: &str) -> Arc<Semaphore> {
        self.with(host, |host| Arc::clone(&host.slots))
    }

    /// `host` has answered, with whatever.
    pub(super) fn answered(&self, host: &str) {
        self.with(host, |host| {
            host.strikes = 0;
            host.answered = true;
        });
    }

    /// `host` has failed for `reason`, a code of `corpus::MediaOutcome`.
    pub(super) fn failed(&self, host: &str, reason: &'static str) {
        let most = match reason {
            "unreachable" if self.network_is_down() => 1,
            "unreachable" | "rate_limited" => STRIKES,
            "timeout" => SLOW_STRIKES,
            _ => return,
        };
        let closed = self.with(host, |host| {
            host.strikes += 1;
            let closes = host.strikes >= most && host.closed.is_none();
            if closes {
                host.closed = Some(reason);
            }
            closes
        });
        if closed {
            tracing::warn!(host, reason, "this host is not asked again in this run");
        }
    }

    /// The public addresses of `host`, from the book or from one look-up that all who need it
    /// share.
    pub(super) async fn resolve(&self, host: &str) -> Resolution {
        let (resolving, seen) = self.with(host, |host| (Arc::clone(&host.resolving), host.lookups));
        if let Some(known) = self.known(host, None) {
            return known;
        }
        let turn = resolving.lock().await;
        if let Some(known) = self.known(host, Some(seen)) {
            return known;
        }
        let found = self.look_up(host).await;
        self.with(host, |host| {
            host.lookups += 1;
            host.addresses = Some((Instant::now(), found.clone()));
        });
        if found == Err(Unresolved::Failed) {
            self.failed(host, "unreachable");
        }
        drop(turn);
        found
    }

    /// An answer that can be used: a good one that is fresh, or any that came after look-up
    /// number `waited_since`, which the caller has waited for.
    fn known(&self, host: &str, waited_since: Option<u64>) -> Option<Resolution> {
        self.with(host, |host| {
            let (when, answer) = host.addresses.as_ref()?;
            let shared = waited_since.is_some_and(|seen| host.lookups > seen);
            let fresh = answer != &Err(Unresolved::Failed) && when.elapsed() < LOOKUP_LIFE;
            (shared || fresh).then(|| answer.clone())
        })
    }

    async fn look_up(&self, host: &str) -> Resolution {
        let (send, receive) = oneshot::channel();
        let lookup = Arc::clone(&self.lookup);
        let name = host.to_owned();
        // A thread of its own: a look-up that hangs must not keep the runtime from ending.
        let started = std::thread::Builder::new()
            .name("lookup".to_owned())
            .spawn(move || {
                // A receiver that is gone has stopped waiting.
                let _ = send.send(lookup(&name));
            });
        if let Err(error) = started {
            tracing::warn!(%error, host, "no thread for a look-up");
            return Err(Unresolved::Failed);
        }
        match tokio::time::timeout(LOOKUP_LIMIT, receive).await {
            Ok(Ok(Ok(addresses))) if !addresses.is_empty() => {
                let public: Vec<_> = addresses.into_iter().filter(|a| is_public(*a)).collect();
                if public.is_empty() {
                    Err(Unresolved::Blocked)
                } else {
                    Ok(public.into())
                }
            }
            Ok(Ok(Err(error))) => {
                tracing::debug!(%error, host, "a name could not be resolved");
                Err(Unresolved::Failed)
            }
            _ => Err(Unresolved::Failed),
        }
    }

    /// Whether no host has ever answered while several could not be reached.
    fn network_is_down(&self) -> bool {
        let hosts = self.lock();
        !hosts.values().any(|host| host.answered)
            && hosts
                .values()
                .filter(|host| host.closed == Some("unreachable"))
                .count()
                >= 3
    }

    fn with<T>(&self, host: &str, change: impl FnOnce(&mut Host) -> T) -> T {
        let mut hosts = self.lock();
        if let Some(known) = hosts.get_mut(host) {
            return change(known);
        }
        change(hosts.entry(host.to_owned()).or_insert_with(|| Host {
            slots: Arc::new(Semaphore::new(self.per_host)),
            resolving: Arc::default(),
            lookups: 0,
            addresses: None,
            strikes: 0,
            closed: None,
            answered: false,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Host>> {
        // Nothing that holds the lock can panic half-way through a change.
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks this machine's own resolver.
fn system_lookup(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|a| a.ip()).collect())
}

/// Hands the book's addresses to the client, so that what was checked is what is connected to.
#[derive(Debug)]
pub(super) struct Resolver(pub(super) Arc<HostBook>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let book = Arc::clone(&self.0);
        Box::pin(async move {
            let addresses = book.resolve(name.as_str()).await?;
            let addresses: Vec<_> = addresses.iter().map(|a| SocketAddr::new(*a, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn counting(
        answer: impl Fn() -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> (HostBook, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let lookup: Lookup = Arc::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20));
            answer()
        });
        (HostBook::with_lookup(8, lookup), asked)
    }

    #[tokio::test]
    async fn one_look_up_serves_all_who_wait() {
        let (book, asked) = counting(|| Ok(vec!["93.184.216.34".parse().unwrap()]));
        let all = futures::future::join_all((0..8).map(|_| book.resolve("a.example"))).await;
        assert!(all.iter().all(Result::is_ok));
        assert!(book.resolve("a.example").await.is_ok());
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn three_failures_close_a_host() {
        let (book, asked) = counting(|| Err(io::Error::other("no network")));
        for tries in 1..=3 {
            assert_eq!(book.closed_for("a.example"), None, "before try {tries}");
            assert_eq!(book.resolve("a.example").await, Err(Unresolved::Failed));
        }
        assert_eq!(book.closed_for("a.example"), Some("unreachable"));
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn an_answer_clears_earlier_failures() {
        let (book, _) = counting(|| Ok(vec!["93.184.216.34".parse().unwrap()]));
        for _ in 0..5 {
            book.failed("a.example", "unreachable");
            book.failed("a.example", "unreachable");
            book.answered("a.example");
        }
        assert_eq!(book.closed_for("a.example"), None);
    }

    #[tokio::test]
    async fn private_answers_are_no_addresses() {
        let (book, _) = counting(|| Ok(vec!["127.0.0.1".parse().unwrap()]));
        assert_eq!(book.resolve("a.example").await, Err(Unresolved::Blocked));
    }
}
