//! What the simulated world knows and its clients do not.

use rayon::iter::{ParallelBridge, ParallelIterator};
use serde::Serialize;

use super::{
    SandboxSettings,
    process::{Components, HORIZON},
    world::{Post, World},
};
use crate::{clock::Timestamp, corpus::ContentHash};

/// What the process planted into one post.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Truth {
    /// The post's id.
    pub id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where.
    pub community: &'static str,
    /// The value of `ln(1 + score)` that it would have at the horizon without noise.
    pub expected: f64,
    /// Its score at the horizon (36 hours after it was made).
    pub score_36h: u64,
    /// What each component adds to the latent log score.
    pub components: Components,
}

/// The truth about the posts made up to `as_of`, the oldest first.
pub fn truth(settings: &SandboxSettings, as_of: Timestamp) -> impl Iterator<Item = Truth> + use<> {
    let world = World::new(settings.clone());
    let made = world.made_until(as_of);
    (0..made).map(move |ordinal| {
        let post = world.post_made_as(ordinal);
        Truth {
            expected: post.components.expected(),
            score_36h: post.numbers(post.created_at + HORIZON).score,
            components: post.components,
            community: post.community.name,
            created_at: post.created_at,
            id: post.id,
        }
    })
}

/// The best rank correlation that a model can reach on these posts: that of the noise-free
/// value with the score. `None` where it is not defined (fewer than two posts, or a constant).
pub fn spearman_ceiling(posts: &[Truth]) -> Option<f64> {
    let expected: Vec<f64> = posts.iter().map(|post| post.expected).collect();
    let scores: Vec<f64> = posts.iter().map(|post| post.score_36h as f64).collect();
    spearman(&expected, &scores)
}

/// Spearman's rank correlation of two columns; ties share the mean of their ranks.
pub fn spearman(left: &[f64], right: &[f64]) -> Option<f64> {
    let (left, right) = (ranks(left), ranks(right));
    let count = left.len() as f64;
    let middle = f64::midpoint(count, 1.0);
    let product = |a: &[f64], b: &[f64]| -> f64 {
        let terms = a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle));
        terms.sum()
    };
    let scale = (product(&left, &left) * product(&right, &right)).sqrt();
    (scale > 0.0).then(|| product(&left, &right) / scale)
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let equal = |place: &&usize| values[**place].total_cmp(&values[order[from]]).is_eq();
        let ties = order[from..].iter().take_while(equal).count();
        let rank = from as f64 + f64::midpoint(ties as f64, 1.0);
        for place in &order[from..from + ties] {
            ranks[*place] = rank;
        }
        from += ties;
    }
    ranks
}

/// One post as the world's own book has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JournalLine {
    /// The post's id.
    pub id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where.
    pub community: &'static str,
    /// Its headline.
    pub title: String,
    /// The hashes of the image files that can be had, in order; a repost has the hash of an
    /// earlier post's.
    pub images: Vec<ContentHash>,
    /// Whether it has an image that can be had.
    pub has_image: bool,
    /// Whether it is for adults.
    pub over_18: bool,
}

/// The book of the posts made up to `until`, the oldest first. All images are drawn for it,
/// on all cores.
pub fn journal(settings: &SandboxSettings, until: Timestamp) -> Vec<JournalLine> {
    let world = World::new(settings.clone());
    let mut lines: Vec<_> = world
        .posts(until)
        .enumerate()
        .par_bridge()
        .map(|(place, post)| (place, line(&world, post)))
        .collect();
    lines.sort_by_key(|(place, _)| *place);
    lines.into_iter().map(|(_, line)| line).collect()
}

fn line(world: &World, post: Post) -> JournalLine {
    let there = if post.is_whole() { post.images() } else { 0 };
    let images: Vec<ContentHash> = (0..there)
        .map(|number| ContentHash::of(world.picture(&post, number).1))
        .collect();
    JournalLine {
        has_image: !images.is_empty(),
        images,
        id: post.id,
        created_at: post.created_at,
        community: post.community.name,
        title: post.title,
        over_18: post.over_18,
    }
}
