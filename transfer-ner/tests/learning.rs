//! Training learns by every method, repeats bit by bit, goes on after a stop, and says when it diverges.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod toy;

use common::nn::checkpoint::named;
use common::testing::torch_rng;
use tch::Device;
use toy::{model, source, target};
use transfer_ner::config::{Config, Method, NetworkConfig, Part, Schedule, Transfer};
use transfer_ner::model::Model;
use transfer_ner::train::{Checkpoints, Data, Progress, TrainError, Trained, micro_f1, train};

fn config(method: Method) -> Config {
    let config = Config::small(method);
    let schedule = Schedule {
        updates: 120,
        source_updates: 60,
        rounds: 6,
        batch_sentences: 4,
        learning_rate: 1e-2,
        ..config.schedule
    };
    let network =
        NetworkConfig { dropout_output: 0.1, dropout_input: 0.0, unknown_rate: 0.0, ..config.network };
    let adversarial = match method {
        Method::DatnetF | Method::DatnetP => "sentence:0.5".parse().unwrap(),
        _ => config.adversarial,
    };
    Config { schedule, network, adversarial, ..config }
}

fn run(model: &Model, seed: u64, checkpoints: &Checkpoints, stop: usize) -> Result<Trained, TrainError> {
    let (source, target) = (source(), target());
    let data = Data { source: &source, target: &target, dev: &target, watched: &source };
    let mut steps = 0;
    train(model, data, seed, checkpoints, |progress| {
        steps += usize::from(matches!(progress, Progress::Step { .. }));
        steps != stop
    })
}

#[test]
fn every_method_memorises_the_target() {
    let _rng = torch_rng(0);
    for (method, name) in Method::ALL {
        let mut config = config(method);
        if method == Method::Adapt {
            // Embeddings of the target's words are only learned when they are not frozen.
            config.transfer = Transfer { frozen: vec![Part::Hidden], ..config.transfer };
        }
        let model = model(config);
        let trained = run(&model, 7, &Checkpoints::default(), usize::MAX).unwrap();
        let f1 = micro_f1(&target(), &model.predict(&target()).unwrap());
        assert!(f1 > 0.9, "{name}: {f1}");
        assert_eq!(trained.watched.len(), 6, "{name}");
        assert_eq!(trained.source_history.is_some(), matches!(method, Method::Init | Method::Adapt));
    }
}

#[test]
fn equal_seeds_give_equal_bits_stopped_or_not() {
    let _rng = torch_rng(0);
    tch::set_num_threads(1);
    for method in [Method::DatnetP, Method::Init] {
        let whole = model(config(method));
        run(&whole, 7, &Checkpoints::default(), usize::MAX).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (nth, stop) in [13, 31, usize::MAX].into_iter().enumerate() {
            let part = model(config(method));
            let checkpoints = Checkpoints { folder: Some(folder.path().to_owned()), resume: nth > 0 };
            let trained = run(&part, 7, &checkpoints, stop).unwrap();
            assert_eq!(trained.history.stopped, stop != usize::MAX);
            if trained.history.stopped {
                continue;
            }
            for ((name, one), (_, two)) in named(&whole.store).into_iter().zip(named(&part.store)) {
                assert_eq!(one, two, "{name} of {method}");
            }
        }
    }
}

#[test]
fn frozen_parts_stay_as_the_source_left_them_and_fresh_ones_do_not_come_from_it() {
    let _rng = torch_rng(0);
    let variable = |model: &Model, name: &str| model.store.variables().remove(name).unwrap().copy();
    let with = |transfer: Transfer, updates: usize| {
        let config = config(Method::Init);
        let schedule = Schedule { updates, rounds: 1, ..config.schedule };
        let model = model(Config { transfer, schedule, ..config });
        run(&model, 7, &Checkpoints::default(), usize::MAX).unwrap();
        model
    };
    let hidden = "shared.lstm.weight_ih_l0";
    let frozen = Transfer { frozen: vec![Part::Hidden], fresh: vec![], map_words: false };
    let (short, long) = (with(frozen.clone(), 1), with(frozen, 20));
    assert_eq!(variable(&short, hidden), variable(&long, hidden));
    assert_ne!(variable(&short, "characters.embedding"), variable(&long, "characters.embedding"));
    let fresh = Transfer { fresh: vec![Part::Hidden, Part::Output], frozen: vec![], map_words: false };
    let one = with(fresh, 1);
    let distance = (variable(&one, hidden) - variable(&short, hidden)).abs().max().double_value(&[]);
    assert!(distance > 0.05, "{distance}");
}

#[test]
fn divergence_is_told_at_its_step_with_its_cause() {
    let _rng = torch_rng(0);
    let config = config(Method::DatnetF);
    let schedule = Schedule { learning_rate: 1e30, ..config.schedule };
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints { folder: Some(folder.path().to_owned()), resume: false };
    let error =
        run(&model(Config { schedule, ..config }), 7, &checkpoints, usize::MAX).unwrap_err().to_string();
    assert!(error.starts_with("epoch 1, step 1: "), "{error}");
    assert!(error.contains("diverged; lower the learning rate"), "{error}");
}

#[test]
fn a_divergence_keeps_the_last_checkpoint() {
    let _rng = torch_rng(0);
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints { folder: Some(folder.path().to_owned()), resume: false };
    run(&model(config(Method::DatnetF)), 7, &checkpoints, 50).unwrap();
    let before = std::fs::read(folder.path().join("last.json")).unwrap();
    // The run goes on from weights that somebody spoiled on the way.
    let spoiled = model(config(Method::DatnetF));
    let (source, target) = (source(), target());
    let data = Data { source: &source, target: &target, dev: &target, watched: &[] };
    let resume = Checkpoints { resume: true, ..checkpoints };
    let error = train(&spoiled, data, 7, &resume, |_| {
        let _guard = tch::no_grad_guard();
        let _ = spoiled.store.variables().remove("target.output.bias").unwrap().fill_(f64::NAN);
        true
    })
    .unwrap_err()
    .to_string();
    assert!(error.contains("the tagger's loss is NaN"), "{error}");
    assert_eq!(std::fs::read(folder.path().join("last.json")).unwrap(), before);
}

#[test]
fn a_saved_model_predicts_as_before() {
    let _rng = torch_rng(0);
    for method in [Method::DatnetP, Method::Adapt, Method::Cheap] {
        let model = model(config(method));
        run(&model, 7, &Checkpoints::default(), usize::MAX).unwrap();
        let folder = tempfile::tempdir().unwrap();
        model.save(folder.path()).unwrap();
        let loaded = Model::load(folder.path(), Device::Cpu).unwrap();
        assert_eq!(loaded.predict(&source()).unwrap(), model.predict(&source()).unwrap());
    }
}

#[test]
fn missing_sentences_and_different_types_are_errors() {
    let _rng = torch_rng(0);
    let (source, target) = (source(), target());
    let fails = |method: Method, data: Data<'_>| {
        train(&model(config(method)), data, 7, &Checkpoints::default(), |_| true).unwrap_err().to_string()
    };
    let data = Data { source: &source, target: &target, dev: &target, watched: &[] };
    let error = fails(Method::DatnetF, Data { target: &[], ..data });
    assert_eq!(
        error,
        "no target sentences; only direct, cheap and align work without any; give some with --target"
    );
    let error = fails(Method::Mult, Data { source: &[], ..data });
    assert!(error.starts_with("no source sentences; this method transfers"), "{error}");
    let error = fails(Method::Base, Data { dev: &[], ..data });
    assert!(error.starts_with("no development sentences"), "{error}");
    let mut other = target.clone();
    other.iter_mut().flat_map(|s| &mut s.spans).for_each(|span| span.label = "person".to_owned());
    let error = fails(Method::Cheap, Data { target: &other, ..data });
    assert!(error.contains("(LOC, PER against person)") && error.contains("--map"), "{error}");
}
