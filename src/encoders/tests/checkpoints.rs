//! Weights as PyTorch, transformers and timm write them (`tests/reference/weights_files.py`).

use std::{collections::HashMap, path::Path};

use burn::{
    module::{Module, Param},
    tensor::{DType, Device, Tensor},
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::{fixture, numbers};
use crate::encoders::checkpoint::{Identity, file_in, load, shapes};

/// What the fixtures hold, as far as it has a fraction.
#[derive(Module, Debug)]
struct Weights {
    dense: burn::nn::Linear,
    first: Matrix,
    second: Matrix,
    half: Param<Tensor<1>>,
    brain: Param<Tensor<2>>,
    double: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Matrix {
    weight: Param<Tensor<2>>,
}

/// The part of it that is there in pieces.
#[derive(Module, Debug)]
struct Pieces {
    dense: Dense,
    half: Param<Tensor<1>>,
    brain: Param<Tensor<2>>,
}

/// Its name is not `Linear`, so it is taken as it lies in the file.
#[derive(Module, Debug)]
struct Dense {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Half {
    half: Param<Tensor<1>>,
}

fn zeros<const D: usize>(shape: [usize; D]) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::zeros(shape, &Device::flex()))
}

impl Weights {
    fn init() -> Self {
        let matrix = || Matrix {
            weight: zeros([4, 2]),
        };
        Self {
            dense: burn::nn::LinearConfig::new(4, 3).init(&Device::flex()),
            first: matrix(),
            second: matrix(),
            half: zeros([7]),
            brain: zeros([2, 3]),
            double: zeros([3]),
        }
    }
}

impl Pieces {
    fn init() -> Self {
        Self {
            dense: Dense {
                weight: zeros([3, 4]),
                bias: zeros([3]),
            },
            half: zeros([7]),
            brain: zeros([2, 3]),
        }
    }
}

fn weights(name: &str) -> std::path::PathBuf {
    fixture("weights").join(name)
}

/// The numbers of a tensor of the fixtures, as PyTorch wrote them for comparison.
fn expected(name: &str) -> Vec<f32> {
    let bytes = fs_err::read(weights("expected.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    numbers(&file, name, f32::from_le_bytes).1
}

fn found<const D: usize>(parameter: &Param<Tensor<D>>) -> Vec<f32> {
    parameter.val().try_into_vec_as().unwrap()
}

fn steps(name: &str) -> bool {
    name == "steps"
}

fn refusal(path: &Path) -> String {
    let mut module = Half { half: zeros([7]) };
    let loaded = load(&mut module, path, &[], steps, DType::F32);
    loaded.unwrap_err().to_string()
}

#[test]
fn both_kinds_of_pickles_hold_what_pytorch_put_there() {
    for name in ["zip.pth", "legacy.pt", "state_dict.pth"] {
        let mut module = Weights::init();
        load(&mut module, &weights(name), &[], steps, DType::F32).unwrap();
        let dense = module.dense.weight.val().transpose();
        assert_eq!(dense.dtype(), DType::F32);
        assert_eq!(
            dense.try_into_vec_as::<f32>().unwrap(),
            expected("dense.weight"),
            "{name}"
        );
        assert_eq!(
            found(module.dense.bias.as_ref().unwrap()),
            expected("dense.bias")
        );
        assert_eq!(found(&module.first.weight), expected("first.weight"));
        assert_eq!(found(&module.second.weight), expected("second.weight"));
        assert_eq!(found(&module.half), expected("half"));
        assert_eq!(found(&module.brain), expected("brain"));
        assert_eq!(found(&module.double), expected("double"));
    }
    let mut module = Half { half: zeros([7]) };
    load(&mut module, &weights("model.pt"), &[], steps, DType::F32).unwrap();
    assert_eq!(found(&module.half), expected("half"));
}

#[test]
fn pieces_are_one_checkpoint() {
    for folder in ["pieces.safetensors", "pieces.bin"] {
        let index = file_in(&weights(folder)).unwrap();
        let mut module = Pieces::init();
        load(&mut module, &index, &[], steps, DType::F32).unwrap();
        assert_eq!(found(&module.dense.weight), expected("dense.weight"));
        assert_eq!(found(&module.dense.bias), expected("dense.bias"));
        assert_eq!(found(&module.brain), expected("brain"));
        assert_eq!(shapes(&index).unwrap()["brain"], [2, 3]);
    }
}

#[test]
fn a_piece_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs_err::read_dir(weights("pieces.safetensors")).unwrap() {
        let entry = entry.unwrap();
        fs_err::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let index = file_in(folder.path()).unwrap();
    fs_err::write(folder.path().join("config.json"), "{}").unwrap();
    let hash = || Identity::of(folder.path()).unwrap().weights;
    let whole = hash();
    let second = folder.path().join("model-00002-of-00002.safetensors");
    let bytes = fs_err::read(&second).unwrap();
    fs_err::remove_file(&second).unwrap();
    let error = refusal(&index);
    assert!(
        error.contains("`model-00002-of-00002.safetensors` is missing, which holds `brain` and 1 "),
        "{error}"
    );
    // The hash is of all pieces.
    let mut other = bytes.clone();
    *other.last_mut().unwrap() ^= 1;
    fs_err::write(&second, other).unwrap();
    assert_ne!(hash(), whole);
    fs_err::write(&second, bytes).unwrap();
    assert_eq!(hash(), whole);

    let put = |map: &str| {
        fs_err::write(&index, format!(r#"{{"weight_map": {map}}}"#)).unwrap();
        refusal(&index)
    };
    let error = put(r#"{"none": "model-00002-of-00002.safetensors"}"#);
    assert!(
        error.contains("`none` is missing, which the index says"),
        "{error}"
    );
    let error = put(r#"{"none": "../other.safetensors"}"#);
    assert!(error.contains("is no file beside it"), "{error}");
    let error = put("{}");
    assert!(error.contains("lists no tensor"), "{error}");
}

#[test]
fn a_pickle_that_calls_what_weights_do_not_need_is_refused_and_not_run() {
    for (name, call) in [
        ("command.pth", "`posix.system`"),
        ("command.pt", "`posix.system`"),
        ("hidden.pth", "`builtins.eval`"),
    ] {
        let error = refusal(&weights(name));
        assert!(error.contains(call), "{name}: {error}");
        assert!(error.contains("nothing of it was run"), "{error}");
    }
    assert!(!Path::new("/tmp/trendmill-ran-a-pickle").exists());
}

#[test]
fn what_is_no_pickle_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pth");
    for content in [
        "<html>not found</html>".as_bytes(),
        b"version https://git-lfs.github.com/spec/v1\n",
        b"PK\x03\x04 and no more",
        b"\x80\x02}",
        b"",
    ] {
        fs_err::write(&path, content).unwrap();
        let error = refusal(&path);
        assert!(error.contains("x.pth` is not usable"), "{error}");
    }
}

#[test]
fn numbers_become_the_type_that_is_asked_for() {
    for name in ["zip.pth", "legacy.pt"] {
        for (dtype, close) in [(DType::F16, 1e-3), (DType::BF16, 1e-2)] {
            let mut module = Weights::init();
            load(&mut module, &weights(name), &[], steps, dtype).unwrap();
            assert_eq!(module.dense.weight.val().dtype(), dtype);
            assert_eq!(module.brain.val().dtype(), dtype);
            for (found, expected) in [
                (found(&module.first.weight), expected("first.weight")),
                (found(&module.half), expected("half")),
                (found(&module.brain), expected("brain")),
            ] {
                for (found, expected) in found.iter().zip(expected) {
                    assert!(
                        (found - expected).abs() <= close * expected.abs(),
                        "{found}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_number_that_is_none_is_refused_with_the_name_of_its_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let put = |dtype, bytes: &[u8]| {
        let view = TensorView::new(dtype, vec![7], bytes).unwrap();
        let file = safetensors::serialize(HashMap::from([("half", view)]), None).unwrap();
        fs_err::write(&path, file).unwrap();
        let mut module = Half { half: zeros([7]) };
        let to = |dtype| load(&mut module.clone(), &path, &[], steps, dtype);
        let result = to(DType::F32).map_err(|error| error.to_string());
        module = Half { half: zeros([7]) };
        (
            result,
            load(&mut module, &path, &[], steps, DType::F16).is_ok(),
        )
    };
    let single = |last: f32| {
        let numbers = [1.0, -2.0, 0.0, 3.0, 4.0, 5.0, last];
        put(Dtype::F32, &numbers.map(f32::to_le_bytes).concat())
    };
    for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let (result, as_half) = single(broken);
        let error = result.unwrap_err();
        assert!(error.contains("`half` holds NaN"), "{error}");
        assert!(!as_half);
    }
    assert_eq!(single(f32::MAX), (Ok(()), false));
    assert_eq!(single(65_504.0), (Ok(()), true));
    for (dtype, broken) in [(Dtype::F16, 0x7c00_u16), (Dtype::BF16, 0xff80)] {
        let (result, _) = put(
            dtype,
            &[1, 2, 3, 4, 5, 6, broken].map(u16::to_le_bytes).concat(),
        );
        assert!(result.unwrap_err().contains("`half` holds NaN"));
    }
}

#[test]
fn weights_are_found_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let words = || file_in(folder.path()).unwrap_err().to_string();
    let name = || {
        let path = file_in(folder.path()).unwrap();
        path.file_name().unwrap().to_str().unwrap().to_owned()
    };
    let error = words();
    for looked_for in [
        "`model.safetensors`",
        "`pytorch_model.bin.index.json`",
        "`.pth`",
    ] {
        assert!(error.contains(looked_for), "{error}");
    }
    let put = |name: &str| fs_err::write(folder.path().join(name), "").unwrap();
    put("training_args.bin");
    put("x.pth");
    assert_eq!(name(), "x.pth");
    put("other.safetensors");
    assert!(words().contains("other.safetensors\", \"x.pth"));
    for better in [
        "pytorch_model.bin.index.json",
        "pytorch_model.bin",
        "model.safetensors.index.json",
        "model.safetensors",
    ] {
        put(better);
        assert_eq!(name(), better);
    }
    put("Visualized_x.pth");
    assert_eq!(name(), "Visualized_x.pth");
    put("Visualized_y.pth");
    assert!(words().contains("Visualized_y.pth"));
}
