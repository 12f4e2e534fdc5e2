//! The network, from token ids down to the last hidden states.

use burn::{
    module::Module,
    nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{Device, Int, Tensor, TensorData},
};

use super::config::BertConfig;
use crate::encoders::{activation::Activation, attention::attention};

/// BERT without the heads of its training tasks.
#[derive(Module, Debug)]
pub(in crate::encoders) struct Bert {
    /// Token ids → vectors.
    embeddings: Embeddings,
    /// The layers.
    encoder: Encoder,
}

/// Token ids → vectors.
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of the weights"
)]
#[derive(Module, Debug)]
struct Embeddings {
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    token_type_embeddings: Embedding,
    layer_norm: LayerNorm,
    /// The padding token from which on positions are counted, where it is not from zero.
    #[module(skip)]
    padding: Option<u32>,
}

/// The layers, under the checkpoint's name.
#[derive(Module, Debug)]
struct Encoder {
    layer: Vec<Layer>,
}

/// One layer: attention, then the feed-forward block; each is added to its input and normalised.
#[derive(Module, Debug)]
struct Layer {
    attention: SelfAttention,
    intermediate: Intermediate,
    output: Output,
}

/// Attention of each token to all of its row.
#[derive(Module, Debug)]
struct SelfAttention {
    heads: Heads,
    output: Output,
}

/// The three projections of attention.
#[derive(Module, Debug)]
struct Heads {
    query: Linear,
    key: Linear,
    value: Linear,
    #[module(skip)]
    count: usize,
}

/// The widening half of the feed-forward block.
#[derive(Module, Debug)]
struct Intermediate {
    dense: Linear,
    #[module(skip)]
    activation: Activation,
}

/// A projection that is added to a residual and normalised.
#[derive(Module, Debug)]
struct Output {
    dense: Linear,
    layer_norm: LayerNorm,
}

impl BertConfig {
    /// The network with weights that wait to be loaded.
    pub(in crate::encoders) fn init(&self, device: &Device) -> Bert {
        let embedding = |count| EmbeddingConfig::new(count, self.hidden_size).init(device);
        Bert {
            embeddings: Embeddings {
                word_embeddings: embedding(self.vocab_size),
                position_embeddings: embedding(self.max_position_embeddings),
                token_type_embeddings: embedding(self.type_vocab_size),
                layer_norm: self.layer_norm(device),
                padding: self.padding(),
            },
            encoder: Encoder {
                layer: (0..self.num_hidden_layers)
                    .map(|_| self.layer(device))
                    .collect(),
            },
        }
    }

    fn layer(&self, device: &Device) -> Layer {
        let square = || LinearConfig::new(self.hidden_size, self.hidden_size).init(device);
        Layer {
            attention: SelfAttention {
                heads: Heads {
                    query: square(),
                    key: square(),
                    value: square(),
                    count: self.num_attention_heads,
                },
                output: Output {
                    dense: square(),
                    layer_norm: self.layer_norm(device),
                },
            },
            intermediate: Intermediate {
                dense: LinearConfig::new(self.hidden_size, self.intermediate_size).init(device),
                // Checked when the file was read.
                activation: self.activation().unwrap_or(Activation::Gelu),
            },
            output: Output {
                dense: LinearConfig::new(self.intermediate_size, self.hidden_size).init(device),
                layer_norm: self.layer_norm(device),
            },
        }
    }

    fn layer_norm(&self, device: &Device) -> LayerNorm {
        LayerNormConfig::new(self.hidden_size)
            .with_epsilon(self.layer_norm_eps)
            .init(device)
    }
}

impl Bert {
    /// The last hidden states of rows of one length.
    ///
    /// Without padding there is nothing to mask. The rows' tokens run through the dense layers as
    /// one matrix, so that the weights are read once for all of them.
    ///
    /// # Shapes
    /// - rows: each of the same number of tokens
    /// - output: `[rows, tokens, hidden]`
    pub(in crate::encoders) fn forward(&self, rows: &[&[u32]], device: &Device) -> Tensor<3> {
        self.encode(self.embeddings.forward(rows, device))
    }

    /// The last hidden states of rows whose tokens are vectors already.
    ///
    /// # Shapes
    /// - embedded, output: `[rows, tokens, hidden]`
    pub(in crate::encoders) fn encode(&self, embedded: Tensor<3>) -> Tensor<3> {
        let [rows, tokens, hidden] = embedded.dims();
        let mut states = embedded.reshape([rows * tokens, hidden]);
        for layer in &self.encoder.layer {
            states = layer.forward(states, rows);
        }
        states.reshape([rows, tokens, hidden])
    }
}

impl Bert {
    /// The vectors of tokens that stand at `places`, raw indices into the table.
    ///
    /// # Shapes
    /// - rows: each of as many tokens as there are places
    /// - output: `[rows, tokens, hidden]`
    pub(in crate::encoders) fn embed_at(
        &self,
        rows: &[&[u32]],
        places: &[u32],
        device: &Device,
    ) -> Tensor<3> {
        let positions = &self.embeddings.position_embeddings;
        let positions = positions.forward(ids(&[places], device));
        self.embeddings.with_words(rows, positions, device)
    }

    /// Vectors that come from elsewhere as tokens, which stand at `first` and behind.
    ///
    /// # Shapes
    /// - vectors, output: `[rows, tokens, hidden]`
    pub(in crate::encoders) fn embed_vectors(&self, vectors: Tensor<3>, first: usize) -> Tensor<3> {
        let [_, tokens, _] = vectors.dims();
        let table = self.embeddings.position_embeddings.weight.val();
        let positions = table.narrow(0, first, tokens).unsqueeze();
        self.embeddings.layer_norm.forward(vectors + positions)
    }
}

impl Embeddings {
    /// # Shapes
    /// - rows: each of the same number of tokens
    /// - output: `[rows, tokens, hidden]`
    fn forward(&self, rows: &[&[u32]], device: &Device) -> Tensor<3> {
        self.with_words(rows, self.positions(rows, device), device)
    }

    /// # Shapes
    /// - rows: each of the same number of tokens
    /// - positions: `[rows or 1, tokens, hidden]`
    /// - output: `[rows, tokens, hidden]`
    fn with_words(&self, rows: &[&[u32]], positions: Tensor<3>, device: &Device) -> Tensor<3> {
        let words = self.word_embeddings.forward(ids(rows, device));
        // Every token has the first type: a text has no second sentence.
        let kind = self.token_type_embeddings.weight.val().narrow(0, 0, 1);
        self.layer_norm
            .forward((words + kind.unsqueeze()) + positions)
    }

    /// The vectors of the tokens' places.
    ///
    /// # Shapes
    /// - output: `[rows or 1, tokens, hidden]`
    fn positions(&self, rows: &[&[u32]], device: &Device) -> Tensor<3> {
        let tokens = rows.first().map_or(0, |row| row.len());
        let first = match self.padding {
            None => 0,
            // A text may hold the padding token itself: it has no place of its own, and those
            // behind it move up.
            Some(padding) if rows.iter().any(|row| row.contains(&padding)) => {
                let places: Vec<Vec<u32>> = rows.iter().map(|row| places(row, padding)).collect();
                let places: Vec<&[u32]> = places.iter().map(Vec::as_slice).collect();
                return self.position_embeddings.forward(ids(&places, device));
            }
            Some(padding) => padding as usize + 1,
        };
        let table = self.position_embeddings.weight.val();
        table.narrow(0, first, tokens).unsqueeze()
    }
}

/// The places of a row's tokens as `RoBERTa` counts them: from behind the padding token's id, which
/// stands for no place.
fn places(row: &[u32], padding: u32) -> Vec<u32> {
    let mut count = 0;
    let place = |id: &u32| {
        if *id == padding {
            padding
        } else {
            count += 1;
            padding + count
        }
    };
    row.iter().map(place).collect()
}

/// Rows of one length as a tensor.
///
/// # Shapes
/// - output: `[rows, tokens]`
fn ids(rows: &[&[u32]], device: &Device) -> Tensor<2, Int> {
    let tokens = rows.first().map_or(0, |row| row.len());
    let flat: Vec<i64> = rows
        .iter()
        .copied()
        .flatten()
        .map(|id| i64::from(*id))
        .collect();
    Tensor::from_data(TensorData::new(flat, [rows.len(), tokens]), device)
}

impl Layer {
    /// # Shapes
    /// - states, output: `[rows * tokens, hidden]`
    fn forward(&self, states: Tensor<2>, rows: usize) -> Tensor<2> {
        let states = self.attention.forward(states, rows);
        let wide = self.intermediate.forward(states.clone());
        self.output.forward(wide, states)
    }
}

impl SelfAttention {
    /// # Shapes
    /// - states, output: `[rows * tokens, hidden]`
    fn forward(&self, states: Tensor<2>, rows: usize) -> Tensor<2> {
        let [all, hidden] = states.dims();
        let count = self.heads.count;
        let split = |dense: &Linear| {
            dense
                .forward(states.clone())
                .reshape([rows, all / rows, count, hidden / count])
                .swap_dims(1, 2)
        };
        let Heads {
            query, key, value, ..
        } = &self.heads;
        let seen = attention(split(query), split(key), split(value), None);
        self.output
            .forward(seen.swap_dims(1, 2).reshape([all, hidden]), states)
    }
}

impl Intermediate {
    /// # Shapes
    /// - states: `[all, hidden]`
    /// - output: `[all, intermediate]`
    fn forward(&self, states: Tensor<2>) -> Tensor<2> {
        self.activation.apply(self.dense.forward(states))
    }
}

impl Output {
    /// # Shapes
    /// - states: `[all, inner]`
    /// - residual, output: `[all, hidden]`
    fn forward(&self, states: Tensor<2>, residual: Tensor<2>) -> Tensor<2> {
        self.layer_norm
            .forward(self.dense.forward(states) + residual)
    }
}
