//! What can go wrong in this layer.

/// Why a matrix could not be made, a head not be trained, or a prediction not be given.
///
/// None of these goes away by trying again; each says what is wrong with the rows or the settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name in a list of the pipeline file that this layer does not know.
    #[error("unknown {what} `{name}`; allowed: {allowed}")]
    UnknownName {
        /// What was asked for: `metadata`, `category`, `head`, `block`.
        what: &'static str,
        /// The name as it was written.
        name: String,
        /// The names that would have been understood.
        allowed: String,
    },
    /// A setting whose value cannot be used.
    #[error("`{name}` is {value}; {allowed}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// The value as it was given.
        value: String,
        /// What would have been understood.
        allowed: &'static str,
    },
    /// A row whose contents do not fit the schema.
    #[error("record `{id}`: {reason}")]
    Row {
        /// The record's id.
        id: String,
        /// What does not fit, with the values.
        reason: String,
    },
    /// A matrix that does not have what the head was trained on.
    #[error("the matrix does not fit the head: {0}")]
    Schema(String),
    /// Fewer labelled rows than a split in three needs.
    #[error(
        "{labelled} rows have a label; at least {needed} are needed to train, validate and test: \
         wait for more labels to mature, or widen the window"
    )]
    TooFewLabels {
        /// The labelled rows that there are.
        labelled: usize,
        /// The least number that is needed.
        needed: usize,
    },
    /// Classes of which too few have enough rows.
    #[error(
        "of the classes {found} have at least {rows} training rows each, and {needed} are needed: wait \
         for more labels, or let the target give fewer classes"
    )]
    TooFewClasses {
        /// The classes that have enough.
        found: usize,
        /// The least number that is needed.
        needed: usize,
        /// The least rows of each.
        rows: usize,
    },
    /// A split that leaves one of the three parts without rows.
    #[error("the {part} part of the split has {rows} rows; {hint}")]
    EmptyPart {
        /// `train`, `validation` or `test`.
        part: &'static str,
        /// How many rows it has.
        rows: usize,
        /// What to change.
        hint: &'static str,
    },
    /// Numbers that no factor could be computed of, or a training that ran to infinity.
    #[error("{0}")]
    Numerics(String),
    /// Bytes that are not a head that [`Head::to_safetensors`](super::Head::to_safetensors) wrote.
    #[error("not a head of this program: {0}")]
    Format(String),
    /// The caller asked to stop.
    #[error("the training was cancelled")]
    Cancelled,
}
