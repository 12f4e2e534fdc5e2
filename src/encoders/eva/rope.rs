//! Rotary positions of patches: each pair of numbers of a query or key is turned by an angle that
//! grows with the patch's row or column.
//!
//! Source: `RotaryEmbeddingCat` of timm's `layers/pos_embed_sincos.py`, and the same in
//! EVA-CLIP's `rope.py`; Su et al., "`RoFormer`" (2021).

use burn::tensor::{Device, Tensor, TensorData};

/// How the angles are made.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::encoders) struct Angles {
    /// The rows and columns on which the model was trained first: positions are stretched to these.
    pub stretched_to: Option<[f32; 2]>,
    /// What is added to each position.
    pub offset: f32,
    /// How much slower the last pair turns than the first.
    pub temperature: f32,
    /// Columns come before rows.
    pub columns_first: bool,
    /// Pairs are of numbers that lie half a vector apart, not side by side.
    pub halves: bool,
}

/// The turns of all tokens; those before the patches are not turned.
#[derive(Clone, Debug)]
pub(in crate::encoders) struct Rope {
    /// `[prefix + patches, head / 2]`
    cos: Tensor<2>,
    sin: Tensor<2>,
    halves: bool,
}

impl Angles {
    /// The turns for `prefix` tokens and a grid of patches (rows, columns), in heads of `head`
    /// numbers, a multiple of four.
    pub(super) fn rope(
        &self,
        prefix: usize,
        grid: [usize; 2],
        head: usize,
        device: &Device,
    ) -> Rope {
        let mut angles = vec![0.0; prefix * head / 2];
        let [rows, columns] = grid;
        let bands: Vec<f32> = (0..head / 4)
            .map(|band| 1.0 / self.temperature.powf(band as f32 / (head / 4) as f32))
            .collect();
        let at = |axis: usize, index: usize| {
            let place = index as f32 + self.offset;
            match self.stretched_to {
                Some(to) => place / grid[axis] as f32 * to[axis],
                None => place,
            }
        };
        for row in 0..rows {
            for column in 0..columns {
                let mut places = [at(0, row), at(1, column)];
                if self.columns_first {
                    places.reverse();
                }
                angles.extend(
                    places
                        .iter()
                        .flat_map(|place| bands.iter().map(move |band| place * band)),
                );
            }
        }
        let table = |of: fn(f32) -> f32| {
            let numbers: Vec<f32> = angles.iter().copied().map(of).collect();
            let shape = [prefix + rows * columns, head / 2];
            Tensor::from_data(TensorData::new(numbers, shape), device)
        };
        Rope {
            cos: table(f32::cos),
            sin: table(f32::sin),
            halves: self.halves,
        }
    }
}

impl Rope {
    /// The turns that a checkpoint holds as tables, in which the numbers of a pair turn alike.
    ///
    /// # Shapes
    /// - tables: cosines and sines, `[patches, head]`
    pub(super) fn of_tables(tables: [Tensor<2>; 2], prefix: usize) -> Self {
        let [cos, sin] = tables.map(|table| {
            let [patches, head] = table.dims();
            table
                .reshape([patches, head / 2, 2])
                .narrow(2, 0, 1)
                .squeeze_dim::<2>(2)
        });
        let [_, pairs] = cos.dims();
        let device = cos.device();
        let before = |zeros: Tensor<2>, table| Tensor::cat(vec![zeros, table], 0);
        Self {
            cos: before(Tensor::ones([prefix, pairs], &device), cos),
            sin: before(Tensor::zeros([prefix, pairs], &device), sin),
            halves: false,
        }
    }

    /// # Shapes
    /// - heads, output: `[pictures, heads, prefix + patches, head]`
    pub(super) fn turn(&self, heads: Tensor<4>) -> Tensor<4> {
        let [pictures, count, tokens, head] = heads.dims();
        let (shape, axis) = if self.halves {
            ([pictures, count, tokens, 2, head / 2], 3)
        } else {
            ([pictures, count, tokens, head / 2, 2], 4)
        };
        // Angles need all digits, whatever the network computes with.
        let dtype = heads.dtype();
        let pairs = heads.cast(self.cos.dtype()).reshape(shape);
        let part = |index| pairs.clone().narrow(axis, index, 1).squeeze_dim::<4>(axis);
        let (first, second) = (part(0), part(1));
        let [cos, sin] = [&self.cos, &self.sin].map(|table| table.clone().unsqueeze::<4>());
        let turned = [
            first.clone() * cos.clone() - second.clone() * sin.clone(),
            second * cos + first * sin,
        ];
        Tensor::stack::<5>(turned.to_vec(), axis)
            .reshape([pictures, count, tokens, head])
            .cast(dtype)
    }
}
