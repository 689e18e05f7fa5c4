//! Losses against PyTorch and finite differences; training runs.
#![cfg(feature = "tensor")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;

use common::nn::bert::Config;
use common::testing::{golden, gradient_error, max_difference, torch_rng};
use retrieval::encoder::ColBert;
use retrieval::tokenizer::Layout;
use retrieval::tokenizer::train::{Kind, train as train_tokenizer};
use retrieval::training::average::{average, interpolate};
use retrieval::training::config::{Interaction, Optimiser, Precision, TrainConfig};
use retrieval::training::data::{Example, TrainingData};
use retrieval::training::loss::{Loss, Normalisation, in_batch_negatives, min_max};
use retrieval::training::maxsim::{Rows, maxsim};
use retrieval::training::{Checkpoints, History, Progress, train};
use serde_json::Value;
use tch::{Device, Kind as TensorKind, Tensor};

/// f64 on both sides.
const LOSS: f64 = 1e-12;
const GRADIENT: f64 = 1e-6;

const LOSSES: [(&str, Loss); 4] = [
    ("kl-divergence", Loss::KlDivergence),
    ("margin-mse", Loss::MarginMse),
    ("mixed", Loss::Mixed { margin_weight: 0.2 }),
    ("cross-entropy", Loss::CrossEntropy),
];
const ARMS: [(&str, Normalisation); 3] = [
    ("none", Normalisation::None),
    ("teacher-only", Normalisation::TeacherOnly),
    ("both", Normalisation::Both),
];

fn matrix(value: &Value) -> Tensor {
    let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).unwrap();
    Tensor::from_slice2(&rows)
}

#[test]
fn losses_equal_those_of_pytorch() {
    let golden = golden(env!("CARGO_MANIFEST_DIR"), "losses.json");
    let (student, teacher) = (matrix(&golden["student"]), matrix(&golden["teacher"]));
    for (name, loss) in LOSSES {
        for (arm, normalisation) in ARMS {
            let expected = golden[name].as_f64().or(golden[name][arm].as_f64()).unwrap();
            let found = loss.forward(&student, &teacher, normalisation).double_value(&[]);
            assert!(
                (found - expected).abs() < LOSS * expected.abs().max(1.0),
                "{name}, {arm}: {found}, expected {expected}"
            );
        }
    }
    let found = in_batch_negatives(&matrix(&golden["all"]), 4, &[]).double_value(&[]);
    let expected = golden["in-batch"].as_f64().unwrap();
    assert!((found - expected).abs() < LOSS, "in-batch: {found}, expected {expected}");
}

#[test]
fn gradients_of_the_losses_match_finite_differences() {
    let golden = golden(env!("CARGO_MANIFEST_DIR"), "losses.json");
    let (student, teacher) = (matrix(&golden["student"]), matrix(&golden["teacher"]));
    for (name, loss) in LOSSES {
        for (arm, normalisation) in ARMS {
            let error = gradient_error(|scores| loss.forward(scores, &teacher, normalisation), &student);
            assert!(error < GRADIENT, "{name}, {arm}: relative error {error:e}");
        }
    }
    let error =
        gradient_error(|scores| in_batch_negatives(scores, 4, &[(0, 5), (2, 0)]), &matrix(&golden["all"]));
    assert!(error < GRADIENT, "in-batch: relative error {error:e}");
}

#[test]
fn by_hand_two_documents_give_the_expected_losses() {
    let row = |values: &[f64]| Tensor::from_slice(values).unsqueeze(0);
    let (student, teacher) = (row(&[3.0, 1.0]), row(&[0.0, 0.0]));
    let found = Loss::MarginMse.forward(&student, &teacher, Normalisation::None).double_value(&[]);
    assert_eq!(found, 4.0); // ((3 - 1) - (0 - 0))²
    let found = Loss::CrossEntropy.forward(&student, &teacher, Normalisation::None).double_value(&[]);
    assert!((found - (1.0 + (-2.0f64).exp()).ln()).abs() < LOSS);
    let found = Loss::KlDivergence.forward(&teacher, &teacher, Normalisation::Both).double_value(&[]);
    assert_eq!(found, 0.0);
    assert_eq!(Vec::<f64>::try_from(min_max(&row(&[5.0, 5.0])).flatten(0, -1)).unwrap(), [0.0, 0.0]);
}

#[test]
fn another_querys_document_that_is_the_positive_is_no_negative() {
    let scores = Tensor::from_slice2(&[[1.0, 9.0, 1.0, 0.0], [0.0, 0.0, 2.0, 9.0]]);
    let found = in_batch_negatives(&scores, 2, &[(0, 2)]).double_value(&[]);
    let first = -(1.0f64.exp() / (1.0f64.exp() + 1.0)).ln();
    let second = -(2.0f64.exp() / (2.0f64.exp() + 2.0)).ln();
    assert!((found - (first + second) / 2.0).abs() < LOSS);
}

const QUERY_ENDS: [usize; 3] = [2, 2, 5];
const DOCUMENT_ENDS: [usize; 4] = [1, 4, 6, 9];
const PAIRS: [(usize, usize); 6] = [(2, 0), (0, 1), (0, 3), (2, 2), (2, 3), (1, 0)];

fn double_loop(queries: &Tensor, documents: &Tensor) -> Vec<f64> {
    let range = |ends: &[usize], i: usize| if i == 0 { 0..ends[0] } else { ends[i - 1]..ends[i] };
    let score = |&(query, document): &(usize, usize)| {
        let best = |i: usize| {
            let products = range(&DOCUMENT_ENDS, document)
                .map(|j| queries.get(i as i64).dot(&documents.get(j as i64)).double_value(&[]));
            products.fold(f64::NEG_INFINITY, f64::max)
        };
        range(&QUERY_ENDS, query).map(best).sum()
    };
    PAIRS.iter().map(score).collect()
}

fn scores(queries: &Tensor, documents: &Tensor) -> Tensor {
    maxsim(
        Rows { values: queries, ends: &QUERY_ENDS },
        Rows { values: documents, ends: &DOCUMENT_ENDS },
        &PAIRS,
    )
}

#[test]
fn scores_of_ragged_rows_equal_the_double_loop_with_its_gradient() {
    let _rng = torch_rng(5);
    let draw = |rows: i64| Tensor::randn([rows, 3], (TensorKind::Double, Device::Cpu));
    let (queries, documents) = (draw(5), draw(9));
    let expected = Tensor::from_slice(&double_loop(&queries, &documents));
    assert!(max_difference(&scores(&queries, &documents), &expected) < 1e-12);
    let weights = Tensor::from_slice(&[1.0, -2.0, 0.5, 3.0, 1.5, 1.0]);
    let weighted = |scores: Tensor| (scores * &weights).sum(TensorKind::Double);
    let error = gradient_error(|queries| weighted(scores(queries, &documents)), &queries);
    assert!(error < GRADIENT, "queries: {error:e}");
    let error = gradient_error(|documents| weighted(scores(&queries, documents)), &documents);
    assert!(error < GRADIENT, "documents: {error:e}");
}

const NAMES: [&str; 8] = ["東京", "京都", "大阪", "札幌", "福岡", "名古屋", "仙台", "広島"];

/// Each query names a city, each document tells of one; the teacher likes the right one.
fn data() -> TrainingData {
    let documents: Vec<String> = NAMES.iter().map(|name| format!("{name}は日本の都市、とても広い")).collect();
    let example = |query: usize| {
        let documents: Vec<usize> = (0..8).map(|i| (query + i) % 8).collect();
        Example {
            query,
            scores: (0..8).map(|i| if i == 0 { 9.0 } else { 1.0 / i as f32 }).collect(),
            documents,
        }
    };
    let queries = NAMES.iter().map(|name| format!("{name}の話")).collect();
    TrainingData { queries, documents, examples: (0..8).map(example).collect() }
}

fn model(data: &TrainingData, dropout: f64) -> ColBert {
    let texts = data.queries.iter().chain(&data.documents).map(String::as_str);
    tch::set_num_threads(1); // steps as small as these lose by more
    let pieces = train_tokenizer(texts, Kind::Characters { fewest: 1 }).unwrap();
    let config = Config {
        hidden_dropout_prob: dropout,
        attention_probs_dropout_prob: dropout,
        max_position_embeddings: 32,
        ..Config::new(pieces.len() as i64, 32, 2, 2)
    };
    ColBert::new(&config, pieces, Layout { document_length: 32, ..Layout::colbert() }, 16, Device::Cpu, 7)
        .unwrap()
}

fn config(steps: usize, learning_rate: f64) -> TrainConfig {
    TrainConfig {
        batch: 4,
        n_ways: 4,
        optimiser: Optimiser::ScheduleFree { learning_rate, warmup: 0.05 },
        ..TrainConfig::paper(steps)
    }
}

fn run(model: &ColBert, data: &TrainingData, config: &TrainConfig) -> History {
    train(model, data, config, 1, &Checkpoints::default(), |_, _| true).unwrap()
}

/// Share of the queries whose own document has the highest score.
fn found(model: &ColBert, data: &TrainingData, interaction: Interaction) -> f64 {
    let _guard = tch::no_grad_guard();
    let texts = |list: &[String]| -> Vec<String> { list.to_vec() };
    let (queries, documents) = (texts(&data.queries), texts(&data.documents));
    let queries: Vec<&str> = queries.iter().map(String::as_str).collect();
    let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
    let (queries, documents) = match interaction {
        Interaction::Maxsim => {
            (model.encode_queries(&queries).unwrap(), model.encode_documents(&documents).unwrap())
        }
        Interaction::Pooled => {
            (model.encode_pooled(&queries, true).unwrap(), model.encode_pooled(&documents, false).unwrap())
        }
    };
    let tensor = |vectors: &retrieval::vectors::TokenVectors| {
        Tensor::from_slice(vectors.values()).view([-1, vectors.width() as i64])
    };
    let (query_rows, document_rows) = (tensor(&queries), tensor(&documents));
    let pairs: Vec<(usize, usize)> =
        (0..8).flat_map(|query| (0..8).map(move |document| (query, document))).collect();
    let rows = |values, ends| Rows { values, ends };
    let scores = maxsim(rows(&query_rows, queries.ends()), rows(&document_rows, documents.ends()), &pairs)
        .view([8, 8]);
    let best = Vec::<i64>::try_from(scores.argmax(1, false)).unwrap();
    best.iter().enumerate().filter(|(i, best)| *i as i64 == **best).count() as f64 / 8.0
}

#[test]
fn eight_examples_are_memorised_in_150_steps() {
    let _rng = torch_rng(1);
    let data = data();
    for interaction in [Interaction::Maxsim, Interaction::Pooled] {
        for (loss, in_batch_negatives) in
            [(Loss::KlDivergence, false), (Loss::CrossEntropy, true), (Loss::MarginMse, false)]
        {
            let model = model(&data, 0.0);
            let config = TrainConfig { interaction, loss, in_batch_negatives, ..config(150, 3e-3) };
            let history = run(&model, &data, &config);
            let share = found(&model, &data, interaction);
            let (first, last) = (history.losses[0], history.losses[149]);
            assert!(
                share == 1.0 && last < first,
                "{interaction:?} {loss:?}: {share} found, loss {first} to {last}"
            );
        }
    }
}

#[test]
fn min_max_of_two_scores_leaves_nothing_to_learn() {
    let scores = Tensor::from_slice2(&[[3.0, 1.0], [-2.0, 5.0]]).set_requires_grad(true);
    let teacher = Tensor::from_slice2(&[[0.9, 0.1], [0.8, 0.3]]);
    Loss::KlDivergence.forward(&scores, &teacher, Normalisation::Both).backward();
    assert!(scores.grad().abs().max().double_value(&[]) < 1e-8);
    let scores = scores.detach().set_requires_grad(true);
    Loss::KlDivergence.forward(&scores, &teacher, Normalisation::None).backward();
    assert!(scores.grad().abs().max().double_value(&[]) > 0.01);
}

#[test]
fn products_in_bfloat16_learn_the_same_and_leave_the_weights_as_they_were() {
    let _rng = torch_rng(1);
    let data = data();
    let learn = |precision| {
        let model = model(&data, 0.0);
        let history = run(&model, &data, &TrainConfig { precision, ..config(150, 3e-3) });
        assert!(model.weights().iter().all(|(_, tensor)| tensor.kind() == TensorKind::Float));
        (history.losses[0], found(&model, &data, Interaction::Maxsim))
    };
    let ((exact, _), (rounded, share)) = (learn(Precision::F32), learn(Precision::Bf16));
    assert!(exact != rounded && (exact / rounded - 1.0).abs() < 0.02, "first losses {exact} and {rounded}");
    assert_eq!(share, 1.0);
}

#[test]
fn two_epochs_are_one_resumed_for_one_more() {
    let _rng = torch_rng(1);
    let data = data();
    let optimisers = [
        Optimiser::ScheduleFree { learning_rate: 1e-3, warmup: 0.5 },
        Optimiser::LinearDecay { learning_rate: 1e-3, warmup: 0.5 },
    ];
    for optimiser in optimisers {
        let config =
            TrainConfig { optimiser, accumulation: 2, batch: 2, clip_norm: Some(2.0), ..config(4, 1e-3) };
        let whole = model(&data, 0.1);
        let expected = run(&whole, &data, &config);
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = |resume| Checkpoints { folder: Some(folder.path().to_owned()), resume };
        let part = model(&data, 0.1);
        let stop = |_: &ColBert, progress: Progress| !matches!(progress, Progress::Step { step: 2, .. });
        let history = train(&part, &data, &config, 1, &checkpoints(false), stop).unwrap();
        assert!(history.stopped && history.losses.len() == 2);
        let again = model(&data, 0.1);
        let history = train(&again, &data, &config, 1, &checkpoints(true), |_, _| true).unwrap();
        assert_eq!(
            (history.losses, history.tokens, history.stopped),
            (expected.losses, expected.tokens, false)
        );
        for ((name, a), (_, b)) in whole.weights().iter().zip(again.weights()) {
            assert_eq!(a, &b, "{name}");
        }
        let error =
            train(&again, &data, &config, 2, &checkpoints(true), |_, _| true).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "last.json: the checkpoint has another seed than this run; train anew without --resume"
            ),
            "{error}"
        );
        fs::write(folder.path().join("last.json"), "{}").unwrap();
        let error =
            train(&again, &data, &config, 1, &checkpoints(true), |_, _| true).unwrap_err().to_string();
        assert!(error.contains("not a checkpoint of this version"), "{error}");
    }
}

#[test]
fn the_observer_evaluates_averaged_weights_without_changing_the_run() {
    let _rng = torch_rng(1);
    let data = data();
    let plain = model(&data, 0.0);
    let expected = run(&plain, &data, &config(6, 1e-3));
    let looked = model(&data, 0.0);
    let mut at = Vec::new();
    let mut vectors = Vec::new();
    let observe = |model: &ColBert, progress: Progress| {
        if let Progress::Evaluate { step } = progress {
            at.push(step);
            vectors.push(model.encode_queries(&["東京"]).unwrap());
        }
        true
    };
    let config = TrainConfig { evaluate_at: vec![2, 4], ..config(6, 1e-3) };
    let history = train(&looked, &data, &config, 1, &Checkpoints::default(), observe).unwrap();
    assert_eq!((at, &history.losses), (vec![2, 4, 6], &expected.losses));
    assert_eq!(
        vectors[2],
        looked.encode_queries(&["東京"]).unwrap(),
        "the model ends with the weights of the last evaluation"
    );
    assert_ne!(vectors[0], vectors[1]);
}

#[test]
fn examples_and_settings_that_do_not_fit_are_named() {
    let _rng = torch_rng(1);
    let data = data();
    let model = model(&data, 0.0);
    let error = |data: &TrainingData, config: &TrainConfig| {
        train(&model, data, config, 1, &Checkpoints::default(), |_, _| true).unwrap_err().to_string()
    };
    let many = TrainConfig { n_ways: 9, ..config(1, 1e-3) };
    let text =
        "training example 0 has 8 documents, expected at least 9; lower `n_ways` or give more documents";
    assert_eq!(error(&data, &many), text);
    let mut bad = data.clone();
    bad.examples[3].scores.pop();
    let text = "training example 3 has 7 teacher scores for 8 documents; expected one each, all finite";
    assert_eq!(error(&bad, &config(1, 1e-3)), text);
    bad.examples[0].documents[1] = 99;
    assert_eq!(error(&bad, &config(1, 1e-3)), "training example 0 names document 99, there are 8");
    assert_eq!(
        error(&TrainingData::default(), &config(1, 1e-3)),
        "no training examples; training needs some"
    );
    assert_eq!(error(&data, &config(0, 1e-3)), "training configuration: `steps` is `0`, expected at least 1");
}

#[test]
fn averages_are_means_and_foreign_checkpoints_are_refused() {
    let checkpoint = |x: f32, id: i64| {
        vec![("a".to_owned(), Tensor::from_slice(&[x, -x])), ("ids".to_owned(), Tensor::from_slice(&[id]))]
    };
    let mean = average(&[checkpoint(1.0, 3), checkpoint(2.0, 3), checkpoint(6.0, 3)]).unwrap();
    assert_eq!(Vec::<f32>::try_from(&mean[0].1).unwrap(), [3.0, -3.0]);
    assert_eq!((mean[1].1.kind(), mean[1].1.int64_value(&[0])), (TensorKind::Int64, 3));
    let quarter = interpolate(checkpoint(0.0, 1), checkpoint(4.0, 1), 0.25).unwrap();
    assert_eq!(quarter[0].1.double_value(&[0]), 1.0);
    assert!(average(&[]).unwrap_err().to_string().starts_with("no checkpoint to average"));
    let other = vec![("b".to_owned(), Tensor::from_slice(&[1.0f32]))];
    let error = average(&[checkpoint(1.0, 1), other]).unwrap_err().to_string();
    assert!(error.starts_with("checkpoint 1 has no `a` of shape [2] like the first one"), "{error}");
}

#[test]
fn averaged_weights_return_into_a_model() {
    let _rng = torch_rng(1);
    let data = data();
    let (a, b) = (model(&data, 0.0), model(&data, 0.0));
    run(&b, &data, &config(3, 1e-3));
    let half = interpolate(a.weights(), b.weights(), 0.5).unwrap();
    a.set_weights(half, Path::new("average")).unwrap();
    assert_ne!(a.encode_queries(&["東京"]).unwrap(), b.encode_queries(&["東京"]).unwrap());
    let error = a.set_weights(Vec::new(), Path::new("average")).unwrap_err().to_string();
    assert!(
        error.starts_with("average: does not fit the model: `bert.embeddings.LayerNorm.bias` is missing"),
        "{error}"
    );
}

#[test]
fn replay_adds_old_examples_with_their_texts() {
    let old = data();
    let new = TrainingData { examples: old.examples[..4].to_vec(), ..old.clone() };
    let mixed = new.clone().with_replay(&old, 0.5, 1);
    assert_eq!((mixed.examples.len(), mixed.queries.len(), mixed.documents.len()), (6, 16, 16));
    mixed.check(4, true).unwrap();
    for example in &mixed.examples[4..] {
        let same = &old.examples[example.query - 8];
        assert_eq!(mixed.documents[example.documents[0]], old.documents[same.documents[0]]);
    }
    assert_eq!(mixed, new.with_replay(&old, 0.5, 1));
}
