//! Values of SciPy 1.17.1, and properties.

use rand::Rng;

use super::*;
use crate::seed;

const A: [f64; 5] = [0.912, 0.905, 0.921, 0.917, 0.909];
const B: [f64; 5] = [0.901, 0.907, 0.898, 0.905, 0.896];
const A10: [f64; 10] = [88.1, 88.4, 87.9, 88.6, 88.2, 88.9, 88.3, 88.0, 88.5, 88.7];
const B10: [f64; 10] = [87.8, 88.1, 88.0, 87.9, 88.1, 88.2, 88.0, 87.7, 88.2, 88.1];

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-10 * expected.abs().max(1.0), "{found} instead of {expected}");
}

#[test]
fn welch_equals_scipy() {
    let test = welch(&A, &B).unwrap();
    near(test.statistic, 3.250515906519565);
    near(test.df, 7.309649084663216);
    near(test.p, 0.013228963549419525);
    near(test.ci95[0], 0.0031776299634684);
    near(test.ci95[1], 0.0196223700365317);
}

#[test]
fn the_paired_test_equals_scipy() {
    let test = paired_t(&A, &B).unwrap();
    near(test.statistic, 2.8625511774254053);
    near(test.p, 0.04581139294843089);
    near(test.ci95[0], 0.0003429141218979);
    near(test.ci95[1], 0.0224570858781021);
    let test = paired_t(&A10, &B10).unwrap();
    near(test.statistic, 4.341215710622355);
    near(test.p, 0.001874134163838369);
}

#[test]
fn tests_without_assumptions_equal_scipy() {
    near(wilcoxon(&A, &B).unwrap(), 0.125);
    near(sign_flip(&differences(&A, &B)).unwrap(), 4.0 / 32.0);
    near(sign_flip(&differences(&A10, &B10)).unwrap(), 0.005859375);
    near(mcnemar(12, 25).unwrap(), 0.04703102743951604);
}

#[test]
fn effect_sizes_equal_the_reference() {
    near(cohen_d(&A, &B).unwrap(), 2.0558067670417572);
    near(hedges_g(&A, &B).unwrap(), 1.8568577250699743);
    near(probability_of_superiority(&A, &B).unwrap(), 0.94);
}

#[test]
fn wilson_equals_scipy() {
    let [low, high] = wilson(17, 20).unwrap();
    near(low, 0.6395811352592431);
    near(high, 0.9476312541037835);
}

#[test]
fn quantiles_of_t_equal_scipy() {
    for (n, quantile) in
        [(2, 12.706204736174694), (3, 4.302652729749462), (5, 2.7764451051977934), (20, 2.0930240544083087)]
    {
        let values: Vec<f64> = (0..n).map(f64::from).collect();
        let [low, high] = t_interval(&values).unwrap();
        let error = standard_deviation(&values).unwrap() / f64::from(n).sqrt();
        near((high - low) / 2.0 / error, quantile);
    }
}

#[test]
fn what_is_undefined_is_none() {
    assert!(
        mean(&[]).is_none() && standard_deviation(&[1.0]).is_none() && paired_t(&[1.0], &[0.0]).is_none()
    );
    assert!(
        pearson(&[1.0, 1.0], &[1.0, 2.0]).is_none() && mcnemar(0, 0).is_none() && wilcoxon(&A, &A).is_none()
    );
}

#[test]
fn equal_differences_leave_no_doubt() {
    let test = paired_t(&[2.0, 3.0], &[1.0, 2.0]).unwrap();
    assert_eq!((test.mean, test.ci95, test.p), (1.0, [1.0, 1.0], 0.0));
}

#[test]
fn non_inferiority_asks_one_side_only() {
    let test = non_inferiority(&B, &A, 0.03).unwrap();
    assert!(test.p < 0.01 && test.mean < 0.0, "{test:?}");
    assert!(non_inferiority(&B, &A, 0.001).unwrap().p > 0.9);
}

#[test]
fn the_t_interval_covers_what_it_says() {
    let mut rng = seed::rng(1, "coverage", 0);
    let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
    let covered = (0..4000).filter(|_| {
        let values: Vec<f64> = (0..5).map(|_| normal()).collect();
        let [low, high] = t_interval(&values).unwrap();
        low <= 0.0 && 0.0 <= high
    });
    let share = covered.count() as f64 / 4000.0;
    assert!((0.935..0.965).contains(&share), "{share}");
}

#[test]
fn resampling_finds_a_difference_and_no_difference() {
    let mut rng = seed::rng(1, "resampling", 0);
    let gains: Vec<f64> = (0..200).map(|i| 0.2 + f64::from(i % 7) / 10.0 - 0.3).collect();
    let signed = |swapped: &[bool]| {
        gains.iter().zip(swapped).map(|(g, s)| if *s { -g } else { *g }).sum::<f64>() / 200.0
    };
    assert!(approximate_randomisation(200, 999, &mut rng, signed) <= 0.002);
    let [low, high] =
        paired_bootstrap(200, 999, &mut rng, |rows| rows.iter().map(|&row| gains[row]).sum::<f64>() / 200.0)
            .unwrap();
    let centre = mean(&gains).unwrap();
    assert!(0.0 < low && low < centre && centre < high, "{low} {high}");
    assert_eq!(approximate_randomisation(200, 99, &mut rng, |_| 0.0), 1.0);
}
