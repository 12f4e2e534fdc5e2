//! From what a person asks for to a run that can start: pipeline, source, interval, moment.

use std::{ops::RangeInclusive, time::Duration};

use chrono::{Datelike as _, NaiveDate};
use serde_json::Value;

use super::{App, Error, open_source};
use crate::{
    clock::Timestamp,
    config::duration,
    dag::Graph,
    engine::Interval,
    expression::{Expression, Kind, record_fields},
    pipelines::{self, Compiled, Definition, RunArguments},
    sources::SourceSpec,
};

/// A day.
const DAY: Duration = Duration::from_hours(24);

/// The years in which there can have been posts.
const YEARS: RangeInclusive<i32> = 1970..=2200;

/// On which day a sandbox is run where none is asked for, counted from its start.
const SANDBOX_DAY: Duration = Duration::from_hours(16 * 24);

/// What a person asks for.
#[derive(Clone, Debug, Default)]
pub struct RunRequest {
    /// The pipeline's name.
    pub pipeline: String,
    /// The day of the data interval.
    pub date: Option<NaiveDate>,
    /// The source.
    pub source: Option<String>,
    /// The profile.
    pub profile: Option<String>,
    /// Parameters.
    pub params: Vec<(String, String)>,
}

/// A run that can start.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The pipeline with the run's parameters.
    pub compiled: Compiled,
    /// The source, as written in full; `None` where the pipeline has none.
    pub source: Option<String>,
    /// The data interval.
    pub interval: Interval,
    /// The moment whose knowledge the run may use.
    pub as_of: Timestamp,
}

impl App {
    /// Finds and checks everything that a run needs, without doing anything.
    ///
    /// # Errors
    ///
    /// Where the pipeline, the source, a parameter or the profile is wrong, with what is allowed.
    pub async fn prepare(&self, request: &RunRequest) -> Result<Prepared, Error> {
        let mut definition = pipelines::find(self.home(), &request.pipeline)?;
        definition.apply(&self.decided().await?);
        self.prepare_for(definition, request, None)
    }

    /// As [`App::prepare`], for a definition that was found, and for an interval and the moment
    /// that it stands for where `times` gives them.
    pub(super) fn prepare_for(
        &self,
        mut definition: Definition,
        request: &RunRequest,
        times: Option<(Interval, Timestamp)>,
    ) -> Result<Prepared, Error> {
        let default = |name: &str| {
            definition
                .params
                .iter()
                .find(|param| param.name == name)
                .and_then(|param| param.default.as_str().map(str::to_owned))
        };
        let given = |name: &str| {
            request
                .params
                .iter()
                .rev()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.clone())
        };
        let source = match request
            .source
            .clone()
            .or_else(|| given("source"))
            .or_else(|| default("source"))
        {
            Some(text) => Some(text.parse::<SourceSpec>()?.resolve(self.working_dir())),
            None => None,
        };
        let mut columns = Vec::new();
        let mut params = request.params.clone();
        params.retain(|(name, _)| name != "source");
        // A table whose label has an age of its own is asked for at that age.
        if let (Some(SourceSpec::Table(table)), None) = (&source, given("horizon"))
            && let Some(age) = table.score.as_ref().and_then(|score| score.age)
            && default("horizon").is_some()
        {
            params.push(("horizon".to_owned(), format!("{}s", age.as_secs())));
        }
        if let (Some(SourceSpec::Table(table)), None) = (&source, given("order"))
            && let Some(order) = &table.order
            && default("order").is_some()
        {
            params.push(("order".to_owned(), order.clone()));
            columns = columns_of(order, &definition);
        }
        let horizon = params
            .iter()
            .rev()
            .find(|(name, _)| name == "horizon")
            .map(|(_, value)| value.clone())
            .or_else(|| default("horizon"))
            .and_then(|text| duration::parse(&text))
            .unwrap_or_default();
        let (interval, scheduled_for) = match times {
            Some(times) => times,
            None => self.usual_times(request.date, source.as_ref())?,
        };
        let mut as_of = interval.end + horizon;
        if matches!(source, Some(SourceSpec::Reddit)) {
            // It answers as of now: nothing can be read at a moment that is still to come. Who asks
            // for no day asks for now.
            let now = self.clock().now();
            let is_for_now = times.is_none() && request.date.is_none();
            as_of = if is_for_now { now } else { as_of.min(now) };
        }
        let arguments = RunArguments {
            params,
            profile: request.profile.clone(),
            source: source.as_ref().map(ToString::to_string),
            scheduled_for,
            interval,
            as_of,
        };
        definition.fields.extend(columns);
        let mut compiled = pipelines::compile(&definition, &arguments, &self.catalogue())?;
        if matches!(source, Some(SourceSpec::Dump(_) | SourceSpec::Table(_)))
            && given("subreddits").is_none()
        {
            compiled.graph = without_communities(compiled.graph);
        }
        Ok(Prepared {
            compiled,
            source: source.map(|source| source.to_string()),
            interval,
            as_of,
        })
    }

    /// The interval of a run that a person asks for: a day in UTC; it stands for its end.
    fn usual_times(
        &self,
        date: Option<NaiveDate>,
        source: Option<&SourceSpec>,
    ) -> Result<(Interval, Timestamp), Error> {
        let start = match date {
            Some(date) if !YEARS.contains(&date.year()) => {
                return Err(Error::wrong(
                    format!("`{date}` is not between the years 1970 and 2200"),
                    None,
                ));
            }
            Some(date) => Timestamp::at_midnight(date),
            None => self.usual_start(source)?,
        };
        let end = start + DAY;
        Ok((Interval { start, end }, end))
    }

    /// The interval that has just ended; for a sandbox a fixed one, so that runs repeat.
    fn usual_start(&self, source: Option<&SourceSpec>) -> Result<Timestamp, Error> {
        if let Some(SourceSpec::Sandbox(options)) = source {
            let settings = open_source::sandbox_settings(options)?;
            return Ok(Timestamp::at_midnight(settings.start) + SANDBOX_DAY);
        }
        Ok(Timestamp::at_midnight(self.clock().now().date()) - DAY)
    }
}

/// The names in a table's `order` that the pipeline does not know: columns of that table. What
/// they hold is only seen when it is read; here they are what the expression can work with.
fn columns_of(order: &str, definition: &Definition) -> Vec<(String, Kind)> {
    let Ok(expression) = Expression::compile(order) else {
        // The fault is told where all parameters are checked.
        return Vec::new();
    };
    let known = record_fields(
        definition
            .fields
            .iter()
            .map(|(name, kind)| (name.as_str(), *kind)),
    );
    let with = |kind| -> Vec<(String, Kind)> {
        let names = expression.names().into_iter();
        names
            .filter(|name| !known.contains_key(*name))
            .map(|name| (name.to_owned(), kind))
            .collect()
    };
    let mut fields = known.clone();
    fields.extend(with(Kind::Number));
    match expression.check(&fields) {
        Ok(()) => with(Kind::Number),
        Err(_) => with(Kind::Text),
    }
}

/// A file is read as a whole: the communities of a live source limit it only when asked for.
fn without_communities(graph: Graph) -> Graph {
    let mut nodes: Vec<crate::dag::Node> = graph.into();
    for node in nodes.iter_mut().filter(|node| node.op == "scrape") {
        node.settings.insert("communities".to_owned(), Value::Null);
    }
    Graph::new(nodes).expect("settings do not change the shape of a graph")
}

#[cfg(test)]
mod tests;
