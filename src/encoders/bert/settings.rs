//! The tokenizer of a directory: its vocabulary, and the settings in the files beside it.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Number, Value, json};
use tokenizers::{
    NormalizerWrapper, Tokenizer, TruncationDirection,
    models::wordpiece::WordPiece,
    normalizers::{Lowercase, Sequence},
};

use super::{
    classes::{Class, NamedBy, Rules, surrounded},
    options::read_if_there,
    sentences::Sentences,
    special,
};
use crate::encoders::Error;

/// `tokenizer_config.json`; each key that is not there has the library's default.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    tokenizer_class: Option<String>,
    /// 10^30 where there is no bound.
    model_max_length: Option<Number>,
    /// The same under its first name.
    max_len: Option<Number>,
    truncation_side: Option<String>,
    split_special_tokens: bool,
    do_lower_case: Option<bool>,
    strip_accents: Option<bool>,
    tokenize_chinese_chars: Option<bool>,
    add_prefix_space: Option<bool>,
}

/// What `config.json` says of the tokenizer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Network {
    model_type: Option<String>,
    tokenizer_class: Option<String>,
}

/// What the files of a directory say of its tokenizer.
#[derive(Debug)]
pub(super) struct Settings {
    /// The most tokens of a text, special ones included.
    pub max_tokens: usize,
    /// The side on which a text that is too long is cut, where it is said.
    pub cut: Option<TruncationDirection>,
    /// Whether special tokens stand around a text.
    pub surrounds: bool,
    class: Class,
    named_by: NamedBy,
    rules: Rules,
    /// Whether special tokens in a text are split like all else.
    splits_special: bool,
    /// Whether sentence-transformers takes the capitals away.
    lowers: bool,
    /// All that `tokenizer_config.json` says, and what stands over it.
    said: Map<String, Value>,
}

impl Settings {
    /// The settings of a directory whose network has so many `positions`.
    ///
    /// The longest row of tokens is what sentence-transformers is told, else what the tokenizer's
    /// own settings say; never more than there are positions.
    ///
    /// Source: `Transformer` of sentence-transformers, which takes them in this order, and
    /// `_from_pretrained` of transformers' `tokenization_utils_base.py`.
    pub(super) fn read(directory: &Path, positions: usize) -> Result<Self, Error> {
        let path = directory.join("tokenizer_config.json");
        let unusable = |reason: String| Error::Checkpoint {
            path: path.clone(),
            reason,
        };
        let mut said = read_if_there::<Map<String, Value>>(&path)?.unwrap_or_default();
        if !said.contains_key("added_tokens_decoder") {
            let words = directory.join("special_tokens_map.json");
            let words = read_if_there::<Map<String, Value>>(&words)?;
            said.extend(words.unwrap_or_default());
        }
        let mut sentences = Sentences::read(directory)?;
        let over = std::mem::take(&mut sentences.tokenizer);
        let longest = match over.get("model_max_length") {
            Some(length) => length.as_u64().and_then(|length| length.try_into().ok()),
            None => sentences.longest,
        };
        said.extend(over);
        let file: File = serde_json::from_value(Value::Object(said.clone()))
            .map_err(|error| unusable(error.to_string()))?;
        let own = file.model_max_length.or(file.max_len);
        let own = own.and_then(|length| length.as_u64()?.try_into().ok());
        let longest = match sentences.cut_to {
            _ if !sentences.cuts => None,
            Some(length) => Some(length),
            None => longest.or(own),
        };
        let cut = match file.truncation_side.as_deref() {
            None => None,
            Some("right") => Some(TruncationDirection::Right),
            Some("left") => Some(TruncationDirection::Left),
            Some(other) => {
                return Err(unusable(format!(
                    "`truncation_side` is `{other}`; it can be `right` and `left`"
                )));
            }
        };
        let network = read_if_there::<Network>(&directory.join("config.json"))?.unwrap_or_default();
        let named = file.tokenizer_class.or(network.tokenizer_class);
        let class = Class::of(named.as_deref(), network.model_type.as_deref());
        Ok(Self {
            max_tokens: longest.map_or(positions, |longest| positions.min(longest)),
            cut,
            surrounds: sentences.surrounds,
            class: class.map_err(unusable)?,
            named_by: if named.is_some() {
                NamedBy::Settings
            } else {
                NamedBy::Network
            },
            rules: Rules {
                lower_case: file.do_lower_case,
                strip_accents: file.strip_accents,
                chinese_apart: file.tokenize_chinese_chars,
                prefix_space: file.add_prefix_space,
            },
            splits_special: file.split_special_tokens,
            lowers: sentences.lowers,
            said,
        })
    }

    /// The rules of a directory, from `tokenizer.json` or, for BERT, from `vocab.txt`.
    pub(super) fn tokenizer(&self, directory: &Path) -> Result<Tokenizer, Error> {
        let (json, words) = (
            directory.join("tokenizer.json"),
            directory.join("vocab.txt"),
        );
        let (path, file) = if let Some(file) = read_if_there::<Value>(&json)? {
            (json, Ok(file))
        } else if self.class == Class::Bert && words.is_file() {
            let file = self.of_words(&words);
            (words, file)
        } else {
            return Err(Error::Checkpoint {
                path: directory.to_owned(),
                reason: "it holds no tokenizer: neither `tokenizer.json` nor, for a \
                         `BertTokenizer`, `vocab.txt`; \
                         `AutoTokenizer.from_pretrained(…).save_pretrained(…)` of transformers \
                         writes the first"
                    .to_owned(),
            });
        };
        file.and_then(|file| self.made(directory, &file))
            .map_err(|error| Error::Checkpoint {
                path,
                reason: error.to_string(),
            })
    }

    /// The tokenizer over what `tokenizer.json` holds.
    fn made(&self, directory: &Path, file: &Value) -> Result<Tokenizer, tokenizers::Error> {
        // Such a folder is older than the rule, and its file says all.
        let class = if self.named_by == NamedBy::Settings || self.class.reads(file) {
            self.class
        } else {
            Class::File
        };
        let word = |key| special::word(class, &self.said, key).map(|token| token.content);
        let unknown = word("unk_token").unwrap_or_default();
        let mut tokenizer = class.over(file, &unknown, &self.rules)?;
        let listed = (class != Class::File).then_some(file);
        let added = special::added(class, &self.said, directory, listed, &tokenizer)?;
        tokenizer.add_tokens(added)?;
        if let Some(around) = class.around()
            && let [Some(first), Some(last)] = around.map(word)
        {
            surrounded(&mut tokenizer, &first, &last)?;
        }
        tokenizer.set_encode_special_tokens(self.splits_special);
        self.lowered(tokenizer)
    }

    /// What `tokenizer.json` would hold over the words of a file, one a line.
    fn of_words(&self, path: &Path) -> Result<Value, tokenizers::Error> {
        let words = WordPiece::read_file(&path.to_string_lossy())?;
        // One that is no word of the file would become a token that the network does not have.
        for key in self.class.around().into_iter().flatten() {
            let word = special::word(self.class, &self.said, key);
            if let Some(word) = word.filter(|word| !words.contains_key(&word.content)) {
                return Err(format!("it has no token `{}`", word.content).into());
            }
        }
        let words: Map<String, Value> = words
            .into_iter()
            .map(|(word, id)| (word, id.into()))
            .collect();
        Ok(json!({"model": {"vocab": words}}))
    }

    /// The same without capitals, where sentence-transformers is told so and the rules keep them.
    fn lowered(&self, mut tokenizer: Tokenizer) -> Result<Tokenizer, tokenizers::Error> {
        let lowers = |rules: &NormalizerWrapper| match rules {
            NormalizerWrapper::BertNormalizer(rules) => rules.lowercase,
            NormalizerWrapper::Lowercase(_) => true,
            _ => false,
        };
        let own = match tokenizer.get_normalizer() {
            None => Vec::new(),
            Some(NormalizerWrapper::Sequence(all)) => all.as_ref().to_vec(),
            Some(rules) => vec![rules.clone()],
        };
        if self.lowers && !own.iter().any(lowers) {
            let mut rules = vec![NormalizerWrapper::Lowercase(Lowercase)];
            rules.extend(own);
            tokenizer.with_normalizer(Some(Sequence::new(rules)))?;
        }
        Ok(tokenizer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nHello\né\ne\n##llo\n";

    const NETWORK: (&str, &str) = ("config.json", r#"{"model_type": "bert"}"#);

    /// The tokens of a text by the files of a directory.
    fn tokens(files: &[(&str, &str)], text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [&[NETWORK], files].concat() {
            fs_err::write(folder.path().join(name), content).unwrap();
        }
        let settings = Settings::read(folder.path(), 9).unwrap();
        let tokenizer = settings.tokenizer(folder.path()).unwrap();
        let encoding = tokenizer.encode(text, true).unwrap();
        encoding.get_tokens().to_vec()
    }

    #[test]
    fn words_alone_are_a_tokenizer_of_bert() {
        let words = ("vocab.txt", WORDS);
        let text = "Hello é [MASK]x";
        assert_eq!(
            tokens(&[words], text),
            ["[CLS]", "hello", "e", "[MASK]", "[UNK]", "[SEP]"]
        );
        let cased = r#"{"do_lower_case": false, "sep_token": {"content": "é"}}"#;
        assert_eq!(
            tokens(&[words, ("tokenizer_config.json", cased)], text),
            ["[CLS]", "Hello", "é", "[MASK]", "[UNK]", "é"]
        );
        let sentences = ("sentence_bert_config.json", r#"{"do_lower_case": true}"#);
        let cased = ("tokenizer_config.json", r#"{"do_lower_case": false}"#);
        assert_eq!(
            tokens(&[words, cased, sentences], text),
            ["[CLS]", "hello", "é", "[MASK]", "[UNK]", "[SEP]"]
        );
    }

    #[test]
    fn a_tokenizer_of_bert_obeys_its_settings() {
        let folder = tempfile::tempdir().unwrap();
        let words = folder.path().join("vocab.txt");
        fs_err::write(&words, WORDS).unwrap();
        fs_err::write(folder.path().join(NETWORK.0), NETWORK.1).unwrap();
        let settings = Settings::read(folder.path(), 9).unwrap();
        let rules = settings.tokenizer(folder.path()).unwrap();
        let json = rules.to_string(false).unwrap();
        let json = ("tokenizer.json", json.as_str());
        let by = |json: &str, said: &str| {
            let files = [("tokenizer.json", json), ("tokenizer_config.json", said)];
            tokens(&files, "Hello é [SEP]")
        };
        let said = |class: &str, more: &str| format!(r#"{{"tokenizer_class": "{class}"{more}}}"#);
        let (bert, any) = ("BertTokenizer", "PreTrainedTokenizerFast");
        let lower = ["[CLS]", "hello", "e", "[SEP]", "[SEP]"];
        let upper = ["[CLS]", "Hello", "é", "[SEP]", "[SEP]"];
        let keeps = r#", "do_lower_case": false"#;
        assert_eq!(by(json.1, &said(bert, keeps)), upper);
        assert_eq!(by(json.1, &said(any, keeps)), lower);
        // What the file says itself is not asked, nor is its network's class where one is named.
        let cased = json
            .1
            .replace(r#""lowercase":true"#, r#""lowercase":false"#);
        assert_eq!(by(&cased, &said(bert, "")), lower);
        assert_eq!(by(&cased, "{}"), lower);
        assert_eq!(by(&cased, &said(any, "")), upper);
        let splits = r#", "split_special_tokens": true"#;
        let unknown = ["[CLS]", "hello", "e", "[UNK]", "[UNK]", "[UNK]", "[SEP]"];
        assert_eq!(by(json.1, &said(bert, splits)), unknown);
    }

    #[test]
    fn the_kin_of_roberta_take_the_vocabulary_alone() {
        let pieces = r#"[["<s>", 0], ["<pad>", 0], ["</s>", 0], ["<unk>", 0], ["▁", -3],
            ["a", -2], ["▁a", -1], ["b", -2], ["A", -2]]"#;
        let json = format!(
            r#"{{"version": "1.0", "normalizer": {{"type": "Lowercase"}}, "pre_tokenizer": {{"type": "Metaspace",
                "replacement": "▁", "prepend_scheme": "always", "split": true}}, "added_tokens": [],
                "model": {{"type": "Unigram", "unk_id": 3, "vocab": {pieces}}}}}"#
        );
        let by = |said: &str| {
            let files = [("tokenizer.json", &*json), ("tokenizer_config.json", said)];
            tokens(&files, "A a  b")
        };
        let rebuilt = ["<s>", "▁", "A", "▁a", "▁", "b", "</s>"];
        for class in ["XLMRobertaTokenizer", "CamembertTokenizerFast"] {
            let said = |more| format!(r#"{{"tokenizer_class": "{class}"{more}}}"#);
            assert_eq!(by(&said("")), rebuilt, "{class}");
            let bare = ["<s>", "A", "a", "b", "</s>"];
            assert_eq!(by(&said(r#", "add_prefix_space": false"#)), bare, "{class}");
        }
        let own = ["▁a", "▁a", "▁", "▁", "b"];
        assert_eq!(by(r#"{"tokenizer_class": "TokenizersBackend"}"#), own);
    }

    #[test]
    fn says_what_it_cannot_read() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::read(folder.path(), 9).unwrap();
        let error = settings.tokenizer(folder.path()).unwrap_err().to_string();
        assert!(error.contains("neither `tokenizer.json` nor"), "{error}");
        fs_err::write(folder.path().join(NETWORK.0), NETWORK.1).unwrap();
        let settings = Settings::read(folder.path(), 9).unwrap();
        fs_err::write(folder.path().join("vocab.txt"), "[UNK]\nword\n").unwrap();
        let error = settings.tokenizer(folder.path()).unwrap_err().to_string();
        assert!(error.contains("no token `[CLS]`"), "{error}");
        let side = folder.path().join("tokenizer_config.json");
        fs_err::write(side, r#"{"truncation_side": "up"}"#).unwrap();
        let error = Settings::read(folder.path(), 9).err().unwrap().to_string();
        assert!(error.contains("`truncation_side` is `up`"), "{error}");
    }
}
