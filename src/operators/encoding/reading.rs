//! Which images an encoding reads.

use super::{super::sharing, Encoding, Work};
use crate::corpus::Fingerprint;

impl Encoding {
    /// What it makes of images; none where it reads something else.
    pub(in super::super) fn reading(&self) -> Option<sharing::Work> {
        match &self.work {
            Work::Embed(output) if output.input.is_of_images() => {
                Some(sharing::Work::Embed(output.clone()))
            }
            Work::Write(output, writing) => {
                Some(sharing::Work::Write(output.fingerprint, writing.clone()))
            }
            Work::Embed(_) | Work::Caption(..) => None,
        }
    }

    /// The captioner that it is, where a checkpoint writes.
    pub(in super::super) const fn writes(&self) -> Option<Fingerprint> {
        match &self.work {
            Work::Write(..) => Some(self.fingerprint),
            Work::Embed(_) | Work::Caption(..) => None,
        }
    }

    /// Whether it is another task that reads images of the same records, where `lead` computes.
    pub(in super::super) fn reads_as(&self, lead: &Self) -> bool {
        self.task != lead.task && self.device == lead.device && self.filters == lead.filters
    }
}
