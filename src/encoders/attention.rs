//! The one attention function of the project.
//!
//! Burn's own op differs between backends: burn-tch hands a boolean mask to LibTorch, where `true`
//! means "look at it", while Burn (and this function) means "hide it". The first masked call on a
//! device therefore asks it a question with a known answer; a fix upstream cannot silently break
//! what is built on this. Models that can do without a mask (rows of one length) should: without
//! one LibTorch takes its fastest kernel.

use std::sync::Mutex;

use burn::tensor::{Bool, Device, Tensor, TensorData, module, ops::AttentionModuleOptions};

/// Scaled dot-product attention: `softmax(query · keyᵀ / √head) · value`.
///
/// `hidden` is `true` where a query must not see a key. A query that sees no key has no defined
/// result.
///
/// # Shapes
/// - query: `[batch, heads, queries, head]`
/// - key, value: `[batch, heads, keys, head]`
/// - hidden: `[batch, heads, queries, keys]`; dimensions of one are repeated
/// - output: `[batch, heads, queries, head]`
pub fn attention(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    hidden: Option<Tensor<4, Bool>>,
) -> Tensor<4> {
    let mask = hidden.map(|hidden| {
        let [batch, heads, queries, _] = query.dims();
        let [_, _, keys, _] = key.dims();
        // Some kernels apply a repeated mask to the first head only: give them all of it.
        let hidden = hidden.expand([batch, heads, queries, keys]);
        match mask_sense(&query.device()) {
            MaskSense::TrueHides => hidden,
            MaskSense::TrueShows => hidden.bool_not(),
        }
    });
    module::attention(
        query,
        key,
        value,
        mask,
        None,
        AttentionModuleOptions::default(),
    )
}

/// [`attention`] of tokens that come one after the other: each sees itself and those before it.
///
/// Where there are more keys than queries, the first keys are those of a cache: they come before
/// all queries. One query sees all of them, for which no mask is needed.
///
/// # Shapes
/// - query: `[batch, heads, queries, head]`
/// - key, value: `[batch, heads, keys, head]`, where `keys >= queries`
/// - output: `[batch, heads, queries, head]`
pub fn causal_attention(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>) -> Tensor<4> {
    let [_, _, queries, _] = query.dims();
    let [_, _, keys, _] = key.dims();
    let hidden = (queries > 1).then(|| {
        let hides = |query| (0..keys).map(move |key| key > keys - queries + query);
        let hidden: Vec<bool> = (0..queries).flat_map(hides).collect();
        let shape = [1, 1, queries, keys];
        Tensor::from_data(TensorData::new(hidden, shape), &query.device())
    });
    attention(query, key, value, hidden)
}

/// The heads of vectors.
///
/// # Shapes
/// - states: `[rows, tokens, heads * head]`
/// - output: `[rows, heads, tokens, head]`
pub(super) fn split(states: Tensor<3>, heads: usize) -> Tensor<4> {
    let [rows, tokens, width] = states.dims();
    states
        .reshape([rows, tokens, heads, width / heads])
        .swap_dims(1, 2)
}

/// The way back from [`split`].
pub(super) fn join(states: Tensor<4>) -> Tensor<3> {
    let [rows, heads, tokens, head] = states.dims();
    states.swap_dims(1, 2).reshape([rows, tokens, heads * head])
}

/// What `true` in a mask means to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MaskSense {
    TrueHides,
    TrueShows,
}

/// The answer of each device that was asked.
static SENSES: Mutex<Vec<(Device, MaskSense)>> = Mutex::new(Vec::new());

/// What `true` in a mask means to `device`; asks it once per process.
fn mask_sense(device: &Device) -> MaskSense {
    let mut senses = SENSES.lock().expect("the probe does not panic");
    if let Some((_, sense)) = senses.iter().find(|(known, _)| known == device) {
        return *sense;
    }
    let sense = probe(device);
    tracing::debug!(
        ?device,
        ?sense,
        "asked the device what its attention masks mean"
    );
    senses.push((device.clone(), sense));
    sense
}

/// One query that is as near to both keys, with the second one masked: the result is the value
/// of the key that was seen.
fn probe(device: &Device) -> MaskSense {
    let zeros = |keys| Tensor::<4>::zeros([1, 1, keys, 1], device);
    let value = Tensor::<4>::from_data(TensorData::new(vec![1.0_f32, 2.0], [1, 1, 2, 1]), device);
    let mask =
        Tensor::<4, Bool>::from_data(TensorData::new(vec![false, true], [1, 1, 1, 2]), device);
    let seen = module::attention(
        zeros(1),
        zeros(2),
        value,
        Some(mask),
        None,
        AttentionModuleOptions::default(),
    );
    if seen.into_scalar::<f32>() < 1.5 {
        MaskSense::TrueHides
    } else {
        MaskSense::TrueShows
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Attention by its formula, in 64-bit floats; all slices row-major in the shapes above.
    fn naive(
        [batch, heads, queries, keys, head]: [usize; 5],
        query: &[f32],
        key: &[f32],
        value: &[f32],
        hidden: &[bool],
    ) -> Vec<f32> {
        let mut output = Vec::new();
        for pair in 0..batch * heads {
            for q in 0..queries {
                let row = |data: &[f32], count: usize, i: usize| {
                    data[(pair * count + i) * head..][..head].to_vec()
                };
                let scores: Vec<f64> = (0..keys)
                    .map(|k| {
                        if hidden[(pair * queries + q) * keys + k] {
                            return f64::NEG_INFINITY;
                        }
                        let products = row(query, queries, q)
                            .into_iter()
                            .zip(row(key, keys, k))
                            .map(|(a, b)| f64::from(a) * f64::from(b));
                        products.sum::<f64>() / (head as f64).sqrt()
                    })
                    .collect();
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
                let total: f64 = weights.iter().sum();
                for d in 0..head {
                    let sum: f64 = (0..keys)
                        .map(|k| weights[k] * f64::from(row(value, keys, k)[d]))
                        .sum();
                    #[expect(clippy::cast_possible_truncation, reason = "compared as f32")]
                    output.push((sum / total) as f32);
                }
            }
        }
        output
    }

    /// Numbers in the order in which they are needed, again and again the same.
    fn tensors(
        device: &Device,
        [batch, heads, queries, keys, head]: [usize; 5],
        numbers: &[f32],
    ) -> [(Vec<f32>, Tensor<4>); 3] {
        let mut numbers = numbers.iter().copied().cycle();
        [queries, keys, keys].map(|count| {
            let shape = [batch, heads, count, head];
            let data: Vec<f32> = numbers.by_ref().take(shape.iter().product()).collect();
            let tensor = Tensor::from_data(TensorData::new(data.clone(), shape), device);
            (data, tensor)
        })
    }

    /// Holds what was found against the formula; `hidden` tells for a row, a query and a key.
    fn compare(
        found: Tensor<4>,
        shape: [usize; 5],
        [query, key, value]: [&[f32]; 3],
        hidden: impl Fn(usize, usize, usize) -> bool,
    ) {
        let [batch, heads, queries, keys, _] = shape;
        let place = |i: usize| (i / (keys * queries * heads), i / keys % queries, i % keys);
        let hidden: Vec<bool> = (0..batch * heads * queries * keys)
            .map(|index| {
                let (row, query, key) = place(index);
                hidden(row, query, key)
            })
            .collect();
        let expected = naive(shape, query, key, value, &hidden);
        let found: Vec<f32> = found.into_data().try_into_vec().expect("32-bit floats");
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() < 1e-4,
                "{found} is not {expected} for {shape:?}"
            );
        }
    }

    /// Holds the function against the formula on `device` for one random case: with the padding
    /// that `lengths` tell, with a mask that is random for each row and query, without one, and as
    /// tokens that come one after the other.
    pub(in crate::encoders) fn check_against_the_formula(
        device: &Device,
        shape: [usize; 5],
        numbers: &[f32],
        lengths: &[usize],
    ) {
        let [batch, _, queries, keys, _] = shape;
        let [query, key, value] = tensors(device, shape, numbers);
        let plain = [&*query.0, &*key.0, &*value.0];
        let ask = |hidden: Option<Tensor<4, Bool>>| {
            attention(query.1.clone(), key.1.clone(), value.1.clone(), hidden)
        };
        let mask = |rows: usize, hidden: &dyn Fn(usize, usize, usize) -> bool| {
            let index = |i: usize| (i / (rows * keys), i / keys % rows, i % keys);
            let hidden: Vec<bool> = (0..batch * rows * keys)
                .map(|i| {
                    let (row, query, key) = index(i);
                    hidden(row, query, key)
                })
                .collect();
            let data = TensorData::new(hidden, [batch, 1, rows, keys]);
            Tensor::<4, Bool>::from_data(data, device)
        };

        compare(ask(None), shape, plain, |_, _, _| false);
        // The keys behind a row's length are hidden from all its queries: the mask is given once
        // per row and repeated for heads and queries.
        let padding = |row: usize, _, key| key >= lengths[row % lengths.len()];
        compare(ask(Some(mask(1, &padding))), shape, plain, padding);
        // One key at least is seen.
        let random = |row: usize, query: usize, key: usize| {
            let number = numbers[(row * 31 + query * 7 + key * 3) % numbers.len()];
            number > 0.0 && key != (row + query) % keys
        };
        compare(ask(Some(mask(queries, &random))), shape, plain, random);

        if queries <= keys {
            let later = |_, query, key| key > keys - queries + query;
            let (query, key, value) = (query.1.clone(), key.1.clone(), value.1.clone());
            let all = causal_attention(query.clone(), key.clone(), value.clone());
            compare(all, shape, plain, later);
            // The same one by one, each with the keys up to its own.
            let one = |index: usize| {
                let seen = keys - queries + index + 1;
                let (key, value) = (key.clone(), value.clone());
                let (key, value) = (key.narrow(2, 0, seen), value.narrow(2, 0, seen));
                causal_attention(query.clone().narrow(2, index, 1), key, value)
            };
            let all = Tensor::cat((0..queries).map(one).collect(), 2);
            compare(all, shape, plain, later);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn hides_what_the_mask_hides(
            batch in 1_usize..4,
            heads in 1_usize..4,
            queries in 1_usize..9,
            keys in 1_usize..20,
            head in 1_usize..9,
            numbers in prop::collection::vec(-3.0_f32..3.0, 97),
            lengths in prop::collection::vec(1_usize..20, 3),
        ) {
            check_against_the_formula(&Device::flex(), [batch, heads, queries, keys, head], &numbers, &lengths);
        }
    }

    #[test]
    fn the_probe_knows_flex() {
        assert_eq!(probe(&Device::flex()), MaskSense::TrueHides);
    }
}
