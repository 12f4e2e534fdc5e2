//! Tests of the parent.

use super::*;
use crate::media::Limits;

#[test]
fn hosts_that_are_not_asked_are_named() {
    let at = |place: &str, reason: &str| {
        let state = PlaceState::Unavailable {
            reason: reason.to_owned(),
            tries: 0,
            tried_at: crate::clock::Timestamp::from_millis(0),
        };
        (place.to_owned(), state)
    };
    let known = HashMap::from([
        at("https://a.example/1.jpg", HOST_NOT_ALLOWED),
        at("https://b.example/1.jpg", HOST_NOT_ALLOWED),
        at("https://b.example/2.jpg", HOST_NOT_ALLOWED),
        at("https://c.example/2.jpg", "unreachable"),
    ]);
    let said = other_hosts(&known).unwrap();
    assert!(
        said.starts_with(
            "3 images are at hosts that are not asked, such as b.example (2), a.example (1);"
        ),
        "{said}"
    );
    assert_eq!(other_hosts(&HashMap::new()), None);
}

#[test]
fn an_image_of_very_many_records_is_named() {
    let record = |number: usize, url: String| Record {
        id: format!("r{number:02}"),
        community: None,
        author: None,
        title: None,
        created_at: None,
        media: vec![MediaLocation::Url(url)],
        fields: Map::new(),
    };
    let bytes = |shade| {
        let picture = image::RgbImage::from_pixel(4, 4, image::Rgb([shade; 3]));
        crate::media::encode_png(&picture).unwrap()
    };
    let state = |shade| {
        let info = crate::media::probe(&bytes(shade), &Limits::default()).unwrap();
        PlaceState::Stored(info)
    };
    let mut records = Vec::new();
    let mut known = HashMap::new();
    for number in 0..SUSPECT {
        let url = format!("https://x.example/{number}.png");
        known.insert(url.clone(), state(1));
        records.push(record(number, url));
    }
    // The same record twice is one.
    records.push(record(0, "https://x.example/1.png".to_owned()));
    known.insert("https://x.example/own.png".to_owned(), state(2));
    records.push(record(90, "https://x.example/own.png".to_owned()));
    let said = suspects(&records, &known).unwrap();
    assert!(
        said.starts_with("1 images are each in 10 records"),
        "{said}"
    );
    assert!(said.contains("records show r00"), "{said}");
    assert!(suspects(&records[1..], &known).is_some());
    assert_eq!(suspects(&records[2..], &known), None);
}

#[test]
fn records_whose_image_has_gone_since_are_told() {
    let record = |id: &str, url: &str| Record {
        id: id.to_owned(),
        community: None,
        author: None,
        title: None,
        created_at: None,
        media: vec![MediaLocation::Url(url.to_owned())],
        fields: Map::new(),
    };
    let records = ["new", "old", "html", "unknown"].map(|name| record(name, name));
    let states = |names: &[(&str, &str)]| -> HashMap<String, PlaceState> {
        let state = |reason: &str| PlaceState::Refused(reason.to_owned());
        let names = names.iter();
        names
            .map(|(name, reason)| ((*name).to_owned(), state(reason)))
            .collect()
    };
    let before = states(&[("old", "gone")]);
    let after = states(&[("new", "gone"), ("old", "gone"), ("html", "html")]);
    assert_eq!(newly_gone(&records, &before, &after), ["new"]);
}

#[test]
fn a_blocked_address_names_the_setting_that_allows_it() {
    let refused = || PlaceState::Refused("blocked_address".to_owned());
    let known = ["a", "b"].map(|name| (format!("http://10.0.0.1/{name}.png"), refused()));
    let said = blocked_addresses(&known.into()).unwrap();
    assert!(said.starts_with("2 images"), "{said}");
    assert!(said.contains("`net.allow_addresses`"), "{said}");
    assert_eq!(blocked_addresses(&HashMap::new()), None);
}
