//! The language model, BART: an encoder of pictures and a question, and a decoder of the answer.

use burn::{
    module::{Initializer, Module, Param},
    nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{DType, Device, Int, Tensor, TensorData},
};

use super::config::TextConfig;
use crate::encoders::{
    activation::Activation,
    attention::{attention, join, split},
    generation::{Attended, Cache, Step},
};

/// Positions are counted from here on.
///
/// Source: `BartLearnedPositionalEmbedding` of transformers' `modeling_bart.py`.
const FIRST_POSITION: usize = 2;

/// The model, under the names of transformers' `BartModel`.
#[derive(Module, Debug)]
pub(super) struct Language {
    shared: Embedding,
    encoder: Encoder,
    decoder: Decoder,
    /// What words' vectors are multiplied by.
    #[module(skip)]
    scale: f64,
    #[module(skip)]
    activation: Activation,
}

#[derive(Module, Debug)]
struct Encoder {
    embed_positions: Embedding,
    layernorm_embedding: LayerNorm,
    layers: Vec<EncoderLayer>,
}

#[derive(Module, Debug)]
struct Decoder {
    /// There where it is not the words' own.
    embed_tokens: Words,
    embed_positions: Embedding,
    layernorm_embedding: LayerNorm,
    layers: Vec<DecoderLayer>,
}

/// What checkpoints leave out where it is the words' vectors.
#[derive(Module, Debug)]
pub(super) struct Words {
    weight: Option<Param<Tensor<2>>>,
}

#[derive(Module, Debug)]
struct EncoderLayer {
    self_attn: Attention,
    self_attn_layer_norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    final_layer_norm: LayerNorm,
}

#[derive(Module, Debug)]
struct DecoderLayer {
    self_attn: Attention,
    self_attn_layer_norm: LayerNorm,
    encoder_attn: Attention,
    encoder_attn_layer_norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    final_layer_norm: LayerNorm,
}

#[derive(Module, Debug)]
struct Attention {
    k_proj: Linear,
    v_proj: Linear,
    q_proj: Linear,
    out_proj: Linear,
    #[module(skip)]
    heads: usize,
}

impl TextConfig {
    /// The model with weights that wait to be loaded; `own` where the decoder has its own words.
    pub(super) fn init(&self, own: bool, device: &Device) -> Result<Language, String> {
        let width = self.d_model;
        let linear = |from, to| LinearConfig::new(from, to).init(device);
        let norm = || LayerNormConfig::new(width).init(device);
        let attention = |heads| Attention {
            k_proj: linear(width, width),
            v_proj: linear(width, width),
            q_proj: linear(width, width),
            out_proj: linear(width, width),
            heads,
        };
        let positions = || {
            let count = self.max_position_embeddings + FIRST_POSITION;
            EmbeddingConfig::new(count, width).init(device)
        };
        Ok(Language {
            shared: EmbeddingConfig::new(self.vocab_size, width).init(device),
            encoder: Encoder {
                embed_positions: positions(),
                layernorm_embedding: norm(),
                layers: (0..self.encoder_layers)
                    .map(|_| EncoderLayer {
                        self_attn: attention(self.encoder_attention_heads),
                        self_attn_layer_norm: norm(),
                        fc1: linear(width, self.encoder_ffn_dim),
                        fc2: linear(self.encoder_ffn_dim, width),
                        final_layer_norm: norm(),
                    })
                    .collect(),
            },
            decoder: Decoder {
                embed_tokens: self.words(own, device),
                embed_positions: positions(),
                layernorm_embedding: norm(),
                layers: (0..self.decoder_layers)
                    .map(|_| DecoderLayer {
                        self_attn: attention(self.decoder_attention_heads),
                        self_attn_layer_norm: norm(),
                        encoder_attn: attention(self.decoder_attention_heads),
                        encoder_attn_layer_norm: norm(),
                        fc1: linear(width, self.decoder_ffn_dim),
                        fc2: linear(self.decoder_ffn_dim, width),
                        final_layer_norm: norm(),
                    })
                    .collect(),
            },
            scale: if self.scale_embedding {
                (width as f64).sqrt()
            } else {
                1.0
            },
            activation: self.activation()?,
        })
    }

    /// Vectors of words that wait to be loaded, or none.
    pub(super) fn words(&self, own: bool, device: &Device) -> Words {
        Words {
            weight: own.then(|| Initializer::Zeros.init([self.vocab_size, self.d_model], device)),
        }
    }
}

impl Words {
    /// These, or those of the model.
    ///
    /// # Shapes
    /// - output: `[words, width]`
    fn or(&self, shared: &Embedding) -> Tensor<2> {
        let own = self.weight.as_ref().map(Param::val);
        own.unwrap_or_else(|| shared.weight.val())
    }
}

impl Language {
    /// The vectors of tokens, before their places are added.
    ///
    /// # Shapes
    /// - output: `[1, tokens, width]`
    pub(super) fn embed(&self, tokens: &[u32], device: &Device) -> Tensor<3> {
        let ids = ids(tokens, 1, device);
        let numbers = self.encoder.embed_positions.weight.dtype();
        (self.shared.forward(ids) * self.scale).cast(numbers)
    }

    /// What the decoder looks at.
    ///
    /// # Shapes
    /// - embedded, output: `[pictures, tokens, width]`
    pub(super) fn read(&self, embedded: Tensor<3>) -> Tensor<3> {
        let encoder = &self.encoder;
        let mut states = placed(
            embedded,
            0,
            &encoder.embed_positions,
            &encoder.layernorm_embedding,
        );
        for layer in &encoder.layers {
            let Attention {
                k_proj,
                v_proj,
                q_proj,
                out_proj,
                heads,
            } = &layer.self_attn;
            let part = |dense: &Linear| split(dense.forward(states.clone()), *heads);
            let seen = join(attention(part(q_proj), part(k_proj), part(v_proj), None));
            let norm = &layer.self_attn_layer_norm;
            states = norm.forward(states + out_proj.forward(seen));
            let wide = self.activation.apply(layer.fc1.forward(states.clone()));
            states = layer
                .final_layer_norm
                .forward(states + layer.fc2.forward(wide));
        }
        states
    }

    /// A cache with what the layers read of pictures.
    ///
    /// # Shapes
    /// - states: `[pictures, tokens, width]`
    pub(super) fn look(&self, states: &Tensor<3>) -> Cache {
        let [pictures, ..] = states.dims();
        let layers = self.decoder.layers.iter().map(|layer| {
            let attention = &layer.encoder_attn;
            [&attention.k_proj, &attention.v_proj]
                .map(|dense| split(dense.forward(states.clone()), attention.heads))
        });
        Cache::new(pictures, layers.collect())
    }

    /// The decoder's states of the tokens of a step.
    ///
    /// # Shapes
    /// - output: `[rows, tokens of the step, width]`
    pub(super) fn states(&self, step: Step<'_>, cache: &mut Cache, device: &Device) -> Tensor<3> {
        cache.follow(step, device);
        let decoder = &self.decoder;
        let ids = ids(step.tokens, step.parents.len(), device);
        let [rows, tokens] = ids.dims();
        let words = decoder.embed_tokens.or(&self.shared);
        let [_, width] = words.dims();
        let embedded = words.select(0, ids.reshape([rows * tokens]));
        let mut states = placed(
            embedded.reshape([rows, tokens, width]) * self.scale,
            cache.tokens,
            &decoder.embed_positions,
            &decoder.layernorm_embedding,
        );
        let pictures = cache.pictures();
        for (layer, attended) in decoder.layers.iter().zip(&mut cache.layers) {
            states = layer.forward(states, attended, pictures, self.activation);
        }
        cache.tokens += tokens;
        states
    }

    /// Scores are f32, whatever flows through the layers.
    ///
    /// # Shapes
    /// - states: `[rows, width]`
    /// - output: `[rows, words]`
    pub(super) fn scores(&self, states: Tensor<2>, head: &Words) -> Tensor<2> {
        let states = states.cast(DType::F32);
        states.matmul(head.or(&self.shared).transpose())
    }
}

impl DecoderLayer {
    /// # Shapes
    /// - states, output: `[rows, tokens, width]`
    fn forward(
        &self,
        states: Tensor<3>,
        attended: &mut Attended,
        pictures: usize,
        activation: Activation,
    ) -> Tensor<3> {
        let own = &self.self_attn;
        let part = |dense: &Linear| dense.forward(states.clone());
        let (query, key, value) = (part(&own.q_proj), part(&own.k_proj), part(&own.v_proj));
        let seen = attended.read(query, key, value, own.heads);
        let states = self
            .self_attn_layer_norm
            .forward(states + own.out_proj.forward(seen));
        let shown = &self.encoder_attn;
        let query = shown.q_proj.forward(states.clone());
        let seen = attended.look(query, shown.heads, pictures);
        let states = self
            .encoder_attn_layer_norm
            .forward(states + shown.out_proj.forward(seen));
        let wide = activation.apply(self.fc1.forward(states.clone()));
        self.final_layer_norm
            .forward(states + self.fc2.forward(wide))
    }
}

/// Vectors that know their places, normalised.
///
/// # Shapes
/// - embedded: `[rows, tokens, width]`, which stand behind `before` others
/// - output: `[rows, tokens, width]`
fn placed(embedded: Tensor<3>, before: usize, places: &Embedding, norm: &LayerNorm) -> Tensor<3> {
    let [_, tokens, _] = embedded.dims();
    let places = places.weight.val();
    let places = places.narrow(0, FIRST_POSITION + before, tokens);
    norm.forward(embedded.cast(places.dtype()) + places.unsqueeze())
}

/// # Shapes
/// - output: `[rows, tokens]`
fn ids(tokens: &[u32], rows: usize, device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i64> = tokens.iter().map(|id| i64::from(*id)).collect();
    let shape = [rows, ids.len() / rows];
    Tensor::from_data(TensorData::new(ids, shape), device)
}
