//! Contents → vectors and captions: named, pinned models that run on Burn.
//!
//! Begin at [`load_text`], [`load_image`], [`load_captioner`] and [`load_tagger`]. A name is looked up in the
//! [catalogue](weights::catalogue); its files are found by [`weights::locate`]; the [`DeviceSpec`]
//! says where the arithmetic happens. [`fingerprint()`] says which vectors are comparable without
//! loading anything, so that a run with nothing to do loads nothing.
//!
//! Nothing outside this module and `learning` names Burn.
//!
//! # Bytes
//!
//! On Flex a row's bytes never depend on the rows beside it, nor on the number of threads: texts
//! are batched by exact token length without padding, images are computed one by one, and every
//! job runs on one thread (see [`workers`](self)). On LibTorch rows agree within 1e-5.

mod activation;
mod ahead;
mod attention;
mod bert;
mod blip;
mod captioner;
mod checkpoint;
mod device;
mod efficientnet;
mod error;
mod eva;
mod fingerprint;
mod florence;
mod generation;
mod image;
mod latent;
mod maps;
mod normalized;
pub mod openai;
mod patches;
mod picture;
mod precision;
mod resample;
mod resnet;
mod space;
mod tagger;
mod text;
mod timm;
mod transform;
mod visual;
mod vit;
pub mod weights;
mod workers;

#[cfg(test)]
mod tests;

pub use attention::{attention, causal_attention};
pub use bert::{Pooling, TextOptions};
pub use captioner::{
    CaptionOptions, Captioner, Generated, captioner_fingerprint, captioner_precision,
    load_captioner, look_at_captioner,
};
pub use device::{DeviceKind, DeviceSpec, DeviceSupport, ParseDeviceError, device_support};
pub use error::{Error, ImageError};
pub use fingerprint::{fingerprint, fingerprint_on, precision_of, written_in};
pub use image::{ImageEncoder, load_image};
pub use picture::{ImageInput, Picture};
pub use precision::Precision;
pub use space::share_space;
pub use tagger::{Caption, Tag, Tagger, load_tagger};
pub use text::{TextEncoder, load_text, load_text_with};
pub use visual::{VisualEncoder, is_visual, load_visual};
pub use weights::{Kind, WeightsSettings};
