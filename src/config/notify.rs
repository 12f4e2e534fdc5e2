//! `[notify]`: what people are told, and how.

use std::time::Duration;

use serde_json::Value;

use super::{Secret, Size, reader::Reader, setting::Setting};

/// What people are told, and how. Without a command and a webhook nothing is sent; `trendmill
/// doctor` still shows what stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// A program with its arguments; it gets each message as JSON on its standard input.
    pub command: Vec<String>,
    /// An address to which each message is posted as JSON. It is not shown: whoever knows it may
    /// write there.
    pub webhook: Option<Secret>,
    /// The key with which messages to the webhook are signed (HMAC-SHA256).
    pub secret: Option<Secret>,
    /// What is told. Default: everything.
    pub on: Vec<NoticeKind>,
    /// How long the command or the webhook may take. Default: 10 s.
    pub timeout: Duration,
    /// The least time between two messages; what comes meanwhile is one. Default: 1 min.
    pub interval: Duration,
    /// A model whose champion is older than this is told of. Default: 7 days.
    pub no_promotion_after: Duration,
    /// A data set without a new record for this long is told of. Default: 24 h.
    pub no_new_records_after: Duration,
    /// Less free disk than this is told of. Default: 2 GB.
    pub disk_low: Size,
}

/// What people can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// A run failed, and the pipeline's last run before it had not.
    RunFailed,
    /// A run succeeded after one that failed.
    RunRecovered,
    /// A run has not ended by its schedule's deadline.
    DeadlineMissed,
    /// No version became champion for long.
    NoPromotion,
    /// There is little free disk.
    DiskLow,
    /// No record came for long.
    NoNewRecords,
}

impl NoticeKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::RunFailed,
        Self::RunRecovered,
        Self::DeadlineMissed,
        Self::NoPromotion,
        Self::DiskLow,
        Self::NoNewRecords,
    ];

    /// The name in settings, in the store and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RunFailed => "run_failed",
            Self::RunRecovered => "run_recovered",
            Self::DeadlineMissed => "deadline_missed",
            Self::NoPromotion => "no_promotion",
            Self::DiskLow => "disk_low",
            Self::NoNewRecords => "no_new_records",
        }
    }
}

impl Setting for NoticeKind {
    const FORM: &'static str = "`run_failed`, `run_recovered`, `deadline_missed`, `no_promotion`, \
                                `disk_low` or `no_new_records`";

    fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == text)
    }

    fn show(&self) -> Value {
        Value::from(self.name())
    }
}

impl Notify {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            command: reader.get("notify.command", Vec::new()),
            webhook: reader.checked(
                "notify.webhook",
                None,
                |address: &Option<Secret>| match address.as_deref() {
                    Some(text) if !text.starts_with("https://") && !text.starts_with("http://") => {
                        Err("write an address that begins with `https://`".to_owned())
                    }
                    _ => Ok(()),
                },
            ),
            secret: reader.get("notify.secret", None),
            on: reader.checked("notify.on", NoticeKind::ALL.to_vec(), |_| Ok(())),
            timeout: reader.get("notify.timeout", Duration::from_secs(10)),
            interval: reader.get("notify.interval", Duration::from_mins(1)),
            no_promotion_after: reader
                .get("notify.no_promotion_after", Duration::from_hours(7 * 24)),
            no_new_records_after: reader
                .get("notify.no_new_records_after", Duration::from_hours(24)),
            disk_low: reader.get("notify.disk_low", Size(2_000_000_000)),
        }
    }
}
