//! Changing an encoder: what it takes, the work itself, the switch, and what is left of the old one.
//!
//! Vectors and captions lie under the fingerprint of what made them, so that those of two encoders
//! lie beside each other. The new ones are made by [runs](fill) of a low priority while the old
//! ones serve; the [switch] is one row; what nothing needs any more is [dropped](collect).

mod collect;
mod day;
mod fill;
mod plan;
mod switch;

pub use collect::{Collected, Collection};
pub use day::{Basis, IntervalPlan};
pub use plan::{EncoderPlan, PlanTotal, PlannedEncoding};
pub(super) use plan::{dataset_of, source_of};
pub use switch::Lacking;
