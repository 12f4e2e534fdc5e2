//! The tasks that the model was trained on: a word in angles → the question that it knows.

/// Those that stand by themselves.
///
/// Source: `Florence2Processor` of transformers' `processing_florence2.py`; the questions are those
/// of the model's training.
const ALONE: [(&str, &str); 8] = [
    ("<OCR>", "What is the text in the image?"),
    (
        "<OCR_WITH_REGION>",
        "What is the text in the image, with regions?",
    ),
    ("<CAPTION>", "What does the image describe?"),
    (
        "<DETAILED_CAPTION>",
        "Describe in detail what is shown in the image.",
    ),
    (
        "<MORE_DETAILED_CAPTION>",
        "Describe with a paragraph what is shown in the image.",
    ),
    (
        "<OD>",
        "Locate the objects with category name in the image.",
    ),
    (
        "<DENSE_REGION_CAPTION>",
        "Locate the objects in the image, with their descriptions.",
    ),
    (
        "<REGION_PROPOSAL>",
        "Locate the region proposals in the image.",
    ),
];

/// Those that words follow, which go in the place of the braces.
const WITH_WORDS: [(&str, &str); 7] = [
    (
        "<CAPTION_TO_PHRASE_GROUNDING>",
        "Locate the phrases in the caption: {}",
    ),
    (
        "<REFERRING_EXPRESSION_SEGMENTATION>",
        "Locate {} in the image with mask",
    ),
    (
        "<REGION_TO_SEGMENTATION>",
        "What is the polygon mask of region {}",
    ),
    ("<OPEN_VOCABULARY_DETECTION>", "Locate {} in the image."),
    ("<REGION_TO_CATEGORY>", "What is the region {}?"),
    (
        "<REGION_TO_DESCRIPTION>",
        "What does the region {} describe?",
    ),
    ("<REGION_TO_OCR>", "What text is in the region {}?"),
];

/// The question for a prompt; a prompt without a task is its own.
pub(super) fn question(prompt: &str) -> Result<String, String> {
    if let Some((task, question)) = ALONE.iter().find(|(task, _)| prompt.contains(task)) {
        if prompt != *task {
            return Err(format!(
                "the task `{task}` stands by itself, but the prompt is `{prompt}`"
            ));
        }
        return Ok((*question).to_owned());
    }
    let task = WITH_WORDS.iter().find(|(task, _)| prompt.contains(task));
    Ok(match task {
        Some((task, question)) => question.replacen("{}", prompt.replace(task, "").trim(), 1),
        None => prompt.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_become_the_questions_of_the_training() {
        for (prompt, asked) in [
            ("<CAPTION>", "What does the image describe?"),
            (
                "<DETAILED_CAPTION>",
                "Describe in detail what is shown in the image.",
            ),
            (
                "<OCR_WITH_REGION>",
                "What is the text in the image, with regions?",
            ),
            (
                "<REGION_TO_OCR> <loc_1><loc_2> ",
                "What text is in the region <loc_1><loc_2>?",
            ),
            (
                "the blue car<OPEN_VOCABULARY_DETECTION>",
                "Locate the blue car in the image.",
            ),
            ("how many?", "how many?"),
            ("", ""),
        ] {
            assert_eq!(question(prompt).as_deref(), Ok(asked));
        }
        let error = question("<OCR> please").unwrap_err();
        assert!(error.contains("`<OCR>` stands by itself"), "{error}");
    }
}
