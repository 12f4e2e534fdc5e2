//! Florence-2: a vision tower of windows and channels, and an encoder-decoder that is asked.
//!
//! Source: `modeling_florence2.py` and `modeling_bart.py` of transformers.

mod config;
mod language;
mod projector;
mod tasks;
mod tower;

use std::path::Path;

use burn::{
    module::Module,
    tensor::{DType, Device, Tensor, TensorData},
};
use serde::Deserialize;

use self::{
    config::FlorenceConfig,
    language::{Language, Words as Head},
    projector::Projector,
    tower::Tower,
};
use super::{
    CaptionOptions, DeviceSpec, Error, ImageError,
    captioner::{Network, Pictures, Plan, Words},
    checkpoint,
    generation::{self, Cache, Settings, Step, Tokens},
};

/// Tensors that checkpoints may repeat: the encoder is given vectors, not words.
fn may_stay(name: &str) -> bool {
    name == "model.language_model.encoder.embed_tokens.weight"
}

/// Whether scores of the next word are made with a tensor, which has all digits on every device;
/// `own` where these weights are not the words' vectors.
fn scores_words(name: &str, own: bool) -> bool {
    name == if own {
        "lm_head.weight"
    } else {
        "model.language_model.shared.weight"
    }
}

/// The network, under the names of transformers' `Florence2ForConditionalGeneration`.
#[derive(Module, Debug)]
struct Florence {
    model: Parts,
    lm_head: Head,
}

#[derive(Module, Debug)]
struct Parts {
    vision_tower: Tower,
    multi_modal_projector: Projector,
    language_model: Language,
}

/// A loaded checkpoint.
#[derive(Debug)]
pub(super) struct FlorenceCaptioner {
    network: Florence,
    config: FlorenceConfig,
    settings: Settings,
    pictures: Pictures,
    words: Words,
    frame: Frame,
    /// How many vectors a picture becomes.
    seen: usize,
    spec: DeviceSpec,
    device: Device,
}

/// The tokens around a question, as words.
#[derive(Debug)]
struct Frame {
    image: String,
    start: String,
    end: String,
}

impl FlorenceCaptioner {
    /// The checkpoint in a directory.
    pub(super) fn load(directory: &Path, spec: DeviceSpec, device: Device) -> Result<Self, Error> {
        let config = FlorenceConfig::read(directory)?;
        let settings = match Settings::of_directory(directory)? {
            Some(settings) => settings,
            None => Settings::of_model(&directory.join("config.json"), "text_config")?,
        };
        let pictures = Pictures::of_directory(directory, 768)?;
        let words = Words::of_directory(directory)?;
        let path = checkpoint::file_in(directory)?;
        let shapes = checkpoint::shapes(&path)?;
        let (text, vision) = (&config.text_config, &config.vision_config);
        let own = |name: &str| shapes.contains_key(name);
        let unusable = |reason: String| Error::Checkpoint {
            path: directory.join("config.json"),
            reason,
        };
        let init = || -> Result<(Florence, usize), String> {
            let [high, wide] = vision.seen(pictures.size())?;
            let seen = 1 + high * wide;
            if let Some(count) = pictures.vectors.filter(|count| *count != seen) {
                return Err(format!(
                    "a picture becomes {seen} vectors, but the processor's `image_seq_length` is \
                     {count}"
                ));
            }
            let network = Florence {
                model: Parts {
                    vision_tower: vision.init(&device)?,
                    multi_modal_projector: vision.init_projector(&device),
                    language_model: text.init(
                        own("model.language_model.decoder.embed_tokens.weight"),
                        &device,
                    )?,
                },
                lm_head: text.words(own("lm_head.weight"), &device),
            };
            Ok((network, seen))
        };
        let (mut network, seen) = init().map_err(unusable)?;
        let head = own("lm_head.weight");
        let dtype = |name: &str| {
            if scores_words(name, head) {
                DType::F32
            } else {
                spec.precision().dtype()
            }
        };
        checkpoint::load_as(&mut network, &path, &[], may_stay, dtype)?;
        Ok(Self {
            network,
            settings,
            pictures,
            words,
            frame: Frame::of_directory(directory)?,
            seen,
            config,
            spec,
            device,
        })
    }

    /// What the decoder looks at: what is seen, and the question.
    ///
    /// # Shapes
    /// - output: `[pictures, tokens, width]`
    pub(super) fn read(&self, pictures: &[&[f32]], question: &[u32]) -> Tensor<3> {
        let Parts {
            vision_tower,
            multi_modal_projector,
            language_model,
        } = &self.network.model;
        let [height, width] = self.pictures.size();
        let read = |pictures: &[&[f32]]| {
            let data = TensorData::new(pictures.concat(), [pictures.len(), 3, height, width]);
            let seen = vision_tower.forward(Tensor::from_data(data, &self.device));
            let seen = multi_modal_projector.forward(seen);
            let [_, _, width] = seen.dims();
            let question = language_model.embed(question, &self.device);
            let [_, tokens, _] = question.dims();
            let question = question.expand([pictures.len(), tokens, width]);
            language_model.read(Tensor::cat(vec![seen, question], 1))
        };
        if self.spec.is_exact() {
            let read = pictures.iter().map(|picture| read(&[*picture]));
            Tensor::cat(read.collect(), 0)
        } else {
            read(pictures)
        }
    }

    /// A cache with what the decoder reads of [`Self::read`].
    pub(super) fn look(&self, states: &Tensor<3>) -> Cache {
        self.network.model.language_model.look(states)
    }

    /// The scores of the token behind each token of a step.
    ///
    /// # Shapes
    /// - output: `[rows, tokens of the step, words]`
    pub(super) fn scores(&self, step: Step<'_>, cache: &mut Cache, last: bool) -> Tensor<3> {
        let language = &self.network.model.language_model;
        let mut states = language.states(step, cache, &self.device);
        let [rows, tokens, width] = states.dims();
        let count = if last { 1 } else { tokens };
        states = states.narrow(1, tokens - count, count);
        let scores = language.scores(states.reshape([rows * count, width]), &self.network.lm_head);
        let [_, words] = scores.dims();
        scores.reshape([rows, count, words])
    }
}

impl Frame {
    /// What `tokenizer_config.json` says, else what BART has.
    fn of_directory(directory: &Path) -> Result<Self, Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Token {
            Plain(String),
            Full { content: String },
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct File {
            #[serde(rename = "image_token")]
            image: Option<Token>,
            #[serde(rename = "bos_token")]
            start: Option<Token>,
            #[serde(rename = "eos_token")]
            end: Option<Token>,
        }
        let path = directory.join("tokenizer_config.json");
        let file = if path.is_file() {
            serde_json::from_slice(&fs_err::read(&path)?).map_err(|error| Error::Checkpoint {
                path,
                reason: error.to_string(),
            })?
        } else {
            File::default()
        };
        let or = |token: Option<Token>, default: &str| match token {
            Some(Token::Plain(content) | Token::Full { content }) => content,
            None => default.to_owned(),
        };
        Ok(Self {
            image: or(file.image, "<image>"),
            start: or(file.start, "<s>"),
            end: or(file.end, "</s>"),
        })
    }
}

impl Network for FlorenceCaptioner {
    fn pictures(&self) -> &Pictures {
        &self.pictures
    }

    fn words(&self) -> &Words {
        &self.words
    }

    /// The prompt is a task or a question; the answer does not repeat it.
    ///
    /// Source: `Florence2Processor`, which writes a token for each vector of the picture before the
    /// question; the vectors take their places.
    fn plan(&self, options: &CaptionOptions) -> Result<Plan, String> {
        let text = &self.config.text_config;
        let question = tasks::question(options.prompt.as_deref().unwrap_or("<CAPTION>"))?;
        let Frame { image, start, end } = &self.frame;
        let question = format!("{image}{start}{question}{end}");
        let mut question = self.words.encode(&question, false)?;
        let picture = self.config.image_token_id;
        let pictures = question.iter().filter(|token| **token == picture).count();
        if question.first() != Some(&picture) || pictures != 1 {
            return Err(format!(
                "the prompt has the token of a picture ({picture}, `{image}`) {pictures} times; it \
                 must have it once, at the beginning"
            ));
        }
        question.remove(0);
        let known = text.vocab_size;
        if let Some(token) = question.iter().find(|token| **token as usize >= known) {
            return Err(format!(
                "the prompt has token {token}, but the checkpoint knows {known}"
            ));
        }
        let (tokens, longest) = (self.seen + question.len(), text.max_position_embeddings);
        if tokens > longest {
            return Err(format!(
                "the picture and the prompt are {tokens} tokens, but the checkpoint has positions \
                 for {longest}"
            ));
        }
        let settings = &self.settings;
        let first = settings
            .decoder_start_token_id
            .or(settings.bos_token_id)
            .ok_or("`generation_config.json` has no `decoder_start_token_id`")?;
        if first as usize >= known {
            return Err(format!(
                "`decoder_start_token_id` is {first}, but the checkpoint knows {known}"
            ));
        }
        let ends = settings.eos_token_id.clone();
        let rules = settings.rules(
            1,
            longest,
            ends.map_or(Vec::new(), Tokens::into_vec),
            options.max_tokens,
            options.beams,
        )?;
        Ok(Plan {
            prompt: vec![first],
            start: 1 + usize::from(rules.forced_first.is_some()),
            question,
            rules,
        })
    }

    fn write(&self, pictures: &[&[f32]], plan: &Plan) -> Vec<Result<Vec<u32>, ImageError>> {
        let mut cache = self.look(&self.read(pictures, &plan.question));
        generation::generate(&plan.prompt, pictures.len(), &plan.rules, |step| {
            self.scores(step, &mut cache, true)
                .try_into_vec_as::<f32>()
                .map_err(|error| ImageError::Compute(error.to_string()))
        })
    }
}
