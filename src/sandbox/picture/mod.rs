//! The images of the simulated Reddit: procedural pictures in real JPEG and PNG files.
//!
//! A picture has a scene, which belongs to its community, and a look (see [`look`]), which does
//! not, and which carries its quality.

mod canvas;
mod encode;
mod look;
mod scene;

pub(super) use encode::{Format, bomb, placeholder};
pub(super) use look::{Look, Looks};

use super::{communities::Scene, dice::Dice};

/// The measures of a picture that are known without drawing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) format: Format,
}

/// Longer sides in pixels, each with its part of all pictures.
const SIDES: &[(u32, f64)] = &[(320, 0.72), (384, 0.18), (448, 0.07), (640, 0.03)];

/// Height to width.
const RATIOS: &[f64] = &[0.75, 0.75, 0.667, 1.0, 1.333];

impl Frame {
    /// The frame that comes first in a picture's stream of chance.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a side of 640 pixels"
    )]
    pub(super) fn draw(dice: &mut Dice) -> Self {
        let (side, _) = SIDES[dice.weighted(SIDES.iter().map(|(_, share)| *share))];
        let ratio = *dice.pick(RATIOS);
        let part = |ratio: f64| (f64::from(side) * ratio).round() as u32;
        let (width, height) = if ratio <= 1.0 {
            (side, part(ratio))
        } else {
            (part(1.0 / ratio), side)
        };
        // More PNG than on Reddit: it is written ten times as fast as JPEG.
        let format = if dice.unit() < 0.4 {
            Format::Png
        } else {
            Format::Jpeg
        };
        Self {
            width,
            height,
            format,
        }
    }
}

/// Draws the picture of one stream of chance; returns the bytes of its file.
pub(super) fn render(dice: &mut Dice, scene: Scene, look: Look) -> (Frame, Vec<u8>) {
    let frame = Frame::draw(dice);
    let mut canvas = canvas::Canvas::new(frame.width, frame.height);
    let colours = look::Colours::mixed(look, dice);
    scene::draw(&mut canvas, dice, scene, look, &colours);
    look::lay_texture(&mut canvas, dice, look);
    (frame, encode::encode(frame, canvas.pixels()))
}
