//! What the process of an attempt says to the one that watches over it.
//!
//! Each message is a line of standard output that begins with a record separator, so that it is
//! told from what libraries print.

use std::io::Write as _;

use serde::{Deserialize, Serialize};
use tracing::{Event, Subscriber};
use tracing_subscriber::{Layer, layer::Context};

use super::words::Words;

/// The byte that begins a message.
const SEPARATOR: u8 = 0x1e;

/// A message from the process of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// Something for the log.
    Event {
        /// `error`, `warn`, `info` or `debug`.
        level: String,
        /// In words.
        text: String,
    },
    /// How far the attempt is.
    Progress {
        /// Rows done.
        done: u64,
        /// Rows to do in all; 0 where unknown.
        total: u64,
    },
    /// The most memory that the process itself has held.
    Peak {
        /// In bytes.
        bytes: u64,
    },
}

impl Message {
    /// Writes the message to standard output.
    pub fn tell(&self) {
        let mut line = vec![SEPARATOR];
        serde_json::to_writer(&mut line, self).expect("a message is plain data");
        line.push(b'\n');
        let mut output = std::io::stdout().lock();
        // Without a reader there is nobody to tell; the process will soon be ended.
        let _ = output.write_all(&line).and_then(|()| output.flush());
    }

    /// The message in a line; `None` for a line that somebody else has printed.
    pub fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line.strip_prefix(&[SEPARATOR])?).ok()
    }
}

/// Tells every event to the watching process, which puts it into its log and on its screen.
#[derive(Debug)]
pub(super) struct Relay;

impl<S: Subscriber> Layer<S> for Relay {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let words = Words::of(event);
        Message::Event {
            level: words.level.to_owned(),
            text: words.message + &words.fields,
        }
        .tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_message_or_somebody_elses() {
        let message = Message::Event {
            level: "info".to_owned(),
            text: "two\nlines".to_owned(),
        };
        let mut line = vec![SEPARATOR];
        line.extend(serde_json::to_vec(&message).unwrap());
        assert!(!line.contains(&b'\n'));
        assert_eq!(Message::read(&line), Some(message));
        assert_eq!(
            Message::read(b"{\"progress\":{\"done\":1,\"total\":2}}"),
            None
        );
        assert_eq!(Message::read(b""), None);
    }
}
