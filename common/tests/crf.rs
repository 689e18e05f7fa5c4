//! The CRF against brute force, finite differences and pytorch-crf.
#![cfg(feature = "tensor")]

use common::crf::{Crf, Scores};
use common::nn::checkpoint::named;
use common::seed;
use common::testing::{golden, golden_tensor, gradient_error, max_difference, torch_rng};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

fn random(rng: &mut ChaCha8Rng, n: usize) -> Vec<f64> {
    (0..n).map(|_| rng.random_range(-2.0..2.0)).collect()
}

fn scores(rng: &mut ChaCha8Rng, tags: usize) -> Scores {
    Scores::new(random(rng, tags), random(rng, tags), random(rng, tags * tags))
}

/// All tag sequences with their scores.
fn all(scores: &Scores, emissions: &[f64], tokens: usize) -> Vec<(Vec<usize>, f64)> {
    let tags = scores.start.len();
    (0..tags.pow(tokens as u32))
        .map(|mut code| {
            let path: Vec<usize> = (0..tokens).map(|_| (code % tags, code /= tags).0).collect();
            let emitted: f64 = path.iter().enumerate().map(|(t, tag)| emissions[t * tags + tag]).sum();
            let moved: f64 = path.windows(2).map(|pair| scores.transitions[pair[0] * tags + pair[1]]).sum();
            let ends = scores.start[path[0]] + scores.end[path[tokens - 1]];
            (path, emitted + moved + ends)
        })
        .collect()
}

#[test]
fn a_thousand_random_lattices_equal_brute_force() {
    let mut rng = seed::rng(1, "lattices", 0);
    for _ in 0..1000 {
        let (tags, tokens) = (rng.random_range(1..4), rng.random_range(1..5));
        let scores = scores(&mut rng, tags);
        let emissions = random(&mut rng, tags * tokens);
        let every = all(&scores, &emissions, tokens);
        let z: f64 = every.iter().map(|(_, score)| score.exp()).sum();
        let (best, highest) = every.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        assert_eq!(&scores.decode(&emissions), best);
        let loss = scores.negative_log_likelihood(&emissions, best);
        assert!((loss.value - (z.ln() - highest)).abs() < 1e-10);
        for (place, marginal) in scores.marginals(&emissions).into_iter().enumerate() {
            let with = every.iter().filter(|(path, _)| path[place / tags] == place % tags);
            assert!((marginal - with.map(|(_, score)| score.exp()).sum::<f64>() / z).abs() < 1e-10);
        }
    }
}

fn crf(tags: i64) -> (VarStore, Crf) {
    let mut store = VarStore::new(Device::Cpu);
    let crf = Crf::new(&store.root(), tags);
    store.double();
    (store, crf)
}

#[test]
fn loss_gradients_and_decoding_equal_pytorch_crf() {
    let golden = golden(env!("CARGO_MANIFEST_DIR"), "crf.json");
    let (store, crf) = crf(4);
    {
        let _guard = tch::no_grad_guard();
        for (name, mut variable) in named(&store) {
            variable.copy_(&golden_tensor(&golden["parameters"][&name]));
        }
    }
    let emissions = golden_tensor(&golden["emissions"]).set_requires_grad(true);
    let gold: Vec<Vec<usize>> = serde_json::from_value(golden["tags"].clone()).unwrap();
    let loss = crf.loss(&emissions, &gold);
    assert!((loss.double_value(&[]) - golden["loss"].as_f64().unwrap()).abs() < 1e-12);
    loss.backward();
    assert!(max_difference(&emissions.grad(), &golden_tensor(&golden["emission_gradient"])) < 1e-12);
    for (name, variable) in named(&store) {
        assert!(
            max_difference(&variable.grad(), &golden_tensor(&golden["gradients"][&name])) < 1e-12,
            "{name}"
        );
    }
    let decoded: Vec<Vec<usize>> = serde_json::from_value(golden["decoded"].clone()).unwrap();
    assert_eq!(crf.decode(&emissions, &[6, 3, 1]), decoded);
}

/// A loss over log-marginals `[6, 3]` that no symmetry hides: a weighted likelihood and a square.
fn over_marginals(log_marginals: &Tensor) -> Tensor {
    let kind = log_marginals.kind();
    let weights =
        Tensor::linspace(0.1, 1.3, log_marginals.numel() as i64, (kind, Device::Cpu)).view_as(log_marginals);
    -(log_marginals * &weights).sum(kind) + (log_marginals.exp() * weights).square().sum(kind)
}

#[test]
fn gradients_match_finite_differences_for_both_losses() {
    let _rng = torch_rng(4);
    let (_store, crf) = crf(3);
    let emissions = Tensor::randn([2, 4, 3], (Kind::Double, Device::Cpu));
    let gold = [vec![0, 2, 1, 1], vec![2, 0]];
    let error = gradient_error(|emissions| crf.loss(emissions, &gold), &emissions);
    assert!(error < 1e-7, "relative error {error:e}");
    // The marginal loss runs a backward pass inside, so it needs recording even where only its value is asked for.
    let marginal =
        |emissions: &Tensor| tch::with_grad(|| crf.marginal_loss(emissions, &[4, 2], over_marginals));
    let error = gradient_error(marginal, &emissions);
    assert!(error < 1e-7, "relative error {error:e}");
}

#[test]
fn gradients_towards_the_transitions_match_finite_differences() {
    let mut rng = seed::rng(2, "weighted", 0);
    let _rng = torch_rng(6);
    let (store, crf) = crf(3);
    let emissions = Tensor::from_slice(&random(&mut rng, 12)).view([1, 4, 3]);
    let loss = |emissions: &Tensor| crf.marginal_loss(emissions, &[4], over_marginals);
    loss(&emissions.copy().set_requires_grad(true)).backward();
    for (name, variable) in named(&store) {
        let gradient = Vec::<f64>::try_from(variable.grad().flatten(0, -1)).unwrap();
        for (place, analytic) in gradient.iter().enumerate() {
            let nudge = |by: f64| {
                tch::no_grad(|| drop(variable.view([-1]).get(place as i64).g_add_scalar_(by)));
                loss(&emissions).double_value(&[])
            };
            let (up, down) = (nudge(1e-6), nudge(-2e-6));
            nudge(1e-6);
            assert!(((up - down) / 2e-6 - analytic).abs() < 1e-7, "{name} {place}");
        }
    }
}

#[test]
fn the_likelihood_of_marginals_of_one_token_is_the_likelihood() {
    let _rng = torch_rng(8);
    let (_store, crf) = crf(3);
    let emissions = Tensor::randn([2, 1, 3], (Kind::Double, Device::Cpu));
    let gold = Tensor::from_slice(&[2_i64, 0]).view([2, 1]);
    let of_marginals =
        crf.marginal_loss(&emissions, &[1, 1], |logs| -logs.gather(1, &gold, false).mean(Kind::Double));
    let whole = crf.loss(&emissions, &[vec![2], vec![0]]);
    assert!(max_difference(&of_marginals, &whole) < 1e-12);
}

#[test]
fn extreme_equal_and_empty_sentences_are_exact() {
    let tags = 3;
    let flat = Scores::new(vec![0.0; tags], vec![0.0; tags], vec![0.0; tags * tags]);
    let equal = flat.negative_log_likelihood(&[0.0; 6], &[1, 2]);
    assert!((equal.value - 9.0_f64.ln()).abs() < 1e-12);
    assert_eq!(flat.negative_log_likelihood(&[], &[]).value, 0.0);
    assert!(flat.decode(&[]).is_empty());
    let wild = Scores::new(
        vec![1e4, 0.0, -1e4],
        vec![-1e4, 0.0, 1e4],
        vec![1e4, -1e4, 0.0, 0.0, 1e4, -1e4, -1e4, 0.0, 1e4],
    );
    let emissions = [1e4, -1e4, 0.0, 0.0, 1e4, -1e4, -1e4, 0.0, 1e4];
    let loss = wild.negative_log_likelihood(&emissions, &wild.decode(&emissions));
    assert!(
        loss.value.abs() < 1e-6 && loss.emissions.iter().all(|gradient| gradient.is_finite()),
        "{loss:?}"
    );
    let weighted = wild.marginal_loss(&emissions, 1.0, vec![0.5; 9]);
    assert!(weighted.value.is_finite() && weighted.emissions.iter().all(|gradient| gradient.is_finite()));
}

/// Four tokens, three tags, computed over all 81 paths and with pytorch-crf 0.7.2, with and without scores of the ends.
#[test]
fn a_small_lattice_has_the_published_values() {
    let emissions = [0.5, -0.2, 0.1, 1.0, 0.3, -0.5, -0.3, 0.8, 0.2, 0.0, 0.4, 1.1];
    let transitions = vec![0.2, -0.1, 0.0, -0.4, 0.5, 0.3, 0.1, -0.2, 0.6];
    let gold = [0, 0, 1, 2];
    let check = |start: Vec<f64>, end: Vec<f64>, loss: f64| {
        let scores = Scores::new(start, end, transitions.clone());
        assert!((scores.negative_log_likelihood(&emissions, &gold).value - loss).abs() < 1e-9);
        assert_eq!(scores.decode(&emissions), gold);
    };
    check(vec![0.0; 3], vec![0.0; 3], 2.617_308_312_0);
    check(vec![0.3, -0.3, 0.0], vec![0.1, 0.0, -0.2], 2.509_169_328_0);
}
