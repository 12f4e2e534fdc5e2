//! A fitted head against heads of earlier versions, on rows that none of them has learned from.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Error, TrainSettings,
    bootstrap::{Drawn, Interval, Intervals},
    heads::Head,
    judge::{Judge, values},
    metrics::Metrics,
    questions::Questions,
    train::Fitted,
};
use crate::corpus::FeatureMatrix;

/// The least rows of a community that are judged alone.
const SLICE_ROWS: usize = 50;

/// The head of an earlier version.
#[derive(Clone, Debug)]
pub struct Opponent {
    /// The version.
    pub version: u32,
    /// What it says of a row.
    pub foresight: Foresight,
    /// The ids of the rows by which it came to be: these say nothing of how good it is.
    pub learned: BTreeSet<String>,
}

/// What an opponent says of rows.
#[derive(Clone, Debug)]
pub enum Foresight {
    /// Its head says it of any row.
    Head(Box<Head>),
    /// It needs other features: what it had said of the rows by which it was tested, by id.
    Filed(BTreeMap<String, f64>),
}

impl Foresight {
    fn knows(&self, id: &str) -> bool {
        match self {
            Self::Head(_) => true,
            Self::Filed(filed) => filed.contains_key(id),
        }
    }
}

/// How an opponent does, and how much better the fitted head is, on the same rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Duel {
    /// The opponent.
    pub version: u32,
    /// How many rows there are that neither has learned from.
    pub rows: usize,
    /// The opponent's metrics there.
    pub metrics: Metrics,
    /// The fitted head's metrics there.
    pub own: Metrics,
    /// The fitted head's minus the opponent's, with 95 % intervals.
    pub difference: Intervals,
    /// The share of targets in the opponent's intervals.
    pub coverage: Option<f64>,
    /// The share of targets in the fitted head's intervals.
    pub own_coverage: Option<f64>,
    /// The communities with enough rows; where classes are predicted, the classes.
    pub slices: Vec<Slice>,
}

/// One community, or class, in a [`Duel`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// The community.
    pub community: String,
    /// How many of the rows are its.
    pub rows: usize,
    /// The opponent's mean absolute error there.
    pub mae: Option<f64>,
    /// The fitted head's minus the opponent's, with a 95 % interval.
    pub difference: Interval,
}

/// Sets `fitted`, which was trained on `matrix` under `settings`, against `opponents`, on the test
/// rows of `fitted`.
///
/// # Errors
///
/// [`Error::Schema`] where an opponent needs what the matrix has not, or `fitted` is of another
/// matrix; [`Error::Numerics`] where a prediction is not finite.
pub fn duel(
    matrix: &FeatureMatrix,
    fitted: &Fitted,
    settings: &TrainSettings,
    opponents: &[Opponent],
) -> Result<Vec<Duel>, Error> {
    let judge = Judge::new(matrix, fitted, settings)?;
    opponents
        .iter()
        .map(|opponent| {
            let rows = &judge.test.rows;
            let fresh: Vec<usize> = (0..rows.len())
                .filter(|&row| {
                    let id = &rows[row].id;
                    !opponent.learned.contains(id) && opponent.foresight.knows(id)
                })
                .collect();
            against(&judge.of_rows(&fresh), &fitted.head, opponent)
        })
        .collect()
}

fn against(judge: &Judge<'_>, head: &Head, opponent: &Opponent) -> Result<Duel, Error> {
    let own = head.predict(&judge.test)?;
    let own_coverage = judge.coverage(&own);
    let own = values(&own);
    let (other, coverage) = match &opponent.foresight {
        Foresight::Head(other) => {
            let predictions = other.predict_as(head, &judge.test)?;
            (values(&predictions), judge.coverage(&predictions))
        }
        Foresight::Filed(filed) => {
            let rows = judge.test.rows.iter();
            (rows.map(|row| filed[&row.id]).collect(), None)
        }
    };
    let drawn = |questions: &Questions, answers: &[f64]| -> Result<(Metrics, Drawn), Error> {
        let scorer = questions.scorer(answers)?;
        Ok((scorer.metrics(), questions.draw(&scorer)))
    };
    let (own_metrics, own_drawn) = drawn(&judge.questions, &own)?;
    let (metrics, other_drawn) = drawn(&judge.questions, &other)?;

    let mut by_community: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, row) in judge.questions.rows.iter().enumerate() {
        if let Some(community) = &row.community {
            by_community.entry(community).or_default().push(at);
        }
    }
    let large = by_community
        .into_iter()
        .filter(|(_, rows)| rows.len() >= SLICE_ROWS);
    let slices = large.map(|(community, rows)| {
        let part = judge.only(&rows);
        let pick = |values: &[f64]| rows.iter().map(|&row| values[row]).collect::<Vec<_>>();
        let (_, own) = drawn(&part, &pick(&own))?;
        let (metrics, other) = drawn(&part, &pick(&other))?;
        Ok(Slice {
            community: community.to_owned(),
            rows: rows.len(),
            mae: metrics["mae"],
            difference: own.more_than(&other)["mae"],
        })
    });
    Ok(Duel {
        version: opponent.version,
        rows: judge.test.rows.len(),
        difference: own_drawn.more_than(&other_drawn),
        metrics,
        own: own_metrics,
        coverage,
        own_coverage,
        slices: slices.collect::<Result<_, Error>>()?,
    })
}
