//! A plane of pixels and the few shapes that scenes are made of.

/// Red, green and blue.
pub(super) type Colour = [u8; 3];

/// A plane of RGB pixels, row by row.
#[derive(Debug)]
pub(super) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    pub(super) fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width as usize, height as usize);
        Self {
            width,
            height,
            pixels: vec![0; width * height * 3],
        }
    }

    pub(super) fn width(&self) -> f64 {
        self.width as f64
    }

    pub(super) fn height(&self) -> f64 {
        self.height as f64
    }

    /// The longer side in pixels.
    pub(super) fn side(&self) -> f64 {
        self.width().max(self.height())
    }

    pub(super) fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The rows from the top, each `3 × width` bytes.
    pub(super) fn rows_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.pixels.chunks_exact_mut(self.width * 3)
    }

    /// Fills everything, from one colour at the top to another at the bottom.
    pub(super) fn gradient(&mut self, top: Colour, bottom: Colour) {
        let last = self.height.max(2) - 1;
        for (at, row) in self.pixels.chunks_exact_mut(self.width * 3).enumerate() {
            let colour: Colour = std::array::from_fn(|channel| {
                let (top, bottom) = (usize::from(top[channel]), usize::from(bottom[channel]));
                u8::try_from((top * (last - at) + bottom * at) / last).unwrap_or(u8::MAX)
            });
            fill(row, colour);
        }
    }

    /// Fills a part of a row; what lies outside is left out.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the plane before the cast"
    )]
    fn span(&mut self, row: usize, from: f64, to: f64, colour: Colour) {
        let clamp = |x: f64| x.round().clamp(0.0, self.width as f64) as usize;
        let (from, to) = (clamp(from), clamp(to));
        if row < self.height && from < to {
            let start = row * self.width;
            fill(
                &mut self.pixels[(start + from) * 3..(start + to) * 3],
                colour,
            );
        }
    }

    /// Fills the rows `[top, bottom)` with the spans that `span` gives for each row's centre.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the plane before the cast"
    )]
    fn shape(
        &mut self,
        top: f64,
        bottom: f64,
        colour: Colour,
        span: impl Fn(f64) -> Option<(f64, f64)>,
    ) {
        let clamp = |y: f64| y.round().clamp(0.0, self.height as f64) as usize;
        for row in clamp(top)..clamp(bottom) {
            if let Some((from, to)) = span(row as f64 + 0.5) {
                self.span(row, from, to, colour);
            }
        }
    }

    /// An upright ellipse around a centre.
    pub(super) fn ellipse(&mut self, (x, y): (f64, f64), (rx, ry): (f64, f64), colour: Colour) {
        self.shape(y - ry, y + ry, colour, |row| {
            let part = 1.0 - ((row - y) / ry).powi(2);
            (part > 0.0).then(|| (x - rx * part.sqrt(), x + rx * part.sqrt()))
        });
    }

    /// An upright rectangle from its upper left corner.
    pub(super) fn rectangle(&mut self, (x, y): (f64, f64), (w, h): (f64, f64), colour: Colour) {
        self.shape(y, y + h, colour, |_| Some((x, x + w)));
    }

    /// A triangle with its point above the middle of its base.
    pub(super) fn triangle(&mut self, (x, top): (f64, f64), (w, h): (f64, f64), colour: Colour) {
        self.shape(top, top + h, colour, |row| {
            let half = w / 2.0 * ((row - top) / h).clamp(0.0, 1.0);
            Some((x - half, x + half))
        });
    }

    /// Everything below a line that `height` gives for each column, in pixels from the top.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the plane before the cast"
    )]
    pub(super) fn below(&mut self, height: impl Fn(f64) -> f64, colour: Colour) {
        let tops: Vec<usize> = (0..self.width)
            .map(|x| height(x as f64).clamp(0.0, self.height as f64) as usize)
            .collect();
        for (y, row) in self.pixels.chunks_exact_mut(self.width * 3).enumerate() {
            for (pixel, top) in row.chunks_exact_mut(3).zip(&tops) {
                if y >= *top {
                    pixel.copy_from_slice(&colour);
                }
            }
        }
    }
}

fn fill(pixels: &mut [u8], colour: Colour) {
    for pixel in pixels.chunks_exact_mut(3) {
        pixel.copy_from_slice(&colour);
    }
}
