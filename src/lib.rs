//! trendmill runs a popularity pipeline every day and remembers what it learned: posts in, a
//! versioned model with its metrics out.
//!
//! This page is the architecture: the words, the layers, and one post's way through them.
//!
//! # Words
//!
//! A **pipeline** is a DAG written in a TOML file under `pipelines/`. An **operator** is what a
//! task does; a **task** is one node, an operator with its settings. A **run** is one execution
//! of a pipeline for one data interval `[start, end)`; an **attempt** is one try of one task in
//! it. A **record** is one row of data; an **observation** is a reading of its changing numbers at
//! a moment; **media** is an image by content hash. An **encoder** turns a content into a vector,
//! an **embedding**, which is keyed by the encoder's fingerprint and the content's hash. The
//! **feature matrix** joins them by record. A **head** is trained on it; a **model version** is
//! what is kept of that, for ever, and `champion` is an alias of one.
//!
//! # How a post travels
//!
//! 1. [`operators::Scrape`] asks a [`sources::Source`] for pages of records and stores each page
//!    in one transaction. Where the walk ended is stored only when it is whole.
//! 2. [`operators::Refresh`] reads the score again at the label's horizon: the label is a reading
//!    at a fixed age, never the score of today.
//! 3. [`operators::Filter`] keeps the records for which an expression holds; each other one is
//!    counted under a reason.
//! 4. [`operators::FetchImages`] stores images once, by the hash of their bytes.
//! 5. [`operators::Embed`] gives titles, images and captions their vectors, and
//!    [`operators::Caption`] gives images words: whatever lacks a result under the encoder's
//!    fingerprint, in committed batches.
//! 6. [`operators::Merge`] makes the matrix; a missing modality is masked, not dropped.
//! 7. [`operators::Train`] fits the head on the older posts, [`operators::Evaluate`] holds it
//!    against the newer ones beside the baselines, [`operators::Persist`] files it as a version.
//! 8. [`operators::Score`] lets the champion predict the posts whose label is still to come.
//!
//! # How a post is forgotten
//!
//! A purge is noted first, and from that commit on no source brings the post back; whoever finds
//! the note then removes its rows, images, captions, vectors and predictions, and its rows in
//! matrices, evaluations, logs and exports, as often as something dies. A keyed hash of the id
//! stays. [`operators::SyncDeletions`] notes what is gone at a live source. Weights stay as they
//! are: a version tells how many of the rows are purged that it has learned from.
//!
//! # How an encoder is changed
//!
//! A pipeline's profile names its encoders. A new profile's results are made by a run of the tasks
//! that encode alone, at the lowest priority, while runs and predictions go on with the old one;
//! one row then says which profile runs use ([`app::App::switch_profile`]). Versions keep the
//! encoders that their manifests name, and what neither profile nor version names is dropped.
//!
//! # How a day becomes a run
//!
//! A **schedule** of a pipeline has ticks ([`dag::ticks`]) on the clocks of a zone; a tick ends the
//! interval that begins at the tick before it. [`dag::schedule`] decides what each tick becomes,
//! purely; [`engine::scheduler`] owns the marks up to which that was decided, and makes tick and run
//! in one transaction. [`app`] tells it what the pipeline files say.
//!
//! # Layers
//!
//! Dependencies point down this list; `tests/tidy.rs` fails on an import that it does not grant.
//!
//! | layer | may use |
//! |---|---|
//! | [`cli`] | [`app`] and what it shows |
//! | [`app`] | everything but `cli` |
//! | [`sandbox`] | `clock corpus media` |
//! | [`server`] | `clock config corpus dag encoders engine operators pipelines registry store telemetry` |
//! | [`pipelines`] | `clock dag engine config expression` |
//! | [`operators`] | `dag engine corpus clock expression store artifacts sources encoders learning registry media net` |
//! | [`engine`] | `clock config dag expression store artifacts telemetry` |
//! | [`registry`] | `clock corpus store artifacts` |
//! | [`learning`] | `clock corpus encoders config expression` |
//! | [`encoders`] | `corpus config net media` |
//! | [`sources`] | `clock corpus config expression net media` |
//! | [`artifacts`] | `corpus` |
//! | [`store`] | `clock corpus dag config` |
//! | [`clock`] [`corpus`] [`dag`] [`config`] [`expression`] [`net`] [`media`] [`telemetry`] | each other |
//!
//! # Invariants
//!
//! - The engine never imports an operator; operators never write SQL; nothing outside
//!   [`encoders`] and [`learning`] names Burn.
//! - Nothing outside `sources::reddit`, [`sandbox`], [`app`] and the command `reddit` knows the word
//!   "Reddit".
//! - Nothing is trained on what would not have been known when the post was made, except the
//!   target.
//! - No effect happens before its row is durable, and each one may happen twice without harm.

pub mod clock;
pub mod corpus;
pub mod telemetry;
pub mod config;
pub mod expression;
pub mod net;
pub mod media;
pub mod dag;
pub mod store;
pub mod artifacts;
pub mod sources;
pub mod encoders;
pub mod learning;
pub mod registry;
pub mod engine;
pub mod operators;
pub mod pipelines;
pub mod server;
pub mod sandbox;
pub mod app;
pub mod cli;
