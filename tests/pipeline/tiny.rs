//! A tiny text encoder in a folder: that of the fixtures with a few words.
use std::path::Path;

use serde_json::{Map, Value, json};

/// The words that it knows; the number of each is its place here.
const WORDS: &str = "[PAD] [UNK] [CLS] [SEP] [MASK] a cat dog red ##s";

/// Writes the encoder into the folder, which is made.
pub(crate) fn write(folder: &Path) {
    fs_err::create_dir_all(folder).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bert_tiny");
    for name in ["config.json", "model.safetensors"] {
        fs_err::copy(fixture.join(name), folder.join(name)).unwrap();
    }
    fs_err::write(folder.join("tokenizer.json"), tokenizer().to_string()).unwrap();
}

fn tokenizer() -> Value {
    let words = WORDS.split(' ').enumerate();
    let vocabulary: Map<String, Value> = words
        .map(|(id, word)| (word.to_owned(), id.into()))
        .collect();
    let special = |name: &str, id: u32| json!({"id": name, "ids": [id], "tokens": [name]});
    let token = |name: &str| json!({"SpecialToken": {"id": name, "type_id": 0}});
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    json!({
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": true,
            "strip_accents": null,
            "lowercase": true,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token("[CLS]"), text, token("[SEP]")],
            "pair": [text, text],
            "special_tokens": {"[CLS]": special("[CLS]", 2), "[SEP]": special("[SEP]", 3)},
        },
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    })
}
