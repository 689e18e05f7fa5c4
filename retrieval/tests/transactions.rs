//! Transaction embeddings: losses, floors and calibration against other people's code, learning, the model on the disk.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![cfg(feature = "tensor")]

use common::seed;
use common::testing::{golden, gradient_error, torch_rng};
use retrieval::transactions::calibration::Isotonic;
use retrieval::transactions::loss::{
    Mining, Objective, Pairs, contrastive, contrastive_of_batch, distances, softmax, supervised_contrastive,
    triplet,
};
use retrieval::transactions::model::{Settings, Size, encode, new_encoder, open, save};
use retrieval::transactions::neighbours::Neighbours;
use retrieval::transactions::record::Template;
use retrieval::transactions::sampling::{Corpus, Example, Shape};
use retrieval::transactions::sparse::Tfidf;
use retrieval::transactions::train::{TrainConfig, train};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

/// Sums of f64 in another order.
const CLOSE: f64 = 1e-10;
/// Finite differences of functions with kinks nearby.
const GRADIENT: f64 = 1e-6;

type Loss<'a> = &'a dyn Fn(&Tensor) -> Tensor;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn matrix(value: &Value) -> Tensor {
    let rows: Vec<Tensor> =
        value.as_array().unwrap().iter().map(|row| Tensor::from_slice(&numbers(row))).collect();
    Tensor::stack(&rows, 0)
}

fn labels(golden: &Value) -> Vec<i64> {
    numbers(&golden["labels"]).into_iter().map(|label| label as i64).collect()
}

fn pairs(golden: &Value) -> Pairs {
    let labels = labels(golden);
    Pairs::new(&labels, &(0..labels.len() as i64).collect::<Vec<_>>())
}

fn normalised(vectors: &Tensor) -> Tensor {
    vectors / vectors.square().sum_dim_intlist([1].as_slice(), true, Kind::Double).sqrt()
}

#[test]
fn losses_equal_those_of_sentence_transformers_and_metric_learning() {
    let golden = golden(env!("CARGO_MANIFEST_DIR"), "transactions.json");
    let (vectors, pairs) = (matrix(&golden["vectors"]), pairs(&golden));
    let far = distances(&vectors);
    let mut random = seed::rng(1, "negatives", 0);
    let mut mined = |mining| triplet(&far, &pairs, 0.3, mining, &mut random).0.double_value(&[]);
    let labels = Tensor::from_slice(&labels(&golden));
    let found = [
        ("hard", mined(Mining::Hard)),
        ("semi_hard", mined(Mining::SemiHard)),
        ("supervised", supervised_contrastive(&far, &pairs, 0.1).double_value(&[])),
        ("softmax", softmax(&vectors, &matrix(&golden["classes"]), &labels, 20.0).double_value(&[])),
    ];
    for (name, value) in found {
        let expected = golden["losses"][name].as_f64().unwrap();
        assert!((value - expected).abs() < CLOSE, "{name}: {value} instead of {expected}");
    }
    let of = |key: &str| Tensor::from_slice(&numbers(&golden["contrastive"][key]));
    let difference = contrastive(&of("distance"), &of("same"), 0.5) - of("values");
    assert!(difference.abs().max().double_value(&[]) < CLOSE);
}

#[test]
fn gradients_match_finite_differences() {
    let golden = golden(env!("CARGO_MANIFEST_DIR"), "transactions.json");
    let (vectors, pairs) = (matrix(&golden["vectors"]), pairs(&golden));
    let labels = Tensor::from_slice(&labels(&golden));
    let classes = matrix(&golden["classes"]);
    let losses: [(&str, Loss<'_>); 6] = [
        ("hard", &|d| triplet(d, &pairs, 0.3, Mining::Hard, &mut seed::rng(1, "n", 0)).0),
        ("semi-hard", &|d| triplet(d, &pairs, 0.3, Mining::SemiHard, &mut seed::rng(1, "n", 0)).0),
        ("random", &|d| triplet(d, &pairs, 0.3, Mining::Random, &mut seed::rng(1, "n", 0)).0),
        ("contrastive", &|d| contrastive_of_batch(d, &pairs, 0.5)),
        ("supervised", &|d| supervised_contrastive(d, &pairs, 0.1)),
        ("softmax", &|d| {
            softmax(&(1.0 - d), &classes.repeat([2, 2]).narrow(1, 0, 10).narrow(0, 0, 4), &labels, 5.0)
        }),
    ];
    for (name, loss) in losses {
        let error = gradient_error(|x| loss(&distances(&normalised(x))), &vectors);
        assert!(error < GRADIENT, "{name}: relative error {error:e}");
    }
}

#[test]
fn equal_strings_are_no_negatives_and_a_batch_without_pairs_has_no_loss() {
    let vectors = Tensor::from_slice(&[1.0, 0.0, 1.0, 0.0, 0.0, 1.0f64]).view([3, 2]);
    let pairs = Pairs::new(&[0, 1, 0], &[7, 7, 8]);
    let mut random = seed::rng(1, "n", 0);
    let far = distances(&vectors);
    for mining in [Mining::Hard, Mining::SemiHard, Mining::Random] {
        // Only the third row has a negative, the second, at distance 1, and its positive is as far: the margin remains.
        let (loss, active) = triplet(&far, &pairs, 0.2, mining, &mut random);
        assert!((loss.double_value(&[]) - 0.2).abs() < CLOSE && active == 1.0, "{mining:?}");
        let none = Pairs::new(&[0, 1, 2], &[7, 8, 9]);
        let (loss, active) = triplet(&far, &none, 0.2, mining, &mut random);
        assert_eq!((loss.double_value(&[]), active), (0.0, 0.0), "{mining:?}");
    }
    let alone = Pairs::new(&[0, 1, 2], &[7, 7, 7]);
    assert_eq!(supervised_contrastive(&far, &alone, 0.1).double_value(&[]), 0.0);
    assert_eq!(contrastive_of_batch(&far, &alone, 0.5).double_value(&[]), 0.0);
}

#[test]
fn semi_hard_negatives_equal_a_plain_search() {
    let _rng = torch_rng(3);
    let vectors = normalised(&Tensor::randn([12, 4], (Kind::Double, Device::Cpu)));
    let labels: Vec<i64> = (0..12).map(|i| i % 4).collect();
    let pairs = Pairs::new(&labels, &(0..12).collect::<Vec<_>>());
    let far = distances(&vectors);
    let d = |a: i64, b: i64| far.double_value(&[a, b]);
    let (mut total, mut n) = (0.0, 0.0);
    for a in 0..12i64 {
        for p in (0..12).filter(|p| *p != a && labels[*p as usize] == labels[a as usize]) {
            let negatives: Vec<f64> =
                (0..12).filter(|x| labels[*x as usize] != labels[a as usize]).map(|x| d(a, x)).collect();
            let beyond = negatives.iter().copied().filter(|x| *x > d(a, p)).fold(f64::INFINITY, f64::min);
            let farthest = negatives.iter().copied().fold(0.0, f64::max);
            let chosen = if beyond.is_finite() { beyond } else { farthest };
            total += (d(a, p) - chosen + 0.2).max(0.0);
            n += 1.0;
        }
    }
    let found = triplet(&far, &pairs, 0.2, Mining::SemiHard, &mut seed::rng(1, "n", 0)).0.double_value(&[]);
    assert!((found - total / n).abs() < CLOSE);
}

#[test]
fn words_and_calibration_equal_scikit_learn() {
    let golden = golden(env!("CARGO_MANIFEST_DIR"), "transactions.json");
    let texts: Vec<&str> =
        golden["tfidf"]["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let tfidf = Tfidf::fit(texts.into_iter());
    let terms = golden["tfidf"]["terms"].as_array().unwrap();
    assert_eq!(tfidf.len(), terms.len());
    let row = tfidf.row(golden["tfidf"]["query"].as_str().unwrap());
    let expected = golden["tfidf"]["row"].as_object().unwrap();
    assert_eq!(row.len(), expected.len());
    for (place, value) in row {
        let expected = expected[terms[place as usize].as_str().unwrap()].as_f64().unwrap();
        assert!((f64::from(value) - expected).abs() < 1e-6, "f32 sums");
    }
    let isotonic = &golden["isotonic"];
    let outcomes: Vec<(f64, bool)> = numbers(&isotonic["scores"])
        .into_iter()
        .zip(numbers(&isotonic["right"]))
        .map(|(s, r)| (s, r > 0.5))
        .collect();
    let map = Isotonic::fit(&outcomes);
    for (score, value) in numbers(&isotonic["asked"]).into_iter().zip(numbers(&isotonic["values"])) {
        assert!((map.apply(score) - value).abs() < CLOSE, "{score}: {} instead of {value}", map.apply(score));
    }
}

/// Accounts that the merchant's first word tells, each of two companies its own.
fn corpus() -> Corpus {
    let words = ["rail", "cafe", "pens", "fuel"];
    let mut corpus = Corpus { companies: vec![0, 0, 0, 0, 1, 1], ..Corpus::default() };
    for (account, word) in [(0, 0), (1, 1), (2, 2), (3, 3), (4, 0), (5, 1)] {
        for i in 0..6 {
            corpus.strings.push(format!(
                "merchant {} {} | location {}",
                words[word],
                100 * account + i,
                i % 3
            ));
            corpus.examples.push(Example { string: corpus.strings.len() - 1, account, merchant: word });
        }
    }
    corpus
}

fn tiny() -> Size {
    Size { layers: 1, hidden: 32, width: 16, vocabulary: 200 }
}

fn config(objective: Objective) -> TrainConfig {
    let shape = Shape { accounts: 4, strings: 4, siblings: 0.5 };
    TrainConfig { shape, objective, learning_rate: 5e-3, ..TrainConfig::article(40) }
}

#[test]
fn every_objective_learns_to_tell_accounts_apart_and_repeats_its_bits() {
    let _rng = torch_rng(1);
    let corpus = corpus();
    let objectives = [
        Objective::Triplet { margin: 0.2, mining: Mining::SemiHard },
        Objective::Triplet { margin: 0.2, mining: Mining::Random },
        Objective::Contrastive { margin: 0.5 },
        Objective::SupervisedContrastive { temperature: 0.1 },
        Objective::Softmax { scale: 20.0 },
    ];
    for objective in objectives {
        let run = || {
            let model = new_encoder(&corpus.strings, tiny(), Device::Cpu, 1).unwrap();
            let history = train(&model, &corpus, &config(objective), 7, |_, _| true).unwrap();
            (model, history)
        };
        let (model, history) = run();
        let (first, last) = (history.losses[0], history.losses[history.losses.len() - 1]);
        // With three positives each, the supervised contrastive loss cannot fall below ln 3.
        let least =
            if matches!(objective, Objective::SupervisedContrastive { .. }) { 3f64.ln() } else { 0.0 };
        assert!(last - least < 0.5 * (first - least), "{objective:?}: {first} to {last}");
        assert_eq!(run().1.losses, history.losses, "{objective:?}");
        let strings: Vec<&str> = corpus.strings[..24].iter().map(String::as_str).collect();
        let vectors = encode(&model, &strings).unwrap();
        let index = Neighbours::new(16, vectors.clone()).unwrap();
        let near = vectors.chunks_exact(16).enumerate().filter(|(i, row)| {
            let second =
                index.search(row, 2).unwrap().into_iter().find(|near| near.row as usize != *i).unwrap();
            second.row as usize / 6 == i / 6
        });
        assert!(near.count() >= 20, "{objective:?}");
    }
}

#[test]
fn a_stopped_run_ends_there() {
    let _rng = torch_rng(1);
    let corpus = corpus();
    let model = new_encoder(&corpus.strings, tiny(), Device::Cpu, 1).unwrap();
    let objective = Objective::Triplet { margin: 0.2, mining: Mining::Hard };
    let history = train(&model, &corpus, &config(objective), 7, |_, step| step < 3).unwrap();
    assert_eq!(history.losses.len(), 3);
    assert!(
        history.health.iter().all(|health| (0.0..=1.0).contains(&health.active) && health.negative >= 0.0)
    );
}

#[test]
fn a_model_comes_back_from_the_disk_as_it_was() {
    let _rng = torch_rng(1);
    let corpus = corpus();
    let model = new_encoder(&corpus.strings, tiny(), Device::Cpu, 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::new(Template::standard(), vec![("merchant".into(), "who".into())]);
    let name = save(folder.path(), &model, &settings).unwrap();
    let (again, found, found_name) = open(folder.path(), Device::Cpu).unwrap();
    assert_eq!((found, found_name), (settings, name));
    let strings = ["merchant rail 5", "", "memo ???"];
    assert_eq!(encode(&model, &strings).unwrap(), encode(&again, &strings).unwrap());
    // Width, length and padding: each string alone gives what the batch gives.
    let together = encode(&again, &strings).unwrap();
    for (i, string) in strings.iter().enumerate() {
        let alone = encode(&again, &[string]).unwrap();
        assert!(alone.iter().zip(&together[i * 16..]).all(|(a, b)| (a - b).abs() < 1e-6));
    }
    std::fs::write(folder.path().join("transactions.json"), "{}").unwrap();
    let error = open(folder.path(), Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("transactions.json") && error.contains("`transactions train` wrote"), "{error}");
}
