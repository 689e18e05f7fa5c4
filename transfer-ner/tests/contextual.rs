//! A BERT directory takes the place of word vectors in any method.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod toy;

use std::rc::Rc;

use common::nn::bert;
use common::nn::checkpoint::{self, named};
use common::testing::{max_difference, torch_rng};
use tch::Device;
use toy::{source, target};
use transfer_ner::config::{Config, Method, Schedule};
use transfer_ner::contextual::Contextual;
use transfer_ner::model::{Model, Training};
use transfer_ner::train::{Checkpoints, Data, micro_f1, train};

/// A Hugging Face directory with a small BERT of random weights whose vocabulary has the letters.
fn bert_directory(folder: &std::path::Path, positions: i64) {
    let letters = ('a'..='z').flat_map(|c| [c.to_string(), format!("##{c}")]);
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(str::to_owned);
    let vocabulary: Vec<String> = special.into_iter().chain(letters).collect();
    std::fs::write(folder.join("vocab.txt"), vocabulary.join("\n")).unwrap();
    let config = bert::Config::new(vocabulary.len() as i64, 32, 2, 2);
    bert::Config { max_position_embeddings: positions, ..config }.write(&folder.join("config.json")).unwrap();
    let store = tch::nn::VarStore::new(Device::Cpu);
    let config = bert::Config::read(&folder.join("config.json")).unwrap();
    let _encoder = bert::Bert::new(&(store.root() / "bert"), &config);
    checkpoint::save(&named(&store), &folder.join("model.safetensors")).unwrap();
}

#[test]
fn methods_learn_on_a_frozen_encoder_and_take_it_along() {
    let _rng = torch_rng(1);
    let folder = tempfile::tempdir().unwrap();
    bert_directory(folder.path(), 64);
    let encoder = Rc::new(Contextual::read(folder.path(), Device::Cpu).unwrap());
    let (source, target) = (source(), target());
    for method in [Method::Base, Method::DatnetP, Method::Init] {
        let config = Config::small(method);
        let schedule = Schedule {
            updates: 80,
            source_updates: 40,
            rounds: 4,
            batch_sentences: 4,
            learning_rate: 1e-2,
            ..config.schedule
        };
        let training = Training { source: &source, target: &target, encoder: Some(&encoder), vectors: None };
        let model = Model::new(Config { schedule, ..config }, training, 7, Device::Cpu).unwrap();
        let data = Data { source: &source, target: &target, dev: &target, watched: &[] };
        train(&model, data, 7, &Checkpoints::default(), |_| true).unwrap();
        let predicted = model.predict(&target).unwrap();
        let f1 = micro_f1(&target, &predicted);
        assert!(f1 > 0.6, "{method}: {f1}");
        let saved = tempfile::tempdir().unwrap();
        model.save(saved.path()).unwrap();
        assert_eq!(Model::load(saved.path(), Device::Cpu).unwrap().predict(&target).unwrap(), predicted);
    }
}

#[test]
fn a_word_is_read_the_same_alone_and_beside_other_sentences() {
    let _rng = torch_rng(1);
    let folder = tempfile::tempdir().unwrap();
    bert_directory(folder.path(), 64);
    let read = || Contextual::read(folder.path(), Device::Cpu).unwrap();
    let encoder = read();
    let together = encoder.features(&source()).unwrap();
    let remembering = read().remembering();
    for kept in [remembering.features(&source()).unwrap(), remembering.features(&source()).unwrap()] {
        assert_eq!(kept, together);
    }
    for (sentence, together) in source().iter().zip(&together) {
        let alone = &encoder.features(std::slice::from_ref(sentence)).unwrap()[0];
        assert_eq!(alone.size(), [sentence.words.len() as i64, 32]);
        assert!(max_difference(alone, together) < 1e-5); // f32 in another order of sums
    }
}

#[test]
fn a_sentence_of_more_pieces_than_positions_is_named() {
    let _rng = torch_rng(1);
    let folder = tempfile::tempdir().unwrap();
    bert_directory(folder.path(), 8);
    let encoder = Contextual::read(folder.path(), Device::Cpu).unwrap();
    let error = encoder.features(&target()).unwrap_err().to_string();
    assert!(error.starts_with("sentence ") && error.contains("the model has 8 positions"), "{error}");
}
