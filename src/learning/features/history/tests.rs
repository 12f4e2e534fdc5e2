//! What a history tells, and that it never tells of what was still to come.

use proptest::prelude::*;

use super::*;

fn at(hours: i64) -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000 + hours * HOUR)
}

/// A record `hours` after the beginning whose label is known 37 hours later.
fn record(hours: i64, community: &str, author: Option<&str>, label: Option<f64>) -> PastRecord {
    PastRecord {
        community: Some(community.to_owned()),
        author: author.map(str::to_owned),
        created_at: at(hours),
        label: label.map(|label| (at(hours + 37), label)),
        look: None,
    }
}

#[test]
fn a_label_counts_once_it_was_read_and_no_longer_than_its_time() {
    let history = History::new(&[record(0, "pics", Some("ann"), Some(3.0))]);
    let median = |hours: i64| {
        history
            .of(Some(at(hours)), Some("pics"), None, None)
            .community
    };
    assert_eq!(median(36), None);
    let known = median(37).unwrap();
    assert_eq!(known[..3], [3.0; 3]);
    assert_eq!(known[3], 1.0_f64.ln_1p());
    // After a week it is one of the month only, after a month of none.
    let week = median(37 + 7 * 24).unwrap();
    assert_eq!((week[1], week[3], week[7]), (3.0, 0.0, 1.0_f64.ln_1p()));
    assert_eq!(median(37 + 28 * 24), None);
}

#[test]
fn few_labels_are_shrunk_to_what_is_true_of_all() {
    let mut records = vec![record(0, "small", None, Some(9.0))];
    records.extend((0..30).map(|_| record(0, "large", None, Some(1.0))));
    let history = History::new(&records);
    let median = |name: &str| {
        history
            .of(Some(at(50)), Some(name), None, None)
            .community
            .unwrap()[5]
    };
    assert!((median("small") - (1.0 + 8.0 / 11.0)).abs() < 1e-12);
    assert_eq!(median("large"), 1.0);
    assert_eq!(median("unknown"), 1.0);
}

#[test]
fn an_author_is_held_against_the_communities() {
    let mut records: Vec<PastRecord> = (0..40)
        .map(|hour| record(hour, "pics", None, Some(2.0)))
        .collect();
    records.extend((41..44).map(|hour| record(hour, "pics", Some("ann"), Some(5.0))));
    records.push(record(44, "pics", Some("bob"), None));
    let history = History::new(&records);
    let of = |name: &str, hours: i64| {
        history
            .of(Some(at(hours)), Some("pics"), Some(name), None)
            .author
    };
    let ann = of("ann", 90).unwrap();
    assert_eq!(ann[..2], [3.0_f64.ln_1p(); 2]);
    // Three labels, each 3 above, and a prior of three.
    for value in &ann[2..] {
        assert!((value - 1.5).abs() < 1e-12, "{ann:?}");
    }
    let early = of("ann", 60).unwrap();
    assert_eq!((early[0], early[1], early[2]), (3.0_f64.ln_1p(), 0.0, 0.0));
    assert_eq!(of("bob", 90).unwrap()[1..], [0.0; 5]);
    assert_eq!(of("nobody", 90), Some([0.0; 6]));
    assert_eq!(
        history.of(Some(at(90)), Some("pics"), None, None).author,
        None
    );
    let elsewhere = history
        .of(Some(at(90)), Some("art"), Some("ann"), None)
        .author
        .unwrap();
    assert!(elsewhere[2] > 1.0 && elsewhere[4] == 0.0);
}

#[test]
fn the_queue_is_what_was_published_shortly_before() {
    let records = [0, 4, 5].map(|hour| record(hour, "pics", None, None));
    let history = History::new(&records);
    let queue = |hour: i64, name: &str| {
        history
            .of(Some(at(hour)), Some(name), None, None)
            .queue
            .unwrap()
    };
    // The record of that very moment is not before it.
    assert_eq!(
        queue(5, "pics"),
        [1.0_f64.ln_1p(), 2.0_f64.ln_1p(), 60.0_f64.ln_1p()]
    );
    assert_eq!(queue(0, "pics"), queue(5, "art"));
    let untimed = history.of(None, Some("pics"), Some("ann"), None);
    assert_eq!(untimed, Past::default());
}

#[test]
fn a_repost_is_like_an_image_that_was_there_before() {
    let seen = |hours: i64, look: u64| PastRecord {
        look: Some(Look(look)),
        ..record(hours, "pics", None, None)
    };
    let history = History::new(&[seen(0, 0b1111), seen(24, 0b11), seen(48, u64::MAX)]);
    let repost = |hours: i64, look: u64| {
        let past = history.of(Some(at(hours)), None, None, Some(Look(look)));
        past.repost.unwrap()
    };
    // Nothing was there before; 90 days stand for never.
    assert_eq!(repost(0, 0b1111), [1.0, 0.0, 90.0_f64.ln_1p()]);
    assert_eq!(repost(24, 0b1111), [0.0, 1.0_f64.ln_1p(), 1.0_f64.ln_1p()]);
    let both = repost(72, 0b1);
    assert_eq!(both, [1.0 / 64.0, 2.0_f64.ln_1p(), 2.0_f64.ln_1p()]);
    // After 90 days an image counts no more.
    assert_eq!(repost(90 * 24 + 1, 0b1111)[0], 2.0 / 64.0);
    assert_eq!(history.of(Some(at(9)), None, None, None).repost, None);
}

#[test]
fn a_label_known_at_once_is_not_its_own_history() {
    let mut own = record(0, "pics", Some("ann"), Some(3.0));
    own.label = Some((own.created_at, 3.0));
    let history = History::new(&[own]);
    let past = history.of(Some(at(0)), Some("pics"), Some("ann"), None);
    assert_eq!(past.community, None);
    assert_eq!(past.author, Some([0.0; 6]));
}

type Drawn = (i64, u8, Option<u8>, Option<i8>, i64);

fn drawn(of: &[Drawn]) -> Vec<PastRecord> {
    of.iter()
        .map(|&(hour, community, author, label, delay)| PastRecord {
            community: (community > 0).then(|| format!("c{community}")),
            author: author.map(|author| format!("a{author}")),
            created_at: at(hour),
            label: label.map(|label| (at(hour + delay), f64::from(label) / 3.0)),
            // Few kinds of images, each a bit from the next.
            look: (label != Some(0)).then(|| Look((1 << (hour % 9)) - 1)),
        })
        .collect()
}

fn any_records() -> impl Strategy<Value = Vec<Drawn>> {
    let author = prop::option::of(0_u8..4);
    let label = prop::option::of(any::<i8>());
    prop::collection::vec((0_i64..4000, 0_u8..4, author, label, 0_i64..80), 0..120)
}

proptest! {
    /// Whatever is published or read after a moment, nothing before it changes by a bit.
    #[test]
    fn the_future_reaches_no_feature(
        records in any_records(),
        others in any_records(),
        moment in 0_i64..4000,
    ) {
        let now = drawn(&records);
        let mut then: Vec<PastRecord> = now
            .iter()
            .filter(|record| record.created_at < at(moment))
            .cloned()
            .map(|mut record| {
                // A label that is read later may turn out otherwise.
                if let Some((known_at, label)) = &mut record.label && *known_at >= at(moment) {
                    *label = -7.0 - *label;
                    *known_at = *known_at + Duration::from_hours(5);
                }
                record
            })
            .collect();
        then.extend(drawn(&others).into_iter().filter(|record| record.created_at >= at(moment)));
        then.reverse();
        let (now, then) = (History::new(&now), History::new(&then));
        for &(hour, community, author, _, _) in records.iter().filter(|record| record.0 < moment) {
            let (community, author) = (format!("c{community}"), author.map(|author| format!("a{author}")));
            let of = |history: &History| {
                let look = Some(Look((1 << (hour % 7)) - 1));
                let past = history.of(Some(at(hour)), Some(&community), author.as_deref(), look);
                let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                (
                    past.community.map(|values| bits(&values)),
                    past.author.map(|values| bits(&values)),
                    past.queue.map(|values| bits(&values)),
                    past.repost.map(|values| bits(&values)),
                )
            };
            prop_assert_eq!(of(&now), of(&then));
        }
    }
}
