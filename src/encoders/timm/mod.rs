//! Checkpoints that timm wrote: `config.json` beside `model.safetensors`.

mod config;
mod network;

pub(super) use config::TimmConfig;
pub(super) use network::{TimmNetwork, is_transformer};
