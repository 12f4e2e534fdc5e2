//! The decoder: tokens, and what a picture shows → scores of the next token.

use burn::{
    module::{Initializer, Module, Param},
    nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{DType, Device, Int, Tensor, TensorData},
};

use super::config::TextConfig;
use crate::encoders::{
    activation::Activation,
    attention::split,
    generation::{Attended, Cache, Step},
};

/// The decoder, under the names of transformers' `BlipTextLMHeadModel`.
#[derive(Module, Debug)]
pub(in crate::encoders) struct Text {
    bert: Bert,
    cls: Heading,
}

#[derive(Module, Debug)]
struct Bert {
    embeddings: Embeddings,
    encoder: Layers,
}

/// Tokens → vectors.
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of the weights"
)]
#[derive(Module, Debug)]
struct Embeddings {
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    layer_norm: LayerNorm,
}

/// The layers, under the checkpoint's name.
#[derive(Module, Debug)]
struct Layers {
    layer: Vec<Layer>,
}

/// One layer: attention to the tokens so far, attention to the picture, then the widening.
#[derive(Module, Debug)]
struct Layer {
    attention: Attention,
    crossattention: Attention,
    intermediate: Dense,
    output: Output,
}

#[derive(Module, Debug)]
struct Attention {
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

#[derive(Module, Debug)]
struct Dense {
    dense: Linear,
}

/// A projection that is added to its residual and normalised.
#[derive(Module, Debug)]
struct Output {
    dense: Linear,
    layer_norm: LayerNorm,
}

/// Vectors → scores, under the checkpoint's names.
#[derive(Module, Debug)]
struct Heading {
    predictions: Predictions,
}

#[derive(Module, Debug)]
struct Predictions {
    transform: Output,
    /// There where `decoder` has none.
    bias: Option<Param<Tensor<1>>>,
    decoder: Decoder,
    #[module(skip)]
    activation: Activation,
}

/// What checkpoints leave out where it is the words' vectors and `predictions.bias`.
#[derive(Module, Debug)]
struct Decoder {
    weight: Option<Param<Tensor<2>>>,
    bias: Option<Param<Tensor<1>>>,
}

/// Which tensors a checkpoint has of its own that others share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    pub weight: bool,
    pub bias: bool,
}

impl TextConfig {
    /// The decoder with weights that wait to be loaded; `seen` is the length of the picture's
    /// vectors.
    pub(super) fn init(&self, seen: usize, own: Own, device: &Device) -> Result<Text, String> {
        let width = self.hidden_size;
        let norm = || {
            LayerNormConfig::new(width)
                .with_epsilon(self.layer_norm_eps)
                .init(device)
        };
        let linear = |from, to| LinearConfig::new(from, to).init(device);
        let output = |from| Output {
            dense: linear(from, width),
            layer_norm: norm(),
        };
        let attention = |from| Attention {
            heads: Heads {
                query: linear(width, width),
                key: linear(from, width),
                value: linear(from, width),
                count: self.num_attention_heads,
            },
            output: output(width),
        };
        let embedding = |count| EmbeddingConfig::new(count, width).init(device);
        let biases =
            |there: bool| there.then(|| Initializer::Zeros.init::<1, _>([self.vocab_size], device));
        Ok(Text {
            bert: Bert {
                embeddings: Embeddings {
                    word_embeddings: embedding(self.vocab_size),
                    position_embeddings: embedding(self.max_position_embeddings),
                    layer_norm: norm(),
                },
                encoder: Layers {
                    layer: (0..self.num_hidden_layers)
                        .map(|_| Layer {
                            attention: attention(width),
                            crossattention: attention(seen),
                            intermediate: Dense {
                                dense: linear(width, self.intermediate_size),
                            },
                            output: output(self.intermediate_size),
                        })
                        .collect(),
                },
            },
            cls: Heading {
                predictions: Predictions {
                    transform: output(width),
                    bias: biases(!own.bias),
                    decoder: Decoder {
                        weight: own
                            .weight
                            .then(|| Initializer::Zeros.init([self.vocab_size, width], device)),
                        bias: biases(own.bias),
                    },
                    activation: self.activation()?,
                },
            },
        })
    }
}

impl Text {
    /// A cache with what the layers read of pictures.
    ///
    /// # Shapes
    /// - seen: `[pictures, seen, width of the tower]`
    pub(in crate::encoders) fn look(&self, seen: &Tensor<3>) -> Cache {
        let [pictures, ..] = seen.dims();
        let layers = self.bert.encoder.layer.iter().map(|layer| {
            let heads = &layer.crossattention.heads;
            [&heads.key, &heads.value].map(|dense| split(dense.forward(seen.clone()), heads.count))
        });
        Cache::new(pictures, layers.collect())
    }

    /// The scores of the token behind each row's last.
    ///
    /// # Shapes
    /// - output: `[rows, words]`
    pub(super) fn forward(&self, step: Step<'_>, cache: &mut Cache, device: &Device) -> Tensor<2> {
        let rows = step.parents.len();
        let states = self.states(step, cache, device);
        let [_, tokens, width] = states.dims();
        let last = states.narrow(1, tokens - 1, 1).reshape([rows, width]);
        self.scores(last)
    }

    /// # Shapes
    /// - output: `[rows, tokens of the step, width]`
    pub(in crate::encoders) fn states(
        &self,
        step: Step<'_>,
        cache: &mut Cache,
        device: &Device,
    ) -> Tensor<3> {
        cache.follow(step, device);
        let rows = step.parents.len();
        let tokens = step.tokens.len() / rows;
        let ids: Vec<i64> = step.tokens.iter().map(|id| i64::from(*id)).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [rows, tokens]), device);
        let mut states = self.bert.embeddings.forward(ids, cache.tokens);
        let pictures = cache.pictures();
        for (layer, attended) in self.bert.encoder.layer.iter().zip(&mut cache.layers) {
            states = layer.forward(states, attended, pictures, self.cls.predictions.activation);
        }
        cache.tokens += tokens;
        states
    }

    /// Scores are f32, whatever flows through the layers.
    ///
    /// # Shapes
    /// - states: `[rows, width]`
    /// - output: `[rows, words]`
    pub(in crate::encoders) fn scores(&self, states: Tensor<2>) -> Tensor<2> {
        let Predictions {
            transform,
            bias,
            decoder,
            activation,
        } = &self.cls.predictions;
        let states = transform.dense.forward(states.cast(DType::F32));
        let states = activation.apply(states);
        let states = transform.layer_norm.forward(states);
        let words = match &decoder.weight {
            Some(own) => own.val(),
            None => self.bert.embeddings.word_embeddings.weight.val(),
        };
        let bias = decoder.bias.as_ref().or(bias.as_ref());
        let scores = states.matmul(words.transpose());
        match bias {
            Some(bias) => scores + bias.val().unsqueeze(),
            None => scores,
        }
    }
}

impl Embeddings {
    /// # Shapes
    /// - ids: `[rows, tokens]`, which stand behind `before` others
    /// - output: `[rows, tokens, width]`
    fn forward(&self, ids: Tensor<2, Int>, before: usize) -> Tensor<3> {
        let [_, tokens] = ids.dims();
        let positions = self.position_embeddings.weight.val();
        let positions = positions.narrow(0, before, tokens).unsqueeze();
        let words = self.word_embeddings.forward(ids).cast(positions.dtype());
        self.layer_norm.forward(words + positions)
    }
}

impl Layer {
    /// # Shapes
    /// - states, output: `[rows, tokens, width]`
    fn forward(
        &self,
        states: Tensor<3>,
        attended: &mut Attended,
        pictures: usize,
        activation: Activation,
    ) -> Tensor<3> {
        let heads = &self.attention.heads;
        let part = |dense: &Linear| dense.forward(states.clone());
        let (query, key, value) = (part(&heads.query), part(&heads.key), part(&heads.value));
        let seen = attended.read(query, key, value, heads.count);
        let states = self.attention.output.forward(seen, states);
        let heads = &self.crossattention.heads;
        let query = heads.query.forward(states.clone());
        let seen = attended.look(query, heads.count, pictures);
        let states = self.crossattention.output.forward(seen, states);
        let wide = self.intermediate.dense.forward(states.clone());
        self.output.forward(activation.apply(wide), states)
    }
}

impl Output {
    /// # Shapes
    /// - states: `[rows, tokens, inner]`
    /// - residual, output: `[rows, tokens, width]`
    fn forward(&self, states: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        self.layer_norm
            .forward(self.dense.forward(states) + residual)
    }
}
