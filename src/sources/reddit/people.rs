//! What is known of authors and communities at a moment: snapshots with the time of their reading.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::{
    listing::ListingPage,
    post::{number, text, time},
};
use crate::{
    clock::Timestamp,
    corpus::{AuthorReading, CommunityReading},
};

/// Reads the answer to a batch of account ids: a map from `t2_…` to what is known. An account that
/// cannot be read is left out alone.
pub(super) fn authors(
    body: &[u8],
    read_at: Timestamp,
) -> Result<Vec<AuthorReading>, serde_json::Error> {
    let accounts: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(body)?;
    Ok(accounts
        .iter()
        .filter_map(|(id, account)| {
            let account: Map<String, Value> = serde_json::from_str(account.get()).ok()?;
            Some(reading(id, &account, read_at))
        })
        .collect())
}

/// Reads the page of an account, which is known by its name: `{"kind": "t2", "data": {…}}`.
pub(super) fn account(
    body: &[u8],
    name: &str,
    read_at: Timestamp,
) -> Result<AuthorReading, serde_json::Error> {
    #[derive(Deserialize)]
    struct Page {
        data: Map<String, Value>,
    }
    let page: Page = serde_json::from_slice(body)?;
    Ok(reading(name, &page.data, read_at))
}

/// Whether an account can have this name: no other text stands in a path.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !name.is_empty() && name.bytes().all(allowed)
}

fn reading(id: &str, account: &Map<String, Value>, read_at: Timestamp) -> AuthorReading {
    AuthorReading {
        id: id.to_owned(),
        read_at,
        name: text(account.get("name")).map(str::to_owned),
        created_at: time(account.get("created_utc")),
        link_karma: number(account.get("link_karma")),
        comment_karma: number(account.get("comment_karma")),
    }
}

/// Reads communities out of a listing of things; what is no community is passed over.
pub(super) fn communities(page: &ListingPage, read_at: Timestamp) -> Vec<CommunityReading> {
    #[derive(Deserialize)]
    struct Child {
        data: Map<String, Value>,
    }
    page.children
        .iter()
        .filter_map(|child| {
            let child: Child = serde_json::from_str(child.get()).ok()?;
            Some(CommunityReading {
                name: text(child.data.get("display_name"))?.to_owned(),
                read_at,
                subscribers: number(child.data.get("subscribers")),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    #[test]
    fn an_odd_account_is_left_out_alone() {
        let body = br#"{
            "t2_a": {"name": "ann", "created_utc": "1500000000", "link_karma": 7.0,
                     "comment_karma": "12", "profile_img": 3},
            "t2_b": {"name": null, "link_karma": -4},
            "t2_c": ["odd"]
        }"#;
        let found = authors(body, AT).unwrap();
        let ids: Vec<&str> = found.iter().map(|author| author.id.as_str()).collect();
        assert_eq!(ids, ["t2_a", "t2_b"]);
        assert_eq!(found[0].name.as_deref(), Some("ann"));
        assert_eq!(
            (found[0].link_karma, found[0].comment_karma),
            (Some(7.0), Some(12.0))
        );
        assert_eq!(found[0].created_at, Some(Timestamp::from_seconds(1.5e9)));
        assert_eq!(
            (found[1].name.as_deref(), found[1].link_karma),
            (None, Some(-4.0))
        );
        assert_eq!(found[0].read_at, AT);
    }

    #[test]
    fn what_is_no_community_is_passed_over() {
        let body = br#"{"kind": "Listing", "data": {"children": [
            {"kind": "t5", "data": {"display_name": "pics", "subscribers": 30000000}},
            {"kind": "t5", "data": 7},
            {"kind": "t5", "data": {"display_name": "quiet", "subscribers": null}}]}}"#;
        let found = communities(&ListingPage::read(body).unwrap(), AT);
        let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
        assert_eq!(names, ["pics", "quiet"]);
        assert_eq!(
            (found[0].subscribers, found[1].subscribers),
            (Some(3e7), None)
        );
    }
}
