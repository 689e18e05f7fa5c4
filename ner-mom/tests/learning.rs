//! Training learns, repeats bit by bit, and padding or batching changes no prediction.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use common::formats::conll::{self, ConllOptions};
use common::formats::{Sentence, Span};
use common::nn::bert;
use common::nn::checkpoint::{self, named};
use common::testing::torch_rng;
use ner_mom::config::{HeadKind, TrainConfig};
use ner_mom::model::Model;
use ner_mom::train::{Checkpoints, History, Progress, TrainError, micro_f1, train};
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
    let mut model = Model::new(config, &sentences, 7, Device::Cpu).unwrap();
    train(&mut model, &sentences, &sentences, 7, &Checkpoints::default(), |_| true).unwrap();
    model
}

#[test]
fn every_loss_memorises_eight_sentences() {
    let _rng = torch_rng(0);
    for loss in ["ce", "mom:ce:0.5", "wce1", "wce2:0.5", "focal:2", "dice:set_level"] {
        let f1 = micro_f1(&trained(config(loss)), &toy()).unwrap();
        assert!(f1 > 0.99, "{loss}: {f1}");
    }
}

#[test]
fn a_crf_and_queries_memorise_eight_sentences_under_every_kind_of_loss() {
    let _rng = torch_rng(0);
    for head in [HeadKind::Crf, HeadKind::Mrc] {
        for loss in ["ce", "mom:ce:0.5", "wce1", "focal:2", "mom:focal:2:0.5"] {
            let f1 = micro_f1(&trained(TrainConfig { head, ..config(loss) }), &toy()).unwrap();
            assert!(f1 > 0.99, "{head:?} {loss}: {f1}");
        }
    }
}

#[test]
fn saved_heads_predict_as_before_and_alike_alone_and_in_a_batch() {
    let _rng = torch_rng(0);
    for head in [HeadKind::Crf, HeadKind::Mrc] {
        let model = trained(TrainConfig { head, epochs: 8, ..config("ce") });
        let folder = tempfile::tempdir().unwrap();
        model.save(folder.path()).unwrap();
        let loaded = Model::load(folder.path(), Device::Cpu).unwrap();
        let together = model.predict(&toy()).unwrap();
        assert_eq!(loaded.predict(&toy()).unwrap(), together);
        for (sentence, expected) in toy().iter().zip(&together) {
            assert_eq!(&model.predict(std::slice::from_ref(sentence)).unwrap()[0], expected);
        }
        assert_eq!(model.predict(&[Sentence::default()]).unwrap(), [vec![]]);
    }
}

/// Trains for four epochs, stopped and resumed in a new process's state after each number of `stops` steps.
fn with_stops(stops: &[usize], head: HeadKind) -> (Model, History) {
    let config = TrainConfig { epochs: 4, head, unknown_rate: 0.5, dropout: 0.3, ..config("mom:ce:0.5") };
    let folder = tempfile::tempdir().unwrap();
    let sentences = toy();
    for (nth, stop) in stops.iter().chain([&usize::MAX]).enumerate() {
        let mut model = Model::new(config.clone(), &sentences, 7, Device::Cpu).unwrap();
        let checkpoints = Checkpoints { folder: Some(folder.path().to_owned()), resume: nth > 0 };
        let observe =
            |progress: Progress<'_>| !matches!(progress, Progress::Step { step, .. } if step == *stop);
        let history = train(&mut model, &sentences, &sentences, 7, &checkpoints, observe).unwrap();
        assert_eq!(history.stopped, *stop != usize::MAX);
        if !history.stopped {
            return (model, history);
        }
    }
    unreachable!("the last part is not stopped")
}

#[test]
fn a_run_that_was_stopped_and_resumed_gives_the_same_bits() {
    let _rng = torch_rng(0);
    tch::set_num_threads(1);
    for (head, steps_per_epoch) in [(HeadKind::Softmax, 2), (HeadKind::Mrc, 4)] {
        let (whole, history) = with_stops(&[], head);
        assert_eq!(history.steps, 4 * steps_per_epoch);
        // Within the first epoch, at the border of two epochs, and just before the end.
        for stops in [vec![1], vec![steps_per_epoch], vec![1, steps_per_epoch + 1, history.steps - 1]] {
            let (resumed, again) = with_stops(&stops, head);
            assert_eq!(again.epochs, history.epochs, "{stops:?}");
            for ((name, one), (_, two)) in named(&whole.store).into_iter().zip(named(&resumed.store)) {
                assert_eq!(one, two, "{name} after {stops:?}");
            }
        }
    }
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let _rng = torch_rng(0);
    let folder = tempfile::tempdir().unwrap();
    let sentences = toy();
    let run = |loss: &str, seed: u64, resume: bool| {
        let mut model = Model::new(config(loss), &sentences, 7, Device::Cpu).unwrap();
        let checkpoints = Checkpoints { folder: Some(folder.path().to_owned()), resume };
        train(&mut model, &sentences, &sentences, seed, &checkpoints, |_| false)
    };
    run("ce", 7, false).unwrap();
    let other = run("focal:2", 7, true).unwrap_err().to_string();
    assert!(other.ends_with("another configuration than this run; train anew without --resume"), "{other}");
    let other = run("ce", 8, true).unwrap_err().to_string();
    assert!(other.contains("another seed"), "{other}");
    let mut files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let tensors = files.find(|path| path.extension().is_some_and(|e| e == "safetensors")).unwrap();
    let bytes = std::fs::read(&tensors).unwrap();
    std::fs::write(&tensors, &bytes[..bytes.len() / 2]).unwrap();
    let cut = run("ce", 7, true).unwrap_err().to_string();
    assert!(cut.contains("not a whole safetensors file"), "{cut}");
}

#[test]
fn the_transformer_memorises_eight_sentences() {
    let _rng = torch_rng(0);
    let encoder = TrainConfig::transformer("ce".parse().unwrap()).encoder;
    let f1 =
        micro_f1(&trained(TrainConfig { encoder, learning_rate: 3e-3, ..config("ce") }), &toy()).unwrap();
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
    assert_eq!(loaded.predict(&toy()).unwrap(), model.predict(&toy()).unwrap());
}

#[test]
fn sentences_are_tagged_the_same_alone_and_in_a_batch() {
    let _rng = torch_rng(0);
    let model = trained(TrainConfig { epochs: 8, ..config("ce") });
    let alone: Vec<Vec<Span>> =
        toy().iter().flat_map(|sentence| model.predict(std::slice::from_ref(sentence)).unwrap()).collect();
    assert_eq!(alone, model.predict(&toy()).unwrap());
}

#[test]
fn words_and_characters_never_seen_are_tagged_too() {
    let _rng = torch_rng(0);
    let model = trained(TrainConfig { epochs: 2, ..config("ce") });
    let strange =
        Sentence { words: vec!["雪".into(), String::new(), "x".repeat(10_000)], ..Sentence::default() };
    assert_eq!(model.predict(&[strange, Sentence::default()]).unwrap().len(), 2);
}

#[test]
fn nothing_to_learn_from_is_an_error() {
    let _rng = torch_rng(0);
    let sentences = toy();
    let mut model = Model::new(config("ce"), &sentences, 7, Device::Cpu).unwrap();
    let error = train(&mut model, &[], &sentences, 7, &Checkpoints::default(), |_| true).unwrap_err();
    assert!(matches!(error, TrainError::Empty("training")), "{error}");
}

#[test]
fn divergence_is_told_at_its_step() {
    let _rng = torch_rng(0);
    let sentences = toy();
    let mut model =
        Model::new(TrainConfig { learning_rate: 1e30, ..config("ce") }, &sentences, 7, Device::Cpu).unwrap();
    let once = Checkpoints::default();
    let error = train(&mut model, &sentences, &sentences, 7, &once, |_| true).unwrap_err().to_string();
    assert!(error.contains("epoch 1, step") && error.ends_with("lower the learning rate"), "{error}");
}

/// A Hugging Face directory with a small BERT of random weights whose vocabulary has the letters.
fn bert_directory(folder: &std::path::Path, positions: i64) {
    let letters = ('a'..='z').flat_map(|c| [c.to_string(), format!("##{c}")]);
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(str::to_owned);
    let vocabulary: Vec<String> = special.into_iter().chain(letters).collect();
    std::fs::write(folder.join("vocab.txt"), vocabulary.join("\n")).unwrap();
    let config = bert::Config::new(vocabulary.len() as i64, 32, 2, 2);
    let config = bert::Config { max_position_embeddings: positions, ..config };
    config.write(&folder.join("config.json")).unwrap();
    let store = tch::nn::VarStore::new(Device::Cpu);
    let _encoder = bert::Bert::new(&(store.root() / "bert"), &config);
    checkpoint::save(&named(&store), &folder.join("model.safetensors")).unwrap();
}

#[test]
fn a_bert_directory_is_fine_tuned_under_each_head_and_saved_with_its_tokenizer() {
    let _rng = torch_rng(1);
    let folder = tempfile::tempdir().unwrap();
    bert_directory(folder.path(), 64);
    for head in [HeadKind::Softmax, HeadKind::Crf, HeadKind::Mrc] {
        let recipe = TrainConfig::bert(bert::Config::new(1, 1, 1, 1), "mom:ce:0.5".parse().unwrap());
        let config =
            TrainConfig { head, epochs: 60, batch_sentences: 4, learning_rate: 3e-3, dropout: 0.0, ..recipe };
        let sentences = toy();
        let mut model = Model::pretrained(config, folder.path(), &sentences, 7, Device::Cpu).unwrap();
        train(&mut model, &sentences, &sentences, 7, &Checkpoints::default(), |_| true).unwrap();
        let f1 = micro_f1(&model, &sentences).unwrap();
        assert!(f1 > 0.9, "{head:?}: {f1}");
        let saved = tempfile::tempdir().unwrap();
        model.save(saved.path()).unwrap();
        let loaded = Model::load(saved.path(), Device::Cpu).unwrap();
        assert_eq!(loaded.predict(&sentences).unwrap(), model.predict(&sentences).unwrap());
    }
}

#[test]
fn a_sentence_of_more_pieces_than_positions_is_named() {
    let _rng = torch_rng(1);
    let folder = tempfile::tempdir().unwrap();
    bert_directory(folder.path(), 12);
    let recipe = TrainConfig::bert(bert::Config::new(1, 1, 1, 1), "ce".parse().unwrap());
    let model = Model::pretrained(recipe, folder.path(), &toy(), 7, Device::Cpu).unwrap();
    let long = Sentence { words: vec!["abcdefghijk".to_owned()], ..Sentence::default() };
    let error = model.predict(&[Sentence::default(), long]).unwrap_err().to_string();
    assert_eq!(error, "sentence 2 has 11 word pieces, the encoder takes 10: split it into shorter ones");
}
