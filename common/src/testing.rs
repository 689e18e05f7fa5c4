//! Help for tests: one generator at a time, gradients against finite differences, golden files.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::Rng;
use tch::{Kind, Tensor};

use crate::formats::{Sentence, Span};
use crate::seed;

/// Holds libtorch's process-wide random generator, freshly seeded, for one test.
pub fn torch_rng(seed: i64) -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    let guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(seed);
    guard
}

/// Largest difference between the gradient of `loss` at `point` (f64) and central differences, relative to the
/// largest entry of the latter.
pub fn gradient_error(loss: impl Fn(&Tensor) -> Tensor, point: &Tensor) -> f64 {
    const STEP: f64 = 1e-6;
    let leaf = point.to_kind(Kind::Double).detach().copy().set_requires_grad(true);
    loss(&leaf).backward();
    let analytic = Vec::<f64>::try_from(leaf.grad().flatten(0, -1)).expect("f64 by construction");
    let flat = Vec::<f64>::try_from(point.to_kind(Kind::Double).flatten(0, -1)).expect("f64 by construction");
    let _guard = tch::no_grad_guard();
    let at = |index: usize, delta: f64| {
        let mut moved = flat.clone();
        moved[index] += delta;
        loss(&Tensor::from_slice(&moved).view_as(point)).double_value(&[])
    };
    let numeric: Vec<f64> = (0..flat.len()).map(|i| (at(i, STEP) - at(i, -STEP)) / (2.0 * STEP)).collect();
    let scale = numeric.iter().fold(1e-8_f64, |largest, value| largest.max(value.abs()));
    analytic.iter().zip(&numeric).fold(0.0_f64, |worst, (a, n)| worst.max((a - n).abs())) / scale
}

/// A JSON golden file below `tests/golden` of the crate whose manifest folder is given.
///
/// # Panics
/// When the file is missing or not JSON: a test cannot go on without it.
pub fn golden(manifest: &str, name: &str) -> serde_json::Value {
    let path = Path::new(manifest).join("tests/golden").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Tensor of a golden `{"shape": […], "data": […]}` in f64.
///
/// # Panics
/// When the value has another form.
pub fn golden_tensor(value: &serde_json::Value) -> Tensor {
    let numbers = |key: &str| -> Vec<f64> {
        let list = value[key].as_array().unwrap_or_else(|| panic!("no list `{key}` in {value}"));
        list.iter().map(|number| number.as_f64().expect("a number")).collect()
    };
    let shape: Vec<i64> = numbers("shape").iter().map(|&size| size as i64).collect();
    Tensor::from_slice(&numbers("data")).view(&shape[..])
}

/// Largest absolute difference of two tensors.
pub fn max_difference(a: &Tensor, b: &Tensor) -> f64 {
    (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[])
}

/// 2,000 sentences of Zipf-like words, 3 to 40 of them, with an entity each: inputs of speed comparisons.
pub fn zipf_sentences() -> Vec<Sentence> {
    let mut rng = seed::rng(1, "sentences", 0);
    let mut word = || {
        let rank = (8000.0_f64.powf(rng.random::<f64>())) as u64;
        format!("w{}x{}", rank * 7919 % 8000, "abcdefgh".repeat((rank % 2) as usize))
    };
    let mut lengths = seed::rng(1, "lengths", 0);
    (0..2000)
        .map(|_| {
            let n = 3 + (37.0 * lengths.random::<f64>().powi(2)) as usize;
            let span = Span { start: n / 3, end: n / 3 + 1, label: ["PER", "LOC"][n % 2].to_owned() };
            Sentence { words: (0..n).map(|_| word()).collect(), spans: vec![span], ..Sentence::default() }
        })
        .collect()
}
