//! Pictures in patches: what comes before and after the blocks of every vision transformer.

use burn::{
    module::{Module, Param},
    nn::conv::{Conv2d, Conv2dConfig},
    tensor::{Device, Tensor},
};

/// Patches → tokens.
#[derive(Module, Debug)]
pub(super) struct PatchEmbed {
    proj: Conv2d,
}

impl PatchEmbed {
    /// One for patches of height and width, which waits to be loaded.
    pub(super) fn new(width: usize, patch: [usize; 2], bias: bool, device: &Device) -> Self {
        Self {
            proj: Conv2dConfig::new([3, width], patch)
                .with_stride(patch)
                .with_bias(bias)
                .init(device),
        }
    }

    /// The length of a token's vector.
    pub(super) fn width(&self) -> usize {
        let [width, ..] = self.proj.weight.dims();
        width
    }

    /// One product for all patches: they do not overlap.
    ///
    /// # Shapes
    /// - pixels: `[pictures, 3, height, width]`; what does not fill a patch is left out
    /// - output: `[pictures, patches, width of the model]`
    pub(super) fn forward(&self, pixels: Tensor<4>) -> Tensor<3> {
        let weight = self.proj.weight.val();
        // From here on the numbers are the weights'.
        let pixels = pixels.cast(weight.dtype());
        let [width, channels, high, wide] = weight.dims();
        let [pictures, _, height, across] = pixels.dims();
        let (rows, columns) = (height / high, across / wide);
        let patches = pixels
            .narrow(2, 0, rows * high)
            .narrow(3, 0, columns * wide)
            .reshape([pictures, channels, rows, high, columns, wide])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([pictures * rows * columns, channels * high * wide]);
        let weight = weight.reshape([width, channels * high * wide]);
        let mut tokens = patches.matmul(weight.transpose());
        if let Some(bias) = &self.proj.bias {
            tokens = tokens + bias.val().unsqueeze();
        }
        tokens.reshape([pictures, rows * columns, width])
    }
}

/// Puts tokens before the patches, and adds the positions, which the tokens before may not have.
///
/// # Shapes
/// - patches: `[pictures, patches, width]`
/// - before: `[1, some, width]` each
/// - positions: `[1, patches, width]` or `[1, before + patches, width]`
/// - output: `[pictures, before + patches, width]`
pub(super) fn place(
    patches: Tensor<3>,
    before: [&Option<Param<Tensor<3>>>; 2],
    positions: Option<&Param<Tensor<3>>>,
) -> Tensor<3> {
    let [pictures, count, width] = patches.dims();
    let before = before.map(|token| {
        let token = token.as_ref()?.val();
        let [_, count, _] = token.dims();
        Some(token.expand([pictures, count, width]))
    });
    let join = |patches: Tensor<3>| {
        let mut parts: Vec<Tensor<3>> = before.into_iter().flatten().collect();
        parts.push(patches);
        Tensor::cat(parts, 1)
    };
    match positions {
        None => join(patches),
        Some(positions) if positions.dims()[1] == count => join(patches + positions.val()),
        Some(positions) => join(patches) + positions.val(),
    }
}

/// How one vector is made of the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pool {
    /// The first token.
    Token,
    /// The mean of the patches.
    Mean,
    /// The maximum of the patches.
    Max,
    /// Half the sum of both.
    MeanMax,
    /// What a learned vector sees of them, which is not computed here.
    Latent,
}

impl Pool {
    /// The one that timm calls `name`; the words for what cannot be done.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        match name {
            "token" => Ok(Self::Token),
            "avg" => Ok(Self::Mean),
            "max" => Ok(Self::Max),
            "avgmax" => Ok(Self::MeanMax),
            "map" => Ok(Self::Latent),
            other => Err(format!(
                "`global_pool` is `{other}`; `token`, `avg`, `max`, `avgmax` and `map` can be \
                 computed"
            )),
        }
    }

    /// # Shapes
    /// - tokens: `[pictures, prefix + patches, width]`
    /// - output: `[pictures, width]`
    pub(super) fn apply(self, tokens: Tensor<3>, prefix: usize) -> Tensor<2> {
        let [_, count, _] = tokens.dims();
        let patches = |tokens: Tensor<3>| tokens.narrow(1, prefix, count - prefix);
        let mean = |tokens: Tensor<3>| patches(tokens).mean_dim(1).squeeze_dim(1);
        let max = |tokens: Tensor<3>| patches(tokens).max_dim(1).squeeze_dim(1);
        match self {
            Self::Token | Self::Latent => tokens.narrow(1, 0, 1).squeeze_dim(1),
            Self::Mean => mean(tokens),
            Self::Max => max(tokens),
            Self::MeanMax => (mean(tokens.clone()) + max(tokens)) * 0.5,
        }
    }
}
