//! What sentence-transformers puts behind a network: pooling, and the modules behind that.

use std::{num::NonZeroUsize, path::Path};

use burn::tensor::{Tensor, TensorData};
use serde::Deserialize;

use super::{
    Pooling, TextOptions,
    layers::{Dense, Normalisation},
    options::read_if_there,
    parts::{INDEX, Part, PoolingFile, scales_texts},
    pooling::{pool_ways, scale_to_unit},
};
use crate::encoders::Error;

/// Token vectors → one vector per text.
#[derive(Debug)]
pub(in crate::encoders) struct Head {
    /// Whose vectors are joined.
    ways: Vec<Pooling>,
    /// What is in front of a text is not pooled.
    leaves_out_prompt: bool,
    /// What happens to the joined vector, in this order.
    steps: Vec<Step>,
    dimension: usize,
}

/// One module behind pooling.
#[derive(Debug)]
enum Step {
    /// To length one.
    Unit,
    Dense(Dense),
    Normalisation(Normalisation),
    /// To so many numbers, the first ones.
    Cut(usize),
}

/// The classes that can be computed, by the last part of their names.
const KNOWN: [&str; 6] = [
    "Transformer",
    "Pooling",
    "Dense",
    "LayerNorm",
    "Normalize",
    "Dropout",
];

impl Head {
    /// Pooling in one way, and perhaps scaling to unit length.
    pub(in crate::encoders) fn new(pooling: Pooling, normalize: bool, hidden: usize) -> Self {
        Self {
            ways: vec![pooling],
            leaves_out_prompt: false,
            steps: if normalize {
                vec![Step::Unit]
            } else {
                Vec::new()
            },
            dimension: hidden,
        }
    }

    /// What a checkpoint's own files say, and a caller over them; the mean where nobody says
    /// anything.
    pub(in crate::encoders) fn of_directory(
        directory: &Path,
        options: TextOptions,
        hidden: usize,
    ) -> Result<Self, Error> {
        let mut head = Self::new(Pooling::Mean, false, hidden);
        let index = directory.join(INDEX);
        if let Some(parts) = read_if_there::<Vec<Part>>(&index)? {
            for part in &parts {
                head.add(directory, &index, part, options)?;
            }
            head.cut(&directory.join("config_sentence_transformers.json"))?;
        } else {
            head.pool_as(&directory.join("1_Pooling"), hidden)?;
            head.overrule(options, hidden);
        }
        if options.normalize && !matches!(head.steps.last(), Some(Step::Unit)) {
            head.steps.push(Step::Unit);
        }
        Ok(head)
    }

    /// Takes up one module.
    fn add(
        &mut self,
        directory: &Path,
        index: &Path,
        part: &Part,
        options: TextOptions,
    ) -> Result<(), Error> {
        let unusable = |reason: String| Error::Checkpoint {
            path: index.to_owned(),
            reason,
        };
        let folder = part.folder(directory)?;
        match part.class() {
            "Transformer" | "Dropout" => {}
            "Pooling" => {
                if !self.steps.is_empty() {
                    return Err(unusable(format!(
                        "`{}` stands behind other modules; it can only be the second",
                        part.kind
                    )));
                }
                let hidden = self.dimension;
                self.pool_as(&folder, hidden)?;
                self.overrule(options, hidden);
            }
            "Normalize" => {
                if scales_texts(&folder.join("config.json"))? {
                    self.steps.push(Step::Unit);
                }
            }
            "Dense" => {
                let (dense, dimension) = Dense::read(&folder, self.dimension)?;
                self.steps.push(Step::Dense(dense));
                self.dimension = dimension;
            }
            "LayerNorm" => {
                let normalisation = Normalisation::read(&folder, self.dimension)?;
                self.steps.push(Step::Normalisation(normalisation));
            }
            _ => {
                return Err(unusable(format!(
                    "a module is `{}`; `{}` can be computed",
                    part.kind,
                    KNOWN.join("`, `")
                )));
            }
        }
        Ok(())
    }

    /// Keeps as many numbers as a file says, if it does.
    ///
    /// Source: `truncate_dim` of sentence-transformers' `sentence_transformer/model.py`.
    fn cut(&mut self, path: &Path) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct File {
            truncate_dim: Option<NonZeroUsize>,
        }
        let file = read_if_there::<File>(path)?;
        if let Some(length) = file.and_then(|file| file.truncate_dim) {
            self.dimension = self.dimension.min(length.get());
            self.steps.push(Step::Cut(self.dimension));
        }
        Ok(())
    }

    /// Pools as the `config.json` of a folder says, if there is one.
    fn pool_as(&mut self, folder: &Path, hidden: usize) -> Result<(), Error> {
        let path = folder.join("config.json");
        if let Some(file) = read_if_there::<PoolingFile>(&path)? {
            let ways = file.ways();
            self.ways = ways.map_err(|reason| Error::Checkpoint { path, reason })?;
            self.leaves_out_prompt = file.include_prompt == Some(false);
            self.dimension = hidden * self.ways.len();
        }
        Ok(())
    }

    /// Pools as a caller says, if one does.
    fn overrule(&mut self, options: TextOptions, hidden: usize) {
        if let Some(pooling) = options.pooling {
            self.ways = vec![pooling];
            self.dimension = hidden;
        }
    }

    /// The length of a vector.
    pub(in crate::encoders) const fn dimension(&self) -> usize {
        self.dimension
    }

    /// Whether the tokens of a prompt are not pooled.
    pub(in crate::encoders) const fn leaves_out_prompt(&self) -> bool {
        self.leaves_out_prompt
    }

    /// The pooling, where it is one and nothing else.
    pub(in crate::encoders) fn only(&self) -> Option<Pooling> {
        match self.ways.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }

    /// One vector per row, of whose tokens the first `left_out` are not pooled.
    ///
    /// # Shapes
    /// - states: `[rows, tokens, hidden]`, row-major
    /// - output: `rows` vectors
    pub(in crate::encoders) fn apply(
        &self,
        states: &[f32],
        shape: [usize; 3],
        left_out: usize,
    ) -> Result<Vec<Vec<f32>>, Error> {
        let vectors = pool_ways(states, shape, &self.ways, left_out);
        let through = |vector| {
            self.steps
                .iter()
                .try_fold(vector, |vector, step| step.apply(vector))
        };
        vectors.into_iter().map(through).collect()
    }
}

impl Step {
    fn apply(&self, mut vector: Vec<f32>) -> Result<Vec<f32>, Error> {
        let computed = |layer: &dyn Fn(Tensor<2>) -> Tensor<2>, vector: Vec<f32>, device| {
            let width = vector.len();
            let row = Tensor::from_data(TensorData::new(vector, [1, width]), device);
            layer(row)
                .try_into_vec_as::<f32>()
                .map_err(|error| Error::Compute(error.to_string()))
        };
        match self {
            Self::Unit => {
                scale_to_unit(&mut vector);
                Ok(vector)
            }
            Self::Cut(length) => {
                vector.truncate(*length);
                Ok(vector)
            }
            Self::Dense(dense) => computed(&|row| dense.forward(row), vector, dense.device()),
            Self::Normalisation(norm) => computed(&|row| norm.forward(row), vector, norm.device()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[&str], pooling: &str) -> Result<Head, Error> {
        let folder = tempfile::tempdir().unwrap();
        let parts: Vec<_> = parts
            .iter()
            .enumerate()
            .map(|(place, kind)| {
                let path = if place == 0 {
                    String::new()
                } else {
                    format!("{place}_{kind}")
                };
                let kind = format!("sentence_transformers.models.{kind}");
                serde_json::json!({"type": kind, "path": path})
            })
            .collect();
        let text = serde_json::to_string(&parts).unwrap();
        fs_err::write(folder.path().join("modules.json"), text).unwrap();
        fs_err::create_dir(folder.path().join("1_Pooling")).unwrap();
        fs_err::write(folder.path().join("1_Pooling/config.json"), pooling).unwrap();
        Head::of_directory(folder.path(), TextOptions::default(), 5)
    }

    #[test]
    fn reads_the_files_of_all_versions() {
        let parts = ["Transformer", "Pooling"];
        for (text, ways) in [
            (r#"{"pooling_mode": "cls"}"#, &[Pooling::Cls][..]),
            (r#"{"pooling_mode": ["mean"]}"#, &[Pooling::Mean]),
            (r#"{"pooling_mode_cls_token": true}"#, &[Pooling::Cls]),
            (
                r#"{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}"#,
                &[Pooling::Cls, Pooling::Mean],
            ),
            (
                r#"{"pooling_mode": ["mean", "cls"]}"#,
                &[Pooling::Mean, Pooling::Cls],
            ),
            ("{}", &[Pooling::Mean]),
        ] {
            let head = of(&parts, text).unwrap();
            assert_eq!(head.ways, ways, "{text}");
            assert_eq!(head.dimension(), 5 * ways.len());
        }
        let error = of(&parts, r#"{"pooling_mode": "most"}"#).unwrap_err();
        assert!(error.to_string().contains("`pooling_mode` is `most`"));
        let head = of(&parts, r#"{"include_prompt": false}"#).unwrap();
        assert!(head.leaves_out_prompt());
    }

    #[test]
    fn modules_are_taken_up_in_their_order() {
        let length = |head: &Head| {
            let vectors = head.apply(&[3.0, 4.0, 0.0, 0.0, 0.0], [1, 1, 5], 0);
            vectors.unwrap()[0][0]
        };
        let pooled = of(&["Transformer", "Pooling", "Dropout"], "{}").unwrap();
        assert!((length(&pooled) - 3.0).abs() < 1e-6);
        let unit = of(&["Transformer", "Pooling", "Normalize"], "{}").unwrap();
        assert!((length(&unit) - 0.6).abs() < 1e-6);

        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs_err::write(folder.path().join(name), text).unwrap();
        let of_files = || Head::of_directory(folder.path(), TextOptions::default(), 5).unwrap();
        fs_err::create_dir(folder.path().join("2_Normalize")).unwrap();
        put(
            INDEX,
            r#"[{"type": "a.Transformer", "path": "0_Transformer"}, {"type": "a.Pooling"},
                {"type": "a.Normalize", "path": "2_Normalize"}]"#,
        );
        assert!(
            super::super::network(folder.path())
                .unwrap()
                .ends_with("0_Transformer")
        );
        put(
            "2_Normalize/config.json",
            r#"{"module_input_name": "token_embeddings"}"#,
        );
        assert!((length(&of_files()) - 3.0).abs() < 1e-6);
        put("2_Normalize/config.json", "{}");
        put(
            "config_sentence_transformers.json",
            r#"{"truncate_dim": 2}"#,
        );
        let cut = of_files();
        let vectors = cut.apply(&[3.0, 0.0, 4.0, 0.0, 0.0], [1, 1, 5], 0).unwrap();
        assert_eq!((cut.dimension(), &*vectors[0]), (2, &[0.6, 0.0][..]));
        put(
            "config_sentence_transformers.json",
            r#"{"truncate_dim": 0}"#,
        );
        let error = Head::of_directory(folder.path(), TextOptions::default(), 5);
        assert!(error.unwrap_err().to_string().contains("nonzero"));

        let error = of(&["Transformer", "Normalize", "Pooling"], "{}").unwrap_err();
        assert!(error.to_string().contains("can only be the second"));
        let error = of(&["Transformer", "Pooling", "CNN"], "{}").unwrap_err();
        assert!(error.to_string().contains("models.CNN"), "{error}");
    }
}
