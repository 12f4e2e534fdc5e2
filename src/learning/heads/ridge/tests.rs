//! Ridge regression against known solutions.

use rand::RngExt;

use super::*;
use crate::learning::seeds;

fn problem(rows: usize, width: usize) -> (Designed, Vec<f64>) {
    let mut generator = seeds::generator(3, "test");
    let mut values: Vec<f32> = (0..rows * width)
        .map(|_| generator.random::<f32>() - 0.5)
        .collect();
    for column in 0..width {
        let mean = (0..rows).map(|r| values[r * width + column]).sum::<f32>() / rows as f32;
        (0..rows).for_each(|r| values[r * width + column] -= mean);
    }
    let target = (0..rows)
        .map(|r| {
            f64::from(values[r * width] * 3.0 - values[r * width + 1]) + generator.random::<f64>()
        })
        .collect();
    let design = Designed {
        rows,
        width,
        values,
    };
    (design, target)
}

fn groups(width: usize) -> Vec<Group> {
    let group = |start, width| Group {
        name: String::new(),
        start,
        width,
    };
    vec![group(0, 1), group(1, width - 1)]
}

fn strength(penalty: f64, weights: [f64; 2]) -> Strength {
    Strength {
        penalty,
        weights: weights.to_vec(),
    }
}

/// Both forms satisfy the normal equations `Aᵀ(y − m − Aw) = αw` in the scaled columns.
#[test]
fn both_forms_solve_the_normal_equations() {
    for (rows, width) in [(40, 7), (20, 30)] {
        let (design, target) = problem(rows, width);
        let all: Vec<usize> = (0..rows).collect();
        let problem = Problem::new(&design, &groups(width), &all);
        let linear = problem.fit(&target, &strength(2.0, [1.0, 0.5])).unwrap();
        for column in 0..width {
            let scale = if column == 0 {
                1.0
            } else {
                0.5 / ((width - 1) as f64).sqrt()
            };
            let gradient: f64 = all
                .iter()
                .map(|&r| {
                    let row = design.row(r);
                    f64::from(row[column]) * (target[r] - linear.predict(row))
                })
                .sum();
            let penalty = 2.0 * linear.weights[column] / (scale * scale);
            assert!((gradient - penalty).abs() < 1e-6, "{gradient} {penalty}");
        }
    }
}

#[test]
fn unseen_folds_are_predicted_by_the_others() {
    for (rows, width) in [(80, 5), (80, 100)] {
        let (design, target) = problem(rows, width);
        let all: Vec<usize> = (0..rows).collect();
        let full = Problem::new(&design, &groups(width), &all);
        let found = full
            .choose(std::slice::from_ref(&target), &[1.0; 2], &|| false)
            .unwrap()
            .remove(0);
        let error = found.error;
        let found = full.refine(&target, found, &|| false).unwrap();
        assert!(found.error <= error);
        let first = Problem::new(&design, &groups(width), &all[20..]);
        let linear = first.fit(&target[20..], &found.strength).unwrap();
        for row in 0..20 {
            let error = (linear.predict(design.row(row)) - found.unseen[row]).abs();
            assert!(error < 1e-6, "{error}");
        }
        let stopped = full.choose(&[target], &[1.0; 2], &|| true);
        assert!(matches!(stopped, Err(Error::Cancelled)));
    }
}
