//! Runs by what a client asks for.

use std::collections::HashMap;

use sqlx::{QueryBuilder, Sqlite};

use super::{LoggedMetric, LoggedRun, entries::number};
use crate::{
    clock::Timestamp,
    store::{Error, Store},
};

/// What a condition or an order looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchField {
    /// The last value of a metric.
    Metric(String),
    /// A parameter.
    Param(String),
    /// A tag.
    Tag(String),
    /// What every run has.
    Attribute(String),
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub enum SearchCell {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

/// What must hold of a field. Of a field that is not there, nothing holds but that it is not there.
#[derive(Clone, Debug, PartialEq)]
pub enum SearchTest {
    /// A sign of `=`, `!=`, `<`, `<=`, `>`, `>=`, and what is on its right.
    Compare(&'static str, SearchCell),
    /// A pattern of SQL.
    Like {
        /// With `%` for any text and `_` for any character.
        pattern: String,
        /// Whether `A` is as good as `a`.
        fold: bool,
    },
    /// One of some texts.
    In {
        /// The texts.
        among: Vec<String>,
        /// Whether it must be none of them.
        not: bool,
    },
    /// Whether the field is missing.
    Null(bool),
}

/// Which runs are wanted.
#[derive(Clone, Copy, Debug)]
pub struct LoggedSearch<'a> {
    /// Those of these experiments.
    pub experiments: &'a [i64],
    /// Those that are not deleted.
    pub active: bool,
    /// Those that are deleted.
    pub deleted: bool,
    /// What must hold of them.
    pub conditions: &'a [(SearchField, SearchTest)],
    /// By what they are ordered, each rising (`true`) or falling; then the newest first.
    pub order: &'a [(SearchField, bool)],
    /// How many of them are left out at the beginning.
    pub from: usize,
    /// How many at most.
    pub limit: usize,
}

/// SQLite joins 64 tables at most.
const MOST_FIELDS: usize = 60;

impl Store {
    /// The runs that are wanted, in order.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] where more than 60 metrics, parameters and tags are asked about; else
    /// where the database fails.
    #[tracing::instrument(name = "db.logged.search", skip_all)]
    pub async fn search_logged_runs(
        &self,
        search: LoggedSearch<'_>,
    ) -> Result<Vec<LoggedRun>, Error> {
        let mut fields: Vec<&SearchField> = Vec::new();
        let asked = search.conditions.iter().map(|(field, _)| field);
        for field in asked.chain(search.order.iter().map(|(field, _)| field)) {
            if !matches!(field, SearchField::Attribute(_)) && !fields.contains(&field) {
                fields.push(field);
            }
        }
        if fields.len() > MOST_FIELDS {
            return Err(Error::Conflict(format!(
                "a search asks about {} metrics, parameters and tags; {MOST_FIELDS} are the most",
                fields.len()
            )));
        }
        let mut query = QueryBuilder::new("SELECT logged_runs.id FROM logged_runs");
        for (place, field) in fields.iter().enumerate() {
            let (table, key) = match field {
                SearchField::Metric(key) => ("logged_latest", key),
                SearchField::Param(key) => ("logged_params", key),
                SearchField::Tag(key) | SearchField::Attribute(key) => ("logged_tags", key),
            };
            query
                .push(format!(
                    " LEFT JOIN {table} AS f{place} ON f{place}.run = logged_runs.id"
                ))
                .push(format!(" AND f{place}.key = "))
                .push_bind(key);
        }
        let experiments = serde_json::json!(search.experiments).to_string();
        query
            .push(" WHERE experiment IN (SELECT value FROM json_each(")
            .push_bind(experiments)
            .push("))");
        match (search.active, search.deleted) {
            (true, true) => {}
            (true, false) => {
                query.push(" AND deleted_at IS NULL");
            }
            (false, true) => {
                query.push(" AND deleted_at IS NOT NULL");
            }
            (false, false) => return Ok(Vec::new()),
        }
        for (field, test) in search.conditions {
            query.push(" AND ");
            condition(&mut query, &Column::of(field, &fields), test);
        }
        query.push(" ORDER BY ");
        for (field, rising) in search.order {
            let Column { sql, is_nan, .. } = Column::of(field, &fields);
            if let Some(is_nan) = is_nan {
                query.push(format!(
                    "CASE WHEN {is_nan} THEN 1 WHEN {sql} IS NULL THEN 2 ELSE 0 END, "
                ));
            } else {
                query.push(format!("{sql} IS NULL, "));
            }
            query.push(format!("{sql} {}, ", if *rising { "ASC" } else { "DESC" }));
        }
        query
            .push("started_at DESC, run_id LIMIT ")
            .push_bind(i64::try_from(search.limit).unwrap_or(i64::MAX))
            .push(" OFFSET ")
            .push_bind(i64::try_from(search.from).unwrap_or(i64::MAX));
        let ids: Vec<i64> = query
            .build_query_scalar()
            .fetch_all(self.state.read())
            .await?;
        self.logged_runs(&ids).await
    }

    /// The run of this id, also where it is deleted.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.logged.run", skip_all)]
    pub async fn logged_run(&self, run_id: &str) -> Result<Option<LoggedRun>, Error> {
        let id = sqlx::query_scalar!("SELECT id FROM logged_runs WHERE run_id = ?", run_id)
            .fetch_optional(self.state.read())
            .await?;
        let Some(id) = id else {
            return Ok(None);
        };
        Ok(self.logged_runs(&[id]).await?.pop())
    }

    /// Runs with all that is logged in them, in this order.
    async fn logged_runs(&self, ids: &[i64]) -> Result<Vec<LoggedRun>, Error> {
        let wanted = serde_json::json!(ids).to_string();
        let mut found: HashMap<i64, LoggedRun> = sqlx::query!(
            "SELECT id, run_id, experiment, name, user_id, status, started_at, ended_at, deleted_at
             FROM logged_runs WHERE id IN (SELECT value FROM json_each(?))",
            wanted,
        )
        .fetch_all(self.state.read())
        .await?
        .into_iter()
        .map(|row| {
            let run = LoggedRun {
                run_id: row.run_id,
                experiment: row.experiment,
                name: row.name,
                user: row.user_id,
                status: row.status,
                started_at: Timestamp::from_millis(row.started_at),
                ended_at: row.ended_at.map(Timestamp::from_millis),
                deleted: row.deleted_at.is_some(),
                metrics: Vec::new(),
                params: std::collections::BTreeMap::new(),
                tags: std::collections::BTreeMap::new(),
            };
            (row.id, run)
        })
        .collect();
        let metrics = sqlx::query!(
            "SELECT run, key, at, step, value, is_nan FROM logged_latest
             WHERE run IN (SELECT value FROM json_each(?)) ORDER BY run, key",
            wanted,
        );
        for row in metrics.fetch_all(self.state.read()).await? {
            if let Some(run) = found.get_mut(&row.run) {
                run.metrics.push(LoggedMetric {
                    key: row.key,
                    value: number(row.value, row.is_nan != 0),
                    at: Timestamp::from_millis(row.at),
                    step: row.step,
                });
            }
        }
        let params = sqlx::query!(
            "SELECT run, key, value FROM logged_params
             WHERE run IN (SELECT value FROM json_each(?))",
            wanted,
        );
        for row in params.fetch_all(self.state.read()).await? {
            if let Some(run) = found.get_mut(&row.run) {
                run.params.insert(row.key, row.value);
            }
        }
        let tags = sqlx::query!(
            "SELECT run, key, value FROM logged_tags
             WHERE run IN (SELECT value FROM json_each(?))",
            wanted,
        );
        for row in tags.fetch_all(self.state.read()).await? {
            if let Some(run) = found.get_mut(&row.run) {
                run.tags.insert(row.key, row.value);
            }
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }
}

/// Where a field stands in the query.
struct Column {
    sql: String,
    is_number: bool,
    /// Where it may be no number.
    is_nan: Option<String>,
}

impl Column {
    fn of(field: &SearchField, joined: &[&SearchField]) -> Self {
        let place = joined.iter().position(|known| *known == field);
        let value = format!("f{}.value", place.unwrap_or_default());
        let (sql, is_number) = match field {
            SearchField::Metric(_) => (value, true),
            SearchField::Param(_) | SearchField::Tag(_) => (value, false),
            SearchField::Attribute(name) => match name.as_str() {
                "run_id" | "run_uuid" => ("run_id".to_owned(), false),
                "run_name" | "run name" | "Run name" | "Run Name" => ("name".to_owned(), false),
                "experiment_id" => ("CAST(experiment AS TEXT)".to_owned(), false),
                "status" | "user_id" => (name.clone(), false),
                "artifact_uri" => {
                    let uri = "'mlflow-artifacts:/' || experiment || '/' || run_id || '/artifacts'";
                    (format!("({uri})"), false)
                }
                "end_time" => ("ended_at".to_owned(), true),
                _ => ("started_at".to_owned(), true),
            },
        };
        let is_metric = matches!(field, SearchField::Metric(_));
        Self {
            sql,
            is_number,
            is_nan: is_metric.then(|| format!("f{}.is_nan", place.unwrap_or_default())),
        }
    }
}

/// A condition as SQL; nothing holds of NULL.
fn condition(query: &mut QueryBuilder<Sqlite>, column: &Column, test: &SearchTest) {
    let sql = &column.sql;
    match test {
        SearchTest::Compare(sign, wanted) => compare(query, column, sign, wanted),
        SearchTest::Like { .. } | SearchTest::In { .. } if column.is_number => {
            query.push("false");
        }
        SearchTest::Like { pattern, fold } => {
            let pattern = glob(pattern);
            if *fold {
                query
                    .push(format!("lower({sql}) GLOB "))
                    .push_bind(pattern.to_ascii_lowercase());
            } else {
                query.push(format!("{sql} GLOB ")).push_bind(pattern);
            }
        }
        SearchTest::In { among, not } => {
            query
                .push(format!(
                    "{sql} {}IN (SELECT value FROM json_each(",
                    if *not { "NOT " } else { "" }
                ))
                .push_bind(serde_json::json!(among).to_string())
                .push("))");
        }
        SearchTest::Null(null) => {
            query.push(format!("{sql} IS {}NULL", if *null { "" } else { "NOT " }));
        }
    }
}

fn compare(
    query: &mut QueryBuilder<Sqlite>,
    Column {
        sql,
        is_number,
        is_nan,
    }: &Column,
    sign: &'static str,
    wanted: &SearchCell,
) {
    match wanted {
        SearchCell::Number(number) if *is_number => {
            match is_nan {
                Some(is_nan) if sign == "!=" => query.push(format!("({is_nan} OR ")),
                Some(is_nan) => query.push(format!("(NOT {is_nan} AND ")),
                None => query.push("("),
            };
            query
                .push(format!("{sql} {sign} "))
                .push_bind(*number)
                .push(")");
        }
        SearchCell::Text(text) if !is_number => {
            query.push(format!("{sql} {sign} ")).push_bind(text.clone());
        }
        // A number is no text.
        _ => {
            query.push("false");
        }
    }
}

/// A pattern of LIKE as one of GLOB, which tells `A` from `a`.
fn glob(pattern: &str) -> String {
    let mut glob = String::with_capacity(pattern.len());
    for letter in pattern.chars() {
        match letter {
            '%' => glob.push('*'),
            '_' => glob.push('?'),
            '*' | '?' | '[' => {
                glob.push('[');
                glob.push(letter);
                glob.push(']');
            }
            _ => glob.push(letter),
        }
    }
    glob
}
