//! What becomes of posts and accounts: some are deleted, some removed, some are gone.

use std::time::Duration;

use super::{
    dice::{Dice, Purpose},
    world::{Place, World},
};
use crate::clock::Timestamp;

/// What has become of a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its author has deleted it.
    Deleted,
    /// It was removed, by whom the category (`removed_by_category`) says.
    Removed(&'static str),
    /// It is found nowhere any more.
    Vanished,
}

/// Who removes posts, with the part of all removals.
const REMOVERS: &[(&str, f64)] = &[
    ("moderator", 0.6),
    ("automod_filtered", 0.2),
    ("reddit", 0.12),
    ("content_takedown", 0.05),
    ("copyright_takedown", 0.03),
];

/// After how many hours the last of the posts have met their fate; half have after a quarter.
const LATEST_HOURS: f64 = 72.0;

/// Within how many days of the start accounts are deleted.
const ACCOUNT_DAYS: f64 = 30.0;

impl World {
    /// What has become of the post at a place by `now`; `None` where it is as it was.
    pub(super) fn fate(&self, place: Place, now: Timestamp) -> Option<Fate> {
        let settings = self.settings();
        if settings.removed_percent == 0 {
            return None;
        }
        let mut dice = Dice::new(settings.seed, Purpose::Fate, place);
        if dice.unit() * 100.0 >= f64::from(settings.removed_percent) {
            return None;
        }
        let hours = LATEST_HOURS * dice.unit().powi(2);
        if self.created_at(place) + Duration::from_secs_f64(3600.0 * hours) > now {
            return None;
        }
        Some(match dice.unit() {
            part if part < 0.45 => Fate::Deleted,
            part if part < 0.85 => {
                let remover = dice.weighted(REMOVERS.iter().map(|(_, share)| *share));
                Fate::Removed(REMOVERS[remover].0)
            }
            _ => Fate::Vanished,
        })
    }

    /// Whether an author's account has been deleted by `now`.
    pub(super) fn account_is_gone(&self, author: usize, now: Timestamp) -> bool {
        let settings = self.settings();
        if settings.removed_percent == 0 {
            return false;
        }
        let number = u32::try_from(author).unwrap_or(u32::MAX);
        let mut dice = Dice::new(settings.seed, Purpose::Account, (0, number));
        let start = Timestamp::at_midnight(settings.start);
        dice.unit() * 100.0 < f64::from(settings.removed_percent)
            && start + Duration::from_secs_f64(86_400.0 * ACCOUNT_DAYS * dice.unit()) <= now
    }
}
