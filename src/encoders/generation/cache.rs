//! What attention has read so far: keys and values of each layer.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::Step;
use crate::encoders::attention::{attention, causal_attention, join, split};

/// The keys and values of all layers of a decoder.
#[derive(Debug)]
pub(in crate::encoders) struct Cache {
    /// How many tokens each row has read.
    pub tokens: usize,
    /// Each layer's.
    pub layers: Vec<Attended>,
    /// How many rows there are.
    rows: usize,
    /// Of how many pictures.
    pictures: usize,
}

/// The keys and values of one layer.
#[derive(Debug)]
pub(in crate::encoders) struct Attended {
    /// Those of the rows' own tokens: `[rows, heads, tokens, head]`
    own: Option<[Tensor<4>; 2]>,
    /// Those of what each picture shows: `[pictures, heads, seen, head]`
    seen: [Tensor<4>; 2],
}

impl Cache {
    /// That of `pictures` pictures of which nothing was read; `seen` holds each layer's keys and
    /// values of what they show.
    pub(in crate::encoders) fn new(pictures: usize, seen: Vec<[Tensor<4>; 2]>) -> Self {
        Self {
            tokens: 0,
            layers: seen
                .into_iter()
                .map(|seen| Attended { own: None, seen })
                .collect(),
            rows: pictures,
            pictures,
        }
    }

    /// Makes the rows those of the step.
    pub(in crate::encoders) fn follow(&mut self, step: Step<'_>, device: &Device) {
        let parents = selection(step.parents, self.rows, device);
        let pictures = selection(step.pictures, self.pictures, device);
        let select = |pair: &mut [Tensor<4>; 2], rows: &Tensor<1, Int>| {
            for tensor in pair {
                *tensor = tensor.clone().select(0, rows.clone());
            }
        };
        for layer in &mut self.layers {
            if let (Some(own), Some(parents)) = (&mut layer.own, &parents) {
                select(own, parents);
            }
            if let Some(pictures) = &pictures {
                select(&mut layer.seen, pictures);
            }
        }
        self.rows = step.parents.len();
        self.pictures = step.pictures.len();
    }

    /// Of how many pictures the rows are.
    pub(in crate::encoders) const fn pictures(&self) -> usize {
        self.pictures
    }
}

impl Attended {
    /// Attention of new tokens to themselves and to those before them, which are kept.
    ///
    /// # Shapes
    /// - query, key, value, output: `[rows, new tokens, heads * head]`
    pub(in crate::encoders) fn read(
        &mut self,
        query: Tensor<3>,
        key: Tensor<3>,
        value: Tensor<3>,
        heads: usize,
    ) -> Tensor<3> {
        let [keys, values] = self.extend(split(key, heads), split(value, heads));
        join(causal_attention(split(query, heads), keys, values))
    }

    /// Attention of new tokens to what the pictures show.
    ///
    /// The rows of a picture ask as if they were one: what they look at is the same.
    ///
    /// # Shapes
    /// - query, output: `[rows, new tokens, heads * head]`
    pub(in crate::encoders) fn look(
        &self,
        query: Tensor<3>,
        heads: usize,
        pictures: usize,
    ) -> Tensor<3> {
        let [rows, tokens, width] = query.dims();
        let query = query.reshape([pictures, rows / pictures * tokens, width]);
        let [keys, values] = self.seen.clone();
        let seen = join(attention(split(query, heads), keys, values, None));
        seen.reshape([rows, tokens, width])
    }

    /// Adds the keys and values of new tokens; gives those of all.
    ///
    /// # Shapes
    /// - key, value: `[rows, heads, new tokens, head]`
    /// - output: `[rows, heads, tokens, head]`
    fn extend(&mut self, key: Tensor<4>, value: Tensor<4>) -> [Tensor<4>; 2] {
        let all = match self.own.take() {
            None => [key, value],
            Some([keys, values]) => [
                Tensor::cat(vec![keys, key], 2),
                Tensor::cat(vec![values, value], 2),
            ],
        };
        self.own = Some(all.clone());
        all
    }
}

/// The rows to keep of `count`; `None` where it is all of them in their order.
fn selection(rows: &[usize], count: usize, device: &Device) -> Option<Tensor<1, Int>> {
    if rows.len() == count && rows.iter().enumerate().all(|(place, row)| place == *row) {
        return None;
    }
    let rows: Vec<i64> = rows
        .iter()
        .map(|row| i64::try_from(*row).expect("a row's number is small"))
        .collect();
    let count = rows.len();
    Some(Tensor::from_data(TensorData::new(rows, [count]), device))
}
