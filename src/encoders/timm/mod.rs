//! Checkpoints that timm wrote: `config.json` beside `model.safetensors`.

mod config;
mod network;

pub(super) use config::{TimmConfig, is_size};
pub(super) use network::{TimmNetwork, is_transformer};
