//! The vision tower, `DaViT`: stages of attention within windows and attention between channels.

use burn::{
    module::Module,
    nn::{
        LayerNorm, LayerNormConfig, Linear, LinearConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor},
};

use super::config::VisionConfig;
use crate::encoders::{activation::Activation, attention::attention};

/// The tower, under the names of transformers' `Florence2VisionBackbone`.
#[derive(Module, Debug)]
pub(super) struct Tower {
    convs: Vec<Shrink>,
    blocks: Vec<Vec<Block>>,
}

/// The beginning of a stage: fewer, longer vectors.
#[derive(Module, Debug)]
struct Shrink {
    conv: Conv2d,
    norm: LayerNorm,
    /// Whether the normalisation comes first.
    #[module(skip)]
    first: bool,
}

/// One block.
#[derive(Module, Debug)]
struct Block {
    spatial_block: Spatial,
    channel_block: Channel,
}

/// The half in which vectors look at those beside them.
#[derive(Module, Debug)]
struct Spatial {
    conv1: Conv2d,
    norm1: LayerNorm,
    window_attn: Attention,
    conv2: Conv2d,
    norm2: LayerNorm,
    ffn: Mlp,
    #[module(skip)]
    window: usize,
}

/// The half in which channels look at each other.
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of the weights"
)]
#[derive(Module, Debug)]
struct Channel {
    conv1: Conv2d,
    norm1: LayerNorm,
    channel_attn: Attention,
    conv2: Conv2d,
    norm2: LayerNorm,
    ffn: Mlp,
}

#[derive(Module, Debug)]
struct Attention {
    qkv: Linear,
    proj: Linear,
    /// Heads, or groups of channels.
    #[module(skip)]
    parts: usize,
}

#[derive(Module, Debug)]
struct Mlp {
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    activation: Activation,
}

impl VisionConfig {
    /// The tower with weights that wait to be loaded.
    pub(super) fn init(&self, device: &Device) -> Result<Tower, String> {
        let activation = self.activation()?;
        let stages = 0..self.embed_dim.len();
        let shrink = |stage: usize| {
            let from = if stage == 0 {
                3
            } else {
                self.embed_dim[stage - 1]
            };
            let (to, side) = (self.embed_dim[stage], self.patch_size[stage]);
            let (stride, padding) = (self.patch_stride[stage], self.patch_padding[stage]);
            let first = self.patch_prenorm[stage];
            Shrink {
                conv: Conv2dConfig::new([from, to], [side, side])
                    .with_stride([stride, stride])
                    .with_padding(PaddingConfig2d::Explicit(
                        padding, padding, padding, padding,
                    ))
                    .init(device),
                norm: LayerNormConfig::new(if first { from } else { to }).init(device),
                first,
            }
        };
        Ok(Tower {
            convs: stages.clone().map(shrink).collect(),
            blocks: stages
                .map(|stage| {
                    let blocks = 0..self.depths[stage];
                    blocks
                        .map(|_| self.block(stage, activation, device))
                        .collect()
                })
                .collect(),
        })
    }

    fn block(&self, stage: usize, activation: Activation, device: &Device) -> Block {
        let width = self.embed_dim[stage];
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "cut down as the library does it"
        )]
        let inner = (width as f64 * self.mlp_ratio) as usize;
        let linear = |from, to| LinearConfig::new(from, to).init(device);
        let norm = || LayerNormConfig::new(width).init(device);
        let conv = || {
            Conv2dConfig::new([width, width], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .with_groups(width)
                .init(device)
        };
        let attention = |parts| Attention {
            qkv: LinearConfig::new(width, 3 * width)
                .with_bias(self.qkv_bias)
                .init(device),
            proj: linear(width, width),
            parts,
        };
        let mlp = || Mlp {
            fc1: linear(width, inner),
            fc2: linear(inner, width),
            activation,
        };
        Block {
            spatial_block: Spatial {
                conv1: conv(),
                norm1: norm(),
                window_attn: attention(self.num_heads[stage]),
                conv2: conv(),
                norm2: norm(),
                ffn: mlp(),
                window: self.window_size,
            },
            channel_block: Channel {
                conv1: conv(),
                norm1: norm(),
                channel_attn: attention(self.num_groups[stage]),
                conv2: conv(),
                norm2: norm(),
                ffn: mlp(),
            },
        }
    }
}

impl Tower {
    /// # Shapes
    /// - pixels: `[pictures, 3, height, width]`
    /// - output: `[pictures, width of the last stage, high, wide]`
    pub(super) fn forward(&self, pixels: Tensor<4>) -> Tensor<4> {
        // From here on the numbers are the weights'.
        let mut states = match self.convs.first() {
            Some(first) => pixels.cast(first.conv.weight.dtype()),
            None => pixels,
        };
        for (conv, blocks) in self.convs.iter().zip(&self.blocks) {
            states = conv.forward(states);
            for block in blocks {
                states = block.spatial_block.forward(states);
                states = block.channel_block.forward(states);
            }
        }
        states
    }
}

impl Shrink {
    /// # Shapes
    /// - states: `[pictures, from, height, width]`
    /// - output: `[pictures, to, high, wide]`
    fn forward(&self, states: Tensor<4>) -> Tensor<4> {
        let norm = |states: Tensor<4>| {
            let states = self.norm.forward(states.permute([0, 2, 3, 1]));
            states.permute([0, 3, 1, 2])
        };
        if self.first {
            self.conv.forward(norm(states))
        } else {
            norm(self.conv.forward(states))
        }
    }
}

impl Spatial {
    /// # Shapes
    /// - states, output: `[pictures, channels, height, width]`
    fn forward(&self, states: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = states.dims();
        let tokens = placed(&self.conv1, states);
        let seen = self.look(self.norm1.forward(tokens.clone()), [height, width]);
        let states = picture(tokens + seen, [height, width]);
        let tokens = placed(&self.conv2, states);
        let wide = self.ffn.forward(self.norm2.forward(tokens.clone()));
        picture(tokens + wide, [height, width])
    }

    /// Attention within windows; where the last ones are not full, zeros fill them and are seen.
    ///
    /// # Shapes
    /// - tokens, output: `[pictures, height * width, channels]`
    fn look(&self, tokens: Tensor<3>, [height, width]: [usize; 2]) -> Tensor<3> {
        let [pictures, _, channels] = tokens.dims();
        let side = self.window;
        let (rows, columns) = (height.div_ceil(side), width.div_ceil(side));
        let numbers = (&tokens.device(), tokens.dtype());
        let mut map = tokens.reshape([pictures, height, width, channels]);
        if columns * side > width {
            let fill = [pictures, height, columns * side - width, channels];
            map = Tensor::cat(vec![map, Tensor::zeros(fill, numbers)], 2);
        }
        if rows * side > height {
            let fill = [pictures, rows * side - height, columns * side, channels];
            map = Tensor::cat(vec![map, Tensor::zeros(fill, numbers)], 1);
        }
        let windows = map
            .reshape([pictures, rows, side, columns, side, channels])
            .permute([0, 1, 3, 2, 4, 5])
            .reshape([pictures * rows * columns, side * side, channels]);
        let [query, key, value] = self.window_attn.parts(windows);
        let seen = attention(query, key, value, None).swap_dims(1, 2);
        let seen = seen.reshape([pictures * rows * columns, side * side, channels]);
        self.window_attn
            .proj
            .forward(seen)
            .reshape([pictures, rows, columns, side, side, channels])
            .permute([0, 1, 3, 2, 4, 5])
            .reshape([pictures, rows * side, columns * side, channels])
            .narrow(1, 0, height)
            .narrow(2, 0, width)
            .reshape([pictures, height * width, channels])
    }
}

impl Channel {
    /// # Shapes
    /// - states, output: `[pictures, channels, height, width]`
    fn forward(&self, states: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = states.dims();
        let tokens = placed(&self.conv1, states);
        let seen = self.look(self.norm1.forward(tokens.clone()));
        let states = picture(tokens + seen, [height, width]);
        let tokens = placed(&self.conv2, states);
        let wide = self.ffn.forward(self.norm2.forward(tokens.clone()));
        picture(tokens + wide, [height, width])
    }

    /// Attention between the channels of a group: a channel's vector is what it is at each place.
    ///
    /// # Shapes
    /// - tokens, output: `[pictures, places, channels]`
    fn look(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [pictures, places, channels] = tokens.dims();
        let parts = self
            .channel_attn
            .parts(tokens)
            .map(|part| part.swap_dims(2, 3));
        let [query, key, value] = parts;
        let seen = attention(query, key, value, None);
        let seen = seen
            .permute([0, 3, 1, 2])
            .reshape([pictures, places, channels]);
        self.channel_attn.proj.forward(seen)
    }
}

impl Attention {
    /// Query, key and value.
    ///
    /// # Shapes
    /// - tokens: `[rows, tokens, width]`
    /// - output: `[rows, parts, tokens, width / parts]`, three times
    fn parts(&self, tokens: Tensor<3>) -> [Tensor<4>; 3] {
        let [rows, count, width] = tokens.dims();
        let all = self
            .qkv
            .forward(tokens)
            .reshape([rows, count, 3, self.parts, width / self.parts])
            .permute([2, 0, 3, 1, 4]);
        [0, 1, 2].map(|index| all.clone().narrow(0, index, 1).squeeze_dim::<4>(0))
    }
}

impl Mlp {
    /// # Shapes
    /// - tokens, output: `[pictures, tokens, width]`
    fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let wide = self.activation.apply(self.fc1.forward(tokens));
        self.fc2.forward(wide)
    }
}

/// What a convolution of each channel by itself adds, which tells vectors where they are.
///
/// # Shapes
/// - states: `[pictures, channels, height, width]`
/// - output: `[pictures, height * width, channels]`
fn placed(conv: &Conv2d, states: Tensor<4>) -> Tensor<3> {
    let [pictures, channels, height, width] = states.dims();
    let states = conv.forward(states.clone()) + states;
    states
        .reshape([pictures, channels, height * width])
        .swap_dims(1, 2)
}

/// # Shapes
/// - tokens: `[pictures, height * width, channels]`
/// - output: `[pictures, channels, height, width]`
fn picture(tokens: Tensor<3>, [height, width]: [usize; 2]) -> Tensor<4> {
    let [pictures, _, channels] = tokens.dims();
    tokens
        .swap_dims(1, 2)
        .reshape([pictures, channels, height, width])
}
