//! The language model: published loss, names, gradients, learning, saving.

use std::cell::RefCell;
use std::path::PathBuf;

use common::nn::checkpoint::named;
use common::testing::max_difference;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use super::data::ids;
use super::export::{Layout, Weights, tensors, to_halves, to_pairs, write_hugging_face};
use super::*;
use crate::bitnet::Ternary;
use crate::qat::{ActivationConfig, FakeQuantConfig, Granularity, RangeRule, StepRule, WeightConfig};

const TEXT: &[u8] = b"What light through yonder window breaks? It is the east, and Juliet is the sun. \
Arise, fair sun, and kill the envious moon, who is already sick and pale with grief, that thou her maid art far \
more fair than she: be not her maid, since she is envious; her vestal livery is but sick and green.";

fn tiny(projection: ProjectionKind) -> LmConfig {
    LmConfig { kv_heads: 1, heads: 2, context: 32, ..LmConfig::bytes(2, 32, projection) }
}

fn kinds() -> [ProjectionKind; 5] {
    let weights = WeightConfig::learned(4);
    let activations = Some(ActivationConfig { bits: 8, range: RangeRule::PerToken });
    [
        ProjectionKind::FullPrecision,
        ProjectionKind::Bitnet1(Bitnet1 { shifted_gate: true }),
        ProjectionKind::Bitnet1(Bitnet1 { shifted_gate: false }),
        ProjectionKind::BitnetB158,
        ProjectionKind::FakeQuant(FakeQuantConfig { weights, activations }),
    ]
}

fn eight() -> Vec<&'static [u8]> {
    windows(TEXT, 25, 24, 8).unwrap()
}

#[test]
fn every_kind_memorises_eight_sequences() {
    tch::set_num_threads(1);
    let config = TrainConfig {
        steps: 200,
        batch: 8,
        context: 24,
        learning_rate: 1e-2,
        warmup: 10,
        decay: Decay::Constant(0.0),
        ..TrainConfig::pilot()
    };
    let memorised = windows(&TEXT[..100], 25, 10, 8).unwrap();
    for kind in kinds() {
        let model = Model::new(&tiny(kind), 1).unwrap();
        let before = evaluate(&model, &memorised).unwrap().nats_per_byte;
        let history = train(&model, &TEXT[..100], &config, 1, |_, _| true).unwrap();
        let after = evaluate(&model, &memorised).unwrap().nats_per_byte;
        assert!(
            before > 4.0 && after < 1.5,
            "{kind:?}: {before} to {after}, training {}",
            history.last_loss()
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_does_not() {
    let config = TrainConfig { steps: 4, batch: 2, context: 16, warmup: 1, ..TrainConfig::pilot() };
    let run = |seed| {
        let model = Model::new(&LmConfig { dropout: 0.1, ..tiny(ProjectionKind::BitnetB158) }, seed).unwrap();
        train(&model, TEXT, &config, seed, |_, _| true).unwrap().losses
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_later_byte_changes_no_earlier_prediction() {
    for kind in kinds() {
        let model = Model::new(&tiny(kind), 3).unwrap();
        let logits = |text: &[u8]| model.forward(&ids(&[text]), Mode::Evaluate).narrow(1, 0, 3);
        assert_eq!(max_difference(&logits(b"abcd"), &logits(b"abcz")), 0.0, "{kind:?}");
    }
}

#[test]
fn all_norm_positions_run_and_carry_their_names() {
    let extra = |position| {
        let config = LmConfig { norm_position: position, ..tiny(ProjectionKind::BitnetB158) };
        let model = Model::new(&config, 1).unwrap();
        assert!(evaluate(&model, &eight()).unwrap().nats_per_byte.is_finite());
        let names = named(model.store()).into_iter().map(|(name, _)| name);
        let norms =
            names.filter(|name| name.starts_with("model.layers.0.") && !name.ends_with("_proj.weight"));
        norms.map(|name| name.trim_start_matches("model.layers.0.").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(extra(NormPosition::Block), ["input_layernorm.weight", "post_attention_layernorm.weight"]);
    assert!(extra(NormPosition::Inside).is_empty());
    let sub_norms = extra(NormPosition::SubNorms);
    assert_eq!(sub_norms[1..3], ["mlp.ffn_sub_norm.weight", "post_attention_layernorm.weight"]);
    assert_eq!(extra(NormPosition::EachProjection).len(), 7);
}

#[test]
fn export_holds_the_names_of_a_llama_and_reading_it_back_changes_nothing() {
    let model = Model::new(&tiny(ProjectionKind::FullPrecision), 5).unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_hugging_face(&model, folder.path(), Weights::Latent).unwrap();
    let read = load_hugging_face(folder.path()).unwrap();
    assert_eq!(read.config(), &LmConfig { ..*model.config() });
    for ((name, ours), (_, theirs)) in named(model.store()).into_iter().zip(named(read.store())) {
        assert_eq!(max_difference(&ours, &theirs), 0.0, "{name}");
    }
    let gguf: Vec<String> =
        tensors(&model, Layout::Gguf, Weights::Latent).unwrap().into_iter().map(|t| t.name).collect();
    assert_eq!(gguf.len(), 2 + 9 * 2);
    assert_eq!(gguf[..2], ["blk.0.attn_k.weight", "blk.0.attn_norm.weight"]);
    assert!(gguf.contains(&"token_embd.weight".to_owned()) && gguf.iter().all(|n| !n.contains("__")));
}

#[test]
fn halves_and_pairs_are_inverse_orders() {
    let rows = Tensor::arange(16, (Kind::Float, tch::Device::Cpu)).view([8, 2]);
    let halves = to_halves(&rows, 2);
    let first: Vec<f32> = Vec::try_from(halves.select(1, 0)).unwrap();
    assert_eq!(first, [0.0, 4.0, 2.0, 6.0, 8.0, 12.0, 10.0, 14.0]);
    assert_eq!(to_pairs(&halves, 2), rows);
}

#[test]
fn a_deployed_export_holds_the_ternary_weights_and_unit_norms() {
    let model = Model::new(&tiny(ProjectionKind::BitnetB158), 6).unwrap();
    let exported = tensors(&model, Layout::Gguf, Weights::Deployed).unwrap();
    let find = |name: &str| &exported.iter().find(|t| t.name == name).unwrap().values;
    let (_, down) = model.projections().find(|(name, _)| name.ends_with("layers.1.mlp.down_proj")).unwrap();
    assert_eq!(*find("blk.1.ffn_down.weight"), Ternary::absmean(down.latent()).values());
    assert!(find("blk.1.ffn_sub_norm.weight").iter().all(|&gain| gain == 1.0));
    let each = LmConfig { norm_position: NormPosition::EachProjection, ..*model.config() };
    let refused = tensors(&Model::new(&each, 0).unwrap(), Layout::Gguf, Weights::Latent);
    assert!(matches!(refused, Err(LmError::NoExport)));
}

#[test]
fn ternarising_afterwards_keeps_three_values_per_matrix() {
    let model = Model::new(&tiny(ProjectionKind::FullPrecision), 7).unwrap();
    let ternary = model.ternarised().unwrap();
    for (name, projection) in ternary.projections() {
        let mut values = Vec::<f32>::try_from(projection.latent().flatten(0, -1)).unwrap();
        values.sort_by(f32::total_cmp);
        values.dedup();
        assert!(values.len() <= 4, "{name}: {values:?}"); // −γ, −0, 0, γ
    }
}

#[test]
fn a_model_saves_and_loads_its_learned_steps() {
    let weights = WeightConfig { granularity: Granularity::Group(16), ..WeightConfig::learned(3) };
    let config = tiny(ProjectionKind::FakeQuant(FakeQuantConfig { weights, activations: None }));
    let settings = TrainConfig { steps: 3, batch: 2, context: 16, warmup: 1, ..TrainConfig::pilot() };
    let model = Model::new(&config, 8).unwrap();
    train(&model, TEXT, &settings, 8, |_, _| true).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    model.save(&path).unwrap();
    let other = Model::new(&config, 9).unwrap();
    other.load(&path).unwrap();
    assert_eq!(evaluate(&model, &eight()).unwrap(), evaluate(&other, &eight()).unwrap());
}

#[test]
fn searched_steps_quantize_a_model_as_it_is_and_deploy_to_the_same_loss() {
    let full = Model::new(&tiny(ProjectionKind::FullPrecision), 10).unwrap();
    let weights = WeightConfig { step: StepRule::Searched, ..WeightConfig::learned(4) };
    let quantized = LmConfig {
        projection: ProjectionKind::FakeQuant(FakeQuantConfig { weights, activations: None }),
        ..*full.config()
    };
    let fake = full.converted(&quantized).unwrap();
    let deployed = fake.with_deployed_weights().unwrap();
    let [full, fake, deployed] =
        [&full, &fake, &deployed].map(|m| evaluate(m, &eight()).unwrap().nats_per_byte);
    assert!((fake - deployed).abs() < 1e-6 && full != fake, "{full} {fake} {deployed}");
}

#[test]
fn dropout_keeps_the_mean_and_evaluation_drops_nothing() {
    let rng = RefCell::new(ChaCha8Rng::seed_from_u64(1));
    let x = Tensor::ones([40_000], (Kind::Float, tch::Device::Cpu));
    let dropped = Mode::Train(&rng).dropout(x.shallow_clone(), 0.25);
    assert!((dropped.mean(Kind::Double).double_value(&[]) - 1.0).abs() < 0.02);
    assert_eq!(Mode::Evaluate.dropout(x.shallow_clone(), 0.25), x);
}

#[test]
fn schedules_rise_fall_and_switch() {
    let cosine = TrainConfig { steps: 100, warmup: 10, learning_rate: 1.0, ..TrainConfig::pilot() };
    assert_eq!([cosine.rate(0), cosine.rate(9), cosine.rate(10)], [0.1, 1.0, 1.0]);
    assert!((cosine.rate(55) - 0.55).abs() < 1e-12);
    let schedule = Schedule::TwoStage { first_end: 0.5, second: 0.3 };
    let stages = TrainConfig { warmup: 0, schedule, decay: Decay::FirstHalf(0.1), ..cosine };
    assert_eq!([stages.rate(0), stages.rate(25), stages.rate(50)], [1.0, 0.75, 0.3]);
    assert_eq!([stages.decay_at(49), stages.decay_at(50)], [0.1, 0.0]);
}

#[test]
fn impossible_settings_are_named() {
    let base = tiny(ProjectionKind::FullPrecision);
    let message = |config: LmConfig| Model::new(&config, 0).unwrap_err().to_string();
    assert_eq!(
        message(LmConfig { kv_heads: 3, ..base }),
        "configuration: `kv_heads` is 3; expected a divisor of `heads`"
    );
    let model = Model::new(&base, 0).unwrap();
    let long = TrainConfig { context: 33, ..TrainConfig::pilot() };
    let error = train(&model, TEXT, &long, 0, |_, _| true).unwrap_err().to_string();
    assert_eq!(error, "configuration: `context` is 33; expected 1 to the model's `context`");
    let short = TrainConfig { context: 32, ..TrainConfig::pilot() };
    let error = train(&model, b"short", &short, 0, |_, _| true).unwrap_err().to_string();
    assert_eq!(error, "the text has 5 bytes, expected at least 33; use a longer one or shorter windows");
}

/// Difference of two f32 implementations of the same 3.2 M-parameter model, in nats per byte.
const SUMS: f64 = 1e-4;

#[test]
fn the_published_loss_of_shakespeare_llama_is_met() {
    let Some(root) = std::env::var_os("BENKYOKAI_DATA").map(PathBuf::from).filter(|root| root.is_dir())
    else {
        eprintln!("skipped: BENKYOKAI_DATA is not set");
        return;
    };
    let model = load_hugging_face(&root.join("shakespeare-llama-256")).unwrap();
    let corpus = Corpus::read(&root.join("tinyshakespeare/input.txt")).unwrap();
    let windows = windows(&corpus.held_out, 257, 256, 128).unwrap();
    let found = evaluate(&model, &windows).unwrap();
    assert_eq!((model.parameters(), found.bytes), (3_213_568, 32_768));
    assert!((found.nats_per_byte - 1.517_683).abs() < SUMS, "{}", found.nats_per_byte);
}
