//! The troubled server, asked over HTTP.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use reqwest::{Response, StatusCode, redirect::Policy};
use serde_json::Value;
use tokio::net::TcpListener;

use super::{SandboxState, World, fate::Fate, serve, world::account};
use crate::clock::{ManualClock, Timestamp};

/// When the servers' clocks stand at first: three seconds into a window.
const NOW: Timestamp = Timestamp::from_millis(1_767_657_603_000);

pub(super) struct Served {
    base: String,
    pub(super) state: Arc<SandboxState>,
    clock: Arc<ManualClock>,
    http: reqwest::Client,
}

/// A server whose world's clock stands at the end of its fifth day.
pub(super) async fn served(world: &str, troubles: &str) -> Served {
    let clock = Arc::new(ManualClock::new(NOW));
    let now = "2026-01-06".parse().unwrap();
    let state = SandboxState::new(world.parse().unwrap(), now)
        .with_troubles(troubles.parse().unwrap())
        .with_server_clock(Arc::clone(&clock) as _);
    let state = Arc::new(state);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let forever = std::future::pending();
    tokio::spawn(serve(Arc::clone(&state), listener, forever));
    let http = reqwest::Client::builder().no_proxy();
    Served {
        base,
        state,
        clock,
        http: http.redirect(Policy::none()).build().unwrap(),
    }
}

impl Served {
    pub(super) async fn get(&self, path: &str, token: Option<&str>) -> Response {
        let mut request = self.http.get(format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.unwrap()
    }

    /// Sends a form, as `curl -d` does.
    pub(super) async fn post(&self, path: &str, body: &'static str) -> Response {
        let request = self.http.post(format!("{}{path}", self.base));
        let form = "application/x-www-form-urlencoded";
        let request = request.header("content-type", form);
        request.body(body).send().await.unwrap()
    }

    pub(super) async fn json(&self, path: &str) -> Value {
        self.get(path, None).await.json().await.unwrap()
    }

    pub(super) async fn ask_token(&self, form: &[(&str, &str)]) -> Response {
        let url = format!("{}/api/v1/access_token", self.base);
        let request = self.http.post(url).basic_auth("app", Some("secret"));
        request.form(form).send().await.unwrap()
    }

    async fn token(&self, form: &[(&str, &str)]) -> String {
        let given: Value = self.ask_token(form).await.json().await.unwrap();
        given["access_token"].as_str().unwrap().to_owned()
    }
}

const APPLICATION: &[(&str, &str)] = &[("grant_type", "client_credentials")];

pub(super) fn told<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn names(listing: &Value) -> Vec<&str> {
    let children = listing["data"]["children"].as_array().unwrap();
    let name = |child: &'_ Value| child["data"]["name"].as_str().is_some();
    let children = children.iter().filter(|child| name(child));
    children
        .map(|child| child["data"]["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_token_ends_and_a_bad_one_gets_a_page() {
    let served = served("posts=10", "tokens=3600").await;
    let token = served.token(APPLICATION).await;
    assert!(served.get("/new", Some(&token)).await.status().is_success());
    served.clock.advance(Duration::from_hours(1));
    for token in [None, Some(token.as_str()), Some("made-up")] {
        let answer = served.get("/new", token).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert!(
            told(&answer, "www-authenticate")
                .unwrap()
                .contains("invalid_token")
        );
        assert!(
            told(&answer, "content-type")
                .unwrap()
                .starts_with("text/html")
        );
        assert_eq!(told(&answer, "x-ratelimit-remaining"), None);
        assert!((30_000..40_000).contains(&answer.text().await.unwrap().len()));
    }
    let url = format!("{}/api/v1/access_token", served.base);
    let nobody = served
        .http
        .post(url)
        .form(APPLICATION)
        .send()
        .await
        .unwrap();
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn who_asks_is_told_by_the_grant() {
    let served = served("posts=10", "tokens=3600").await;
    let author = served.state.world().author(3).name.clone();
    let password = [
        ("grant_type", "password"),
        ("username", &author),
        ("password", "x"),
    ];
    let token = served.token(&password).await;
    let me: Value = served
        .get("/api/v1/me", Some(&token))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(me["name"], Value::from(author.clone()));
    let about = format!("//user/{author}/about/.json");
    let about: Value = served.get(&about, Some(&token)).await.json().await.unwrap();
    assert_eq!(about["kind"], "t2");
    assert_eq!(about["data"], me);
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "lasting"),
    ];
    let token = served.token(&refresh).await;
    let me: Value = served
        .get("/api/v1/me", Some(&token))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(me["name"], "sandbox_account");
    let token = served.token(APPLICATION).await;
    let answer = served.get("/api/v1/me", Some(&token)).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let wrong = [
        ("grant_type", "password"),
        ("username", "me"),
        ("password", ""),
    ];
    let answer: Value = served.ask_token(&wrong).await.json().await.unwrap();
    assert_eq!(answer["error"], "invalid_grant");
}

#[tokio::test]
async fn a_spent_window_is_refused_in_both_forms_until_the_next() {
    let served = served("posts=10", "strict,budget=2").await;
    let token = served.token(APPLICATION).await;
    for (used, remaining) in [("1", "1.0"), ("2", "0.0")] {
        let answer = served.get("/new", Some(&token)).await;
        assert_eq!(told(&answer, "x-ratelimit-used"), Some(used));
        assert_eq!(told(&answer, "x-ratelimit-remaining"), Some(remaining));
        assert_eq!(told(&answer, "x-ratelimit-reset"), Some("597"));
        assert_eq!(told(&answer, "date"), Some("Tue, 06 Jan 2026 00:00:03 GMT"));
    }
    let refused = served.get("/new", Some(&token)).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(told(&refused, "retry-after"), Some("4"));
    assert_eq!(told(&refused, "x-ratelimit-remaining"), None);
    assert!(refused.text().await.unwrap().starts_with("<!doctype html>"));
    let refused = served.ask_token(APPLICATION).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(told(&refused, "retry-after"), None);
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["message"], "Too Many Requests");
    served.clock.advance(Duration::from_secs(597));
    let answer = served.get("/r/nobody/new", Some(&token)).await;
    assert_eq!(answer.status(), StatusCode::FOUND);
    assert!(
        told(&answer, "location")
            .unwrap()
            .ends_with("/subreddits/search?q=nobody")
    );
    assert_eq!(told(&answer, "x-ratelimit-remaining"), None);
    let answer = served.get("/new", Some(&token)).await;
    assert_eq!(told(&answer, "x-ratelimit-used"), Some("2"));
}

#[tokio::test]
async fn a_listing_ends_at_its_cap_and_goes_both_ways() {
    let served = served("posts=400", "cap=995,private=art").await;
    let (mut seen, mut after, mut sizes) = (Vec::new(), String::new(), Vec::new());
    loop {
        let page = served.json(&format!("/new?limit=1024&after={after}")).await;
        let found = names(&page);
        sizes.push(found.len());
        seen.extend(found.into_iter().map(str::to_owned));
        match page["data"]["after"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    assert_eq!(sizes, [vec![100; 9], vec![95]].concat());
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 995);
    let page = served
        .json(&format!("/new?limit=3&before={}", seen[10]))
        .await;
    assert_eq!(names(&page), seen[7..10]);
    let page = served
        .json(&format!("/new?limit=9&before={}", seen[2]))
        .await;
    assert_eq!(names(&page), seen[..2]);
    let private = served.get("/r/Art/new", None).await;
    assert_eq!(private.status(), StatusCode::FORBIDDEN);
    assert_eq!(private.json::<Value>().await.unwrap()["reason"], "private");
    let both = served.json("/r/art+pics/new?limit=100").await;
    let children = both["data"]["children"].as_array().unwrap();
    assert!(
        children
            .iter()
            .all(|child| child["data"]["subreddit"] == "pics")
    );
}

#[tokio::test]
async fn what_became_of_posts_and_accounts_is_told_as_reddit_tells_it() {
    let served = served("posts=200,removed=30", "").await;
    let (world, now): (&World, Timestamp) = (served.state.world(), "2026-01-06".parse().unwrap());
    let mut listed = BTreeSet::new();
    let mut after = String::new();
    loop {
        let page = served.json(&format!("/new?limit=100&after={after}")).await;
        listed.extend(names(&page).into_iter().map(str::to_owned));
        match page["data"]["after"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    let mut told = BTreeMap::new();
    let all: Vec<String> = world
        .posts(now)
        .map(|post| format!("t3_{}", post.id))
        .collect();
    for names in all.chunks(100) {
        let info = served
            .json(&format!("/api/info?id={}", names.join(",")))
            .await;
        for child in info["data"]["children"].as_array().unwrap() {
            let name = child["data"]["name"].as_str().unwrap().to_owned();
            told.insert(name, child["data"].clone());
        }
    }
    let mut met = [0; 5];
    for post in world.posts(now) {
        let name = format!("t3_{}", post.id);
        let data = told.remove(&name).unwrap_or_default();
        let fate = world.fate(post.place, now);
        assert_eq!(listed.contains(&name), fate.is_none());
        let nameless = data["author"] == "[deleted]" && data.get("author_fullname").is_none();
        match fate {
            None if world.account_is_gone(post.author, now) => {
                assert!(nameless && data["removed_by_category"].is_null());
                met[0] += 1;
            }
            None => {
                assert_eq!(
                    data["author"],
                    Value::from(world.author(post.author).name.clone())
                );
                met[1] += 1;
            }
            Some(Fate::Deleted) => {
                assert!(nameless && data["removed_by_category"] == "deleted");
                assert!(!data.to_string().contains(&post.title));
                met[2] += 1;
            }
            Some(Fate::Removed(category)) => {
                assert_eq!(data["removed_by_category"], category);
                assert_eq!(data["title"], Value::from(post.title.clone()));
                met[3] += 1;
            }
            Some(Fate::Vanished) => {
                assert!(data.is_null());
                met[4] += 1;
            }
        }
    }
    assert!(met.iter().all(|count| *count > 10), "{met:?}");
    let gone = (0..50)
        .find(|author| world.account_is_gone(*author, now))
        .unwrap();
    let about = format!("/user/{}/about", world.author(gone).name);
    assert_eq!(served.json(&about).await["error"], 404);
    let users = format!("/api/user_data_by_account_ids?ids=t2_{}", account(gone));
    assert_eq!(served.json(&users).await["error"], 404);
}

#[tokio::test]
async fn info_mixes_posts_and_communities() {
    let served = served("posts=10", "").await;
    let page = served.json("/new?limit=2").await;
    let [first, second] = names(&page)[..] else {
        panic!("two were asked for");
    };
    let communities = served.json("/api/info/?sr_name=pics,nobody,ART").await;
    let [pics, art] = names(&communities)[..] else {
        panic!("{communities}");
    };
    let mixed = format!("/api/info?id={second},{pics},t1_abc,t5_zzz,t3_zzzzzzz,{first},{art}");
    let found = served.json(&mixed).await;
    assert_eq!(names(&found), [second, pics, first, art]);
    let found = served
        .json(&format!("/by_id/{second},{first},{pics}"))
        .await;
    assert_eq!(names(&found), [second, first]);
}

#[tokio::test]
async fn answers_fail_break_off_and_hold_odd_things() {
    let kinds = async |troubles: &str| {
        let served = served("posts=30", troubles).await;
        let mut kinds = BTreeSet::new();
        for _ in 0..60 {
            let answer = served.get("/new?limit=100", None).await;
            let status = answer.status().as_u16();
            let kind = match answer.bytes().await {
                Err(_) => "cut",
                Ok(_) if status >= 500 => "error",
                Ok(body) if body.is_empty() => "nothing",
                Ok(body) if body.starts_with(b"<") => "page",
                Ok(body) => match serde_json::from_slice::<Value>(&body) {
                    Err(_) => "half",
                    Ok(page) if names(&page).len() != 100 => "short",
                    Ok(page) if page["data"]["children"].as_array().unwrap().len() > 100 => "odd",
                    Ok(_) => "good",
                },
            };
            kinds.insert(kind);
        }
        kinds.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(kinds("").await, ["good"]);
    assert_eq!(kinds("errors=50").await, ["error", "good"]);
    let spoilt = kinds("malformed=60").await;
    assert_eq!(spoilt, ["good", "half", "nothing", "page"]);
    assert_eq!(kinds("cut=50").await, ["cut", "good"]);
    assert_eq!(kinds("odd=50").await, ["good", "odd"]);
    assert_eq!(kinds("slow=50,pause=0").await, ["good"]);
}

#[tokio::test]
async fn images_are_in_trouble_too() {
    let served = served("posts=60", "images=100,pause=0").await;
    let page = served.json("/new?limit=100").await;
    let mut met = BTreeSet::new();
    for child in page["data"]["children"].as_array().unwrap() {
        let url = child["data"]["url_overridden_by_dest"]
            .as_str()
            .unwrap_or("");
        if !url.contains("/media/") {
            continue;
        }
        let answer = served.http.get(url).send().await.unwrap();
        let status = answer.status();
        let kind = told(&answer, "content-type").unwrap().to_owned();
        let body = answer.bytes().await.unwrap();
        met.insert(match image::load_from_memory(&body) {
            Ok(image) if status == StatusCode::NOT_FOUND => {
                assert_eq!((image.width(), image.height()), (130, 60));
                "placeholder"
            }
            Ok(_) if body.ends_with(&[0xff, 0xd9]) || body.ends_with(b"IEND\xae\x42\x60\x82") => {
                "slow"
            }
            Err(_) if kind.starts_with("text/html") => "page",
            Err(_) if body.len() < 4_096 => "bomb",
            Ok(_) | Err(_) => "half",
        });
    }
    let all = ["bomb", "half", "page", "placeholder", "slow"];
    assert!(met.iter().eq(all.iter()), "{met:?}");
}
