//! A client and servers that behave and misbehave.

#[path = "../../../tests/pipeline/served.rs"]
mod served;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use image::{Rgb, RgbImage};

use self::served::{Asked, Captions, Reply};
use super::{
    Allowance, Client, Fault, Manners, Question, Refusal, ServedCaption, Server, client::Patience,
    health::STRIKES,
};
use crate::{
    config::Secret,
    media::{Limits, decode, encode_jpeg, encode_png},
    net::NetSettings,
};

const KEY: &str = "sk-very-secret";

fn question() -> Question {
    Question {
        model: "a/model".to_owned(),
        prompt: "What \"is\" it?".to_owned(),
        max_tokens: 128,
        max_side: 64,
    }
}

fn server(url: String) -> Server {
    Server {
        base_url: url,
        key: Some(Secret::new(KEY)),
        net: NetSettings::default(),
    }
}

fn manners() -> Manners {
    Manners {
        concurrency: 3,
        request_timeout: Duration::from_secs(2),
        limits: Limits::default(),
    }
}

/// A client that does not wait long.
fn client_at(url: String, allowance: Option<Allowance>) -> Arc<Client> {
    hurried(url, manners().request_timeout, allowance)
}

/// A client that does not wait long, for answers neither.
fn hurried(url: String, request_timeout: Duration, allowance: Option<Allowance>) -> Arc<Client> {
    let manners = Manners {
        request_timeout,
        ..manners()
    };
    let client = Client::new(&server(url), question(), &manners, allowance).unwrap();
    Arc::new(client.with_patience(Patience {
        tries: 3,
        first_pause: Duration::from_millis(5),
        longest_pause: Duration::from_secs(2),
    }))
}

fn client(server: &Captions) -> Arc<Client> {
    client_at(server.url(), None)
}

/// A picture of one colour.
fn picture(colour: u8) -> Vec<u8> {
    encode_png(&RgbImage::from_pixel(8, 6, Rgb([colour; 3]))).unwrap()
}

/// The colour of what was sent.
fn colour(asked: &Asked) -> u8 {
    decode(&asked.image, &Limits::default()).unwrap().as_raw()[0]
}

type Answers = Vec<Result<ServedCaption, Refusal>>;

/// Asks about pictures of these colours, all at once.
async fn ask(client: &Arc<Client>, colours: impl IntoIterator<Item = u8>) -> Answers {
    let images = colours.into_iter().map(picture);
    stream::iter(images)
        .map(|image| client.caption(image))
        .buffered(64)
        .collect()
        .await
}

/// What became of images: `captioned` or a reason, and how often.
fn counts(answers: &Answers) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        let outcome = match answer {
            Ok(_) => "captioned".to_owned(),
            Err(Refusal::Image { reason, .. }) => reason.clone(),
            Err(Refusal::Budget) => "budget".to_owned(),
            Err(Refusal::Server(Fault::Refused(_))) => "server refused".to_owned(),
            Err(Refusal::Server(Fault::Down(_))) => "server down".to_owned(),
            Err(Refusal::Server(Fault::Busy { .. })) => "server busy".to_owned(),
        };
        *counts.entry(outcome).or_default() += 1;
    }
    counts
}

fn is(pairs: &[(&str, usize)]) -> BTreeMap<String, usize> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

#[tokio::test]
async fn the_request_is_the_one_that_all_servers_know() {
    let server = Captions::that(|_| Reply::Say(" a cat ".to_owned()));
    let client = client(&server);
    let wide = RgbImage::from_fn(200, 100, |x, _| Rgb([u8::try_from(x).unwrap(), 9, 9]));
    let mut jpeg = encode_jpeg(&wide, 95).unwrap();
    // An EXIF segment with one entry: orientation 6, a quarter turn to the right.
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let mut segment = vec![0xff, 0xe1, 0, u8::try_from(exif.len() + 2).unwrap()];
    segment.extend_from_slice(exif);
    jpeg.splice(2..2, segment);
    let caption = client.caption(jpeg).await.unwrap();
    assert_eq!(caption.text, "a cat");
    assert_eq!(caption.details["prompt"], "What \"is\" it?");
    assert_eq!(caption.details["usage"]["completion_tokens"], 3);
    let asked = &server.asked()[0];
    assert_eq!(
        asked.authorization.as_deref(),
        Some("Bearer sk-very-secret")
    );
    let sent = decode(&asked.image, &Limits::default()).unwrap();
    assert_eq!(sent.dimensions(), (32, 64));
    let (head, rest) = asked.body.split_once("base64,").unwrap();
    let (_, tail) = rest.split_once('"').unwrap();
    assert_eq!(
        head,
        r#"{"model":"a/model","messages":[{"role":"user","content":[{"type":"text","text":"What \"is\" it?"},{"type":"image_url","image_url":{"url":"data:image/jpeg;"#
    );
    assert_eq!(tail, r#"}}]}],"max_tokens":128,"temperature":0,"seed":7}"#);
}

#[tokio::test]
async fn each_way_to_answer_badly_has_a_reason_and_harms_no_other_image() {
    let parts = r#"{"choices":[{"message":{"content":[{"type":"text","text":"in parts"}]}}]}"#;
    let server = Captions::that(move |asked| {
        let text = |status: u16, text: &str| Reply::Text(status, text.to_owned());
        match colour(asked) {
            0 => Reply::Hang,
            10 => text(200, "<!DOCTYPE html><p>maintenance"),
            20 => text(500, r#"{"error":{"message":"out of memory"}}"#),
            30 => Reply::Head(429, "retry-after", "0".to_owned()),
            40 => text(200, "{\"choices\": [{"),
            50 => text(200, "{\"choices\": []}"),
            60 => text(200, parts),
            70 => text(400, "{}"),
            80 => Reply::Cut,
            90 => Reply::Text(200, "x".repeat(2 << 20)),
            _ => Reply::Say("fine".to_owned()),
        }
    });
    let client = client(&server);
    let mut answers = Vec::new();
    for bad in (0..100).step_by(10) {
        // One after the other, so that a good one comes after each bad one.
        answers.extend(ask(&client, [bad]).await);
        answers.extend(ask(&client, [200]).await);
    }
    let unreadable = client.caption(b"GIF89a".to_vec()).await;
    answers.push(unreadable);
    let mut expected = is(&[
        ("timeout", 1),
        ("html", 1),
        ("http_500", 1),
        ("rate_limited", 1),
        ("malformed", 1),
        ("empty", 1),
        ("http_400", 1),
        ("disconnected", 1),
        ("too_big", 1),
        ("corrupt", 1),
    ]);
    expected.insert("captioned".to_owned(), 11);
    assert_eq!(counts(&answers), expected);
    let tries = |wanted: u8| {
        let all = server.asked();
        all.iter().filter(|asked| colour(asked) == wanted).count()
    };
    for (colour, expected) in [(0, 1), (10, 1), (20, 3), (30, 3), (40, 1), (70, 1), (80, 3)] {
        assert_eq!(tries(colour), expected, "{colour}");
    }
}

#[tokio::test]
async fn what_passes_is_tried_again_after_the_pause_that_is_asked_for() {
    let server = Captions::that(|asked| match asked.number {
        0 => Reply::Head(429, "retry-after", "0.3".to_owned()),
        1 => Reply::Text(503, String::new()),
        _ => Reply::Say("at last".to_owned()),
    });
    let started = Instant::now();
    let answers = ask(&client(&server), [1]).await;
    assert_eq!(answers[0].as_ref().unwrap().text, "at last");
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_refusal_holds_all_requests_back() {
    let server = Captions::that(|asked| match asked.number {
        0..2 => Reply::Head(429, "retry-after", "0.2".to_owned()),
        _ => Reply::Say("fine".to_owned()),
    });
    let answers = ask(&client(&server), 0..20).await;
    assert_eq!(counts(&answers), is(&[("captioned", 20)]));
    assert_eq!(server.asked().len(), 22);
}

#[tokio::test]
async fn a_server_that_refuses_for_ever_or_for_long_is_busy() {
    let server = Captions::that(|_| Reply::Text(429, String::new()));
    let answers = ask(&client(&server), 0..200).await;
    let strikes = STRIKES as usize;
    let expected = is(&[
        ("rate_limited", strikes - 1),
        ("server busy", 201 - strikes),
    ]);
    assert_eq!(counts(&answers), expected);
    assert!(server.asked().len() <= (strikes + 3) * 3);

    let server = Captions::that(|_| Reply::Head(429, "retry-after", "900".to_owned()));
    let answers = ask(&client(&server), 0..50).await;
    let Err(Refusal::Server(Fault::Busy { after, .. })) = &answers[0] else {
        panic!("{:?}", answers[0])
    };
    assert_eq!(*after, Some(Duration::from_mins(15)));
    assert!(server.asked().len() <= 3);
}

#[tokio::test]
async fn a_dead_or_failing_server_is_soon_asked_no_more() {
    let failing = Captions::that(|_| Reply::Text(500, String::new()));
    let answers = ask(&client(&failing), 0..200).await;
    let strikes = STRIKES as usize;
    let expected = is(&[("http_500", strikes - 1), ("server down", 201 - strikes)]);
    assert_eq!(counts(&answers), expected);
    assert!(failing.asked().len() <= (strikes + 3) * 3);

    let hanging = Captions::that(|_| Reply::Hang);
    let client_of_it = hurried(hanging.url(), Duration::from_millis(200), None);
    let answers = ask(&client_of_it, 0..50).await;
    assert!(counts(&answers)["server down"] > 30, "{answers:?}");

    let wrong = Captions::that(|_| Reply::Text(200, "[]".to_owned()));
    let answers = ask(&client(&wrong), 0..50).await;
    assert!(counts(&answers)["server refused"] > 30, "{answers:?}");

    let gone = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let answers = ask(&client_at(url.clone(), None), 0..50).await;
    assert_eq!(counts(&answers), is(&[("server down", 50)]));
    let message = answers[0].as_ref().unwrap_err().to_string();
    assert!(message.contains(&url), "{message}");
}

#[tokio::test]
async fn no_more_images_are_asked_about_at_once_than_is_polite() {
    let pause = Duration::from_millis(30);
    let server = Captions::that(move |_| Reply::Slowly(pause, "fine".to_owned()));
    let answers = ask(&client(&server), 0..20).await;
    assert_eq!(counts(&answers), is(&[("captioned", 20)]));
    assert_eq!(server.most_at_once(), 3);
}

#[tokio::test]
async fn the_key_goes_to_its_server_alone_and_into_no_message() {
    let echo = format!(r#"{{"error":{{"message":"wrong key {KEY}, go away"}}}}"#);
    let elsewhere = Captions::that(|_| Reply::Say("stolen".to_owned()));
    let moved = format!("{}/v1/chat/completions", elsewhere.url());
    let caption = format!("the key is {KEY}");
    let server = Captions::that(move |asked| match colour(asked) {
        0 => Reply::Text(500, echo.clone()),
        10 => Reply::Text(422, echo.clone()),
        20 => Reply::Say(caption.clone()),
        30 => Reply::Text(401, echo.clone()),
        _ => Reply::Head(307, "location", moved.clone()),
    });
    for bad in [0, 10, 20, 30, 40] {
        let client = client(&server);
        let answers = ask(&client, [bad]).await;
        let said = format!("{answers:?} {client:?}");
        assert!(!said.contains("very-secret"), "{said}");
        let refused = is(&[("server refused", 1)]);
        assert_eq!(counts(&answers) == refused, bad >= 30, "{said}");
    }
    assert_eq!(elsewhere.asked().len(), 0);
    assert_eq!(server.asked().len(), 3 + 4);

    let unsendable = Server {
        key: Some(Secret::new("very-secret\nx-other: 1")),
        ..super::tests::server("http://127.0.0.1:9".to_owned())
    };
    let error = Client::new(&unsendable, question(), &manners(), None).unwrap_err();
    assert!(!error.to_string().contains("very-secret"), "{error}");
}

#[tokio::test]
async fn a_spent_budget_sends_nothing() {
    let server = Captions::that(|asked| match asked.number {
        0 => Reply::Text(500, String::new()),
        _ => Reply::Say("fine".to_owned()),
    });
    let left = AtomicUsize::new(5);
    let allowance: Allowance = Box::new(move || {
        let take = |left: usize| left.checked_sub(1);
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .is_ok()
    });
    let answers = ask(&client_at(server.url(), Some(allowance)), 0..20).await;
    assert_eq!(counts(&answers), is(&[("captioned", 4), ("budget", 16)]));
    assert_eq!(server.asked().len(), 5);
}

#[test]
fn what_is_asked_makes_captions_comparable() {
    let first = question();
    let others = [
        Question {
            model: "b".to_owned(),
            ..question()
        },
        Question {
            prompt: "b".to_owned(),
            ..question()
        },
        Question {
            max_tokens: 9,
            ..question()
        },
        Question {
            max_side: 9,
            ..question()
        },
    ];
    for other in others {
        assert_ne!(other.fingerprint(), first.fingerprint());
    }
}
