//! The layers with weights that sentence-transformers puts behind pooling.

use std::path::Path;

use burn::{
    module::Module,
    nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{DType, Device, Tensor},
};
use serde::Deserialize;

use super::options::read_if_there;
use crate::encoders::{Error, activation::Activation, checkpoint};

/// A layer of all numbers, and perhaps a function of each. Computed on the processor, row by row,
/// so that a vector has the same bytes in any company.
#[derive(Debug)]
pub(super) struct Dense {
    weights: DenseWeights,
    activation: Option<Activation>,
    /// What comes in is added to what comes out.
    adds: bool,
    device: Device,
}

/// Its weights, under their names in the file.
#[derive(Module, Debug)]
struct DenseWeights {
    linear: Linear,
    /// What brings the input to the output's length before it is added.
    residual: Option<Linear>,
}

/// The `config.json` beside them.
///
/// Source: `Dense` of sentence-transformers.
#[derive(Deserialize)]
struct DenseFile {
    in_features: usize,
    out_features: usize,
    #[serde(default = "yes")]
    bias: bool,
    #[serde(default = "tanh")]
    activation_function: String,
    #[serde(default = "sentence")]
    module_input_name: String,
    #[serde(default)]
    module_output_name: Option<String>,
    #[serde(default)]
    use_residual: bool,
}

const fn yes() -> bool {
    true
}

fn tanh() -> String {
    "torch.nn.modules.activation.Tanh".to_owned()
}

fn sentence() -> String {
    "sentence_embedding".to_owned()
}

/// The functions that can be computed, by the last part of their names.
const FUNCTIONS: [(&str, Option<Activation>); 6] = [
    ("Identity", None),
    ("Tanh", Some(Activation::Tanh)),
    ("ReLU", Some(Activation::Relu)),
    ("GELU", Some(Activation::Gelu)),
    ("SiLU", Some(Activation::Silu)),
    ("Sigmoid", Some(Activation::Sigmoid)),
];

impl Dense {
    /// The layer of a folder for vectors of `width` numbers, and the length of what it makes.
    pub(super) fn read(folder: &Path, width: usize) -> Result<(Self, usize), Error> {
        let path = folder.join("config.json");
        let file: DenseFile = needed(&path)?;
        let unusable = |reason: String| Error::Checkpoint {
            path: path.clone(),
            reason,
        };
        if file.in_features != width {
            return Err(unusable(format!(
                "`in_features` is {}, but the vectors before it have {width} numbers",
                file.in_features
            )));
        }
        for name in [
            Some(&file.module_input_name),
            file.module_output_name.as_ref(),
        ] {
            if let Some(name) = name.filter(|name| *name != &sentence()) {
                return Err(unusable(format!(
                    "it reads or writes `{name}`; only `{}` can be computed",
                    sentence()
                )));
            }
        }
        let function = file.activation_function.rsplit('.').next();
        let known = FUNCTIONS.iter().find(|(name, _)| Some(*name) == function);
        let (_, activation) = known.ok_or_else(|| {
            unusable(format!(
                "`activation_function` is `{}`; `{}` of torch can be computed",
                file.activation_function,
                FUNCTIONS.map(|(name, _)| name).join("`, `")
            ))
        })?;
        let device = Device::flex();
        let linear = LinearConfig::new(width, file.out_features);
        let brings = file.use_residual && width != file.out_features;
        let mut weights = DenseWeights {
            linear: linear.clone().with_bias(file.bias).init(&device),
            residual: brings.then(|| linear.with_bias(false).init(&device)),
        };
        load(&mut weights, folder)?;
        let dense = Self {
            weights,
            activation: *activation,
            adds: file.use_residual,
            device,
        };
        Ok((dense, file.out_features))
    }

    /// # Shapes
    /// - row: `[1, in]`
    /// - output: `[1, out]`
    pub(super) fn forward(&self, row: Tensor<2>) -> Tensor<2> {
        let mut out = self.weights.linear.forward(row.clone());
        if let Some(activation) = self.activation {
            out = activation.apply(out);
        }
        match &self.weights.residual {
            Some(residual) => out + residual.forward(row),
            None if self.adds => out + row,
            None => out,
        }
    }

    /// Where it is computed.
    pub(super) const fn device(&self) -> &Device {
        &self.device
    }
}

/// Normalisation of each vector's numbers.
#[derive(Debug)]
pub(super) struct Normalisation {
    weights: NormalisationWeights,
    device: Device,
}

/// Its weights, under their names in the file.
#[derive(Module, Debug)]
struct NormalisationWeights {
    norm: LayerNorm,
}

impl Normalisation {
    /// The module of a folder for vectors of `width` numbers.
    pub(super) fn read(folder: &Path, width: usize) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct File {
            dimension: usize,
        }
        let path = folder.join("config.json");
        let file: File = needed(&path)?;
        if file.dimension != width {
            return Err(Error::Checkpoint {
                path,
                reason: format!(
                    "`dimension` is {}, but the vectors before it have {width} numbers",
                    file.dimension
                ),
            });
        }
        let device = Device::flex();
        let mut weights = NormalisationWeights {
            norm: LayerNormConfig::new(width).with_epsilon(1e-5).init(&device),
        };
        load(&mut weights, folder)?;
        Ok(Self { weights, device })
    }

    /// # Shapes
    /// - row, output: `[1, width]`
    pub(super) fn forward(&self, row: Tensor<2>) -> Tensor<2> {
        self.weights.norm.forward(row)
    }

    /// Where it is computed.
    pub(super) const fn device(&self) -> &Device {
        &self.device
    }
}

/// Settings that must be there.
fn needed<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    read_if_there(path)?.ok_or_else(|| Error::Checkpoint {
        path: path.to_owned(),
        reason: "`modules.json` lists it, but there is no such file".to_owned(),
    })
}

/// Fills a module from the weights of its folder.
fn load<M: Module>(module: &mut M, folder: &Path) -> Result<(), Error> {
    let path = checkpoint::file_in(folder)?;
    checkpoint::load(module, &path, &[], |_| false, DType::F32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::{Dtype, TensorView};

    /// A folder with these settings and weights.
    fn folder(settings: &str, weights: &[(&str, &[usize], &[f32])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("config.json"), settings).unwrap();
        let bytes: Vec<(&str, &[usize], Vec<u8>)> = weights
            .iter()
            .map(|(name, shape, numbers)| {
                let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
                (*name, *shape, bytes.collect())
            })
            .collect();
        let views = bytes.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap();
            (*name, view)
        });
        let file = safetensors::serialize(views.collect::<Vec<_>>(), None).unwrap();
        fs_err::write(folder.path().join("model.safetensors"), file).unwrap();
        folder
    }

    fn computed(layer: impl Fn(Tensor<2>) -> Tensor<2>) -> Vec<f32> {
        let row = Tensor::from_data([[1.0, -3.0]], &Device::flex());
        layer(row).try_into_vec_as::<f32>().unwrap()
    }

    #[test]
    fn a_dense_layer_is_that_of_its_file() {
        let weights: [(&str, &[usize], &[f32]); 2] = [
            ("linear.weight", &[3, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]),
            ("linear.bias", &[3], &[0.5, 0.0, 0.0]),
        ];
        let settings = |function: &str| {
            format!(
                r#"{{"in_features": 2, "out_features": 3, "bias": true,
                     "activation_function": "{function}"}}"#
            )
        };
        let dense = folder(&settings("torch.nn.modules.activation.ReLU"), &weights);
        let (dense, width) = Dense::read(dense.path(), 2).unwrap();
        assert_eq!(width, 3);
        assert_eq!(computed(|row| dense.forward(row)), [1.5, 0.0, 0.0]);

        let other = folder(&settings("torch.nn.modules.activation.Mish"), &weights);
        let error = Dense::read(other.path(), 2).unwrap_err().to_string();
        assert!(error.contains("activation.Mish"), "{error}");
        let error = Dense::read(other.path(), 4).unwrap_err().to_string();
        assert!(error.contains("`in_features` is 2"), "{error}");
    }

    #[test]
    fn a_residual_is_added_behind_the_function() {
        let settings = r#"{"in_features": 2, "out_features": 1, "bias": false,
            "activation_function": "torch.nn.modules.linear.Identity", "use_residual": true}"#;
        let weights: [(&str, &[usize], &[f32]); 2] = [
            ("linear.weight", &[1, 2], &[1.0, 1.0]),
            ("residual.weight", &[1, 2], &[2.0, 0.0]),
        ];
        let folder = folder(settings, &weights);
        let (dense, _) = Dense::read(folder.path(), 2).unwrap();
        assert_eq!(computed(|row| dense.forward(row)), [0.0]);
    }

    #[test]
    fn a_normalisation_is_that_of_its_file() {
        let weights: [(&str, &[usize], &[f32]); 2] = [
            ("norm.weight", &[2], &[2.0, 1.0]),
            ("norm.bias", &[2], &[0.0, 1.0]),
        ];
        let folder = folder(r#"{"dimension": 2}"#, &weights);
        let norm = Normalisation::read(folder.path(), 2).unwrap();
        let found = computed(|row| norm.forward(row));
        assert!(
            (found[0] - 2.0).abs() < 1e-4 && found[1].abs() < 1e-4,
            "{found:?}"
        );
    }
}
