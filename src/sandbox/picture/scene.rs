//! What pictures show: shapes, creatures, streets and landscapes.

use std::f64::consts::TAU;

use super::{
    super::{communities::Scene, dice::Dice},
    canvas::Canvas,
    look::{Colours, Look},
};

/// Draws a scene with as many things as the look says.
pub(super) fn draw(
    canvas: &mut Canvas,
    dice: &mut Dice,
    scene: Scene,
    look: Look,
    colours: &Colours,
) {
    canvas.gradient(colours.back[0], colours.back[1]);
    if scene == Scene::Landscape {
        hills(canvas, dice, colours);
    }
    for (place, size) in places(canvas, dice, look.things()) {
        match scene {
            Scene::Abstract => shape(canvas, dice, colours, place, size),
            Scene::Creatures => creature(canvas, dice, colours, place, size),
            Scene::Street => house(canvas, dice, colours, place, size),
            Scene::Landscape => tree(canvas, dice, colours, place, size),
        }
    }
}

/// Places for so many things, spread over the picture from top to bottom, and their size.
fn places(canvas: &Canvas, dice: &mut Dice, things: usize) -> Vec<((f64, f64), f64)> {
    let (width, height) = (canvas.width(), canvas.height());
    let across = (things as f64 * width / height).sqrt().round().max(1.0);
    let down = (things as f64 / across).ceil();
    let (cell_width, cell_height) = (width / across, height / down);
    let size = cell_width.min(cell_height);
    (0..things)
        .map(|thing| {
            let thing = thing as f64;
            let (column, row) = (thing % across, (thing / across).floor());
            let place = (
                (column + 0.5 + dice.between(-0.2, 0.2)) * cell_width,
                (row + 0.5 + dice.between(-0.2, 0.2)) * cell_height,
            );
            (place, size * dice.between(0.62, 0.86))
        })
        .collect()
}

fn shape(canvas: &mut Canvas, dice: &mut Dice, colours: &Colours, (x, y): (f64, f64), size: f64) {
    let half = size / 2.0;
    for part in [1.0, 0.55] {
        let colour = *dice.pick(&colours.front);
        let (half, size) = (half * part, size * part);
        match dice.below(3) {
            0 => canvas.ellipse((x, y), (half, half * dice.between(0.6, 1.0)), colour),
            1 => canvas.rectangle((x - half, y - half), (size, size), colour),
            _ => canvas.triangle((x, y - half), (size, size), colour),
        }
    }
}

fn creature(
    canvas: &mut Canvas,
    dice: &mut Dice,
    colours: &Colours,
    (x, y): (f64, f64),
    size: f64,
) {
    let fur = *dice.pick(&colours.front[..3]);
    let [dark, bright] = colours.ends;
    let (body, head) = (size * 0.36, size * 0.27);
    canvas.ellipse((x, y + size * 0.22), (body, size * 0.28), fur);
    let crown = y - size * 0.16;
    for side in [-1.0, 1.0] {
        canvas.triangle(
            (x + side * head * 0.7, crown - head * 1.4),
            (head * 0.8, head * 1.2),
            fur,
        );
    }
    canvas.ellipse((x, crown), (head, head * 0.92), fur);
    for side in [-1.0, 1.0] {
        let eye = (x + side * head * 0.42, crown - head * 0.12);
        canvas.ellipse(eye, (head * 0.24, head * 0.27), bright);
        canvas.ellipse(eye, (head * 0.12, head * 0.15), dark);
    }
    canvas.ellipse((x, crown + head * 0.38), (head * 0.16, head * 0.11), dark);
    canvas.ellipse(
        (x, y + size * 0.28),
        (body * 0.5, size * 0.17),
        colours.front[3],
    );
}

fn house(canvas: &mut Canvas, dice: &mut Dice, colours: &Colours, (x, y): (f64, f64), size: f64) {
    let wall = *dice.pick(&colours.front);
    let [dark, bright] = colours.ends;
    let (width, height) = (size * dice.between(0.6, 0.9), size * 0.62);
    let (left, top) = (x - width / 2.0, y + size / 2.0 - height);
    canvas.triangle(
        (x, top - size * 0.3),
        (width * 1.2, size * 0.3),
        colours.front[2],
    );
    canvas.rectangle((left, top), (width, height), wall);
    for column in 0..3 {
        for row in 0..2 {
            let window = (
                left + width * (0.12 + 0.29 * f64::from(column)),
                top + height * (0.12 + 0.34 * f64::from(row)),
            );
            let lit = if dice.unit() < 0.5 { bright } else { dark };
            canvas.rectangle(window, (width * 0.18, height * 0.22), lit);
        }
    }
    canvas.rectangle(
        (x - width * 0.09, top + height * 0.74),
        (width * 0.18, height * 0.26),
        dark,
    );
}

fn hills(canvas: &mut Canvas, dice: &mut Dice, colours: &Colours) {
    let (width, height) = (canvas.width(), canvas.height());
    let sun = (
        width * dice.between(0.15, 0.85),
        height * dice.between(0.12, 0.3),
    );
    let radius = height * 0.09;
    canvas.ellipse(sun, (radius, radius), colours.front[3]);
    for (layer, colour) in [colours.front[1], colours.front[0]].into_iter().enumerate() {
        let base = height * (0.45 + 0.22 * layer as f64);
        let (wave, swell) = (dice.between(1.0, 2.5), height * dice.between(0.05, 0.12));
        let phase = dice.between(0.0, TAU);
        canvas.below(
            |x| base + swell * (TAU * wave * x / width + phase).sin(),
            colour,
        );
    }
}

fn tree(canvas: &mut Canvas, dice: &mut Dice, colours: &Colours, (x, y): (f64, f64), size: f64) {
    let crown = [colours.front[2], colours.front[3]][dice.below(2)];
    canvas.rectangle(
        (x - size * 0.05, y + size * 0.2),
        (size * 0.1, size * 0.3),
        colours.ends[0],
    );
    canvas.triangle((x, y - size * 0.5), (size * 0.5, size * 0.45), crown);
    canvas.triangle((x, y - size * 0.2), (size * 0.66, size * 0.5), crown);
}
