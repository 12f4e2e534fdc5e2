//! Every change of a state, as server-sent events.

#![expect(unused_qualifications, reason = "the descriptions' macro writes them")]

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::stream::{self, Stream};
use serde::Deserialize;
use tokio::sync::broadcast::{
    Receiver,
    error::{RecvError, TryRecvError},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        ErrorBody, Fault, SharedHost,
        extract::{Asked, Path},
    },
    paths::OfRun,
};
use crate::{
    engine::{EngineEvent, find_run},
    store::EventRow,
};

/// How many events are read at once.
const BATCH: u32 = 500;
/// Changes that the engine does not tell of, such as those of another process, are seen after this
/// time at the latest.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::new()
        .routes(routes!(events))
        .routes(routes!(events_of_run))
}

/// Where a stream begins.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Begin {
    /// Begin after the event of this id; the header `Last-Event-ID` says the same.
    #[param(minimum = 0)]
    after: Option<i64>,
}

impl Begin {
    /// After which event a stream begins, where the caller says so.
    fn of(&self, headers: &HeaderMap) -> Result<Option<i64>, Fault> {
        let header = headers
            .get("last-event-id")
            .map(|value| value.to_str().ok().and_then(|text| text.parse().ok()));
        let id = match header {
            Some(id) => Some(id.unwrap_or(-1)),
            None => self.after,
        };
        match id {
            Some(id) if id < 0 => Err(Fault::invalid(
                "`Last-Event-ID` and `after` are the id of an event, a whole number from 0",
            )),
            id => Ok(id),
        }
    }
}

/// An event as it is sent.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description of what is written by hand")]
struct SentEvent {
    /// The event's id, for `Last-Event-ID`.
    id: String,
    /// `state`.
    event: String,
    /// An `EventRow` as JSON.
    data: String,
}

/// Everything that happens, from now on or after an event.
#[utoipa::path(
    get,
    path = "/events",
    tag = "events",
    params(Begin, ("last-event-id" = Option<i64>, Header, description = "begin after this event")),
    responses(
        (status = 200, description = "events named `state`, each with an id", body = SentEvent,
            content_type = "text/event-stream"),
        (status = 422, body = ErrorBody),
    )
)]
async fn events(
    State(host): State<SharedHost>,
    Asked(begin): Asked<Begin>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let wakes = host.engine().subscribe();
    let after = match begin.of(&headers)? {
        Some(after) => after,
        None => host.store().last_event().await?,
    };
    Ok(answer(host, wakes, after, None))
}

/// Everything that happened to a run and its tasks, and happens until it has ended.
#[utoipa::path(
    get,
    path = "/runs/{run}/events",
    tag = "events",
    params(
        OfRun,
        Begin,
        ("last-event-id" = Option<i64>, Header, description = "begin after this event"),
    ),
    responses(
        (status = 200, description = "events named `state`, each with an id", body = SentEvent,
            content_type = "text/event-stream"),
        (status = 422, body = ErrorBody),
    )
)]
async fn events_of_run(
    State(host): State<SharedHost>,
    Path(OfRun { run }): Path<OfRun>,
    Asked(begin): Asked<Begin>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let wakes = host.engine().subscribe();
    let row = find_run(host.store(), &run).await?;
    let after = begin.of(&headers)?.unwrap_or(0);
    Ok(answer(host, wakes, after, Some(row.id)))
}

fn answer(
    host: SharedHost,
    wakes: Receiver<EngineEvent>,
    after: i64,
    run_id: Option<String>,
) -> Response {
    let follower = Follower {
        host,
        wakes,
        after,
        run_id,
        read: VecDeque::new(),
        closed: false,
    };
    Sse::new(follower.stream())
        .keep_alive(KeepAlive::default())
        .into_response()
}

/// Reads events from the store, woken by the engine.
struct Follower {
    host: SharedHost,
    wakes: Receiver<EngineEvent>,
    after: i64,
    run_id: Option<String>,
    read: VecDeque<EventRow>,
    /// Whether the engine has ended, so that nothing more happens.
    closed: bool,
}

impl Follower {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut follower| async move {
            let event = follower.next().await?;
            let sent = Event::default()
                .id(event.id.to_string())
                .event("state")
                .json_data(&event)
                .expect("an event is plain data with text keys");
            Some((Ok(sent), follower))
        })
    }

    async fn next(&mut self) -> Option<EventRow> {
        loop {
            if let Some(event) = self.read.pop_front() {
                self.after = event.id;
                return Some(event);
            }
            let ended = self.closed || self.ended().await;
            let store = self.host.store();
            match store
                .events_after(self.after, self.run_id.as_deref(), BATCH)
                .await
            {
                Ok(events) if events.is_empty() && ended => return None,
                Ok(events) if events.is_empty() => self.wake().await,
                Ok(events) => self.read.extend(events),
                Err(error) => {
                    // The caller comes again with the id of the last event that it got.
                    tracing::error!(%error, "cannot read events");
                    return None;
                }
            }
        }
    }

    /// Whether the run has ended; asked before its events are read, so that the last is read too.
    async fn ended(&self) -> bool {
        let Some(run_id) = &self.run_id else {
            return false;
        };
        match self.host.store().run(run_id).await {
            Ok(row) => row.is_none_or(|row| row.state.is_final()),
            Err(_) => true,
        }
    }

    /// Waits until something may have happened.
    async fn wake(&mut self) {
        tokio::select! {
            woken = self.wakes.recv() => {
                if matches!(woken, Err(RecvError::Closed)) {
                    self.closed = true;
                }
            }
            () = tokio::time::sleep(LONGEST_WAIT) => {}
        }
        // One reading shows everything that has happened by now.
        while !matches!(
            self.wakes.try_recv(),
            Err(TryRecvError::Empty | TryRecvError::Closed)
        ) {}
    }
}
