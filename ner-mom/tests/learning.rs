//! Training learns, repeats bit by bit, and padding or batching changes no prediction.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use common::formats::conll::{self, ConllOptions};
use common::formats::{Sentence, Span};
use common::nn::checkpoint::named;
use common::testing::torch_rng;
use ner_mom::config::TrainConfig;
use ner_mom::model::Model;
use ner_mom::train::{TrainError, micro_f1, train};
use tch::Device;

/// Eight sentences with two entity types.
fn toy() -> Vec<Sentence> {
    let text = "Ann B-PER\nlives O\nin O\nOslo B-LOC\n\nBob B-PER\nLee I-PER\nsleeps O\n\nRome B-LOC\nis O\nold O\n\n\
                we O\nmet O\nCarl B-PER\n\nDora B-PER\nleft O\nNew B-LOC\nYork I-LOC\n\nit O\nrains O\n\n\
                Eve B-PER\nlikes O\nPisa B-LOC\nand O\nBonn B-LOC\n\nnothing O\nhere O\n\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.conll");
    std::fs::write(&path, text).unwrap();
    conll::read(&path, &ConllOptions::default()).unwrap().sentences
}

fn config(loss: &str) -> TrainConfig {
    let plain = TrainConfig::bilstm(loss.parse().unwrap());
    TrainConfig {
        epochs: 60,
        batch_sentences: 4,
        learning_rate: 1e-2,
        dropout: 0.1,
        unknown_rate: 0.0,
        ..plain
    }
}

fn trained(config: TrainConfig) -> Model {
    let sentences = toy();
    let mut model = Model::new(config, &sentences, 7, Device::Cpu);
    train(&mut model, &sentences, &sentences, 7, |_| true).unwrap();
    model
}

#[test]
fn every_loss_memorises_eight_sentences() {
    let _rng = torch_rng(0);
    for loss in ["ce", "mom:ce:0.5", "wce1", "wce2:0.5", "focal:2", "dice:set_level"] {
        let f1 = micro_f1(&trained(config(loss)), &toy());
        assert!(f1 > 0.99, "{loss}: {f1}");
    }
}

#[test]
fn the_transformer_memorises_eight_sentences() {
    let _rng = torch_rng(0);
    let encoder = TrainConfig::transformer("ce".parse().unwrap()).encoder;
    let f1 = micro_f1(&trained(TrainConfig { encoder, learning_rate: 3e-3, ..config("ce") }), &toy());
    assert!(f1 > 0.99, "{f1}");
}

#[test]
fn equal_seeds_give_equal_bits() {
    let _rng = torch_rng(0);
    tch::set_num_threads(1);
    let weights = || named(&trained(TrainConfig { epochs: 5, ..config("mom:ce:0.5") }).store);
    for ((name, one), (_, two)) in weights().into_iter().zip(weights()) {
        assert_eq!(one, two, "{name}");
    }
}

#[test]
fn a_saved_model_predicts_as_before() {
    let _rng = torch_rng(0);
    let model = trained(TrainConfig { epochs: 8, ..config("ce") });
    let folder = tempfile::tempdir().unwrap();
    model.save(folder.path()).unwrap();
    let loaded = Model::load(folder.path(), Device::Cpu).unwrap();
    assert_eq!(loaded.predict(&toy()), model.predict(&toy()));
}

#[test]
fn sentences_are_tagged_the_same_alone_and_in_a_batch() {
    let _rng = torch_rng(0);
    let model = trained(TrainConfig { epochs: 8, ..config("ce") });
    let alone: Vec<Vec<Span>> =
        toy().iter().flat_map(|sentence| model.predict(std::slice::from_ref(sentence))).collect();
    assert_eq!(alone, model.predict(&toy()));
}

#[test]
fn words_and_characters_never_seen_are_tagged_too() {
    let _rng = torch_rng(0);
    let model = trained(TrainConfig { epochs: 2, ..config("ce") });
    let strange =
        Sentence { words: vec!["雪".into(), String::new(), "x".repeat(10_000)], ..Sentence::default() };
    assert_eq!(model.predict(&[strange, Sentence::default()]).len(), 2);
}

#[test]
fn nothing_to_learn_from_is_an_error() {
    let _rng = torch_rng(0);
    let sentences = toy();
    let mut model = Model::new(config("ce"), &sentences, 7, Device::Cpu);
    let error = train(&mut model, &[], &sentences, 7, |_| true).unwrap_err();
    assert!(matches!(error, TrainError::Empty("training")), "{error}");
}

#[test]
fn divergence_is_told_at_its_step() {
    let _rng = torch_rng(0);
    let sentences = toy();
    let mut model =
        Model::new(TrainConfig { learning_rate: 1e30, ..config("ce") }, &sentences, 7, Device::Cpu);
    let error = train(&mut model, &sentences, &sentences, 7, |_| true).unwrap_err().to_string();
    assert!(error.contains("epoch 1, step") && error.ends_with("lower the learning rate"), "{error}");
}
