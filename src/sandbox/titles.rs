//! Titles: a story, a feeling and a subject, in varying order.

use super::{
    dice::Dice,
    process::{TitleParts, standardised_evenly},
    words::{Group, OPENINGS, STORIES},
};

/// The standardised qualities of the groups of words.
#[derive(Debug)]
pub(super) struct Titles {
    openings: Vec<f64>,
    stories: Vec<f64>,
    /// By the number of phrases in a story's group.
    wordings: Vec<f64>,
}

impl Titles {
    pub(super) fn new() -> Self {
        let qualities = |groups: &[Group]| {
            let qualities: Vec<f64> = groups.iter().map(|group| group.quality).collect();
            standardised_evenly(&qualities)
        };
        let wordings: Vec<f64> = (0..STORIES[0].phrases.len()).map(|at| at as f64).collect();
        Self {
            openings: qualities(OPENINGS),
            stories: qualities(STORIES),
            wordings: standardised_evenly(&wordings),
        }
    }

    /// A title about one of `subjects`, and its standardised quality.
    pub(super) fn compose(&self, dice: &mut Dice, subjects: &[&str]) -> (String, f64) {
        let opening = dice.below(OPENINGS.len());
        let story = dice.below(STORIES.len());
        let wording = dice.below(STORIES[story].phrases.len());
        let parts = TitleParts {
            story: self.stories[story],
            opening: self.openings[opening],
            wording: self.wordings[wording],
        };
        let said = STORIES[story].phrases[wording];
        let opening = dice.pick(OPENINGS[opening].phrases);
        let subject = dice.pick(subjects);
        let title = match dice.below(4) {
            0 => format!("{opening} {subject}. {}", capitalised(said)),
            1 => format!("{opening} {subject} ({said})"),
            2 => format!("{opening} {subject} - {said}"),
            _ => {
                let end = if said.ends_with('?') { "" } else { "." };
                format!("{}{end} {opening} {subject}", capitalised(said))
            }
        };
        (title, parts.combined())
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stories_have_equally_many_phrases() {
        for group in STORIES {
            assert_eq!(group.phrases.len(), STORIES[0].phrases.len());
        }
    }
}
