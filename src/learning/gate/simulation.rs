//! The gate over many days.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::{
    clock::Timestamp,
    corpus::Row,
    learning::{Bootstrap, Drawn, Inverse, Scorer, rank, seeds},
};

const ROWS: usize = 600;

/// A normal number, near enough: the sum of twelve uniform ones.
fn normal(generator: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| generator.random::<f64>()).sum::<f64>() - 6.0
}

/// The test rows of one day, and what every version there would know of them.
struct Day {
    rows: Vec<Row>,
    truth: Vec<f64>,
    known: Vec<f64>,
    number: u64,
}

impl Day {
    fn new(number: u64) -> Self {
        let mut generator = seeds::generator(number, "day");
        let row = |i: usize| Row {
            id: i.to_string(),
            created_at: Some(Timestamp::from_millis(
                3_600_000 * i64::try_from(i).unwrap(),
            )),
            community: None,
            author: None,
            order: None,
            classes: Vec::new(),
            label: None,
        };
        let known: Vec<f64> = (0..ROWS).map(|_| normal(&mut generator)).collect();
        let truth = known.iter().map(|known| known + normal(&mut generator));
        Self {
            truth: truth.collect(),
            known,
            rows: (0..ROWS).map(row).collect(),
            number,
        }
    }

    /// What `version` predicts: what can be known, and noise of each of `sources` of its own.
    fn predicted(&self, sources: &[(u64, f64)]) -> Vec<f64> {
        let mut predicted = self.known.clone();
        for &(source, size) in sources {
            let mut generator = seeds::generator(self.number * 1000 + source, "noise");
            for value in &mut predicted {
                *value += size * normal(&mut generator);
            }
        }
        predicted
    }

    fn drawn(&self, predicted: &[f64]) -> Drawn {
        let rows: Vec<&Row> = self.rows.iter().collect();
        let scorer = Scorer::new(&self.truth, predicted, &[], Inverse::Identity).unwrap();
        Bootstrap::new(&rows, 100, 0.95, self.number).draw(&scorer)
    }

    fn duel(&self, own: &[f64], version: u32, other: &[f64]) -> Duel {
        let difference = self.drawn(own).more_than(&self.drawn(other));
        let scorer = Scorer::new(&self.truth, other, &[], Inverse::Identity).unwrap();
        Duel {
            version,
            rows: ROWS,
            metrics: scorer.metrics(),
            own: scorer.metrics(),
            difference,
            coverage: None,
            own_coverage: None,
            slices: Vec::new(),
        }
    }
}

fn verdict(kinship: Kinship, champion: &Duel, former: &[Duel]) -> Verdict {
    let challenge = Challenge {
        finite: true,
        kinship,
        older: false,
        coverage: 0.8,
        champion: Some(Ok(champion)),
        former,
    };
    decide(&GateSettings::default(), &challenge).verdict
}

#[test]
fn sixty_small_losses_do_not_add_up() {
    // Each version has the noise of the one before, and some more.
    let sources =
        |version: u64| -> Vec<(u64, f64)> { (1..=version).map(|source| (source, 0.12)).collect() };
    let (mut champion, mut former, mut anchor_version) = (0, Vec::<u64>::new(), None);
    for version in 1..=60 {
        let day = Day::new(version);
        let own = day.predicted(&sources(version));
        let against = |other: u64| {
            let version = u32::try_from(other).unwrap();
            day.duel(&own, version, &day.predicted(&sources(other)))
        };
        let duel = against(champion);
        // As the operator remembers them: those of 30 days, and the last anchor.
        let old: Vec<u64> = former
            .iter()
            .copied()
            .filter(|&old| Some(old) == anchor_version || version - old <= 30)
            .collect();
        let duels: Vec<Duel> = old.into_iter().map(against).collect();
        if verdict(Kinship::SameRecipe, &duel, &duels) == Verdict::Promote {
            let best = anchor(&GateSettings::default(), &duel, &duels).version;
            anchor_version = Some(u64::from(best));
            former.push(champion);
            champion = version;
        }
    }
    // What was lost in all, on rows enough to tell.
    let lost: f64 = (1000..1020)
        .map(|number| {
            let day = Day::new(number);
            let of = |version| {
                let predicted = rank::Ranked::new(&day.predicted(&sources(version)));
                rank::spearman(&rank::Ranked::new(&day.truth), &predicted, &[1; ROWS]).unwrap()
            };
            (of(0) - of(champion)) / 20.0
        })
        .sum();
    assert!(champion > 0, "nothing was ever fresh enough");
    assert!(
        lost < GateSettings::default().margin,
        "{lost} by {champion}"
    );
}

#[test]
fn a_seed_alone_is_hardly_ever_promoted() {
    let promoted = (1..=60)
        .filter(|&number| {
            let day = Day::new(number);
            let (own, other) = (day.predicted(&[(1, 0.3)]), day.predicted(&[(2, 0.3)]));
            let duel = day.duel(&own, 1, &other);
            verdict(Kinship::OtherSettings, &duel, &[]) == Verdict::Promote
        })
        .count();
    assert!(promoted <= 3, "{promoted} of 60");
}

#[test]
fn a_better_learner_is_promoted_soon() {
    let promoted = (1..=20)
        .filter(|&number| {
            let day = Day::new(number);
            let (own, other) = (day.predicted(&[]), day.predicted(&[(2, 0.6)]));
            let duel = day.duel(&own, 1, &other);
            verdict(Kinship::OtherSettings, &duel, &[]) == Verdict::Promote
        })
        .count();
    assert!(promoted >= 15, "{promoted} of 20");
}
