//! Which communities of a live source are asked now, and how far back.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    clock::Timestamp,
    sources::ScrapeRequest,
    store::{self, Store},
};

/// How many records of a community are waited for before it is asked: less than a listing's page of
/// a hundred, so that mostly one is enough. Where more come than were expected a walk reads on.
const WORTH_A_CALL: f64 = 75.0;

/// Over how long the rate of publication is measured.
const MEASURED: Duration = Duration::from_hours(24);

/// Once in this time a walk goes further back than what is known, for what has appeared late.
const THOROUGH: Duration = Duration::from_hours(6);

/// How long before the watermarks records are told to the source as known.
const KNOWN: Duration = Duration::from_hours(1);

/// Leaves in `request` the communities whose turn it is: those of which [`WORTH_A_CALL`] records are
/// expected by the rate of their last day, and those that were not asked for `patience`. Says what
/// is known of them, unless it is time to look further back.
///
/// # Errors
///
/// Where the store fails.
pub(super) async fn plan(
    store: &Store,
    dataset: &str,
    request: &mut ScrapeRequest,
    patience: Duration,
) -> Result<(), store::Error> {
    let as_of = request.as_of;
    let walks = store.walks(dataset).await?;
    let published = store.published(dataset, as_of - MEASURED, as_of).await?;
    if let Some(communities) = &mut request.communities {
        communities.retain(|name| {
            let name = name.to_ascii_lowercase();
            let last = walks.get(&name).filter(|last| **last <= as_of);
            last.is_none_or(|last| is_due(as_of.since(*last), patience, rate(&published, &name)))
        });
    }
    let asked = request.communities.iter().flatten();
    let last = asked.map(|name| walks.get(&name.to_ascii_lowercase()).copied());
    // One that was never walked has no watermark and is walked alone.
    if let Some(last) = last.flatten().min()
        && block(last) == block(as_of)
    {
        if let Some(from) = request.watermarks.values().min() {
            request.known = store.ids_published(dataset, *from - KNOWN, as_of).await?;
        }
    } else {
        // Down to where the thorough walk before began, so that each post is seen twice.
        request.look_back = THOROUGH + KNOWN;
    }
    Ok(())
}

/// How many records a community publishes in an hour.
fn rate(published: &BTreeMap<String, u64>, name: &str) -> f64 {
    let records = published.get(name).copied().unwrap_or(0);
    records as f64 / (MEASURED.as_secs_f64() / 3600.0)
}

/// Whether a community is asked after this time.
fn is_due(since: Duration, patience: Duration, per_hour: f64) -> bool {
    since >= patience || per_hour * since.as_secs_f64() / 3600.0 >= WORTH_A_CALL
}

/// The stretch of time in which one walk looks further back.
fn block(at: Timestamp) -> i64 {
    let length = i64::try_from(THOROUGH.as_millis()).unwrap_or(i64::MAX);
    at.as_millis().div_euclid(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Writer;

    const fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(1_767_225_600_000 + minutes * 60_000)
    }

    #[test]
    fn the_loud_are_asked_more_often() {
        let half_an_hour = Duration::from_mins(30);
        let after = |minutes, rate| is_due(Duration::from_mins(minutes), half_an_hour, rate);
        assert!(after(15, 300.0));
        assert!(!after(14, 300.0));
        assert!(!after(29, 0.0));
        assert!(after(30, 0.0));
    }

    #[tokio::test]
    async fn whose_turn_it_is_not_is_left_out() {
        let store = Store::in_memory().await.unwrap();
        let writer = Writer {
            run_id: "r",
            task_id: "scrape",
            stored_at: at(0),
        };
        let names = || ["Quiet".to_owned(), "pics".to_owned(), "new".to_owned()];
        let marks = BTreeMap::from([("Quiet".to_owned(), at(3)), ("pics".to_owned(), at(3))]);
        let quiet = ["Quiet".to_owned()];
        store
            .store_walks("d", &marks, &quiet, &[], at(5), writer)
            .await
            .unwrap();
        let mut request = ScrapeRequest {
            communities: Some(names().to_vec()),
            watermarks: marks,
            ..ScrapeRequest::everything(at(20))
        };
        let patience = Duration::from_mins(30);
        plan(&store, "d", &mut request, patience).await.unwrap();
        assert_eq!(
            request.communities,
            Some(vec!["pics".to_owned(), "new".to_owned()])
        );
        // A walk for an earlier moment knows nothing of the later one.
        let mut earlier = ScrapeRequest {
            communities: Some(names().to_vec()),
            ..ScrapeRequest::everything(at(1))
        };
        plan(&store, "d", &mut earlier, patience).await.unwrap();
        assert_eq!(earlier.communities, Some(names().to_vec()));
    }
}
