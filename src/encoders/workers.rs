//! One thread per job: how Flex uses the cores, and why bytes never depend on their number.
//!
//! Flex splits one large product over all threads of the rayon pool that it runs in. That is slow
//! for small models (a MiniLM layer is done before the threads have met) and gives every product
//! another shape. So each worker here is a rayon pool of one thread: inside it Flex computes alone,
//! and the cores are used by running independent jobs (an image, a few texts) beside each other.

use std::{
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// The stack of one worker: image decoders and Burn's nested calls need more than a default one.
const STACK_BYTES: usize = 16 << 20;

static WORKERS: LazyLock<Vec<ThreadPool>> = LazyLock::new(|| {
    let count = thread::available_parallelism().map_or(1, usize::from);
    (0..count)
        .map(|index| {
            ThreadPoolBuilder::new()
                .num_threads(1)
                .stack_size(STACK_BYTES)
                .thread_name(move |_| format!("encoder-{index}"))
                .build()
                .expect("the system can start one thread per core")
        })
        .collect()
});

/// How many jobs run beside each other.
pub(super) fn count() -> usize {
    WORKERS.len()
}

/// Applies `work` to every job, each on one thread, and returns the results in the jobs' order.
///
/// A panic in `work` is the caller's panic.
pub(super) fn map<J, R>(jobs: &[J], work: impl Fn(&J) -> R + Sync) -> Vec<R>
where
    J: Sync,
    R: Send,
{
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(jobs.len()));
    let drain = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(index) else { break };
            let result = work(job);
            results
                .lock()
                .expect("no job panics while it holds the results")
                .push((index, result));
        }
    };
    let drain = &drain;
    thread::scope(|scope| {
        // A thread that finds no job left goes at once, so a short list wakes few workers.
        for pool in WORKERS.iter().take(jobs.len()) {
            scope.spawn(move || pool.install(drain));
        }
    });
    let mut results = results
        .into_inner()
        .expect("a panic of a job has been passed on by the scope");
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_jobs() {
        let jobs: Vec<usize> = (0..100).collect();
        let squares = map(&jobs, |job| (job * job, rayon::current_num_threads()));
        assert_eq!(squares.len(), 100);
        for (job, (square, threads)) in squares.into_iter().enumerate() {
            assert_eq!(square, job * job);
            assert_eq!(threads, 1);
        }
        assert!(map(&[] as &[usize], |job| *job).is_empty());
    }
}
