//! The classes of tokenizers that make their rules anew from a vocabulary.

use serde_json::{Map, Value, json};
use tokenizers::{Tokenizer, processors::template::TemplateProcessing};

/// What makes the rules of a checkpoint's tokenizer.
///
/// Source: `convert_to_native_format` of transformers' `tokenization_utils_tokenizers.py`: a class
/// that has an `__init__` of its own takes from `tokenizer.json` the vocabulary, the replacements of
/// `SentencePiece` and the added tokens, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// `tokenizer.json` alone.
    File,
    /// `BertTokenizer`.
    Bert,
    /// `RobertaTokenizer`.
    Roberta,
    /// `XLMRobertaTokenizer`.
    XlmRoberta,
    /// `CamembertTokenizer`.
    Camembert,
}

/// Where a class is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NamedBy {
    /// The settings.
    Settings,
    /// The type of the network, where the settings name none.
    Network,
}

/// Classes, without `Tokenizer` at their ends, that make other rules than those above.
///
/// Source: all that `tokenizer_class_from_name` of transformers 5.23 finds and that have an
/// `__init__` of their own.
const OTHERS: &str = "\
    Albert Barthez Bartpho BertGeneration BertJapanese Bertweet BigBird BioGpt Blenderbot \
    BlenderbotSmall ByT5 CLIP CTRL Canine Character Clvp CodeGen CodeLlama Cohere Cpm CpmAnt \
    DPRContextEncoder DPRQuestionEncoder DPRReader Deberta DebertaV2 Dia Esm Esmc FSMT Flaubert \
    Funnel GPT2 GPTNeoX GPTNeoXJapanese GPTSw3 Gemma Herbert Lasr LayoutLMv2 LayoutLMv3 LayoutXLM \
    Llama Luke M2M100 MBart MBart50 MLuke MPNet Marian MarkupLM Mgpstr MyT5 Nllb Nougat OpenAIGPT \
    PLBart Pegasus Perceiver Phobert Pop2Piano ProphetNet Qwen2 Qwen3_5 Rag Reformer RemBert \
    RoCBert RoFormer SeamlessM4T Siglip Siglip2 Speech2Text SpeechT5 Splinter T5 Tapas Tipsv2 Udop \
    VideoPrism Vits Wav2Vec2CTC Wav2Vec2PhonemeCTC Whisper XGLM XLM XLNet";

/// What the settings say of the rules; each that is not there has its class's default.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub lower_case: Option<bool>,
    pub strip_accents: Option<bool>,
    pub chinese_apart: Option<bool>,
    pub prefix_space: Option<bool>,
}

impl Class {
    /// The class that settings name, or that a network has where they name none; the words for one
    /// whose rules cannot be made.
    ///
    /// Source: `AutoTokenizer.from_pretrained` of transformers' `tokenization_auto.py`.
    pub(super) fn of(named: Option<&str>, model_type: Option<&str>) -> Result<Self, String> {
        let Some(named) = named else {
            return Ok(match model_type {
                Some("bert") => Self::Bert,
                Some("roberta") => Self::Roberta,
                Some("xlm-roberta") => Self::XlmRoberta,
                Some("camembert") => Self::Camembert,
                _ => Self::File,
            });
        };
        let name = named.strip_suffix("Fast").unwrap_or(named);
        let name = name.strip_suffix("Tokenizer").unwrap_or_default();
        match name {
            "Bert" | "DistilBert" | "Electra" | "Lxmert" | "MobileBert" | "SqueezeBert" => {
                Ok(Self::Bert)
            }
            "Bart" | "LED" | "Longformer" | "Mvp" | "Roberta" => Ok(Self::Roberta),
            "XLMRoberta" => Ok(Self::XlmRoberta),
            "Camembert" => Ok(Self::Camembert),
            other if OTHERS.split_whitespace().any(|known| known == other) => Err(format!(
                "`tokenizer_class` is `{named}`, which makes rules of its own; those of \
                 `BertTokenizer`, `RobertaTokenizer`, `XLMRobertaTokenizer` and \
                 `CamembertTokenizer` can be made, and `PreTrainedTokenizerFast` takes those of \
                 `tokenizer.json`"
            )),
            _ => Ok(Self::File),
        }
    }

    /// The special token that stands for nothing else of this `key`, such as `cls_token`.
    pub(super) fn default_word(self, key: &str) -> Option<&'static str> {
        match self {
            Self::File => None,
            Self::Bert => match key {
                "unk_token" => Some("[UNK]"),
                "sep_token" => Some("[SEP]"),
                "pad_token" => Some("[PAD]"),
                "cls_token" => Some("[CLS]"),
                "mask_token" => Some("[MASK]"),
                _ => None,
            },
            Self::Roberta | Self::XlmRoberta | Self::Camembert => match key {
                "bos_token" | "cls_token" => Some("<s>"),
                "eos_token" | "sep_token" => Some("</s>"),
                "unk_token" => Some("<unk>"),
                "pad_token" => Some("<pad>"),
                "mask_token" => Some("<mask>"),
                _ => None,
            },
        }
    }

    /// The keys of the special tokens that stand around a text.
    pub(super) const fn around(self) -> Option<[&'static str; 2]> {
        match self {
            Self::File => None,
            Self::Bert | Self::Roberta => Some(["cls_token", "sep_token"]),
            Self::XlmRoberta | Self::Camembert => Some(["bos_token", "eos_token"]),
        }
    }

    /// Whether a `tokenizer.json` has a vocabulary of the kind that this class has.
    pub(super) fn reads(self, file: &Value) -> bool {
        let kind = file["model"]["type"].as_str();
        match self {
            Self::File => true,
            Self::Bert => kind.is_none_or(|kind| kind == "WordPiece"),
            Self::Roberta => kind == Some("BPE"),
            Self::XlmRoberta | Self::Camembert => kind == Some("Unigram"),
        }
    }

    /// The rules of this class over the vocabulary of a `tokenizer.json`, without added tokens and
    /// without what stands around a text.
    ///
    /// Source: the `__init__` of each class in transformers.
    pub(super) fn over(
        self,
        file: &Value,
        unknown: &str,
        rules: &Rules,
    ) -> Result<Tokenizer, tokenizers::Error> {
        let model = file.get("model").unwrap_or(&Value::Null);
        let vocabulary = model.get("vocab").unwrap_or(&Value::Null);
        let (model, normalizer, splitter) = match self {
            Self::File => return file.to_string().parse(),
            Self::Bert => {
                let words = numbered(vocabulary)?;
                if !words.contains_key(unknown) {
                    return Err(format!("it has no token `{unknown}`").into());
                }
                let model = json!({
                    "type": "WordPiece",
                    "unk_token": unknown,
                    "continuing_subword_prefix": "##",
                    "max_input_chars_per_word": 100,
                    "vocab": words,
                });
                let normalizer = json!({
                    "type": "BertNormalizer",
                    "clean_text": true,
                    "handle_chinese_chars": rules.chinese_apart.unwrap_or(true),
                    "strip_accents": rules.strip_accents,
                    "lowercase": rules.lower_case.unwrap_or(true),
                });
                (model, normalizer, json!({"type": "BertPreTokenizer"}))
            }
            Self::Roberta => {
                let merges = model.get("merges").cloned();
                let model = json!({
                    "type": "BPE",
                    "dropout": null,
                    "unk_token": null,
                    "continuing_subword_prefix": "",
                    "end_of_word_suffix": "",
                    "fuse_unk": false,
                    "byte_fallback": false,
                    "vocab": numbered(vocabulary)?,
                    "merges": merges.unwrap_or_else(|| json!([])),
                });
                let splitter = json!({
                    "type": "ByteLevel",
                    "add_prefix_space": rules.prefix_space.unwrap_or(false),
                    "trim_offsets": true,
                    "use_regex": true,
                });
                (model, Value::Null, splitter)
            }
            Self::XlmRoberta | Self::Camembert => {
                let pieces = vocabulary.as_array().filter(|pieces| !pieces.is_empty());
                let pieces = pieces.ok_or("its vocabulary is no list of pieces with scores")?;
                let place = pieces.iter().position(|piece| piece[0] == unknown);
                let unknown = match self {
                    Self::Camembert => place.unwrap_or(0),
                    _ => 3,
                };
                let model = json!({
                    "type": "Unigram",
                    "unk_id": unknown,
                    "byte_fallback": false,
                    "vocab": pieces,
                });
                let normalizer = replacements(file).cloned().unwrap_or_default();
                let scheme = if rules.prefix_space.unwrap_or(true) {
                    "always"
                } else {
                    "never"
                };
                let splitter = json!({"type": "Sequence", "pretokenizers": [
                    {"type": "WhitespaceSplit"},
                    {
                        "type": "Metaspace",
                        "replacement": "▁",
                        "prepend_scheme": scheme,
                        "split": true,
                    },
                ]});
                (model, normalizer, splitter)
            }
        };
        let made = json!({
            "version": "1.0",
            "truncation": file.get("truncation"),
            "padding": null,
            "added_tokens": [],
            "normalizer": normalizer,
            "pre_tokenizer": splitter,
            "post_processor": null,
            "decoder": null,
            "model": model,
        });
        made.to_string().parse()
    }
}

/// The words of a vocabulary with their numbers: as they are written, or as they stand in a list.
fn numbered(vocabulary: &Value) -> Result<Map<String, Value>, String> {
    let word = |(place, entry): (usize, &Value)| {
        let word = entry.get(0).unwrap_or(entry).as_str();
        let word = word.ok_or_else(|| format!("entry {place} of its vocabulary is no word"))?;
        Ok((word.to_owned(), place.into()))
    };
    match vocabulary {
        Value::Object(words) => Ok(words.clone()),
        Value::Array(words) => words.iter().enumerate().map(word).collect(),
        _ => Err("it has no vocabulary".to_owned()),
    }
}

/// The first replacements of `SentencePiece` among the normalizers of a file.
fn replacements(file: &Value) -> Option<&Value> {
    let normalizer = file.get("normalizer")?;
    let is_one = |rules: &&Value| {
        rules["type"] == "Precompiled" && rules.get("precompiled_charsmap").is_some()
    };
    match normalizer["normalizers"].as_array() {
        Some(all) if normalizer["type"] == "Sequence" => all.iter().find(is_one),
        _ => Some(normalizer).filter(is_one),
    }
}

/// What stands around a text: one token before it and one behind it.
pub(super) fn surrounded(
    tokenizer: &mut Tokenizer,
    first: &str,
    last: &str,
) -> Result<(), tokenizers::Error> {
    let id = |word: &str| {
        let id = tokenizer.token_to_id(word);
        id.ok_or_else(|| format!("it has no token `{word}`"))
    };
    let around = TemplateProcessing::builder()
        .try_single(vec![first, "$A", last])?
        .special_tokens(vec![
            (first.to_owned(), id(first)?),
            (last.to_owned(), id(last)?),
        ])
        .build()?;
    tokenizer.with_post_processor(Some(around));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_is_that_of_the_library() {
        let of = |named, model_type| Class::of(named, Some(model_type));
        for (named, model_type, class) in [
            (None, "bert", Class::Bert),
            (None, "xlm-roberta", Class::XlmRoberta),
            (Some("XLMRobertaTokenizerFast"), "bert", Class::XlmRoberta),
            (Some("PreTrainedTokenizerFast"), "bert", Class::File),
            (Some("TokenizersBackend"), "camembert", Class::File),
            (Some("SomebodysTokenizer"), "roberta", Class::File),
            (Some("BartTokenizer"), "roberta", Class::Roberta),
        ] {
            assert_eq!(of(named, model_type), Ok(class), "{named:?} {model_type}");
        }
        let error = of(Some("BertJapaneseTokenizer"), "bert").unwrap_err();
        assert!(error.contains("`tokenizer_class` is `BertJapaneseTokenizer`"));
    }

    #[test]
    fn replacements_are_found_where_the_library_looks() {
        let one = json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"});
        let other = json!({"type": "NFKC"});
        let all = json!({"type": "Sequence", "normalizers": [other, one]});
        assert_eq!(replacements(&json!({"normalizer": one})), Some(&one));
        assert_eq!(replacements(&json!({"normalizer": all})), Some(&one));
        assert_eq!(replacements(&json!({"normalizer": other})), None);
        assert_eq!(replacements(&json!({"normalizer": null})), None);
    }
}
