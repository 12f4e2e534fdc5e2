//! Tests of the client against a server that answers as Reddit does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use super::{
    super::{
        budget::Mishap,
        endpoint::Credentials,
        served_tests::{
            Call, TOKEN_PATH, all, client_of, counted, empty_listing, json, page, serve, token,
        },
    },
    *,
};

const AT: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A server that gives a token, and every other request the answer `answer`.
async fn answered(
    answer: impl Fn(&Call) -> Response + Clone + Send + Sync + 'static,
) -> (RedditClient, super::super::served_tests::Calls) {
    let (base, calls) = serve(move |call| match call.path.as_str() {
        TOKEN_PATH => token("t"),
        _ => answer(call),
    })
    .await;
    (client_of(&base, Credentials::sandbox()), calls)
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap()
}

async fn refused(client: &RedditClient) -> (String, Duration) {
    match client.newest(&["pics"], None, AT).await.unwrap_err() {
        Fault::Other(Error::RateLimited { message, reset }) => (message, reset),
        fault => panic!("{fault:?}"),
    }
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_is_renewed_once() {
    let ended = Arc::new(AtomicBool::new(false));
    let (base, calls) = serve({
        let ended = Arc::clone(&ended);
        move |call| match (call.path.as_str(), call.token.as_str()) {
            (TOKEN_PATH, _) => token(if call.before == 0 { "old" } else { "new" }),
            (_, "Bearer old") if ended.load(Ordering::SeqCst) => page(status(401)),
            _ => empty_listing(),
        }
    })
    .await;
    let client = client_of(&base, Credentials::sandbox());
    let walk = || all((0..8).map(|_| client.newest(&["pics"], None, AT)));
    assert!(walk().await.iter().all(Result::is_ok));
    ended.store(true, Ordering::SeqCst);
    assert!(walk().await.iter().all(Result::is_ok));
    let calls = calls.lock().unwrap();
    let tokens = calls.iter().filter(|call| call.path == TOKEN_PATH).count();
    assert_eq!(tokens, 2, "the first, and one more for all eight");
}

#[tokio::test]
async fn a_new_token_that_is_refused_too_is_told() {
    let (client, calls) = answered(|_| page(status(401))).await;
    let fault = client.newest(&["pics"], None, AT).await.unwrap_err();
    let Fault::Other(Error::Unfit(message)) = fault else {
        panic!("{fault:?}");
    };
    assert!(message.contains("`reddit.client_id`"), "{message}");
    assert_eq!(calls.lock().unwrap().len(), 4, "two tokens, two tries");
}

#[tokio::test]
async fn each_grant_asks_in_its_own_way() {
    let (base, calls) = serve(|call| match call.path.as_str() {
        TOKEN_PATH if call.form.contains("wrong") => {
            json(StatusCode::OK, r#"{"error": "invalid_grant"}"#)
        }
        TOKEN_PATH => token("t"),
        _ => empty_listing(),
    })
    .await;
    let ask = async |username, password, lasting| {
        let credentials = Credentials::sandbox()
            .for_account(username, password, lasting)
            .unwrap();
        client_of(&base, credentials)
            .newest(&["pics"], None, AT)
            .await
    };
    ask(None, None, None).await.unwrap();
    ask(Some("me"), Some("a b"), None).await.unwrap();
    ask(None, None, Some("lasting")).await.unwrap();
    let fault = ask(Some("me"), Some("wrong"), None).await.unwrap_err();
    let message = Error::from(fault).to_string();
    assert!(
        message.contains("`reddit.password`") && !message.contains("wrong"),
        "{message}"
    );
    let calls = calls.lock().unwrap();
    let forms: Vec<&str> = calls
        .iter()
        .filter(|call| call.path == TOKEN_PATH)
        .map(|call| call.form.as_str())
        .collect();
    assert_eq!(
        forms[..3],
        [
            "grant_type=client_credentials",
            "grant_type=password&username=me&password=a+b",
            "grant_type=refresh_token&refresh_token=lasting",
        ]
    );
    let basic = calls.iter().find(|call| call.path == TOKEN_PATH).unwrap();
    assert_eq!(basic.token, "Basic c2FuZGJveDpzYW5kYm94");
}

#[tokio::test]
async fn what_cannot_be_had_is_asked_for_once() {
    for (answer, code, is_page) in [
        (Answer::Closed, 403, false),
        (Answer::Gone, 404, false),
        (Answer::Gone, 404, true),
        (Answer::Withheld, 451, true),
        (Answer::Wrong, 400, false),
    ] {
        let (client, calls) = answered(move |_| {
            if is_page {
                page(status(code))
            } else {
                json(status(code), r#"{"error": 1}"#)
            }
        })
        .await;
        let fault = client.newest(&["pics"], None, AT).await.unwrap_err();
        assert!(
            matches!(fault, Fault::Refused { answer: found, .. } if found == answer),
            "{code}: {fault:?}"
        );
        assert_eq!(calls.lock().unwrap().len(), 2, "{code}: a token and a call");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (client, calls) = answered(|_| {
        let to = [("location", "http://127.0.0.1:1/subreddits/search?q=pics")];
        (StatusCode::FOUND, to).into_response()
    })
    .await;
    let fault = client.newest(&["pics"], None, AT).await.unwrap_err();
    assert!(
        matches!(
            fault,
            Fault::Refused {
                answer: Answer::Moved,
                ..
            }
        ),
        "{fault:?}"
    );
    assert_eq!(calls.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn what_fails_is_tried_again() {
    let (client, calls) = answered(|call| match call.before {
        0 => page(status(503)),
        1 => json(status(500), "{}"),
        2 => json(StatusCode::OK, r#"{"kind": "Listing", "data": {"chil"#),
        3 => page(StatusCode::OK),
        _ => empty_listing(),
    })
    .await;
    client.newest(&["pics"], None, AT).await.unwrap();
    assert_eq!(calls.lock().unwrap().len(), 6);
    let sheet = client.sheet().unwrap();
    let meanings: Vec<&str> = sheet.last_errors.iter().map(Mishap::meaning).collect();
    assert_eq!(
        meanings,
        [
            "no JSON, or half of it",
            "no JSON, or half of it",
            "the server fails",
            "the server fails"
        ]
    );
}

#[tokio::test]
async fn what_fails_for_good_opens_the_breaker() {
    let (client, calls) = answered(|_| json(status(502), "{}")).await;
    let fault = client.newest(&["pics"], None, AT).await.unwrap_err();
    let Fault::Other(Error::Unavailable { message, .. }) = fault else {
        panic!("{fault:?}");
    };
    assert!(
        message.contains("6 times") && message.contains("502"),
        "{message}"
    );
    assert_eq!(calls.lock().unwrap().len(), 7);
    assert_eq!(client.sheet().unwrap().breakers[0].state, "open");
}

#[tokio::test]
async fn a_page_with_403_shuts_the_host() {
    let (client, calls) = answered(|_| page(status(403))).await;
    let (message, reset) = refused(&client).await;
    assert_eq!(reset, Duration::from_mins(30));
    assert!(message.contains("shuts this network out"), "{message}");
    let (_, reset) = refused(&client).await;
    assert_eq!(reset, Duration::from_mins(30));
    assert_eq!(calls.lock().unwrap().len(), 2, "it is not asked again");
}

#[tokio::test]
async fn too_much_is_followed_by_a_pause_of_all() {
    let (client, calls) = answered(|call| match call.before {
        // The edge's, and the API's own.
        0 => (status(429), [("retry-after", "4")], "<html>").into_response(),
        1 => json(
            status(429),
            r#"{"message": "Too Many Requests", "error": 429}"#,
        ),
        _ => empty_listing(),
    })
    .await;
    client.newest(&["pics"], None, AT).await.unwrap();
    assert_eq!(calls.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_refusal_for_longer_than_a_window_is_told_with_its_end() {
    let (base, _) = serve(|_| (status(429), [("retry-after", "3600")], "").into_response()).await;
    let client = client_of(&base, Credentials::sandbox());
    let (message, reset) = refused(&client).await;
    assert_eq!(reset, Duration::from_hours(1));
    assert!(message.contains("refused to be asked"), "{message}");
}

#[tokio::test]
async fn authors_are_asked_for_by_the_hundred() {
    let (client, calls) = answered(|call| match call.before {
        0 => json(
            StatusCode::OK,
            r#"{"t2_1": {"name": "ann", "link_karma": 5}}"#,
        ),
        _ => json(status(404), r#"{"message": "Not Found", "error": 404}"#),
    })
    .await;
    let ids: Vec<String> = (0..150).map(|n| format!("t2_{n}")).collect();
    let found = client.authors(&ids, AT).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].id.as_str(), found[0].read_at), ("t2_1", AT));
    let calls = calls.lock().unwrap();
    let asked: Vec<usize> = calls[1..]
        .iter()
        .map(|call| call.query.matches("t2_").count())
        .collect();
    assert_eq!(asked, [100, 50]);
}

#[tokio::test]
async fn communities_share_calls_and_every_call_asks_for_raw_json() {
    let (client, calls) = answered(|call| match call.path.as_str() {
        "/api/info" => json(
            StatusCode::OK,
            r#"{"data": {"children": [{"kind": "t5", "data": {"display_name": "pics", "subscribers": 9}}]}}"#,
        ),
        _ => empty_listing(),
    })
    .await;
    client
        .newest(&["pics", "aww"], Some("t3_x"), AT)
        .await
        .unwrap();
    let names = ["pics".to_owned(), "aww".to_owned()];
    let found = client.communities(&names, AT).await.unwrap();
    assert_eq!(found[0].subscribers, Some(9.0));
    client
        .info("t3_a,t3_b", CallClass::ReRead, AT)
        .await
        .unwrap();
    let calls = calls.lock().unwrap();
    let asked: Vec<String> = calls[1..]
        .iter()
        .map(|call| format!("{}?{}", call.path, call.query))
        .collect();
    assert_eq!(
        asked,
        [
            "/r/pics+aww/new?limit=100&after=t3_x&raw_json=1",
            "/api/info?sr_name=pics%2Caww&raw_json=1",
            "/api/info?id=t3_a%2Ct3_b&raw_json=1",
        ]
    );
    let sheet = client.sheet().unwrap();
    assert_eq!(sheet.in_flight, 0);
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_again() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap();
            if number == 1 {
                // No answer, and an end in the middle of one.
                continue;
            }
            let body = if head[..read].starts_with(b"POST") {
                r#"{"access_token": "t", "expires_in": 86400}"#
            } else {
                r#"{"data": {}}"#
            };
            let told = body.len() + usize::from(number == 2);
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {told}\r\nconnection: close\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let client = client_of(&base, Credentials::sandbox());
    client.newest(&["pics"], None, AT).await.unwrap();
    let sheet = client.sheet().unwrap();
    let meanings: Vec<&str> = sheet.last_errors.iter().map(Mishap::meaning).collect();
    assert_eq!(meanings, ["no JSON, or half of it", "no answer came"]);
}

#[test]
fn pauses_double_with_a_share_of_chance() {
    let pauses = Pauses::seeded(1);
    for tries in 1..=20 {
        let whole = (FIRST_PAUSE * 2_u32.pow((tries - 1).min(10))).min(LONGEST_PAUSE);
        let pause = pauses.after(tries);
        assert!(whole / 2 <= pause && pause <= whole, "{tries}: {pause:?}");
    }
}

#[tokio::test]
async fn a_page_in_place_of_json_is_said_to_be_one() {
    let (client, _) = answered(|_| page(status(200))).await;
    let Fault::Other(error) = client.newest(&["pics"], None, AT).await.unwrap_err() else {
        panic!("a page is no refusal");
    };
    let said = error.to_string();
    assert!(said.contains("a page of HTML in place of JSON"), "{said}");
    assert!(said.contains("login page"), "{said}");
}

#[tokio::test]
async fn a_reading_is_made_at_the_servers_time() {
    let (client, _) = answered(|_| counted(empty_listing(), AT, 1, 100)).await;
    // Nothing was told yet; this machine's clock stands as the test has set it.
    assert_eq!(client.read_at(AT), AT);
    client.newest(&["pics"], None, AT).await.unwrap();
    assert!(client.read_at(AT).since(AT) < Duration::from_secs(2));
    for hours in [-3_i64, 3] {
        let server = Timestamp::from_millis(AT.as_millis() + hours * 3_600_000);
        let (client, _) = answered(move |_| counted(empty_listing(), server, 1, 100)).await;
        client.newest(&["pics"], None, AT).await.unwrap();
        let off = client.read_at(AT).as_millis() - server.as_millis();
        assert!(off.abs() <= 2_000, "{off} ms off at {hours} h");
    }
}
