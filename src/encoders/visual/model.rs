//! The network: patches of a picture become tokens between a text's first token and the others.

use burn::{
    module::Module,
    nn::Linear,
    tensor::{Device, Tensor},
};

use crate::encoders::{bert::Bert, eva::Eva};

/// A text model that sees.
#[derive(Module, Debug)]
pub(super) struct Visual {
    /// Reads tokens, of texts and of pictures.
    pub(super) text: Bert,
    /// Patches → vectors.
    pub(super) tower: Eva,
    /// These vectors → tokens of the text model.
    pub(super) projection: Linear,
    /// How many patches a picture has.
    #[module(skip)]
    pub(super) patches: usize,
    /// Height and width of the pictures that it sees, in pixels.
    #[module(skip)]
    pub(super) size: [usize; 2],
}

impl Visual {
    /// The vectors of texts alone: the state of their first token.
    ///
    /// # Shapes
    /// - rows: token ids, each of the same number
    /// - output: `[rows, 1, hidden]`
    pub(super) fn texts(&self, rows: &[&[u32]], device: &Device) -> Tensor<3> {
        self.text.forward(rows, device).narrow(1, 0, 1)
    }

    /// The vectors of pictures with a text each, which may be empty.
    ///
    /// The patches stand behind the text's first token, at the positions 1, 2, …; the rest of the
    /// text follows. The tower's own first token is not used, nor is its last normalisation.
    ///
    /// Source: `encode_mm` of `FlagEmbedding`'s `visual_bge/modeling.py`.
    ///
    /// # Shapes
    /// - pixels: `[rows, 3, height, width]`
    /// - rows: token ids, each of the same number
    /// - output: `[rows, 1, hidden]`
    pub(super) fn pairs(&self, pixels: Tensor<4>, rows: &[&[u32]], device: &Device) -> Tensor<3> {
        let seen = self.tower.tokens(pixels).narrow(1, 1, self.patches);
        let seen = self.text.embed_vectors(self.projection.forward(seen), 1);
        let tokens = rows.first().map_or(0, |row| row.len());
        // The patches take the positions between.
        let behind = (1..tokens).map(|place| place + self.patches);
        let places: Vec<u32> = std::iter::once(0)
            .chain(behind)
            .filter_map(|place| u32::try_from(place).ok())
            .collect();
        let said = self.text.embed_at(rows, &places, device);
        let first = said.clone().narrow(1, 0, 1);
        let rest = said.narrow(1, 1, tokens - 1);
        let all = Tensor::cat(vec![first, seen, rest], 1);
        self.text.encode(all).narrow(1, 0, 1)
    }
}
