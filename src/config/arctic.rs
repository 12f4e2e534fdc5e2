//! `[arctic]`: the archive that is searched without an account.

use super::reader::Reader;

/// Where the archive is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arctic {
    /// The address of the Arctic Shift API; without one the source `arctic` is off.
    pub url: Option<String>,
}

impl Arctic {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            url: reader.get("arctic.url", None),
        }
    }
}
