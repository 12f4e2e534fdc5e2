//! One thread cuts a file, others decode and search the pieces, the caller takes what they find
//! in the order of the file.

use std::{
    io,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use super::{
    judged::{Batch, Tools},
    pieces::{Cutter, Piece, Spare},
    wanted::Wanted,
};
use crate::sources::Error;

/// Threads that search; more would wait for the one that decodes a stream.
const MOST: usize = 4;
/// Pieces that wait, beside those that are worked on.
const WAITING: usize = 2;

/// A piece, and where its result is awaited.
type Job = (Piece, mpsc::Sender<io::Result<Batch>>);

/// Hands everything that `cutter` makes of its file to `take`, piece by piece in their order.
///
/// The inner result is that of reading: what came before a fault has been taken.
///
/// # Errors
///
/// What `take` fails with; then nothing more is read.
pub(super) fn search<'a>(
    cutter: impl FnOnce(&'a Spare) -> io::Result<Cutter<'a>> + Send,
    spare: &'a Spare,
    wanted: &Wanted,
    mut take: impl FnMut(Batch) -> Result<(), Error>,
) -> Result<io::Result<()>, Error> {
    let threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MOST);
    let (order, ordered) = mpsc::sync_channel::<mpsc::Receiver<_>>(threads + WAITING);
    let (jobs, queue) = mpsc::channel::<Job>();
    let queue = Mutex::new(queue);
    thread::scope(|scope| {
        let cut = scope.spawn(move || {
            cutter(spare)?.cut(|piece| {
                let (result, awaited) = mpsc::channel();
                order.send(awaited).is_ok() && jobs.send((piece, result)).is_ok()
            })
        });
        for _ in 0..threads {
            scope.spawn(|| work(&queue, wanted, spare));
        }
        // Ours, so that it closes where nothing more is taken: the cutter then stops.
        let ordered = ordered;
        while let Ok(awaited) = ordered.recv() {
            // Without a result its thread has panicked, which the scope passes on.
            match awaited.recv() {
                Ok(Ok(batch)) => take(batch)?,
                Ok(Err(error)) => return Ok(Err(error)),
                Err(mpsc::RecvError) => break,
            }
        }
        drop(ordered);
        match cut.join() {
            Ok(end) => Ok(end),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Works until there is nothing more to do.
fn work(queue: &Mutex<mpsc::Receiver<Job>>, wanted: &Wanted, spare: &Spare) {
    let mut tools = None;
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((piece, result)) = job else {
            return;
        };
        let tools = match &mut tools {
            Some(tools) => Ok(tools),
            none => Tools::new().map(|tools| none.insert(tools)),
        };
        let batch = tools.and_then(|tools: &mut Tools| tools.search(piece, wanted, spare));
        // Nobody waits where reading was given up.
        let _given_up = result.send(batch);
    }
}
