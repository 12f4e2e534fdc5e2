//! The paths of the simulated API.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Extension, Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, Uri},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    communities::{COMMUNITIES, community_named},
    gate::Caller,
    ranked::{self, Cursor, Order},
    refusal::Refusal,
    server::{SandboxState, Shared},
    wire,
    world::{Place, World, account, author_of},
};
use crate::clock::Timestamp;

/// How many things one request can ask for.
const BATCH: usize = 100;

/// The names of the community that has all others in it.
const EVERYTHING: &[&str] = &["all", "popular"];

type Answer = Result<Json<Value>, Refusal>;

pub(super) fn router() -> Router<Arc<SandboxState>> {
    Router::new()
        .route("/r/{communities}/{listing}", get(community_page))
        .route("/new", get(everything))
        .route("/hot", get(everything))
        .route("/top", get(everything))
        .route("/rising", get(everything))
        .route("/search", get(everything))
        .route("/comments/{id}", get(comments))
        .route("/comments/{id}/{words}", get(comments))
        .route("/r/{communities}/comments/{id}", get(comments))
        .route("/r/{communities}/comments/{id}/{words}", get(comments))
        .route("/api/info", get(info))
        .route("/by_id/{names}", get(by_id))
        .route("/api/user_data_by_account_ids", get(users))
        .route("/api/v1/me", get(me))
        .route("/user/{name}/about", get(about_user))
}

#[derive(Debug, Deserialize)]
struct ListingQuery {
    limit: Option<usize>,
    after: Option<String>,
    before: Option<String>,
    /// The stretch of time of `/top` and `/search`.
    t: Option<String>,
    /// The order of `/search`.
    sort: Option<String>,
    /// The words of `/search`.
    q: Option<String>,
    /// Whether `/r/NAME/search` searches there only.
    restrict_sr: Option<String>,
}

/// `/r/NAME[+NAME…]/` with `new`, `hot`, `top`, `rising` or `search`, and `/r/NAME/about`.
async fn community_page(
    State(state): Shared,
    Path((names, page)): Path<(String, String)>,
    Query(query): Query<ListingQuery>,
    headers: HeaderMap,
) -> Answer {
    let is_private = |name: &&str| state.troubles.is_private(name);
    let named: Vec<&str> = names.split(['+', ' ']).collect();
    let wanted: Vec<usize> = named
        .iter()
        .filter(|name| !is_private(name))
        .flat_map(|name| match community_named(name) {
            Some(place) => vec![place],
            None if EVERYTHING.contains(name) => (0..COMMUNITIES.len()).collect(),
            None => Vec::new(),
        })
        .collect();
    let Some(first) = wanted.first() else {
        return Err(match named.first() {
            Some(name) if is_private(name) => Refusal::private(),
            _ if state.troubles.redirects => Refusal::Search(names),
            _ => Refusal::not_found(),
        });
    };
    let is_here_only = |given: &String| matches!(given.as_str(), "1" | "on" | "true");
    match page.as_str() {
        "about" => Ok(Json(wire::about(&COMMUNITIES[*first]))),
        "search" if !query.restrict_sr.as_ref().is_some_and(is_here_only) => {
            listing_named(&state, &public(&state), "search", &query, &headers)
        }
        page => listing_named(&state, &wanted, page, &query, &headers),
    }
}

/// `/new`, `/hot`, `/top`, `/rising` and `/search`: of everything.
async fn everything(
    State(state): Shared,
    uri: Uri,
    Query(query): Query<ListingQuery>,
    headers: HeaderMap,
) -> Answer {
    let page = uri.path().trim_start_matches('/');
    listing_named(&state, &public(&state), page, &query, &headers)
}

/// The communities that everybody may read.
fn public(state: &SandboxState) -> Vec<usize> {
    (0..COMMUNITIES.len())
        .filter(|place| !state.troubles.is_private(COMMUNITIES[*place].name))
        .collect()
}

/// A page of the listing of this name.
fn listing_named(
    state: &SandboxState,
    wanted: &[usize],
    name: &str,
    query: &ListingQuery,
    headers: &HeaderMap,
) -> Answer {
    let now = state.now(headers)?;
    let world = &state.world;
    let listed = |place: &Place| {
        wanted.contains(&world.community_at(*place)) && world.fate(*place, now).is_none()
    };
    let t = query.t.as_deref();
    let mut places = if name == "search" {
        let order = query.sort.as_deref().unwrap_or("relevance");
        let order = Order::named(order).ok_or_else(Refusal::not_found)?;
        let text = query.q.as_deref().unwrap_or_default();
        ranked::found(state, text, order, t, now, listed)
    } else {
        match Order::named(name).ok_or_else(Refusal::not_found)? {
            // The same, without a look at all there is.
            Order::New => return listing(state, wanted, query, headers),
            order => ranked::ranked(state, order, t, now, listed),
        }
    };
    places.truncate(state.troubles.cap.unwrap_or(usize::MAX));
    let limit = query.limit.unwrap_or(25).clamp(1, BATCH);
    let (before, after) = cursors(world, query);
    let (page, more) = ranked::page(&places, limit, before, after);
    Ok(page_of(state, &page, more, now, headers))
}

/// The post of a cursor, where one is given.
fn cursor(world: &World, name: Option<&String>) -> Option<Cursor> {
    let name = name.filter(|name| !name.is_empty())?;
    let place = world.place(name.strip_prefix("t3_").unwrap_or(name));
    Some(place.map_or(Cursor::Nowhere, Cursor::At))
}

/// The cursors `before` and `after`.
fn cursors(world: &World, query: &ListingQuery) -> (Option<Cursor>, Option<Cursor>) {
    let (before, after) = (query.before.as_ref(), query.after.as_ref());
    (cursor(world, before), cursor(world, after))
}

/// The newest posts first, right above the cursor `before` or else below the cursor `after`; a
/// cursor that names no post gives an empty page.
fn listing(
    state: &SandboxState,
    wanted: &[usize],
    query: &ListingQuery,
    headers: &HeaderMap,
) -> Answer {
    let now = state.now(headers)?;
    let world = &state.world;
    let limit = query.limit.unwrap_or(25).clamp(1, BATCH);
    let listed = |place: &Place| {
        wanted.contains(&world.community_at(*place)) && world.fate(*place, now).is_none()
    };
    let all = world
        .newest_first(now)
        .filter(listed)
        .take(state.troubles.cap.unwrap_or(usize::MAX));
    let (page, more): (Vec<Place>, bool) = match cursors(world, query) {
        (Some(Cursor::Nowhere), _) | (None, Some(Cursor::Nowhere)) => (Vec::new(), false),
        // A cursor that was removed is not in the listing: there is nothing above it.
        (Some(Cursor::At(above)), _) if !listed(&above) => (Vec::new(), false),
        (Some(Cursor::At(above)), _) => {
            let newer: Vec<Place> = all.take_while(|place| *place > above).collect();
            let first = newer.len().saturating_sub(limit);
            (newer[first..].to_vec(), true)
        }
        (None, below) => {
            let is_above = |place: &Place| match below {
                Some(Cursor::At(below)) => *place >= below,
                _ => false,
            };
            let mut places = all.skip_while(is_above);
            let page = places.by_ref().take(limit).collect();
            (page, places.next().is_some())
        }
    };
    Ok(page_of(state, &page, more, now, headers))
}

/// A page with the posts at some places.
fn page_of(
    state: &SandboxState,
    page: &[Place],
    more: bool,
    now: Timestamp,
    headers: &HeaderMap,
) -> Json<Value> {
    let children = children(state, page, now, headers);
    let last = page
        .last()
        .map(|place| format!("t3_{}", state.world.post(*place).id));
    Json(wire::listing(&children, last.as_deref().filter(|_| more)))
}

/// The posts at some places, but not those that are gone.
fn children(
    state: &SandboxState,
    places: &[Place],
    now: Timestamp,
    headers: &HeaderMap,
) -> Vec<Value> {
    let (world, base) = (&state.world, state.base(headers));
    places
        .iter()
        .filter_map(|place| wire::post(world, &world.post(*place), now, &base))
        .collect()
}

#[derive(Debug, Deserialize)]
struct InfoQuery {
    #[serde(default)]
    id: String,
    #[serde(default)]
    sr_name: String,
}

/// The posts and communities of up to 100 fullnames, in their order, or the communities of up to
/// 100 names; unknown ones are left out.
async fn info(State(state): Shared, Query(query): Query<InfoQuery>, headers: HeaderMap) -> Answer {
    let now = state.now(&headers)?;
    let of_name = |name: &str| {
        let found = community_named(name.trim())?;
        Some(wire::about(&COMMUNITIES[found]))
    };
    let of_fullname = |name: &str| match name.trim().split_once('_')? {
        ("t3", id) => {
            let place = made_until(&state, id, now)?;
            children(&state, &[place], now, &headers).pop()
        }
        ("t5", id) => {
            let found = COMMUNITIES.iter().find(|community| community.id == id)?;
            Some(wire::about(found))
        }
        _ => None,
    };
    let mut found: Vec<Value> = query
        .id
        .split(',')
        .take(BATCH)
        .filter_map(of_fullname)
        .collect();
    found.extend(query.sr_name.split(',').take(BATCH).filter_map(of_name));
    Ok(Json(wire::listing(&found, None)))
}

/// `/by_id/t3_A,t3_B`: posts alone.
async fn by_id(State(state): Shared, Path(names): Path<String>, headers: HeaderMap) -> Answer {
    let now = state.now(&headers)?;
    let places: Vec<Place> = names
        .split(',')
        .take(BATCH)
        .filter_map(|name| made_until(&state, name.trim().strip_prefix("t3_")?, now))
        .collect();
    let found = children(&state, &places, now, &headers);
    Ok(Json(wire::listing(&found, None)))
}

/// `/comments/ID`: a post, and a listing of what was said about it, which is nothing.
async fn comments(
    State(state): Shared,
    Path(named): Path<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let now = state.now(&headers)?;
    let id = named.get("id").map(String::as_str).unwrap_or_default();
    let place = made_until(&state, id, now).ok_or_else(Refusal::not_found)?;
    let found = children(&state, &[place], now, &headers);
    if found.is_empty() {
        return Err(Refusal::not_found());
    }
    Ok(Json(json!([
        wire::listing(&found, None),
        wire::listing(&[], None)
    ])))
}

/// The place of the post of this id, if it has been made.
fn made_until(state: &SandboxState, id: &str, now: Timestamp) -> Option<Place> {
    let place = state.world.place(id)?;
    (state.world.created_at(place) <= now).then_some(place)
}

#[derive(Debug, Deserialize)]
struct UsersQuery {
    #[serde(default)]
    ids: String,
}

/// The accounts of up to 100 authors; 404 where none of them is known.
async fn users(
    State(state): Shared,
    Query(query): Query<UsersQuery>,
    headers: HeaderMap,
) -> Answer {
    let now = state.now(&headers)?;
    let known: Map<String, Value> = query
        .ids
        .split(',')
        .take(BATCH)
        .filter_map(|name| {
            let author = author_of(name.trim().strip_prefix("t2_")?)?;
            (!state.world.account_is_gone(author, now))
                .then(|| (name.trim().to_owned(), wire::user(&state.world, author)))
        })
        .collect();
    if known.is_empty() {
        return Err(Refusal::not_found());
    }
    Ok(Json(Value::Object(known)))
}

/// An account by its name.
async fn about_user(State(state): Shared, Path(name): Path<String>, headers: HeaderMap) -> Answer {
    let now = state.now(&headers)?;
    let author = state
        .world
        .author_named(&name)
        .filter(|author| !state.world.account_is_gone(*author, now))
        .ok_or_else(Refusal::not_found)?;
    let about = wire::user(&state.world, author);
    Ok(Json(wire::account_page(&account(author), about)))
}

/// The account that asks; an application by itself is none.
async fn me(State(state): Shared, Extension(caller): Extension<Caller>) -> Answer {
    let name = caller
        .account
        .ok_or_else(|| Refusal::of(StatusCode::FORBIDDEN))?;
    let known = state.world.author_named(&name);
    let mut page = match known {
        Some(author) => wire::account_page(&account(author), wire::user(&state.world, author)),
        // Whoever asks has an account, though not one that has ever posted.
        None => wire::account_page(
            "sandbox",
            json!({"name": name, "created_utc": 1.5e9, "link_karma": 1, "comment_karma": 0}),
        ),
    };
    // It is told without the envelope of a thing.
    Ok(Json(page["data"].take()))
}
