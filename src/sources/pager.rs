//! Rows of a file → pages, from a thread that may block.

use tokio::sync::mpsc;

use super::{Error, Page, ScrapeRequest};
use crate::corpus::{Counted, FileCursor, Observation, RawBody, Record};

/// Records of one page.
const RECORDS: usize = 500;
/// Dropped rows after which a page goes out although it is not full, so that progress shows.
const DROPPED: u64 = 20_000;

/// Collects rows and sends full pages.
pub(super) struct Pager {
    request: ScrapeRequest,
    pages: mpsc::Sender<Page>,
    page: Page,
    dropped: u64,
    /// All rows sent or waiting to be.
    pub(super) counted: Counted,
    /// Those of them that were there when the cursor was moved last.
    up_to_cursor: Counted,
    /// Up to where everything is in the pages sent and the one that is sent next.
    pub(super) cursor: Option<FileCursor>,
}

impl Pager {
    pub(super) fn new(request: ScrapeRequest, pages: mpsc::Sender<Page>) -> Self {
        Self {
            request,
            pages,
            page: Page::default(),
            dropped: 0,
            counted: Counted::default(),
            up_to_cursor: Counted::default(),
            cursor: None,
        }
    }

    /// Why `record` is not wanted, if so.
    pub(super) fn unwanted(&self, record: &Record) -> Option<&'static str> {
        self.request.unwanted(record)
    }

    /// Everything up to `cursor` was added, and what was added reaches to there; or it reaches
    /// further where the walk `waits` there for a later one.
    pub(super) fn reached(&mut self, cursor: &FileCursor, waits: bool) {
        if !waits {
            self.up_to_cursor.clone_from(&self.counted);
        }
        match &mut self.cursor {
            Some(known) if known.file == cursor.file => {
                known.offset = cursor.offset;
                known.lines = cursor.lines;
                known.start = cursor.start;
            }
            none => *none = Some(cursor.clone()),
        }
    }

    /// Adds a record to the page.
    pub(super) fn keep(
        &mut self,
        record: Record,
        reading: Option<Observation>,
    ) -> Result<(), Error> {
        self.add(record, reading);
        self.send_if_full()
    }

    /// Adds a record to the page, which does not go out before it is told to.
    pub(super) fn add(&mut self, record: Record, reading: Option<Observation>) {
        self.page.records.push((record, reading));
        self.counted.kept += 1;
    }

    /// Adds what a record of the page was read from; the first of its lines stands.
    pub(super) fn add_raw(&mut self, id: &str, raw: Option<RawBody>) {
        if let Some(raw) = raw {
            self.page.raw.entry(id.to_owned()).or_insert(raw);
        }
    }

    /// Counts `rows` rows that are dropped.
    pub(super) fn drop_rows(&mut self, reason: &str, rows: u64) -> Result<(), Error> {
        self.add_dropped(reason, rows);
        self.send_if_full()
    }

    /// Counts `rows` rows that are dropped; the page does not go out before it is told to.
    pub(super) fn add_dropped(&mut self, reason: &str, rows: u64) {
        if rows == 0 {
            return;
        }
        *self.page.dropped.entry(reason.to_owned()).or_default() += rows;
        self.counted.drop_rows(reason, rows);
        self.dropped += rows;
    }

    /// Sends the page where it is full.
    pub(super) fn send_if_full(&mut self) -> Result<(), Error> {
        if self.page.records.len() >= RECORDS || self.dropped >= DROPPED {
            self.send()?;
        }
        Ok(())
    }

    /// Counts bytes read, and what was decoded from them.
    pub(super) fn add_bytes(&mut self, bytes: u64, decoded: u64) {
        self.page.bytes += bytes;
        self.page.decoded += decoded;
    }

    /// Sends what is waiting, if anything is.
    pub(super) fn send(&mut self) -> Result<(), Error> {
        let mut page = std::mem::take(&mut self.page);
        self.dropped = 0;
        if page.records.is_empty() && page.dropped.is_empty() && page.bytes == 0 {
            return Ok(());
        }
        page.cursor.clone_from(&self.cursor);
        page.counted.clone_from(&self.up_to_cursor);
        self.pages.blocking_send(page).map_err(|_| Error::Cancelled)
    }
}

/// Does `work`, which blocks, on a thread where it may.
pub(super) async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Cancelled),
        },
    }
}
