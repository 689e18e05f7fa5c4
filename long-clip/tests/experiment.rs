//! Invariants of the arms, and runs that repeat.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use common::testing::torch_rng;
use long_clip::experiment::arm::{Arm, COMPONENTS, SWEPT, UNTRAINED, VARIANTS, arm};
use long_clip::experiment::data::StepData;
use long_clip::experiment::design::{Design, Job, Scale, Schedule, Sets, Work};
use long_clip::experiment::{Worker, learn};
use long_clip::model::Clip;
use long_clip::world::{ids, scenes};
use tch::{Device, Tensor};

/// A small scale: one step takes milliseconds.
fn scale() -> Scale {
    let Scale { mut model, world, .. } = Design::cpu().scale;
    (model.embed_dim, model.text.width, model.vision.width) = (32, 32, 32);
    (model.text.mlp_width, model.vision.mlp_width) = (64, 64);
    Scale {
        world,
        model,
        base: Schedule { steps: 6, batch: 12, learning_rate: 1e-3, weight_decay: 0.01 },
        tune: Schedule { steps: 4, batch: 12, learning_rate: 1e-3, weight_decay: 0.01 },
        components: 4,
        sets: Sets {
            random: 20,
            families: 4,
            members: 3,
            per_class: 1,
            lengths: vec![8, 20, 40, 248],
            looks: 1,
        },
    }
}

fn job(work: Work) -> Job {
    Job { seed: 5, tail: 0.3, work, test: true, scale: scale() }
}

fn new_model() -> Clip {
    tch::manual_seed(3);
    Clip::new(scale().model, Device::Cpu).unwrap()
}

fn data() -> Vec<StepData> {
    (0..scale().tune.steps).map(|step| scale().world.tune_step(12, 9, step)).collect()
}

/// An arm trained from the same base on the same data.
fn trained(base: &Clip, arm: &Arm) -> (Clip, Vec<Tensor>) {
    let mut model = learn::start(base, arm).unwrap();
    let mut tables = Vec::new();
    let tune = &scale().tune;
    learn::tune(&mut model, arm, tune, 48, &data(), |_, model| {
        tables.push(Tensor::cat(
            &[model.positions().to_tensor().flatten(0, -1), model.logit_scale.detach().view([1])],
            0,
        ));
        Ok(())
    })
    .unwrap();
    (model, tables)
}

fn same_weights(a: &Clip, b: &Clip) -> bool {
    let other = b.store.variables();
    a.store.variables().iter().all(|(name, tensor)| tensor.equal(&other[name]))
}

fn of(name: &str) -> Arm {
    arm(name, scale().components, scale().tune.batch as i64).unwrap()
}

#[test]
fn short_texts_have_the_same_features_bit_by_bit_after_knowledge_preserved_stretching() {
    let _guard = torch_rng(0);
    let base = new_model();
    let [preserved, plain] = ["A1", "A2"].map(|name| learn::start(&base, &of(name)).unwrap());
    let world = scale().world;
    let gallery = scenes(40, world.sizes, world.look, 70, 1, "short");
    let texts: Vec<Vec<i64>> =
        gallery.items.iter().flat_map(|item| [ids(&item.short, 248), ids(&item.long, 21)]).collect();
    assert!(texts.iter().any(|text| text.len() == 21) && texts.iter().all(|text| text.len() <= 21));
    let features = |model: &Clip| model.encode_text(&texts).unwrap();
    assert!(features(&base).equal(&features(&preserved)));
    assert!(!features(&base).equal(&features(&plain)));
}

#[test]
fn all_components_reproduce_plain_short_matching_step_for_step() {
    let _guard = torch_rng(0);
    let base = new_model();
    let (all, plain, fewer) =
        (trained(&base, &of("A9-all")), trained(&base, &of("A5")), trained(&base, &of("A7")));
    assert_eq!(all.1.len(), scale().tune.steps + 1);
    assert!(all.1.iter().zip(&plain.1).all(|(a, b)| a.equal(b)));
    assert!(same_weights(&all.0, &plain.0));
    assert!(!same_weights(&fewer.0, &plain.0));
}

#[test]
fn only_the_arms_that_say_so_train_the_first_positions() {
    let _guard = torch_rng(0);
    let base = new_model();
    for (name, kept) in [("A7", true), ("A4", true), ("A10", false), ("A3", false), ("A11", false)] {
        let model = trained(&base, &of(name)).0;
        let before = learn::start(&base, &of(name)).unwrap();
        let rows = |model: &Clip| (0..20).map(|row| model.positions().row(row).to_vec()).collect::<Vec<_>>();
        assert_eq!(rows(&model) == rows(&before), kept, "{name}");
        assert!(!same_weights(&model, &before), "{name}");
    }
}

#[test]
fn every_arm_is_a_different_model_and_has_a_rate_of_its_own_or_of_another() {
    let _guard = torch_rng(0);
    let base = new_model();
    let names: Vec<&str> = [&SWEPT[..], &VARIANTS[..], &COMPONENTS[..2]].concat();
    let models: Vec<Clip> = names.iter().map(|name| trained(&base, &of(name)).0).collect();
    for (at, model) in models.iter().enumerate() {
        let twin = (0..at)
            .find(|&other| model.config == models[other].config && same_weights(model, &models[other]));
        assert!(twin.is_none(), "{} is {}", names[at], names[twin.unwrap_or(0)]);
    }
    assert!(UNTRAINED.iter().all(|name| of(name).objective.is_none()));
    assert!(
        [&SWEPT[..], &VARIANTS[..], &COMPONENTS[..]]
            .concat()
            .iter()
            .all(|name| SWEPT.contains(&of(name).tuned_as))
    );
}

#[test]
fn a_job_repeats_bit_by_bit_whether_its_base_was_kept_or_not() {
    let _guard = torch_rng(0);
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let arm = job(Work::Arm { name: "A7".into(), learning_rate: 1e-3 });
    let run = |folder: &std::path::Path| Worker::new(folder.to_owned()).carry_out(&arm, Device::Cpu).unwrap();
    let (first, kept, fresh) = (run(one.path()), run(one.path()), run(two.path()));
    assert_eq!(first.measured, kept.measured);
    assert_eq!(first.text, fresh.text);
    let base = Worker::new(one.path().to_owned())
        .carry_out(&job(Work::Base { name: "A0".into() }), Device::Cpu)
        .unwrap();
    let of = |outcome: &common::outcome::Outcome, setting: &str| {
        outcome
            .measured
            .iter()
            .find(|m| m.setting == setting && m.metric == "share")
            .map(|m| m.values.clone())
    };
    let stretched = Worker::new(one.path().to_owned())
        .carry_out(&job(Work::Arm { name: "A1".into(), learning_rate: 0.0 }), Device::Cpu)
        .unwrap();
    for measure in ["short-t2i", "short-i2t", "zero-shot", "zero-shot-among"] {
        assert_eq!(of(&base, measure), of(&stretched, measure), "{measure}");
        assert!(of(&base, measure).is_some());
    }
    assert_eq!(of(&stretched, "drift-image").map(|drift| (drift[0] - 1.0).abs() < 1e-6), Some(true));
}

#[test]
fn every_preset_has_a_possible_model_a_principal_part_and_captions_that_fit() {
    for design in [Design::quick(), Design::cpu(), Design::full()] {
        let Scale { world, model, tune, components, .. } = &design.scale;
        assert_eq!(model.check(), Ok(()));
        assert!(!long_clip::pcm::is_identity(tune.batch as i64, model.embed_dim, 2 * components));
        assert_eq!(model.vision.image_px as usize, world.look.side_px);
        let similar = world.families(10, 5, 1, "test");
        assert!(similar.items.iter().all(|item| item.long.n_tokens() <= 248 && item.short.n_tokens() <= 21));
        let arms = design.compared(&design.candidates().iter().map(|_| ("A7".to_owned(), 1e-3)).collect());
        assert!(arms.len() >= design.seeds.len() * 6);
        assert!(design.tuning_seeds.iter().all(|seed| !design.seeds.contains(seed)));
    }
}
