//! The listings that are not in the order of time: `/hot`, `/top`, `/rising` and `/search`.

use std::{cmp::Reverse, time::Duration};

use super::{
    server::SandboxState,
    world::{Place, Post},
};
use crate::clock::Timestamp;

/// How many posts a search finds at most, over all of its pages.
const FOUND: usize = 250;

/// How far back posts can be hot, and rising.
const HOT: Duration = Duration::from_hours(72);
const RISING: Duration = Duration::from_hours(12);

/// A score that is ten times as high is worth so many seconds of age.
const TENFOLD: f64 = 45_000.0;

/// The order of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The score against the age.
    Hot,
    /// The score.
    Top,
    /// The score in an hour of age.
    Rising,
    /// The time.
    New,
}

impl Order {
    /// The order of this name, as it stands in a path or in `sort`.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            // What is relevant to a word is nobody's business here.
            "hot" | "relevance" => Some(Self::Hot),
            "top" | "comments" => Some(Self::Top),
            "rising" => Some(Self::Rising),
            "new" => Some(Self::New),
            _ => None,
        }
    }

    fn rank(self, post: &Post, now: Timestamp) -> f64 {
        let score = post.numbers(now).score as f64;
        let age = now.since(post.created_at).as_secs_f64();
        match self {
            Self::Hot => score.max(1.0).log10() - age / TENFOLD,
            Self::Top => score,
            Self::Rising => (score + 1.0) / (age / 3600.0 + 1.0),
            Self::New => -age,
        }
    }

    /// How far back the posts of this listing go, where `t` does not say.
    const fn reach(self) -> Option<Duration> {
        match self {
            Self::Hot => Some(HOT),
            Self::Rising => Some(RISING),
            Self::Top => Some(Duration::from_hours(24)),
            Self::New => None,
        }
    }
}

/// The stretch of time of this name, as it stands in `t`; `None` for one that has no end.
fn stretch(name: &str) -> Option<Duration> {
    Some(Duration::from_hours(match name {
        "hour" => 1,
        "day" => 24,
        "week" => 7 * 24,
        "month" => 31 * 24,
        "year" => 366 * 24,
        _ => return None,
    }))
}

/// The posts of a listing, the first first, of those places that are `listed`.
pub(super) fn ranked(
    state: &SandboxState,
    order: Order,
    t: Option<&str>,
    now: Timestamp,
    listed: impl Fn(&Place) -> bool,
) -> Vec<Place> {
    let reach = match (order, t) {
        (Order::Top, Some(t)) => stretch(t),
        _ => order.reach(),
    };
    let posts = posts(state, reach, now, listed);
    in_order(&posts.collect::<Vec<_>>(), order, now)
}

/// The posts that have all words of `text` in their titles.
pub(super) fn found(
    state: &SandboxState,
    text: &str,
    order: Order,
    t: Option<&str>,
    now: Timestamp,
    listed: impl Fn(&Place) -> bool,
) -> Vec<Place> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let has_all = |post: &Post| {
        let title = post.title.to_lowercase();
        words.iter().all(|word| title.contains(word.as_str()))
    };
    let posts = posts(state, t.and_then(stretch), now, listed).filter(has_all);
    let mut places = in_order(&posts.collect::<Vec<_>>(), order, now);
    places.truncate(FOUND);
    places
}

fn posts(
    state: &SandboxState,
    reach: Option<Duration>,
    now: Timestamp,
    listed: impl Fn(&Place) -> bool,
) -> impl Iterator<Item = Post> {
    let world = state.world();
    let since = reach.map(|reach| now - reach);
    world
        .newest_first(now)
        .take_while(move |place| since.is_none_or(|since| world.created_at(*place) >= since))
        .filter(listed)
        .map(|place| world.post(place))
}

fn in_order(posts: &[Post], order: Order, now: Timestamp) -> Vec<Place> {
    let mut ranked: Vec<(f64, Place)> = posts
        .iter()
        .map(|post| (order.rank(post, now), post.place))
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(Reverse(a.1).cmp(&Reverse(b.1))));
    ranked.into_iter().map(|(_, place)| place).collect()
}

/// Where a page begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cursor {
    /// At a post.
    At(Place),
    /// At none that there is.
    Nowhere,
}

/// The page of at most `limit` of `places` right above the cursor `before`, or else below the
/// cursor `after`; and whether there is more. A cursor that is not among them gives an empty page.
pub(super) fn page(
    places: &[Place],
    limit: usize,
    before: Option<Cursor>,
    after: Option<Cursor>,
) -> (Vec<Place>, bool) {
    let at = |cursor| match cursor {
        Cursor::At(post) => places.iter().position(|place| *place == post),
        Cursor::Nowhere => None,
    };
    let (page, more) = match (before, after) {
        (Some(above), _) => {
            let end = at(above).unwrap_or(0);
            (&places[end.saturating_sub(limit)..end], end > 0)
        }
        (None, below) => {
            let start = below.map_or(0, |below| at(below).map_or(places.len(), |at| at + 1));
            let end = (start + limit).min(places.len());
            (&places[start..end], end < places.len())
        }
    };
    (page.to_vec(), more)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::{clock::Clock as _, sandbox::server_tests::served};

    fn names(listing: &Value) -> Vec<String> {
        let children = listing["data"]["children"].as_array().unwrap();
        let name = |child: &Value| child["data"]["name"].as_str().unwrap().to_owned();
        children.iter().map(name).collect()
    }

    fn scores(listing: &Value) -> Vec<i64> {
        let children = listing["data"]["children"].as_array().unwrap();
        let score = |child: &Value| child["data"]["score"].as_i64().unwrap();
        children.iter().map(score).collect()
    }

    #[tokio::test]
    async fn listings_in_other_orders_have_the_same_pages() {
        let served = served("sandbox:posts=60", "").await;
        let top = served.json("/r/all/top?t=all&limit=100").await;
        let best = scores(&top);
        assert_eq!(best.len(), 100);
        assert!(best.is_sorted_by(|a, b| a >= b), "{best:?}");
        let day = served.json("/top?limit=100").await;
        assert_eq!(names(&day).len(), 60, "of a day, where nothing is said");
        for path in ["/r/pics/hot", "/r/pics/top?t=all", "/r/pics/rising", "/hot"] {
            let and = if path.contains('?') { '&' } else { '?' };
            let whole = served.json(&format!("{path}{and}limit=10")).await;
            let whole = names(&whole);
            assert!(!whole.is_empty(), "{path}");
            let first = served.json(&format!("{path}{and}limit=1")).await;
            assert_eq!(names(&first), whole[..1], "{path}");
            let after = first["data"]["after"].as_str();
            let Some(after) = after else { continue };
            let next = format!("{path}{and}limit=9&after={after}");
            let next = served.json(&next).await;
            assert_eq!(names(&next), whole[1..], "{path}");
        }
    }

    #[tokio::test]
    async fn a_search_finds_titles() {
        let served = served("sandbox:posts=60", "").await;
        let new = served.json("/r/pics/new?limit=1").await;
        let title = new["data"]["children"][0]["data"]["title"].as_str();
        let word = title.unwrap().split_whitespace().next().unwrap();
        let found = served
            .json(&format!("/r/pics/search?q={word}&restrict_sr=1&sort=new"))
            .await;
        assert_eq!(names(&found)[0], names(&new)[0]);
        for child in found["data"]["children"].as_array().unwrap() {
            assert_eq!(child["data"]["subreddit"], "pics");
            let title = child["data"]["title"].as_str().unwrap().to_lowercase();
            assert!(title.contains(&word.to_lowercase()), "{title}");
        }
        let nothing = served.json("/search?q=xyzzyplugh").await;
        assert_eq!(names(&nothing), [""; 0]);
    }

    #[tokio::test]
    async fn the_clock_is_set_whatever_the_body_is_called() {
        let served = served("sandbox:posts=6", "").await;
        let set = |body: &'static str| served.post("/sandbox/clock", body);
        let answer = set(r#"{"now": "2026-02-03T00:00:00Z"}"#).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(
            served.state.clock().now().to_string(),
            "2026-02-03T00:00:00Z"
        );
        let answer = set("tomorrow").await;
        assert_eq!(answer.status(), 400);
        let said: Value = answer.json().await.unwrap();
        assert!(said["message"].as_str().unwrap().contains("send the time"));
    }
}
