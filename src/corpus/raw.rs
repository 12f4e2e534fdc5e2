//! What a source sent, as it came.

/// What a source sent of one record, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawBody {
    /// The text of a JSON object, byte by byte.
    pub json: Box<[u8]>,
    /// Ids and authors of other records whose words are in it: those of a post that it repeats,
    /// say. It goes with each of them.
    pub tells_of: Vec<String>,
}
