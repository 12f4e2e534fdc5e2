//! BLIP: a vision transformer, and a decoder of BERT's kind that looks at what it sees.
//!
//! Source: `modeling_blip.py` and `modeling_blip_text.py` of transformers.

mod config;
mod text;
mod vision;

use std::path::Path;

use burn::{
    module::Module,
    tensor::{DType, Device, Tensor, TensorData},
};

use self::{
    config::{BlipConfig, TextConfig},
    text::{Own, Text},
    vision::Vision,
};
use super::{
    CaptionOptions, DeviceSpec, Error, ImageError,
    captioner::{Network, Pictures, Plan, Words},
    checkpoint,
    generation::{self, Settings},
};

/// Hub name → name of the module tree.
///
/// | in the file | here |
/// |---|---|
/// | `….patch_embedding.…` | `….patch_embedding.proj.…` |
/// | `….LayerNorm.…` | `….layer_norm.…` |
/// | `….attention.self.…`, `….crossattention.self.…` | `….heads.…` |
/// | `….predictions.transform.LayerNorm.…` | `….predictions.transform.layer_norm.…` |
const RENAMES: [(&str, &str); 5] = [
    (r"patch_embedding\.", "patch_embedding.proj."),
    (r"LayerNorm\.gamma$", "LayerNorm.weight"),
    (r"LayerNorm\.beta$", "LayerNorm.bias"),
    (r"LayerNorm", "layer_norm"),
    (r"attention\.self\.", "attention.heads."),
];

/// Tensors that old checkpoints carry and captions do not need: counted positions, and the bias
/// that stands in for one that is there.
fn may_stay(name: &str) -> bool {
    name == "text_decoder.bert.embeddings.position_ids"
        || name == "text_decoder.cls.predictions.bias"
}

/// Whether scores of the next word are made with a tensor: these have all digits on every device.
fn scores_words(name: &str, own: Own) -> bool {
    let shared = "text_decoder.bert.embeddings.word_embeddings.weight";
    name.starts_with("text_decoder.cls.") || (name == shared && !own.weight)
}

/// The network, under the names of transformers' `BlipForConditionalGeneration`.
#[derive(Module, Debug)]
pub(super) struct Blip {
    vision_model: Vision,
    pub(super) text_decoder: Text,
}

/// A loaded checkpoint.
#[derive(Debug)]
pub(super) struct BlipCaptioner {
    pub(super) model: Blip,
    config: TextConfig,
    pictures: Pictures,
    words: Words,
    spec: DeviceSpec,
    device: Device,
}

impl BlipCaptioner {
    /// The checkpoint in a directory.
    pub(super) fn load(directory: &Path, spec: DeviceSpec, device: Device) -> Result<Self, Error> {
        let config = BlipConfig::read(directory)?;
        let pictures = Pictures::of_directory(directory, 384)?;
        let words = Words::of_directory(directory)?;
        let path = checkpoint::file_in(directory)?;
        let shapes = checkpoint::shapes(&path)?;
        let has = |name: &str| {
            let decoder = "text_decoder.cls.predictions.decoder";
            shapes.contains_key(&format!("{decoder}.{name}"))
        };
        let own = Own {
            weight: has("weight"),
            bias: has("bias"),
        };
        let (text, vision) = (&config.text_config, &config.vision_config);
        let init = || -> Result<Blip, String> {
            let [height, width] = pictures
                .size()
                .map(|side| vision.patch().map(|patch| side / patch));
            let (positions, patches) = (vision.positions()?, height? * width?);
            if patches == 0 || patches >= positions {
                return Err(format!(
                    "the processor gives pictures of {patches} patches, but \
                     `vision_config.image_size` has positions for {}",
                    positions - 1
                ));
            }
            Ok(Blip {
                vision_model: vision.init(&device)?,
                text_decoder: text.init(vision.hidden_size, own, &device)?,
            })
        };
        let mut model = init().map_err(|reason| Error::Checkpoint {
            path: directory.join("config.json"),
            reason,
        })?;
        let dtype = |name: &str| {
            if scores_words(name, own) {
                DType::F32
            } else {
                spec.precision().dtype()
            }
        };
        checkpoint::load_as(&mut model, &path, &RENAMES, may_stay, dtype)?;
        Ok(Self {
            model,
            config: config.text_config,
            pictures,
            words,
            spec,
            device,
        })
    }

    /// What the decoder looks at.
    ///
    /// # Shapes
    /// - output: `[pictures, 1 + patches, width of the tower]`
    pub(super) fn see(&self, pictures: &[&[f32]]) -> Tensor<3> {
        let [height, width] = self.pictures.size();
        let see = |pictures: &[&[f32]]| {
            let data = TensorData::new(pictures.concat(), [pictures.len(), 3, height, width]);
            self.model
                .vision_model
                .forward(Tensor::from_data(data, &self.device))
        };
        if self.spec.is_exact() {
            let seen = pictures.iter().map(|picture| see(&[*picture]));
            Tensor::cat(seen.collect(), 0)
        } else {
            see(pictures)
        }
    }
}

impl Network for BlipCaptioner {
    fn pictures(&self) -> &Pictures {
        &self.pictures
    }

    fn words(&self) -> &Words {
        &self.words
    }

    /// The prompt begins the caption.
    ///
    /// Source: `BlipForConditionalGeneration.generate`, which puts its own first token in the place
    /// of the tokenizer's and takes the last one away. It asks its decoder, which has heard nothing
    /// of `generation_config.json`: the rules are the library's defaults.
    fn plan(&self, options: &CaptionOptions) -> Result<Plan, String> {
        let start = self.config.bos_token_id;
        let mut prompt = match &options.prompt {
            None => vec![start],
            Some(words) => {
                let mut tokens = self.words.encode(words, true)?;
                tokens.pop();
                tokens
            }
        };
        match prompt.first_mut() {
            Some(first) => *first = start,
            None => prompt.push(start),
        }
        let known = self.config.vocab_size;
        if let Some(token) = prompt.iter().find(|token| **token as usize >= known) {
            return Err(format!(
                "the prompt has token {token}, but the checkpoint knows {known}"
            ));
        }
        let rules = Settings::default().rules(
            prompt.len(),
            self.config.max_position_embeddings,
            vec![self.config.sep_token_id],
            options.max_tokens,
            options.beams,
        )?;
        Ok(Plan {
            prompt,
            start: 1,
            question: Vec::new(),
            rules,
        })
    }

    fn write(&self, pictures: &[&[f32]], plan: &Plan) -> Vec<Result<Vec<u32>, ImageError>> {
        let decoder = &self.model.text_decoder;
        let mut cache = decoder.look(&self.see(pictures));
        generation::generate(&plan.prompt, pictures.len(), &plan.rules, |step| {
            let scores = decoder.forward(step, &mut cache, &self.device);
            scores
                .try_into_vec_as::<f32>()
                .map_err(|error| ImageError::Compute(error.to_string()))
        })
    }
}
