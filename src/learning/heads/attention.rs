//! Gated attention over the groups of a row: how much each has to say of it.
//!
//! `Σ aₖhₖ` with `a = softmax(wᵀ(tanh(Vh) ⊙ σ(Uh)))` over what the groups' encoders gave (Ilse,
//! Tomczak and Welling, "Attention-based deep multiple instance learning", 2018, equation 9). A group
//! that a row lacks has no part in it.

use burn::{
    module::Module,
    nn::Linear,
    tensor::{
        Device, Tensor,
        activation::{sigmoid, tanh},
    },
};
use rand_chacha::ChaCha8Rng;

use super::{
    fusion::{dense, linear},
    network::Dense,
};

/// Its weights as plain numbers, and what they compute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attention {
    /// `V`.
    pub(super) content: Dense,
    /// `U`.
    pub(super) gate: Dense,
    /// `w`.
    pub(super) score: Dense,
}

impl Attention {
    pub(super) fn random(hidden: usize, generator: &mut ChaCha8Rng) -> Self {
        Self {
            content: Dense::random(hidden, hidden, generator),
            gate: Dense::random(hidden, hidden, generator),
            // All groups count the same at first.
            score: Dense::zeros(hidden, 1),
        }
    }

    /// The groups' encodings of a row, drawn together; `is_present` says which groups it has.
    pub(super) fn pooled(&self, joined: &[f32], is_present: &[bool]) -> Vec<f32> {
        let hidden = self.content.inputs;
        let encodings: Vec<&[f32]> = joined.chunks_exact(hidden).collect();
        let scores: Vec<f32> = encodings
            .iter()
            .zip(is_present)
            .map(|(encoding, is_present)| {
                if !is_present {
                    return f32::NEG_INFINITY;
                }
                let content = self.content.apply(encoding).into_iter();
                let gates = self.gate.apply(encoding).into_iter();
                let gated = content.zip(gates);
                let gated: Vec<f32> = gated
                    .map(|(x, gate)| x.tanh() / (1.0 + (-gate).exp()))
                    .collect();
                self.score.apply(&gated)[0]
            })
            .collect();
        let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut pooled = vec![0.0; hidden];
        if most == f32::NEG_INFINITY {
            return pooled;
        }
        let parts: Vec<f32> = scores.iter().map(|score| (score - most).exp()).collect();
        let whole: f32 = parts.iter().sum();
        for (encoding, part) in encodings.iter().zip(&parts) {
            for (sum, value) in pooled.iter_mut().zip(*encoding) {
                *sum += part / whole * value;
            }
        }
        pooled
    }

    /// Its layers with their names.
    pub(super) fn layers_mut(&mut self) -> [(&'static str, &mut Dense); 3] {
        [
            ("attention.content", &mut self.content),
            ("attention.gate", &mut self.gate),
            ("attention.score", &mut self.score),
        ]
    }
}

/// Whether a row has something to say in a group: the columns of a block that it lacks are zero, but
/// for the last one where that says so itself.
pub(super) fn is_present(columns: &[f32]) -> bool {
    let values = (columns.len() - 1).max(1);
    columns[..values].iter().any(|value| *value != 0.0)
}

/// The same as a Burn module.
#[derive(Module, Debug)]
pub(super) struct GatedAttention {
    content: Linear,
    gate: Linear,
    score: Linear,
}

impl GatedAttention {
    /// The groups' encodings with what they come to, drawn together.
    ///
    /// # Shapes
    ///
    /// - joined: `[batch, groups × hidden]`
    /// - present: `[batch, groups]`, 1 or 0
    /// - output: `[batch, groups × hidden + hidden]`
    pub(super) fn forward(&self, joined: Tensor<2>, present: Tensor<2>) -> Tensor<2> {
        let [batch, groups] = present.dims();
        let hidden = joined.dims()[1] / groups;
        let encodings: Tensor<3> = joined.clone().reshape([batch, groups, hidden]);
        let content = tanh(self.content.forward(encodings.clone()));
        let gated = content * sigmoid(self.gate.forward(encodings.clone()));
        let scores: Tensor<2> = self.score.forward(gated).reshape([batch, groups]);
        // What is absent is far below all others, and then nothing.
        let scores = scores + (present.clone() - 1.0) * 1e9;
        let most = scores.clone().max_dim(1).detach();
        let parts = (scores - most).exp() * present;
        let whole = parts.clone().sum_dim(1).clamp_min(1e-9);
        let shares: Tensor<3> = (parts / whole).reshape([batch, groups, 1]);
        let pooled: Tensor<2> = (encodings * shares).sum_dim(1).reshape([batch, hidden]);
        Tensor::cat(vec![joined, pooled], 1)
    }

    pub(super) fn from_plain(plain: &Attention, device: &Device) -> Self {
        Self {
            content: linear(&plain.content, device),
            gate: linear(&plain.gate, device),
            score: linear(&plain.score, device),
        }
    }

    pub(super) fn to_plain(&self) -> Attention {
        Attention {
            content: dense(&self.content),
            gate: dense(&self.gate),
            score: dense(&self.score),
        }
    }
}
