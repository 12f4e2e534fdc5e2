//! Pictures in every kind of file that is met, against what Pillow and timm make of them.

use safetensors::SafeTensors;

use super::{cosine, devices, fixture, numbers, settings};
use crate::encoders::{ImageInput, Picture, load_image, picture};

/// What is known of the files of `tests/reference/picture_formats.py`.
struct Expected(Vec<u8>);

impl Expected {
    fn read() -> Self {
        Self(fs_err::read(fixture("pictures/expected.safetensors")).unwrap())
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).unwrap()
    }

    /// The names of the pictures; features have them in this order.
    fn names(&self) -> Vec<String> {
        let file = self.file();
        let names = file.names().into_iter();
        let mut names: Vec<String> = names
            .filter_map(|name| Some(name.strip_prefix("pixels.")?.to_owned()))
            .collect();
        names.sort();
        assert_eq!(names.len(), 45);
        names
    }
}

/// The largest and the mean difference of a channel from what Pillow reads, in steps of 255.
///
/// JPEG is not decoded alike by all: the libraries round the inverse transform in other places, and
/// where colours have fewer samples (`420`, `422`), the steps between them.
const fn bounds(name: &str) -> (u8, f64) {
    match name.as_bytes() {
        [.., b'.', b'j', b'p', b'g'] => (3, 0.5),
        _ => (0, 0.0),
    }
}

#[test]
fn the_pixels_of_every_kind_of_file_are_those_of_pillow() {
    let expected = Expected::read();
    for name in expected.names() {
        let path = fixture("pictures").join(&name);
        let pixels = picture::pixels(ImageInput::File(&path)).unwrap();
        let pixel_name = format!("pixels.{name}");
        let (shape, expected) = numbers(&expected.file(), &pixel_name, u8::from_le_bytes);
        let (width, height) = pixels.dimensions();
        assert_eq!([height as usize, width as usize, 3], shape[..], "{name}");
        let differences = pixels.as_raw().iter().zip(&expected);
        let differences: Vec<u8> = differences.map(|(a, b)| a.abs_diff(*b)).collect();
        let worst = *differences.iter().max().unwrap();
        let sum: f64 = differences.iter().copied().map(f64::from).sum();
        let mean = sum / differences.len() as f64;
        let (allowed, allowed_mean) = bounds(&name);
        assert!(
            worst <= allowed && mean <= allowed_mean,
            "{name}: {worst} at worst, {mean} in the mean"
        );
    }
}

#[test]
fn a_file_that_is_decoded_before_has_the_pixels_that_it_has_later() {
    for name in Expected::read().names() {
        let path = fixture("pictures").join(&name);
        let decoded = Picture::read_all(&[&path]).remove(0).unwrap();
        let [early, late] = [ImageInput::Picture(&decoded), ImageInput::File(&path)];
        for read in [picture::pixels, picture::over_white] {
            assert_eq!(read(early).unwrap(), read(late).unwrap(), "{name}");
        }
    }
}

#[test]
fn every_kind_of_file_becomes_the_vector_that_timm_makes_of_it() {
    let expected = Expected::read();
    let names = expected.names();
    let files: Vec<_> = names
        .iter()
        .map(|name| fixture("pictures").join(name))
        .collect();
    let inputs: Vec<ImageInput<'_>> = files.iter().map(|file| ImageInput::File(file)).collect();
    for spec in devices() {
        for model in ["vit", "resnet"] {
            let folder = fixture("timm").join(model);
            let encoder = load_image(folder.to_str().unwrap(), &spec, &settings()).unwrap();
            let features = format!("features.{model}");
            let (shape, features) = numbers(&expected.file(), &features, f32::from_le_bytes);
            assert_eq!(shape, [names.len(), encoder.dimension()]);
            let rows = features.chunks_exact(encoder.dimension());
            for ((name, found), expected) in names.iter().zip(encoder.embed(&inputs)).zip(rows) {
                let cosine = cosine(&found.unwrap(), expected);
                assert!(cosine >= 0.9999, "{cosine} for {model} of {name} on {spec}");
            }
        }
    }
}
