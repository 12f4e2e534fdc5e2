//! Properties of the world as a whole.

use std::{collections::BTreeSet, time::Duration};

use super::{
    HORIZON, SandboxSettings, Truth, World, communities::COMMUNITIES, journal, process::SHARES,
    spearman_ceiling, truth, world::Kind,
};
use crate::clock::Timestamp;

fn day(days: u64) -> Timestamp {
    Timestamp::at_midnight(SandboxSettings::default().start) + Duration::from_hours(24 * days)
}

/// A number of a post.
type Of = fn(&Truth) -> f64;

fn variance(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    values.map(|value| (value - mean).powi(2)).sum::<f64>() / count
}

fn correlation(posts: &[Truth], a: Of, b: Of) -> f64 {
    let of = |f: Of| variance(posts.iter().map(f));
    (variance(posts.iter().map(|post| a(post) + b(post))) - of(a) - of(b))
        / (2.0 * (of(a) * of(b)).sqrt())
}

#[test]
fn components_carry_what_they_promise_and_are_independent() {
    let posts: Vec<Truth> = truth(&SandboxSettings::default(), day(60)).collect();
    assert_eq!(posts.len(), 60 * 96);
    let all = variance(posts.iter().map(|post| post.components.latent()));
    let components: [(Of, f64); 6] = [
        (|post| post.components.title, SHARES.title),
        (|post| post.components.image, SHARES.image),
        (|post| post.components.community, SHARES.community),
        (|post| post.components.hour, SHARES.hour),
        (|post| post.components.author, SHARES.author),
        (|post| post.components.noise, SHARES.noise),
    ];
    for (place, (component, promised)) in components.iter().enumerate() {
        let share = variance(posts.iter().map(component)) / all;
        assert!(
            (share - promised).abs() < 0.03,
            "{place}: {share} for {promised}"
        );
        for (other, (another, _)) in components.iter().enumerate().skip(place + 1) {
            let together = correlation(&posts, *component, *another);
            assert!(together.abs() < 0.05, "{place} and {other}: {together}");
        }
    }
    let share = |of: Of| variance(posts.iter().map(of)) / all;
    assert!(share(components[0].0) >= 0.2 && share(components[1].0) >= 0.2);
    assert!(share(components[2].0) <= 0.25);
}

#[test]
fn the_ceiling_lies_where_it_is_promised() {
    for seed in 1..5 {
        let settings = SandboxSettings {
            seed,
            ..SandboxSettings::default()
        };
        let posts: Vec<Truth> = truth(&settings, day(17)).collect();
        let ceiling = spearman_ceiling(&posts).unwrap();
        assert!((0.82..0.92).contains(&ceiling), "seed {seed}: {ceiling}");
    }
    assert_eq!(spearman_ceiling(&[]), None);
}

#[test]
fn a_world_is_the_same_each_time_and_another_with_another_seed() {
    let settings = SandboxSettings::default();
    let until = day(0) + Duration::from_hours(12);
    let book = journal(&settings, until);
    assert_eq!(book, journal(&settings, until));
    let longer = journal(&settings, until + Duration::from_hours(2));
    assert_eq!(book, longer[..book.len()]);
    let other = SandboxSettings {
        seed: 8,
        ..settings
    };
    assert_ne!(book[0].title, journal(&other, until)[0].title);
}

#[test]
fn a_first_run_has_enough_posts_with_images() {
    let world = World::new(SandboxSettings::default());
    let labelled: Vec<_> = world.posts(day(17)).collect();
    let kept = |post: &&super::world::Post| post.images() > 0 && post.is_whole() && !post.over_18;
    assert!(labelled.iter().filter(kept).count() >= 1_500);
    let titles: BTreeSet<_> = labelled.iter().map(|post| &post.title).collect();
    assert!(titles.len() * 100 > labelled.len() * 99);
    let authors: BTreeSet<_> = labelled.iter().map(|post| post.author).collect();
    assert!(authors.len() > 200);
    let part = |of: fn(Kind) -> bool| {
        labelled.iter().filter(|post| of(post.kind)).count() as f64 / labelled.len() as f64
    };
    assert!((0.015..0.05).contains(&part(|kind| kind == Kind::Text)));
    assert!((0.005..0.03).contains(&part(|kind| kind == Kind::Gone)));
    assert!(part(|kind| kind == Kind::Page) > 0.0);
    assert!((0.01..0.035).contains(&part(|kind| matches!(kind, Kind::Gallery(2 | 3)))));
    assert!(part(|kind| matches!(kind, Kind::Repost(_))) > 0.004);
}

#[test]
fn posts_are_made_in_order_and_found_by_their_ids() {
    let settings = SandboxSettings {
        posts_per_day: 700,
        days: Some(2),
        ..SandboxSettings::default()
    };
    let world = World::new(settings);
    let posts: Vec<_> = world.posts(day(5)).collect();
    assert_eq!(posts.len(), 1_400);
    for pair in posts.windows(2) {
        assert!(pair[0].created_at <= pair[1].created_at);
        assert!(pair[0].id < pair[1].id && pair[0].id.len() == pair[1].id.len());
    }
    for (made, post) in posts.iter().enumerate() {
        assert_eq!(world.place(&post.id), Some(post.place));
        let before = post.created_at - Duration::from_secs(1);
        assert!(world.made_until(before) <= made as u64);
        assert!(world.made_until(post.created_at) > made as u64);
    }
    assert_eq!(world.place("zzzzzz"), None);
    assert_eq!(world.place("1"), None);
    assert_eq!(world.made_until(day(0) - Duration::from_millis(1)), 0);
}

#[test]
fn a_repost_shows_the_bytes_of_an_earlier_image() {
    let world = World::new(SandboxSettings::default());
    let posts: Vec<_> = world.posts(day(17)).collect();
    let repost = posts
        .iter()
        .find_map(|post| match post.kind {
            Kind::Repost(earlier) => Some((post, world.post(earlier))),
            _ => None,
        })
        .unwrap();
    let (later, earlier) = repost;
    assert!(earlier.created_at <= later.created_at && earlier.title != later.title);
    assert_eq!(world.picture(later, 0), world.picture(&earlier, 0));
    assert!((later.components.image - earlier.components.image).abs() < 1e-12);
}

#[test]
fn pictures_are_files_of_the_size_that_is_told() {
    let world = World::new(SandboxSettings::default());
    let mut formats = BTreeSet::new();
    for post in world
        .posts(day(1))
        .filter(|post| post.images() > 0)
        .take(40)
    {
        let (frame, bytes) = world.picture(&post, post.images() - 1);
        assert_eq!(world.frame(&post, post.images() - 1), frame);
        let image = image::load_from_memory(&bytes).unwrap();
        assert_eq!((image.width(), image.height()), (frame.width, frame.height));
        formats.insert(frame.format.extension());
    }
    assert_eq!(formats.len(), 2);
}

#[test]
fn numbers_stand_at_the_planted_score_from_the_horizon_on() {
    let settings = SandboxSettings::default();
    let world = World::new(settings.clone());
    for (post, planted) in world.posts(day(2)).zip(truth(&settings, day(2))) {
        assert_eq!(post.id, planted.id);
        let mature = post.created_at + HORIZON;
        assert_eq!(post.numbers(mature).score, planted.score_36h);
        assert_eq!(post.numbers(mature + HORIZON), post.numbers(mature));
        assert_eq!(post.numbers(post.created_at).score, 0);
        let latent = planted.components.latent();
        assert!((planted.score_36h as f64 - latent.exp_m1().max(0.0)).abs() <= 0.5);
    }
    let shares: f64 = COMMUNITIES.iter().map(|community| community.share).sum();
    assert!((shares - 1.0).abs() < 1e-12);
}
