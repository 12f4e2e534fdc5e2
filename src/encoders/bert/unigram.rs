//! The tokenizer of XLM-RoBERTa from its pieces alone.

use tokenizers::{
    AddedToken, Tokenizer,
    models::unigram::Unigram,
    normalizers::NFC,
    pre_tokenizers::{
        metaspace::{Metaspace, PrependScheme},
        sequence::Sequence,
        whitespace::WhitespaceSplit,
    },
    processors::template::TemplateProcessing,
};

use crate::encoders::checkpoint::Vocabulary;

/// The tokenizer over a vocabulary, for texts in which its characters were replaced already.
///
/// Characters one by one and composing them (NFC) afterwards is what the rules `nmt_nfkc` of
/// `SentencePiece` do: those for sequences of characters are compositions.
///
/// Source: `XLMRobertaTokenizer` of transformers' `tokenization_xlm_roberta.py`.
pub(super) fn tokenizer(vocabulary: &Vocabulary) -> Result<Tokenizer, tokenizers::Error> {
    let model = Unigram::from(vocabulary.pieces.clone(), Some(vocabulary.unknown), false)?;
    let piece = |id: usize| vocabulary.pieces[id].0.as_str();
    let (start, end) = (piece(vocabulary.start), piece(vocabulary.end));
    let special = [
        start,
        end,
        piece(vocabulary.padding),
        piece(vocabulary.unknown),
    ];
    let around = TemplateProcessing::builder()
        .try_single(format!("{start} $A {end}"))?
        .special_tokens(vec![
            (start.to_owned(), u32::try_from(vocabulary.start)?),
            (end.to_owned(), u32::try_from(vocabulary.end)?),
        ])
        .build()?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(Some(NFC))?;
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![
        WhitespaceSplit.into(),
        Metaspace::new('▁', PrependScheme::Always, true).into(),
    ])));
    tokenizer.with_post_processor(Some(around));
    tokenizer.add_special_tokens(special.map(|token| AddedToken::from(token, true)))?;
    Ok(tokenizer)
}
