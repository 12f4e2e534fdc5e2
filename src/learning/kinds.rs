//! What a training can choose between.

use serde::{Deserialize, Serialize};

/// Which learner is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadKind {
    /// Ridge regression, and an ensemble of fusion networks on what it leaves.
    #[default]
    FusionMlp,
    /// Ridge regression alone.
    Ridge,
    /// Ridge regression, and gradient-boosted trees on what it leaves.
    Trees,
    /// Ridge regression, and both networks and trees on what it leaves, as far as each helps.
    Stack,
    /// The network of the original system by its own recipe, to be measured against.
    Mmrl,
}

impl HeadKind {
    /// Whether it has fusion networks.
    pub(crate) const fn has_networks(self) -> bool {
        matches!(self, Self::FusionMlp | Self::Stack)
    }

    /// Whether it has trees.
    pub(crate) const fn has_trees(self) -> bool {
        matches!(self, Self::Trees | Self::Stack)
    }
}

/// On which scale the target is learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// The one of the two whose ridge orders unseen folds of the training rows better.
    #[default]
    Auto,
    /// The target itself, standardised.
    Standard,
    /// Its rank among the training rows: better where the target has heavy tails.
    Rank,
}

/// How a network joins what it makes of each block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FusionKind {
    /// One layer sees all of it.
    #[default]
    Mix,
    /// That layer also sees their mean, weighted for each row by a gated attention in which a block
    /// that the row lacks has no part.
    Attention,
}

impl FusionKind {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    pub(crate) const fn is_mix(&self) -> bool {
        matches!(self, Self::Mix)
    }
}
