//! The look of a picture: what carries its quality, whatever it shows.

use super::{
    super::{
        dice::Dice,
        process::{LookParts, standardised_evenly},
    },
    canvas::{Canvas, Colour},
};

/// The look of a picture; each part is the place of a level in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    palette: usize,
    texture: usize,
    composition: usize,
    light: usize,
}

/// A palette: how much it helps, two colours behind and four before.
type Palette = (f64, [Colour; 2], [Colour; 4]);

/// From gold over pink, green and blue to violet and grey.
const PALETTES: &[Palette] = &[
    (
        1.5,
        [[255, 214, 140], [245, 160, 70]],
        [
            [214, 90, 30],
            [250, 190, 60],
            [150, 55, 25],
            [255, 232, 176],
        ],
    ),
    (
        0.9,
        [[255, 190, 202], [250, 120, 150]],
        [
            [220, 50, 110],
            [255, 150, 172],
            [150, 38, 108],
            [255, 222, 228],
        ],
    ),
    (
        0.3,
        [[190, 230, 170], [110, 180, 100]],
        [[40, 130, 60], [160, 210, 90], [20, 80, 48], [222, 242, 182]],
    ),
    (
        -0.3,
        [[170, 215, 250], [70, 140, 220]],
        [
            [20, 80, 180],
            [90, 190, 240],
            [18, 38, 110],
            [222, 240, 255],
        ],
    ),
    (
        -0.9,
        [[205, 180, 245], [130, 90, 200]],
        [
            [90, 40, 160],
            [180, 120, 230],
            [50, 20, 100],
            [236, 222, 255],
        ],
    ),
    (
        -1.5,
        [[200, 200, 200], [140, 140, 140]],
        [[90, 90, 90], [170, 170, 170], [48, 48, 48], [226, 226, 226]],
    ),
];

/// A pattern over the whole picture.
#[derive(Clone, Copy, Debug)]
enum Texture {
    Smooth,
    Dots,
    Stripes,
    Squares,
    Grain,
}

const TEXTURES: &[(f64, Texture)] = &[
    (1.4, Texture::Smooth),
    (0.5, Texture::Dots),
    (-0.1, Texture::Stripes),
    (-0.6, Texture::Squares),
    (-1.2, Texture::Grain),
];

/// How many things the picture shows.
const COMPOSITIONS: &[(f64, usize)] = &[(1.3, 1), (0.5, 5), (-0.5, 18), (-1.3, 70)];

/// Light: how much it helps, the contrast about the middle, and what is added.
const LIGHTS: &[(f64, f64, f64)] = &[(1.2, 1.25, 0.0), (-0.1, 0.40, 70.0), (-1.1, 0.45, -78.0)];

/// The standardised qualities of all levels.
#[derive(Debug)]
pub(crate) struct Looks {
    palettes: Vec<f64>,
    textures: Vec<f64>,
    compositions: Vec<f64>,
    lights: Vec<f64>,
}

impl Looks {
    pub(crate) fn new() -> Self {
        let qualities = |values: Vec<f64>| standardised_evenly(&values);
        Self {
            palettes: qualities(PALETTES.iter().map(|level| level.0).collect()),
            textures: qualities(TEXTURES.iter().map(|level| level.0).collect()),
            compositions: qualities(COMPOSITIONS.iter().map(|level| level.0).collect()),
            lights: qualities(LIGHTS.iter().map(|level| level.0).collect()),
        }
    }

    /// The standardised quality of a look.
    pub(crate) fn quality(&self, look: Look) -> f64 {
        LookParts {
            palette: self.palettes[look.palette],
            texture: self.textures[look.texture],
            composition: self.compositions[look.composition],
            light: self.lights[look.light],
        }
        .combined()
    }
}

impl Look {
    /// A look; all levels have the same chance.
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        Self {
            palette: dice.below(PALETTES.len()),
            texture: dice.below(TEXTURES.len()),
            composition: dice.below(COMPOSITIONS.len()),
            light: dice.below(LIGHTS.len()),
        }
    }

    /// How many things the picture shows.
    pub(super) fn things(self) -> usize {
        COMPOSITIONS[self.composition].1
    }
}

/// The colours of one picture.
#[derive(Debug)]
pub(super) struct Colours {
    pub(super) back: [Colour; 2],
    pub(super) front: [Colour; 4],
    /// The darkest and the brightest, for eyes and windows.
    pub(super) ends: [Colour; 2],
}

impl Colours {
    /// The palette of a look in its light, a little off the table.
    pub(super) fn mixed(look: Look, dice: &mut Dice) -> Self {
        let (_, back, front) = PALETTES[look.palette];
        let (_, contrast, added) = LIGHTS[look.light];
        let mut mix = |colour: Colour| {
            let shift = dice.between(-10.0, 10.0);
            colour.map(|value| {
                let value = f64::from(value) + shift - 128.0;
                clamped(128.0 + value * contrast + added)
            })
        };
        Self {
            back: back.map(&mut mix),
            front: front.map(&mut mix),
            ends: [[24; 3], [244; 3]].map(&mut mix),
        }
    }
}

/// Lays the look's texture over a picture.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the sides of a canvas are whole numbers"
)]
pub(super) fn lay_texture(canvas: &mut Canvas, dice: &mut Dice, look: Look) {
    // Patterns are scaled with the picture, so that they look the same at the size that an
    // encoder sees.
    let unit = canvas.side() / 320.0;
    let period = unit * dice.between(13.0, 16.0);
    let width = canvas.width() as usize;
    // Where in the period a column, a row or a diagonal lies; once for the whole picture.
    let phases: Vec<f64> = (0..width + canvas.height() as usize)
        .map(|at| (at as f64 / period).fract())
        .collect();
    let sign = |is_bright: bool| if is_bright { 26 } else { -26 };
    match TEXTURES[look.texture].1 {
        Texture::Smooth => {}
        Texture::Grain => grain(canvas, dice, unit),
        Texture::Dots => {
            let squares: Vec<f64> = phases.iter().map(|at| (at - 0.5).powi(2)).collect();
            lay(canvas, |x, y| {
                if squares[x] + squares[y] < 0.09 {
                    -52
                } else {
                    0
                }
            });
        }
        Texture::Stripes => lay(canvas, |x, y| sign(phases[x + y] < 0.5)),
        Texture::Squares => lay(canvas, |x, y| sign((phases[x] < 0.5) != (phases[y] < 0.5))),
    }
}

/// Adds to each pixel what `by` gives for its place.
fn lay(canvas: &mut Canvas, by: impl Fn(usize, usize) -> i16) {
    for (y, row) in canvas.rows_mut().enumerate() {
        for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
            shade(pixel, by(x, y));
        }
    }
}

fn shade(pixel: &mut [u8], by: i16) {
    for channel in pixel {
        *channel = u8::try_from((i16::from(*channel) + by).clamp(0, 255)).unwrap_or(u8::MAX);
    }
}

/// Grain: squares of two or more pixels, each a little brighter or darker.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a size of a few pixels, and numbers below 256"
)]
fn grain(canvas: &mut Canvas, dice: &mut Dice, unit: f64) {
    let cell = (2.0 * unit).round().max(2.0) as usize;
    let across = canvas.width() as usize / cell + 1;
    let mut cells = vec![0_i16; across];
    for (y, row) in canvas.rows_mut().enumerate() {
        if y % cell == 0 {
            cells.fill_with(|| dice.between(-64.0, 64.0) as i16);
        }
        for (pixels, by) in row.chunks_mut(3 * cell).zip(&cells) {
            for pixel in pixels.chunks_exact_mut(3) {
                shade(pixel, *by);
            }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of a byte before the cast"
)]
fn clamped(value: f64) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}
