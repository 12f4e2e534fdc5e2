//! Visual encoders: pictures, texts and pictures with a text → vectors of one space, as
//! Visualized-BGE makes them.

mod checkpoint;
mod encoder;
mod model;

pub use encoder::{VisualEncoder, is_visual, load_visual};
