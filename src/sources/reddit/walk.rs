//! The way down a listing, from what is new to what is known.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use super::{
    client::Fault,
    listing::{post_of, read_child},
    post::ParsedPost,
    source::RedditSource,
    standing::is_deleted,
};
use crate::{
    clock::Timestamp,
    corpus::Gap,
    sources::{Error, Page, ScrapeRequest, Source as _},
};

/// A listing ends at about a thousand posts, however many there are.
const CAP: usize = 900;

/// How many known posts a walk meets before it is sure that all below is known: one alone may have
/// been put back to its place late.
const ENOUGH: usize = 2;

/// How a walk has ended.
pub(super) enum Walk {
    /// Everything new was seen that is still shown.
    Whole {
        /// When the newest post was made.
        newest: Option<Timestamp>,
        /// What is no longer shown, though it may be new.
        gap: Option<Gap>,
    },
    /// The listing ended before what is known, for it shows only so many: loud communities must be
    /// read alone.
    CutShort,
}

impl RedditSource {
    /// Walks down the listing of some communities until what is known of all of them.
    pub(super) async fn walk(
        &self,
        pack: &[&str],
        request: &ScrapeRequest,
        pages: &mpsc::Sender<Page>,
    ) -> Result<Walk, Fault> {
        let as_of = request.as_of;
        let known = |name: &str| request.watermarks.get(name).copied();
        // Up to here all of them are known.
        let all_known = pack.iter().map(|name| known(name)).min().flatten();
        let stops: BTreeMap<&str, Option<Timestamp>> = pack
            .iter()
            .map(|name| (*name, known(name).map(|known| known - request.look_back)))
            .collect();
        // Below this nothing new is left in any of them.
        let bottom = stops.values().min().copied().flatten();
        let is_below =
            |created: Option<Timestamp>, stop: Option<Timestamp>| stop.is_some() && created < stop;
        let mut newest: Option<Timestamp> = None;
        let mut oldest: Option<Timestamp> = None;
        let mut cursor: Option<String> = None;
        let (mut seen, mut met) = (0, 0);
        loop {
            let listing = self.client.newest(pack, cursor.as_deref(), as_of).await?;
            let read_at = self.client.read_at(as_of);
            seen += listing.children.len();
            let mut page = Page {
                bytes: listing.bytes,
                ..Page::default()
            };
            let mut reached_known = false;
            for child in &listing.children {
                let post = match read_child(child, read_at, request.images) {
                    Ok(post) => post,
                    Err(reason) => {
                        *page.dropped.entry(reason.to_string()).or_insert(0) += 1;
                        continue;
                    }
                };
                let created = post.record.created_at;
                let name = asked_name(pack, &post);
                met += usize::from(created <= all_known && request.known.contains(&post.record.id));
                reached_known |= is_below(created, bottom) || met >= ENOUGH;
                oldest = created.or(oldest);
                let stop = name.and_then(|name| stops.get(name).copied().flatten());
                if created <= Some(as_of) && !is_below(created, stop) {
                    newest = newest.max(created);
                    // What a simulated source shows is what it showed at that time.
                    if self.traits().live && is_deleted(&post.record) {
                        *page.dropped.entry("deleted".to_owned()).or_insert(0) += 1;
                        page.deleted.push(post.record.id);
                        continue;
                    }
                    if request.raw
                        && listing.is_as_sent
                        && let Ok(sent) = post_of(child)
                    {
                        let raw = post.raw(sent.get().as_bytes());
                        page.raw.insert(post.record.id.clone(), raw);
                    }
                    page.records.push((post.record, Some(post.observation)));
                }
            }
            // A cursor that comes again would be walked for ever.
            let next = listing.after.filter(|after| Some(after) != cursor.as_ref());
            pages.send(page).await.map_err(|_| Error::Cancelled)?;
            // Where the listing ends below what is known of all, nothing was missed.
            let reached_known = reached_known || (next.is_none() && oldest < all_known);
            if next.is_none() && !reached_known && pack.len() > 1 && seen >= CAP {
                return Ok(Walk::CutShort);
            }
            if reached_known || next.is_none() {
                let cut = (!reached_known && seen >= CAP).then_some(());
                let gap = cut.and(all_known).zip(oldest).map(|(from, to)| Gap {
                    community: pack[0].to_owned(),
                    from,
                    to,
                });
                // What one listing has shown of its newest is known of all that it shows.
                return Ok(Walk::Whole { newest, gap });
            }
            cursor = next;
        }
    }
}

/// The name by which a post's community was asked for, which may differ in case.
fn asked_name<'a>(pack: &[&'a str], post: &ParsedPost) -> Option<&'a str> {
    if let [only] = pack {
        return Some(only);
    }
    let community = post.record.community.as_deref()?;
    pack.iter()
        .copied()
        .find(|name| name.eq_ignore_ascii_case(community))
}
