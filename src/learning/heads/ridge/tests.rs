//! Both forms, the folds, and what problems of the same rows share.

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
    let group = |name: &str, start, width| Group {
        name: name.to_owned(),
        start,
        width,
    };
    vec![group("one", 0, 1), group("rest", 1, width - 1)]
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
        let problem = Problem::new(&design, &groups(width), &all, None);
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

/// With the products of a problem of all groups, one of fewer groups finds the same.
#[test]
fn products_serve_a_problem_of_fewer_groups() {
    let (design, target) = problem(60, 6);
    let (train, more): (Vec<usize>, Vec<usize>) = ((0..40).collect(), (40..60).collect());
    let both = groups(6);
    let full = Problem::new(&design, &both, &train, None).with_rows(&more);
    let products = full.into_products(&both).unwrap();
    let narrow = Designed {
        rows: 60,
        width: 5,
        values: (0..60)
            .flat_map(|row| design.row(row)[1..].to_vec())
            .collect(),
    };
    let rest = [Group {
        start: 0,
        ..both[1].clone()
    }];
    assert!(products.of(&rest).is_some());
    let agree = |shared: &Problem<'_>, fresh: &Problem<'_>, target: &[f64]| {
        let strength = Strength {
            penalty: 2.0,
            weights: vec![1.0],
        };
        let [shared, fresh] = [shared, fresh].map(|of| of.fit(target, &strength).unwrap());
        assert!((shared.intercept - fresh.intercept).abs() < 1e-9);
        assert_eq!(shared.weights.len(), fresh.weights.len());
        for (shared, fresh) in shared.weights.iter().zip(&fresh.weights) {
            assert!((shared - fresh).abs() < 1e-9, "{shared} is not {fresh}");
        }
    };
    let shared = Problem::new(&narrow, &rest, &train, Some(&products));
    let fresh = Problem::new(&narrow, &rest, &train, None);
    agree(&shared, &fresh, &target[..40]);
    agree(&shared.with_rows(&more), &fresh.with_rows(&more), &target);
}

#[test]
fn unseen_folds_are_predicted_by_the_others() {
    for (rows, width) in [(80, 5), (80, 100)] {
        let (design, target) = problem(rows, width);
        let all: Vec<usize> = (0..rows).collect();
        let full = Problem::new(&design, &groups(width), &all, None);
        let found = full
            .choose(std::slice::from_ref(&target), &[1.0; 2], &|| false)
            .unwrap()
            .remove(0);
        let error = found.error;
        let found = full.refine(&target, found, &|| false).unwrap();
        assert!(found.error <= error);
        let first = Problem::new(&design, &groups(width), &all[20..], None);
        let linear = first.fit(&target[20..], &found.strength).unwrap();
        for row in 0..20 {
            let error = (linear.predict(design.row(row)) - found.unseen[row]).abs();
            assert!(error < 1e-6, "{error}");
        }
        let stopped = full.choose(&[target], &[1.0; 2], &|| true);
        assert!(matches!(stopped, Err(Error::Cancelled)));
    }
}
