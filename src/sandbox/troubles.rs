//! How strict the simulated Reddit is, and what goes wrong with it: nothing, unless it is asked for.

use std::{str::FromStr, time::Duration};

use super::dice::{Dice, Purpose};

/// Requests come in stretches of so many; what goes wrong, goes wrong with the first of a stretch,
/// and never with all of it.
const STRETCH: u64 = 5;

/// How strict the simulated Reddit is, and how much goes wrong with it.
///
/// Everything is a function of the world's seed and of how many requests there were (of the name of
/// the file, with images), so that the same requests in the same order meet the same trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Troubles {
    /// How long a token is good; with `None`, none is asked for.
    pub token_life: Option<Duration>,
    /// How many calls an application has in a window of ten minutes.
    pub budget: Option<u64>,
    /// How many things a listing shows, over all of its pages.
    pub cap: Option<usize>,
    /// Whether a community that does not exist leads to a search, in place of 404.
    pub redirects: bool,
    /// Whether the edge shuts this network out: 403 with a page to whatever is asked.
    pub blocked: bool,
    /// Communities that are private.
    pub private: Vec<String>,
    /// In how many of a hundred stretches of five requests up to four fail with a status of 5xx.
    pub errors_percent: u32,
    /// In how many of a hundred stretches the answers are pages, halves or nothing.
    pub malformed_percent: u32,
    /// In how many of a hundred stretches the answers break off.
    pub cut_percent: u32,
    /// In how many of a hundred listings stands a thing that is none.
    pub odd_percent: u32,
    /// How many answers in a hundred come slowly, in four parts.
    pub slow_percent: u32,
    /// How long a slow answer pauses after each part.
    pub pause: Duration,
    /// How many images in a hundred are placeholders, pages, halves, bombs or slow.
    pub images_percent: u32,
}

impl Default for Troubles {
    fn default() -> Self {
        Self {
            token_life: None,
            budget: None,
            cap: None,
            redirects: false,
            blocked: false,
            private: Vec::new(),
            errors_percent: 0,
            malformed_percent: 0,
            cut_percent: 0,
            odd_percent: 0,
            slow_percent: 0,
            pause: Duration::from_secs(2),
            images_percent: 0,
        }
    }
}

/// A trouble that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseTroubleError {
    /// A word that is not one of the troubles.
    #[error(
        "there is no trouble `{0}`; there are `strict`, `rough`, `tokens=SECONDS`, `budget=CALLS`, \
         `cap=ITEMS`, `redirects`, `blocked`, `private=NAME+NAME`, `errors=PERCENT`, `malformed=PERCENT`, \
         `cut=PERCENT`, `odd=PERCENT`, `slow=PERCENT`, `pause=MILLISECONDS` and `images=PERCENT`"
    )]
    Unknown(String),
    /// A value that the trouble cannot have.
    #[error("the trouble `{name}` cannot be `{value}`; write {allowed}")]
    Value {
        /// The trouble.
        name: String,
        /// What was written.
        value: String,
        /// What may be written.
        allowed: &'static str,
    },
}

/// Reads `NAME[=VALUE],…`; what comes later goes before.
impl FromStr for Troubles {
    type Err = ParseTroubleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut troubles = Self::default();
        for part in text.split(',').map(str::trim) {
            if !part.is_empty() {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                troubles.set(name.trim(), value.trim())?;
            }
        }
        Ok(troubles)
    }
}

impl Troubles {
    /// As strict as Reddit was measured to be in 2026.
    fn be_strict(&mut self) {
        self.token_life = Some(Duration::from_hours(24));
        self.budget = Some(1_000);
        self.cap = Some(995);
        self.redirects = true;
    }

    fn be_rough(&mut self) {
        self.be_strict();
        self.errors_percent = 5;
        self.malformed_percent = 3;
        self.cut_percent = 2;
        self.odd_percent = 20;
        self.slow_percent = 2;
        self.images_percent = 5;
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), ParseTroubleError> {
        let wrong = |allowed| ParseTroubleError::Value {
            name: name.to_owned(),
            value: value.to_owned(),
            allowed,
        };
        let count = || -> Option<u64> { value.parse().ok().filter(|count| *count > 0) };
        let percent = || -> Result<u32, ParseTroubleError> {
            let percent = value.parse().ok().filter(|percent| *percent <= 100);
            percent.ok_or_else(|| wrong("how many in a hundred, from 0 to 100"))
        };
        match name {
            "strict" | "rough" | "redirects" | "blocked" if !value.is_empty() => {
                return Err(wrong("the word alone"));
            }
            "strict" => self.be_strict(),
            "rough" => self.be_rough(),
            "redirects" => self.redirects = true,
            "blocked" => self.blocked = true,
            "tokens" => {
                let seconds = count().ok_or_else(|| wrong("a number of seconds, such as 3600"))?;
                self.token_life = Some(Duration::from_secs(seconds));
            }
            "budget" => {
                let calls = count().ok_or_else(|| wrong("a number of calls, such as 1000"))?;
                self.budget = Some(calls);
            }
            "cap" => {
                let items = count().and_then(|count| usize::try_from(count).ok());
                self.cap = Some(items.ok_or_else(|| wrong("a number of things, such as 995"))?);
            }
            "private" => {
                let names = value.split('+').filter(|name| !name.is_empty());
                self.private = names.map(str::to_owned).collect();
            }
            "pause" => {
                let pause = value.parse().ok().map(Duration::from_millis);
                self.pause = pause.ok_or_else(|| wrong("a number of milliseconds"))?;
            }
            "errors" => self.errors_percent = percent()?,
            "malformed" => self.malformed_percent = percent()?,
            "cut" => self.cut_percent = percent()?,
            "odd" => self.odd_percent = percent()?,
            "slow" => self.slow_percent = percent()?,
            "images" => self.images_percent = percent()?,
            _ => return Err(ParseTroubleError::Unknown(name.to_owned())),
        }
        Ok(())
    }

    /// Whether a community is private.
    pub(super) fn is_private(&self, community: &str) -> bool {
        let mut names = self.private.iter();
        names.any(|private| private.eq_ignore_ascii_case(community))
    }

    /// What goes wrong with the request before which there were so many.
    pub(super) fn at(&self, seed: u64, request: u64) -> Trouble {
        let mut dice = dice(seed, Purpose::Trouble, request / STRETCH);
        let (part, long) = (100.0 * dice.unit(), 1 + dice.below(4) as u64);
        let kind = dice.below(4);
        let mut below = 0.0;
        let mut within = |percent: u32| {
            below += f64::from(percent);
            part < below && request % STRETCH < long
        };
        if within(self.errors_percent) {
            Trouble::Status([500, 502, 503, 504][kind])
        } else if within(self.malformed_percent) {
            [Trouble::Page, Trouble::Half, Trouble::Nothing][kind % 3]
        } else if within(self.cut_percent) {
            Trouble::Cut
        } else {
            Trouble::None
        }
    }

    /// Whether the answer to a request comes slowly.
    pub(super) fn is_slow(&self, seed: u64, request: u64) -> bool {
        self.slow_percent > 0
            && 100.0 * dice(seed, Purpose::Slow, request).unit() < f64::from(self.slow_percent)
    }

    /// The odd thing that a listing holds besides the others: which one, and a number by which its
    /// place can be told.
    pub(super) fn odd(&self, seed: u64, request: u64) -> Option<(usize, usize)> {
        let mut dice = dice(seed, Purpose::Odd, request);
        (100.0 * dice.unit() < f64::from(self.odd_percent))
            .then(|| (dice.below(ODD_THINGS.len()), dice.below(100)))
    }

    /// What is wrong with the file of an image, which is the post's `number`th.
    pub(super) fn file(&self, seed: u64, place: (u32, u32), number: u32) -> FileTrouble {
        let mut dice = Dice::new(seed, Purpose::File, (place.0, place.1 | number << 24));
        if 100.0 * dice.unit() >= f64::from(self.images_percent) {
            return FileTrouble::None;
        }
        *dice.pick(&[
            FileTrouble::Placeholder,
            FileTrouble::Page,
            FileTrouble::Half,
            FileTrouble::Bomb,
            FileTrouble::Slow,
        ])
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the halves of a number are its halves"
)]
fn dice(seed: u64, purpose: Purpose, number: u64) -> Dice {
    Dice::new(seed, purpose, ((number >> 32) as u32, number as u32))
}

/// What goes wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    /// A status of 5xx with a page.
    Status(u16),
    /// 200 with a page.
    Page,
    /// 200 with half of the text, as if that were all.
    Half,
    /// 200 with nothing.
    Nothing,
    /// The connection ends in the middle of the text.
    Cut,
}

/// What is wrong with the file of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileTrouble {
    None,
    /// 404 with the picture that says so.
    Placeholder,
    /// A page in place of the picture.
    Page,
    /// Two thirds of the file, as if that were all.
    Half,
    /// A small file of a picture of 2.5 thousand millions of pixels.
    Bomb,
    /// All of the file, slowly.
    Slow,
}

/// Things that are no posts, as they stand in a listing.
pub(super) const ODD_THINGS: &[&str] = &[
    r#"{"kind": "t3", "data": null}"#,
    r#""t3_odd""#,
    r#"{"kind": "t3", "data": {"id": 7, "title": null, "score": "many", "created_utc": {}}}"#,
    r#"{"kind": "more", "data": {"count": 0, "children": []}}"#,
    r#"{"kind": "t3", "data": {"id": "odd", "title": ["a"], "preview": 3, "author": false}}"#,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_troubles_there_are() {
        let error = |text: &str| text.parse::<Troubles>().unwrap_err().to_string();
        assert!(error("bugdet=3").contains("no trouble `bugdet`; there are `strict`"));
        assert!(error("budget=0").contains("such as 1000"));
        assert!(error("errors=101").contains("from 0 to 100"));
        assert!(error("strict=1").contains("the word alone"));
        assert_eq!("".parse(), Ok(Troubles::default()));
        let found: Troubles = "strict, budget=60,private=hidden+Secret".parse().unwrap();
        assert_eq!((found.budget, found.cap), (Some(60), Some(995)));
        assert!(found.is_private("secret") && !found.is_private("pics"));
    }

    #[test]
    fn trouble_repeats_is_as_frequent_as_asked_for_and_lets_one_in_five_through() {
        let troubles: Troubles = "errors=20,malformed=20,cut=10,odd=30".parse().unwrap();
        let of = |seed| -> Vec<Trouble> { (0..5_000).map(|n| troubles.at(seed, n)).collect() };
        let met = of(7);
        assert_eq!(met, of(7));
        assert_ne!(met, of(8));
        for stretch in met.chunks(5) {
            assert!(stretch.contains(&Trouble::None));
        }
        let stretches = met.chunks(5);
        let spoilt = stretches.filter(|stretch| stretch[0] != Trouble::None);
        let share = spoilt.count() as f64 / 1_000.0;
        assert!((0.45..0.55).contains(&share), "{share}");
        let odd = (0..5_000).filter(|n| troubles.odd(7, *n).is_some()).count() as f64;
        assert!((0.27..0.33).contains(&(odd / 5_000.0)));
        assert!((0..5_000).all(|n| Troubles::default().at(7, n) == Trouble::None));
    }
}
