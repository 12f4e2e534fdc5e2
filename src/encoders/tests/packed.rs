//! multilingual-e5-small out of its package, with its real weights.

use safetensors::SafeTensors;

use super::{devices, distance, fixture, has_weights, numbers, settings};
use crate::encoders::{
    bert, fingerprint, load_text,
    weights::{self, catalogue},
};

const NAME: &str = "multilingual-e5-small";
/// The texts of `tests/reference/packed_e5.py`, in its order.
const TEXTS: [&str; 12] = [
    "how much protein should a female eat",
    "Der schnelle braune Fuchs springt über den faulen Hund",
    "El niño comió una manzana en el jardín",
    "Москва — столица России",
    "東京の夜景はとても美しい",
    "今天天气很好，我们去公园散步吧。",
    "مرحبا بالعالم، كيف حالك اليوم؟",
    "आज मौसम बहुत अच्छा है",
    "서울에서 부산까지 기차로 여행했다",
    "My cat, asleep on the radiator [OC] 😺 ½ ﬁne ＡＢＣ",
    "",
    "  two   spaces, a\ttab and the end  ",
];
const MARKED: [&str; 2] = [
    "cafe\u{301} n\u{303}andu\u{301}",
    "\u{1100}\u{1161}\u{11a8} か\u{3099}",
];

#[test]
fn texts_of_all_scripts_become_what_transformers_makes_of_them() {
    if !has_weights(NAME) {
        return;
    }
    let expected = fs_err::read(fixture("packed_e5.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&expected).unwrap();
    let long = "long ".repeat(700);
    let texts: Vec<&str> = TEXTS
        .into_iter()
        .chain([long.as_str()])
        .chain(MARKED)
        .collect();

    let entry = catalogue::find(NAME).unwrap();
    let located = weights::locate(entry, &settings()).unwrap();
    let (config, tokenizer) = bert::read_packed(located.file(&entry.weights), 512).unwrap();
    assert_eq!((config.vocab_size, config.longest()), (250_037, 512));
    let tokens = tokenizer.with_prefix("query: ").encode(&texts).unwrap();
    for (row, tokens) in tokens.iter().enumerate() {
        let (_, ids) = numbers(&expected, &format!("ids_{row}"), i64::from_le_bytes);
        let ids: Vec<u32> = ids
            .into_iter()
            .map(|id| u32::try_from(id).unwrap())
            .collect();
        assert_eq!(tokens, &ids, "`{}`", texts[row]);
    }

    let rows = |name| {
        let (shape, values) = numbers(&expected, name, f32::from_le_bytes);
        values
            .chunks(shape[1])
            .map(<[f32]>::to_vec)
            .collect::<Vec<_>>()
    };
    let (reference, of_package) = (rows("vectors"), rows("by_package"));
    for device in devices() {
        let encoder = load_text(NAME, &device, &settings()).unwrap();
        assert_eq!(encoder.fingerprint(), fingerprint(NAME).unwrap());
        for (row, vector) in encoder.embed(&texts).unwrap().iter().enumerate() {
            let worst = distance(vector, &reference[row]);
            assert!(worst < 1e-4, "{worst} for `{}` on {device}", texts[row]);
            // The package rounds what it multiplies to eight bits, cuts long texts into several,
            // and takes spaces at the end and letters with marks as they are.
            if row < 10 {
                let pairs = vector.iter().zip(&of_package[row]);
                let cosine: f32 = pairs.map(|(a, b)| a * b).sum();
                assert!(cosine > 0.9998, "{cosine} for `{}`", texts[row]);
            }
        }
    }
}
