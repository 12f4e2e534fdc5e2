//! trendmill runs a popularity pipeline every day and remembers what it learned: posts in, a
//! versioned model with its metrics out.

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
