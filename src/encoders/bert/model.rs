//! The network, from token ids down to the last hidden states.

use burn::{
    module::Module,
    nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{Device, Int, Tensor, activation},
};

use super::config::BertConfig;
use crate::encoders::attention::attention;

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

/// The activation functions that checkpoints name.
#[derive(Clone, Copy, Debug)]
enum Activation {
    Gelu,
    GeluTanh,
    Relu,
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
                activation: match self.hidden_act.as_str() {
                    "relu" => Activation::Relu,
                    "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluTanh,
                    _ => Activation::Gelu,
                },
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
    /// - ids: `[rows, tokens]`, at least two tokens
    /// - output: `[rows, tokens, hidden]`
    pub(in crate::encoders) fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [rows, tokens] = ids.dims();
        let embedded = self.embeddings.forward(ids);
        let [_, _, hidden] = embedded.dims();
        let mut states = embedded.reshape([rows * tokens, hidden]);
        for layer in &self.encoder.layer {
            states = layer.forward(states, rows);
        }
        states.reshape([rows, tokens, hidden])
    }
}

impl Embeddings {
    /// # Shapes
    /// - ids: `[rows, tokens]`
    /// - output: `[rows, tokens, hidden]`
    fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [_, tokens] = ids.dims();
        let positions = self.position_embeddings.weight.val().narrow(0, 0, tokens);
        // Every token has the first type: a text has no second sentence.
        let kind = self.token_type_embeddings.weight.val().narrow(0, 0, 1);
        let words = self.word_embeddings.forward(ids);
        self.layer_norm
            .forward((words + kind.unsqueeze()) + positions.unsqueeze())
    }
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
        let wide = self.dense.forward(states);
        match self.activation {
            Activation::Gelu => activation::gelu(wide),
            Activation::GeluTanh => activation::gelu_approximate(wide),
            Activation::Relu => activation::relu(wide),
        }
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
