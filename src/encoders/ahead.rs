//! Preparing ahead of the device: while it computes one batch, the cores make the next ready.

use std::{sync::mpsc, thread};

/// Prepares each batch on another thread and computes it on this one, and returns what was computed
/// in the batches' order.
///
/// At most three batches are held at a time: one that is computed, one that is ready, one that is
/// being prepared. A panic of either is the caller's panic.
pub(super) fn map<B, P, R>(
    batches: impl Iterator<Item = B> + Send,
    prepare: impl Fn(B) -> P + Send,
    mut compute: impl FnMut(P) -> R,
) -> Vec<R>
where
    P: Send,
{
    thread::scope(|scope| {
        let (ready, prepared) = mpsc::sync_channel(1);
        scope.spawn(move || {
            for batch in batches {
                if ready.send(prepare(batch)).is_err() {
                    break;
                }
            }
        });
        prepared.iter().map(&mut compute).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn prepares_in_order_and_not_too_far_ahead() {
        let (made, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let results = map(
            0..50,
            |batch| {
                made.fetch_add(1, Ordering::SeqCst);
                batch * 2
            },
            |batch| {
                let done = done.fetch_add(1, Ordering::SeqCst);
                assert!(made.load(Ordering::SeqCst) <= done + 3);
                batch + 1
            },
        );
        assert_eq!(
            results,
            (0..50).map(|batch| batch * 2 + 1).collect::<Vec<_>>()
        );
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_is_heard() {
        map(0..3, |batch| assert!(batch < 1, "enough"), |()| ());
    }
}
