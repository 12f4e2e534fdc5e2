//! What the server tells of a post, and how, asked over HTTP.

use reqwest::StatusCode;

use super::{
    fate::Fate,
    server_tests::{served, told},
};
use crate::clock::Clock as _;

#[tokio::test]
async fn a_post_is_told_alone_as_who_is_lazy_asks_for_it() {
    let served = served("posts=30,removed=60", "").await;
    let page = served.json("/r/pics/new?limit=1&raw_json=1").await;
    let post = &page["data"]["children"][0];
    let id = post["data"]["id"].as_str().unwrap();
    let paths = [
        format!("/comments/{id}/?limit=2048&sort=confidence&raw_json=1"),
        format!("/r/pics/comments/{id}/its_words/.json?raw_json=1"),
    ];
    for path in paths {
        let told = served.json(&path).await;
        assert_eq!(&told[0]["data"]["children"][0], post);
        let said = &told[1]["data"]["children"];
        assert_eq!(said.as_array().unwrap().len(), 0);
    }
    let world = served.state.world();
    let now = served.state.clock().now();
    let gone = world
        .newest_first(now)
        .find(|place| world.fate(*place, now) == Some(Fate::Vanished))
        .unwrap();
    for id in [world.post(gone).id.as_str(), "zzzzzzz"] {
        let answer = served.get(&format!("/comments/{id}"), None).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn texts_are_escaped_unless_they_are_asked_for_as_they_are() {
    let served = served("posts=30", "").await;
    let smaller = async |path: &str| {
        let page = served.json(path).await;
        let children = page["data"]["children"].as_array().unwrap().iter();
        let mut urls = children.filter_map(|child| {
            let image = &child["data"]["preview"]["images"][0];
            image["resolutions"][0]["url"].as_str().map(str::to_owned)
        });
        urls.next().unwrap()
    };
    let plain = smaller("/new?limit=50").await;
    assert!(
        plain.contains("?width=108&amp;crop=smart&amp;auto=webp"),
        "{plain}"
    );
    let raw = smaller("/new?limit=50&raw_json=1").await;
    assert_eq!(raw, plain.replace("&amp;", "&"));
}

#[tokio::test]
async fn a_network_that_is_shut_out_gets_a_page() {
    let served = served("posts=10", "strict,blocked").await;
    let token = served
        .ask_token(&[("grant_type", "client_credentials")])
        .await;
    for answer in [token, served.get("/new", Some("t")).await] {
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert!(
            told(&answer, "content-type")
                .unwrap()
                .starts_with("text/html")
        );
        let page = answer.text().await.unwrap();
        assert!(page.contains("blocked by network security"), "{page}");
    }
    assert!(served.state.calls().is_empty(), "nothing of it is counted");
}
