//! The tokenizer of a directory: its vocabulary, and the settings in the files beside it.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Number, Value};
use tokenizers::{
    AddedToken, NormalizerWrapper, Tokenizer, TruncationDirection,
    models::wordpiece::WordPiece,
    normalizers::{BertNormalizer, Lowercase, Sequence},
    pre_tokenizers::bert::BertPreTokenizer,
    processors::template::TemplateProcessing,
};

use super::options::read_if_there;
use crate::encoders::Error;

/// `tokenizer_config.json`; each key that is not there has the library's default.
///
/// Source: `BertTokenizer` of transformers, which makes the rules anew from these.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    tokenizer_class: Option<String>,
    /// 10^30 where there is no bound.
    model_max_length: Option<Number>,
    truncation_side: Option<String>,
    do_lower_case: Option<bool>,
    strip_accents: Option<bool>,
    tokenize_chinese_chars: Option<bool>,
    unk_token: Option<Special>,
    cls_token: Option<Special>,
    sep_token: Option<Special>,
    pad_token: Option<Special>,
    mask_token: Option<Special>,
}

/// A special token as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Special {
    Word(String),
    Token { content: String },
    Other(#[expect(dead_code, reason = "what is not understood is not looked at")] Value),
}

/// `sentence_bert_config.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sentences {
    max_seq_length: Option<usize>,
    do_lower_case: bool,
}

/// What the files of a directory say of its tokenizer.
pub(super) struct Settings {
    /// The most tokens of a text, special ones included.
    pub max_tokens: usize,
    /// The side on which a text that is too long is cut.
    pub cut: TruncationDirection,
    file: File,
    lowers: bool,
}

impl Settings {
    /// The settings of a directory whose network has so many `positions`.
    ///
    /// The longest row of tokens is what `sentence_bert_config.json` says, else what the
    /// tokenizer's own settings say; never more than there are positions.
    ///
    /// Source: `Transformer` of sentence-transformers, which takes them in this order.
    pub(super) fn read(directory: &Path, positions: usize) -> Result<Self, Error> {
        let path = directory.join("tokenizer_config.json");
        let file = read_if_there::<File>(&path)?.unwrap_or_default();
        let sentences = read_if_there::<Sentences>(&directory.join("sentence_bert_config.json"))?;
        let sentences = sentences.unwrap_or_default();
        let own = file.model_max_length.as_ref().and_then(Number::as_u64);
        let own = own.and_then(|length| usize::try_from(length).ok());
        let longest = sentences.max_seq_length.or(own);
        let cut = match file.truncation_side.as_deref() {
            None | Some("right") => TruncationDirection::Right,
            Some("left") => TruncationDirection::Left,
            Some(other) => {
                return Err(Error::Checkpoint {
                    path,
                    reason: format!("`truncation_side` is `{other}`; it can be `right` and `left`"),
                });
            }
        };
        Ok(Self {
            max_tokens: longest.map_or(positions, |longest| positions.min(longest)),
            cut,
            file,
            lowers: sentences.do_lower_case,
        })
    }

    /// The rules of a directory, from `tokenizer.json` or, for BERT, from `vocab.txt`.
    pub(super) fn tokenizer(&self, directory: &Path) -> Result<Tokenizer, Error> {
        let (json, words) = (
            directory.join("tokenizer.json"),
            directory.join("vocab.txt"),
        );
        let (path, read) = if json.is_file() {
            let read = Tokenizer::from_file(&json);
            (json, read.and_then(|tokenizer| self.settled(tokenizer)))
        } else if words.is_file() {
            let read = self.of_words(&words);
            (words, read)
        } else {
            return Err(Error::Checkpoint {
                path: directory.to_owned(),
                reason: "it holds no tokenizer: neither `tokenizer.json` nor `vocab.txt`; \
                         `AutoTokenizer.from_pretrained(…).save_pretrained(…)` of transformers \
                         writes the first"
                    .to_owned(),
            });
        };
        read.and_then(|tokenizer| self.lowered(tokenizer))
            .map_err(|error| Error::Checkpoint {
                path,
                reason: error.to_string(),
            })
    }

    /// A tokenizer of BERT's obeys `tokenizer_config.json` before its own file.
    fn settled(&self, mut tokenizer: Tokenizer) -> Result<Tokenizer, tokenizers::Error> {
        let class = self.file.tokenizer_class.as_deref();
        if matches!(class, Some("BertTokenizer" | "BertTokenizerFast"))
            && let Some(lower) = self.file.do_lower_case
            && let Some(NormalizerWrapper::BertNormalizer(own)) = tokenizer.get_normalizer()
        {
            let mut rules = *own;
            rules.lowercase = lower;
            rules.strip_accents = self.file.strip_accents.or(rules.strip_accents);
            if let Some(apart) = self.file.tokenize_chinese_chars {
                rules.handle_chinese_chars = apart;
            }
            tokenizer.with_normalizer(Some(rules))?;
        }
        Ok(tokenizer)
    }

    /// The tokenizer of BERT over the words of a file, one a line.
    fn of_words(&self, path: &Path) -> Result<Tokenizer, tokenizers::Error> {
        let file = &self.file;
        let word = |special: &Option<Special>, default: &str| match special {
            Some(Special::Word(word) | Special::Token { content: word }) => word.clone(),
            Some(Special::Other(_)) | None => default.to_owned(),
        };
        let unknown = word(&file.unk_token, "[UNK]");
        let (first, last) = (
            word(&file.cls_token, "[CLS]"),
            word(&file.sep_token, "[SEP]"),
        );
        let model = WordPiece::from_file(&path.to_string_lossy())
            .unk_token(unknown.clone())
            .build()?;
        let mut tokenizer = Tokenizer::new(model);
        let id = |word: &str| {
            let id = tokenizer.token_to_id(word);
            id.ok_or_else(|| format!("it has no token `{word}`"))
        };
        id(&unknown)?;
        let around = TemplateProcessing::builder()
            .try_single(format!("{first} $A {last}"))?
            .special_tokens(vec![
                (first.clone(), id(&first)?),
                (last.clone(), id(&last)?),
            ])
            .build()?;
        let special = [
            unknown,
            first,
            last,
            word(&file.pad_token, "[PAD]"),
            word(&file.mask_token, "[MASK]"),
        ];
        // One that is no word of the file would become a token that the network does not have.
        let special: Vec<AddedToken> = special
            .into_iter()
            .filter(|word| tokenizer.token_to_id(word).is_some())
            .map(|word| AddedToken::from(word, true))
            .collect();
        tokenizer.with_normalizer(Some(BertNormalizer::new(
            true,
            file.tokenize_chinese_chars.unwrap_or(true),
            file.strip_accents,
            file.do_lower_case.unwrap_or(true),
        )))?;
        tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
        tokenizer.with_post_processor(Some(around));
        tokenizer.add_special_tokens(special)?;
        Ok(tokenizer)
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

    /// The tokens of a text by the files of a directory.
    fn tokens(files: &[(&str, &str)], text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
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
        let settings = Settings::read(folder.path(), 9).unwrap();
        let rules = settings.tokenizer(folder.path()).unwrap();
        let json = rules.to_string(false).unwrap();
        let json = ("tokenizer.json", json.as_str());
        let said = |class: &str| {
            let said = format!(r#"{{"tokenizer_class": "{class}", "do_lower_case": false}}"#);
            tokens(&[json, ("tokenizer_config.json", &said)], "Hello é")
        };
        assert_eq!(said("BertTokenizer"), ["[CLS]", "Hello", "é", "[SEP]"]);
        assert_eq!(
            said("PreTrainedTokenizerFast"),
            ["[CLS]", "hello", "e", "[SEP]"]
        );
    }

    #[test]
    fn says_what_it_cannot_read() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::read(folder.path(), 9).unwrap();
        let error = settings.tokenizer(folder.path()).unwrap_err().to_string();
        assert!(error.contains("neither `tokenizer.json` nor"), "{error}");
        fs_err::write(folder.path().join("vocab.txt"), "[UNK]\nword\n").unwrap();
        let error = settings.tokenizer(folder.path()).unwrap_err().to_string();
        assert!(error.contains("no token `[CLS]`"), "{error}");
        let side = folder.path().join("tokenizer_config.json");
        fs_err::write(side, r#"{"truncation_side": "up"}"#).unwrap();
        let error = Settings::read(folder.path(), 9).err().unwrap().to_string();
        assert!(error.contains("`truncation_side` is `up`"), "{error}");
    }
}
