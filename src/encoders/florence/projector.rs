//! What the tower saw → vectors among those of words.

use burn::{
    module::{Initializer, Module, Param},
    nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{Device, Tensor},
};

use super::config::VisionConfig;

/// The projection, under the names of transformers' `Florence2MultiModalProjector`.
#[derive(Module, Debug)]
pub(super) struct Projector {
    image_projection: Linear,
    image_proj_norm: LayerNorm,
    image_position_embed: Places,
    visual_temporal_embed: Times,
}

/// A vector for each row and each column.
#[derive(Module, Debug)]
struct Places {
    row_embeddings: Embedding,
    column_embeddings: Embedding,
}

/// A vector for each of several pictures that come one after the other; one has the first.
#[derive(Module, Debug)]
struct Times {
    pos_idx_to_embed: Param<Tensor<2>>,
}

impl VisionConfig {
    /// The projection with weights that wait to be loaded.
    pub(super) fn init_projector(&self, device: &Device) -> Projector {
        let (from, to) = (self.width(), self.projection_dim);
        let places = |width| EmbeddingConfig::new(self.max_position_embeddings, width).init(device);
        Projector {
            image_projection: LinearConfig::new(from, to).with_bias(false).init(device),
            image_proj_norm: LayerNormConfig::new(to).init(device),
            image_position_embed: Places {
                row_embeddings: places(from / 2),
                column_embeddings: places(from - from / 2),
            },
            visual_temporal_embed: Times {
                pos_idx_to_embed: Initializer::Zeros
                    .init([self.max_temporal_embeddings, from], device),
            },
        }
    }
}

impl Projector {
    /// The mean of all vectors, and each of them.
    ///
    /// # Shapes
    /// - seen: `[pictures, width of the tower, high, wide]`
    /// - output: `[pictures, 1 + high * wide, width of the words]`
    pub(super) fn forward(&self, seen: Tensor<4>) -> Tensor<3> {
        let [pictures, width, high, wide] = seen.dims();
        let places = &self.image_position_embed;
        let table = |table: &Embedding, count| table.weight.val().narrow(0, 0, count);
        let columns = table(&places.column_embeddings, wide);
        let rows = table(&places.row_embeddings, high);
        let ([_, across], [_, down]) = (columns.dims(), rows.dims());
        let places = Tensor::cat(
            vec![
                columns
                    .reshape([1, wide, across])
                    .expand([high, wide, across]),
                rows.reshape([high, 1, down]).expand([high, wide, down]),
            ],
            2,
        );
        let time = self.visual_temporal_embed.pos_idx_to_embed.val();
        let time = time.narrow(0, 0, 1).reshape([1, 1, width]);
        let tokens = seen.reshape([pictures, width, high * wide]).swap_dims(1, 2);
        let tokens = tokens + places.reshape([1, high * wide, width]) + time;
        let mean = tokens.clone().mean_dim(1);
        let tokens = Tensor::cat(vec![mean, tokens], 1);
        self.image_proj_norm
            .forward(self.image_projection.forward(tokens))
    }
}
