//! Image encoders of timm with random weights and odd sizes, against what timm computes with them.

use image::RgbImage;
use safetensors::SafeTensors;

use super::{cosine, devices, distance, fixture, numbers, settings};
use crate::encoders::{
    DeviceSpec, ImageEncoder, ImageInput, WeightsSettings, fingerprint, image::Network as _,
    load_image, timm::TimmNetwork,
};

const MODELS: [&str; 15] = [
    "vit",
    "vit_half",
    "vit_mean",
    "vit_clip",
    "vit_behind",
    "vit_distilled",
    "resnet",
    "resnext",
    "eva_tiny",
    "eva_base",
    "eva_clip",
    "eva_post",
    "eva_options",
    "lite_half",
    "lite_tf_half",
];
const PICTURES: [&str; 3] = ["wide.png", "tall.png", "small.png"];

/// What timm's transform and model made of the pictures: pixels and features of each.
fn expected(model: &str) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let file = fixture("timm").join(model).join("expected.safetensors");
    let bytes = fs_err::read(file).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let rows = |name| {
        let (shape, values) = numbers(&file, name, f32::from_le_bytes);
        let length = shape[1..].iter().product();
        values.chunks_exact(length).map(<[f32]>::to_vec).collect()
    };
    (rows("pixels"), rows("features"))
}

fn network(model: &str, spec: DeviceSpec) -> TimmNetwork {
    let folder = fixture("timm").join(model);
    TimmNetwork::load(&folder, spec, spec.open().unwrap()).unwrap()
}

#[test]
fn computes_what_timm_computes() {
    for spec in devices() {
        for model in MODELS {
            let (pixels, features) = expected(model);
            let found = network(model, spec).compute(pixels.concat(), pixels.len());
            for (found, expected) in found.unwrap().iter().zip(&features) {
                let worst = distance(found, expected);
                assert!(worst < 1e-4, "{worst} for {model} on {spec}");
            }
        }
    }
}

#[test]
fn sees_what_timm_sees() {
    for model in MODELS {
        let network = network(model, DeviceSpec::FLEX);
        for (name, expected) in PICTURES.iter().zip(expected(model).0) {
            let picture: RgbImage = image::open(fixture("timm").join(name)).unwrap().into_rgb8();
            let found = network.prepare(&picture).unwrap();
            assert_eq!(found.len(), expected.len());
            // Pillow weighs with 22 bits, the library here with 16: some pixels are one step of
            // eight bits away, by the smallest standard deviation there is.
            let step = 1.0 / 255.0 / 0.22 + 1e-5;
            let apart: f32 = found
                .iter()
                .zip(&expected)
                .map(|(a, b)| (a - b).abs())
                .sum();
            let (worst, mean) = (distance(&found, &expected), apart / found.len() as f32);
            assert!(
                worst < step && mean < step / 5.0,
                "{worst}, {mean} for {model} of {name}"
            );
        }
    }
}

#[test]
fn files_become_the_vectors_that_timm_makes_of_them() {
    let files = PICTURES.map(|name| fixture("timm").join(name));
    for spec in devices() {
        for model in MODELS {
            let folder = fixture("timm").join(model);
            let encoder = load_image(folder.to_str().unwrap(), &spec, &settings()).unwrap();
            let inputs: Vec<ImageInput<'_>> =
                files.iter().map(|file| ImageInput::File(file)).collect();
            for (found, expected) in encoder.embed(&inputs).into_iter().zip(expected(model).1) {
                let found = found.unwrap();
                assert_eq!(found.len(), encoder.dimension());
                let cosine = cosine(&found, &expected);
                assert!(cosine > 0.9999, "{cosine} for {model} on {spec}");
            }
        }
    }
}

#[test]
fn a_strip_takes_no_more_memory_than_what_is_kept_of_it() {
    let strip = RgbImage::from_fn(20_000, 10, |x, _| image::Rgb([(x % 251) as u8; 3]));
    for model in MODELS {
        let network = network(model, DeviceSpec::FLEX);
        for picture in [&strip, &RgbImage::new(1, 1), &RgbImage::new(3, 2000)] {
            let seen = network.prepare(picture).unwrap();
            assert!(
                network.compute(seen, 1).unwrap()[0]
                    .iter()
                    .all(|value| value.is_finite())
            );
        }
    }
}

#[test]
fn a_name_loads_as_a_directory_does_and_is_remembered() {
    const NAME: &str = "vit_large_patch16_384.augreg_in21k_ft_in1k";
    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    let home = tempfile::tempdir().unwrap();
    let repository = home.path().join(format!("hf/hub/models--timm--{NAME}"));
    let snapshot = repository.join("snapshots").join(COMMIT);
    fs_err::create_dir_all(&snapshot).unwrap();
    fs_err::create_dir(repository.join("refs")).unwrap();
    fs_err::write(repository.join("refs/main"), COMMIT).unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs_err::copy(fixture("timm/vit").join(name), snapshot.join(name)).unwrap();
    }
    let weights = WeightsSettings {
        offline: true,
        hf_home: home.path().join("hf"),
        cache_dir: home.path().join("own"),
        ..settings()
    };
    let load = || load_image(NAME, &DeviceSpec::FLEX, &weights);
    let named = load().unwrap();
    assert_eq!(named.fingerprint(), fingerprint(NAME).unwrap());
    let folder = fixture("timm/vit");
    let other = load_image(folder.to_str().unwrap(), &DeviceSpec::FLEX, &weights).unwrap();
    let file = fixture("timm/wide.png");
    let of = |encoder: &ImageEncoder| {
        let mut vectors = encoder.embed(&[ImageInput::File(&file)]);
        vectors.swap_remove(0).unwrap()
    };
    assert_eq!(of(&named), of(&other));
    // The catalogue does not pin these files: the first use does.
    let config = snapshot.join("config.json");
    let words = fs_err::read_to_string(&config).unwrap();
    fs_err::write(&config, words + " ").unwrap();
    let error = load().unwrap_err().to_string();
    assert!(error.contains("is not the pinned file"), "{error}");
}
