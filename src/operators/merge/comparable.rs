//! Whether blocks may be asked how similar their vectors are.

use super::BlockVectors;
use crate::{encoders, engine::TaskError, learning::MetadataSchema};

/// Whether the vectors of the blocks of every similarity can be compared, where both are there.
///
/// # Errors
///
/// Where they are of two encoders: a cosine between their spaces says nothing.
pub(super) fn check_comparable(
    metadata: &MetadataSchema,
    blocks: &[BlockVectors],
) -> Result<(), TaskError> {
    let find = |name: &str| blocks.iter().find(|block| block.schema.name == name);
    for (a, b) in metadata.similarities() {
        let (Some(one), Some(other)) = (find(a), find(b)) else {
            continue;
        };
        let share = encoders::share_space(
            (&one.encoder.encoder, one.schema.encoder),
            (&other.encoder.encoder, other.schema.encoder),
        );
        if !share || one.schema.width != other.schema.width {
            return Err(TaskError::fail(anyhow::anyhow!(
                "`similarity.{a}.{b}` cannot be had: `{a}` is by {}, `{b}` by {}, and their vectors \
                 are not of one space; take it out of `numbers`, or give both blocks one encoder \
                 (or bge-m3 and visualized-bge-m3)",
                one.encoder.encoder,
                other.encoder.encoder
            )));
        }
    }
    Ok(())
}
