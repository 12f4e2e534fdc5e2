//! The simulated world: which posts there are, and everything about each of them.
//!
//! Nothing is stored: a post is a pure function of the settings, the number of its day and its
//! number in the day, so that any moment of any world can be looked at.

use std::{f64::consts::TAU, time::Duration};

use super::{
    SandboxSettings,
    communities::{AUTHORS, Author, COMMUNITIES, Community, authors},
    dice::{Dice, Purpose},
    picture::{Frame, Look, Looks, render},
    process::{Components, Growth, Numbers, standardised},
    titles::Titles,
};
use crate::clock::Timestamp;

/// Days are so far apart in the numbers of posts.
const STRIDE: u64 = 10_000;

/// The number of the first post; it makes ids as long as those of 2026.
const FIRST_NUMBER: u64 = 3_700_000_000;

/// Where a post stands: the number of its day, and its number in the day.
pub(super) type Place = (u32, u32);

/// What a post carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An image of its own.
    Image,
    /// Text only.
    Text,
    /// An image that is gone: 404 and a placeholder.
    Gone,
    /// An image whose host answers with a page.
    Page,
    /// So many images in a gallery.
    Gallery(u32),
    /// The image of the earlier post at this place.
    Repost(Place),
}

/// A post, without its numbers, which depend on the moment.
#[derive(Clone, Debug)]
pub(super) struct Post {
    pub(super) place: Place,
    pub(super) id: String,
    pub(super) created_at: Timestamp,
    pub(super) community: &'static Community,
    pub(super) author: usize,
    pub(super) kind: Kind,
    pub(super) title: String,
    pub(super) over_18: bool,
    pub(super) flair: Option<&'static str>,
    pub(super) components: Components,
    growth: Growth,
}

impl Post {
    /// The numbers of the post as they are at `now`.
    pub(super) fn numbers(&self, now: Timestamp) -> Numbers {
        self.growth.at(now.since(self.created_at))
    }

    /// How many images the post shows, whether or not they can be had.
    pub(super) fn images(&self) -> u32 {
        match self.kind {
            Kind::Text => 0,
            Kind::Gallery(images) => images,
            Kind::Image | Kind::Gone | Kind::Page | Kind::Repost(_) => 1,
        }
    }

    /// Whether the images can be had.
    pub(super) fn is_whole(&self) -> bool {
        !matches!(self.kind, Kind::Gone | Kind::Page)
    }
}

/// The part of a post that is drawn before everything else.
struct Draft {
    community: usize,
    author: usize,
    kind: Kind,
    over_18: bool,
    flair: bool,
}

/// A simulated world.
#[derive(Debug)]
pub struct World {
    settings: SandboxSettings,
    authors: Vec<Author>,
    author_quality: Vec<f64>,
    community_quality: Vec<f64>,
    hour_quality: Vec<f64>,
    titles: Titles,
    looks: Looks,
}

impl World {
    /// The world of these settings.
    pub fn new(settings: SandboxSettings) -> Self {
        let authors = authors(settings.seed);
        let shares: Vec<f64> = COMMUNITIES
            .iter()
            .map(|community| community.share)
            .collect();
        let qualities: Vec<f64> = COMMUNITIES
            .iter()
            .map(|community| community.quality)
            .collect();
        let activity: Vec<f64> = authors.iter().map(|author| author.activity).collect();
        let talents: Vec<f64> = authors.iter().map(|author| author.quality).collect();
        let hours: Vec<f64> = (0..24).map(|hour| wave(hour, 15.0)).collect();
        let weights: Vec<f64> = (0..24).map(busyness).collect();
        Self {
            community_quality: standardised(&qualities, &shares),
            author_quality: standardised(&talents, &activity),
            hour_quality: standardised(&hours, &weights),
            titles: Titles::new(),
            looks: Looks::new(),
            authors,
            settings,
        }
    }

    /// The settings of the world.
    pub fn settings(&self) -> &SandboxSettings {
        &self.settings
    }

    pub(super) fn author(&self, author: usize) -> &Author {
        &self.authors[author]
    }

    /// The author of this name, in any case.
    pub(super) fn author_named(&self, name: &str) -> Option<usize> {
        let mut authors = self.authors.iter();
        authors.position(|author| author.name.eq_ignore_ascii_case(name))
    }

    /// How many posts have been made up to and including `now`.
    pub(super) fn made_until(&self, now: Timestamp) -> u64 {
        let start = Timestamp::at_midnight(self.settings.start);
        if now < start {
            return 0;
        }
        let per_day = u64::from(self.settings.posts_per_day);
        let day = u32::try_from(now.since(start).as_secs() / 86_400).unwrap_or(u32::MAX);
        if let Some(days) = self.settings.days
            && day >= days
        {
            return u64::from(days) * per_day;
        }
        // Posts of a day are made in the order of their numbers.
        let (mut low, mut high) = (0, self.settings.posts_per_day);
        while low < high {
            let middle = u32::midpoint(low, high);
            if self.created_at((day, middle)) <= now {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        u64::from(day) * per_day + u64::from(low)
    }

    /// The place of the post that was made as the `ordinal`th, from zero.
    fn place_of(&self, ordinal: u64) -> Place {
        let per_day = u64::from(self.settings.posts_per_day.max(1));
        let day = u32::try_from(ordinal / per_day).unwrap_or(u32::MAX);
        (day, u32::try_from(ordinal % per_day).unwrap_or(0))
    }

    fn ordinal_of(&self, (day, index): Place) -> u64 {
        u64::from(day) * u64::from(self.settings.posts_per_day) + u64::from(index)
    }

    /// The places of the posts made up to `now`, the newest first.
    pub(super) fn newest_first(&self, now: Timestamp) -> impl Iterator<Item = Place> + use<'_> {
        (0..self.made_until(now)).rev().map(|at| self.place_of(at))
    }

    /// The post that was made as the `ordinal`th, from zero.
    pub(super) fn post_made_as(&self, ordinal: u64) -> Post {
        self.post(self.place_of(ordinal))
    }

    /// The posts made up to `now`, the oldest first.
    pub(super) fn posts(&self, now: Timestamp) -> impl Iterator<Item = Post> + use<'_> {
        (0..self.made_until(now)).map(|at| self.post_made_as(at))
    }

    /// The place that an id names, if a post of this world may have it.
    pub(super) fn place(&self, id: &str) -> Option<Place> {
        let number = u64::from_str_radix(id, 36)
            .ok()?
            .checked_sub(FIRST_NUMBER)?;
        let day = u32::try_from(number / STRIDE).ok()?;
        let index = u32::try_from(number % STRIDE).ok()?;
        let within = self.settings.days.is_none_or(|days| day < days);
        (within && index < self.settings.posts_per_day && id == id_of((day, index)))
            .then_some((day, index))
    }

    /// When the post at a place was made, in whole seconds.
    pub(super) fn created_at(&self, place: Place) -> Timestamp {
        let (day, index) = place;
        let jitter = Dice::new(self.settings.seed, Purpose::Time, place).between(0.1, 0.9);
        let part = (f64::from(index) + jitter) / f64::from(self.settings.posts_per_day);
        let total: f64 = (0..24).map(busyness).sum();
        let mut left = part * total;
        let mut seconds = 86_399.0;
        for hour in 0..24 {
            if left < busyness(hour) {
                seconds = 3600.0 * (f64::from(hour) + left / busyness(hour));
                break;
            }
            left -= busyness(hour);
        }
        Timestamp::at_midnight(self.settings.start)
            + Duration::from_secs(u64::from(day) * 86_400)
            + Duration::from_secs_f64(seconds.floor())
    }

    /// The community of the post at a place, without the rest of it.
    pub(super) fn community_at(&self, place: Place) -> usize {
        self.draft(place).community
    }

    fn draft(&self, place: Place) -> Draft {
        let mut dice = Dice::new(self.settings.seed, Purpose::Post, place);
        let community = dice.weighted(COMMUNITIES.iter().map(|community| community.share));
        let author = dice.weighted(self.authors.iter().map(|author| author.activity));
        // What real communities are full of, in small.
        let kind = match dice.unit() {
            part if part < 0.030 => Kind::Text,
            part if part < 0.045 => Kind::Gone,
            part if part < 0.050 => Kind::Page,
            part if part < 0.070 => Kind::Gallery(if part < 0.060 { 2 } else { 3 }),
            part if part < 0.080 => Kind::Repost(place),
            _ => Kind::Image,
        };
        Draft {
            community,
            author,
            kind,
            over_18: dice.unit() < 0.02,
            flair: dice.unit() < 0.35,
        }
    }

    /// The place whose image the post at `place` shows again; its own where there is none.
    fn repeated_by(&self, place: Place) -> Kind {
        let ordinal = self.ordinal_of(place);
        let reach = ordinal.min(10 * u64::from(self.settings.posts_per_day));
        let mut dice = Dice::new(self.settings.seed, Purpose::Repost, place);
        for _ in 0..20 {
            let back = u64::try_from(dice.below(usize::try_from(reach).unwrap_or(0))).unwrap_or(0);
            let Some(earlier) = ordinal.checked_sub(1 + back) else {
                break;
            };
            let earlier = self.place_of(earlier);
            if self.draft(earlier).kind == Kind::Image {
                return Kind::Repost(earlier);
            }
        }
        Kind::Image
    }

    /// The post at a place.
    pub(super) fn post(&self, place: Place) -> Post {
        let draft = self.draft(place);
        let kind = match draft.kind {
            Kind::Repost(_) => self.repeated_by(place),
            kind => kind,
        };
        let seed = self.settings.seed;
        let community = &COMMUNITIES[draft.community];
        let created_at = self.created_at(place);
        let mut dice = Dice::new(seed, Purpose::Title, place);
        let (title, title_quality) = self.titles.compose(&mut dice, community.subjects);
        let mut noise = Dice::new(seed, Purpose::Noise, place);
        let hour = usize::try_from(created_at.hour()).unwrap_or(0);
        let components = Components {
            title: title_quality,
            image: self
                .seen_look(place, kind)
                .map_or(0.0, |look| self.looks.quality(look)),
            community: self.community_quality[draft.community],
            hour: self.hour_quality[hour],
            author: self.author_quality[draft.author],
            noise: noise.normal(),
        }
        .weighed();
        Post {
            place,
            id: id_of(place),
            created_at,
            community,
            author: draft.author,
            kind,
            title,
            over_18: draft.over_18,
            flair: draft.flair.then_some(community.flair),
            components,
            growth: Growth::new(components.latent(), &mut noise),
        }
    }

    /// The look that people see; nothing where there is no image to see.
    fn seen_look(&self, place: Place, kind: Kind) -> Option<Look> {
        match kind {
            Kind::Text | Kind::Gone | Kind::Page => None,
            Kind::Repost(earlier) => Some(self.look(earlier)),
            Kind::Image | Kind::Gallery(_) => Some(self.look(place)),
        }
    }

    fn look(&self, place: Place) -> Look {
        Look::draw(&mut Dice::new(self.settings.seed, Purpose::Look, place))
    }

    /// The stream of chance of a post's `number`th picture.
    fn scene(&self, post: &Post, number: u32) -> (Place, Dice) {
        let origin = match post.kind {
            Kind::Repost(earlier) => earlier,
            _ => post.place,
        };
        let place = (origin.0, origin.1 | number << 24);
        (origin, Dice::new(self.settings.seed, Purpose::Scene, place))
    }

    /// The measures of a post's `number`th picture, without drawing it.
    pub(super) fn frame(&self, post: &Post, number: u32) -> Frame {
        Frame::draw(&mut self.scene(post, number).1)
    }

    /// The file of a post's `number`th picture, and its measures.
    pub(super) fn picture(&self, post: &Post, number: u32) -> (Frame, Vec<u8>) {
        let (origin, mut dice) = self.scene(post, number);
        let scene = COMMUNITIES[self.community_at(origin)].scene;
        render(&mut dice, scene, self.look(origin))
    }
}

/// The name of an author's account, `t2_…`, without the prefix.
pub(super) fn account(author: usize) -> String {
    base36(FIRST_NUMBER / 7 + 977 * author as u64)
}

/// The author whose account has this name.
pub(super) fn author_of(account_name: &str) -> Option<usize> {
    (0..AUTHORS as usize).find(|author| account(*author) == account_name)
}

fn id_of((day, index): Place) -> String {
    base36(FIRST_NUMBER + u64::from(day) * STRIDE + u64::from(index))
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    while number > 0 || digits.is_empty() {
        let digit = u32::try_from(number % 36).unwrap_or(0);
        digits.push(char::from_digit(digit, 36).unwrap_or('0'));
        number /= 36;
    }
    digits.iter().rev().collect()
}

/// How many posts are made in an hour of the day, in relation to the others.
fn busyness(hour: u32) -> f64 {
    1.0 + 0.7 * wave(hour, 17.0)
}

/// A wave over the day: one at `peak`, minus one twelve hours from it.
fn wave(hour: u32, peak: f64) -> f64 {
    (TAU * (f64::from(hour) - peak) / 24.0).cos()
}
