//! What a person should know of a walk, and of what could not be walked.

use crate::{
    corpus::Refused,
    engine::TaskError,
    sources::{Error, ScrapeSummary},
    store::Refusal,
};

/// What cannot be read.
#[derive(Clone, Copy)]
pub(super) struct Unread<'a> {
    /// Refused now.
    pub(super) refused: &'a [Refused],
    /// Refused lately, and not asked now.
    pub(super) left_alone: &'a [(String, Refusal)],
}

impl Unread<'_> {
    /// All that were asked for cannot be read.
    pub(super) fn of_all(self) -> TaskError {
        TaskError::fail(Error::Wrong(
            self.in_words().unwrap_or_default()
                + "; check their names, and whether the application may read them; `--force` asks \
                   at once",
        ))
    }

    fn in_words(self) -> Option<String> {
        let refused = self
            .refused
            .iter()
            .map(|refused| format!("{} ({})", refused.community, refused.why));
        let left_alone = self.left_alone.iter().map(|(name, refusal)| {
            format!(
                "{name} (not asked again before {}: {})",
                refusal.again_at, refusal.why
            )
        });
        let all: Vec<String> = refused.chain(left_alone).collect();
        (!all.is_empty()).then(|| {
            format!(
                "communities that cannot be read, and are asked again ever more seldom: {}",
                all.join(", ")
            )
        })
    }
}

/// What a person should know of a walk.
pub(super) fn in_words(
    summary: &ScrapeSummary,
    is_nobodys_turn: bool,
    unread: Unread<'_>,
) -> Option<String> {
    let nobody = is_nobodys_turn
        .then(|| "no community's turn has come: little is expected of each".to_owned());
    let gaps: Vec<String> = summary
        .gaps
        .iter()
        .map(|gap| format!("of {} between {} and {}", gap.community, gap.from, gap.to))
        .collect();
    let gaps = (!gaps.is_empty()).then(|| {
        format!(
            "records may have been missed, for the source shows only so many: {}; read more often",
            gaps.join(", ")
        )
    });
    let words: Vec<String> = [nobody, gaps, summary.unfinished(), unread.in_words()]
        .into_iter()
        .flatten()
        .collect();
    (!words.is_empty()).then(|| words.join("; "))
}
