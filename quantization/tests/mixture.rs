//! File types, rules, fall-backs and the search under a budget.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use quantization::ggml::GgmlType;
use quantization::gguf::File;
use quantization::mixture::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value as Json;

fn tensor(name: &str, dims: &[u64]) -> Tensor {
    Tensor { name: name.to_owned(), dims: dims.to_vec(), kind: GgmlType::F16 }
}

/// A Llama of `layers` layers, rows of `width`.
fn llama(layers: usize, width: u64, tied: bool) -> Vec<Tensor> {
    let mut tensors =
        vec![tensor("token_embd.weight", &[width, 1000]), tensor("output_norm.weight", &[width])];
    if !tied {
        tensors.push(tensor("output.weight", &[width, 1000]));
    }
    for layer in 0..layers {
        for role in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"] {
            tensors.push(tensor(&format!("blk.{layer}.{role}.weight"), &[width, width]));
        }
        tensors.push(tensor(&format!("blk.{layer}.attn_norm.weight"), &[width]));
    }
    tensors
}

fn facts(layers: usize) -> Facts {
    Facts { layers, heads: 8, kv_heads: 8, experts: 0, importance: false }
}

/// Types of one role, layer by layer; runs as `2xQ5_K Q4_K`.
fn kinds(file_type: FileType, facts: Facts, role: &str) -> String {
    let tensors = llama(facts.layers, 256, false);
    let assigned = assign(file_type, &facts, &tensors, &[]).unwrap();
    let mut runs: Vec<(usize, GgmlType)> = Vec::new();
    for (tensor, assignment) in tensors.iter().zip(assigned).filter(|(tensor, _)| tensor.name.contains(role))
    {
        assert_eq!(assignment.kind, assignment.wanted, "{}", tensor.name);
        match runs.last_mut() {
            Some((count, kind)) if *kind == assignment.kind => *count += 1,
            _ => runs.push((1, assignment.kind)),
        }
    }
    runs.iter().map(|(count, kind)| format!("{count}x{kind}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_table_of_exceptions_holds_for_32_layers() {
    // more(i, 32): 0–3, 6, 9, 12, 15, 18, 21, 24, 27, 28–31.
    let more =
        "4xQ6_K 2xD 1xQ6_K 2xD 1xQ6_K 2xD 1xQ6_K 2xD 1xQ6_K 2xD 1xQ6_K 2xD 1xQ6_K 2xD 1xQ6_K 2xD 5xQ6_K";
    let more = |default: &str| more.replace('D', default);
    use FileType::*;
    for (file_type, output, value, down, attention_output) in [
        (Q2_K, "1xQ6_K", "32xQ3_K".to_owned(), "32xQ3_K".to_owned(), "32xQ3_K"),
        (Q2_K_S, "1xQ6_K", "32xQ2_K".to_owned(), "4xQ4_K 28xQ2_K".to_owned(), "32xQ2_K"),
        (Q3_K_S, "1xQ6_K", "32xQ3_K".to_owned(), "32xQ3_K".to_owned(), "32xQ3_K"),
        (Q3_K_M, "1xQ6_K", "2xQ5_K 30xQ4_K".to_owned(), "2xQ5_K 30xQ4_K".to_owned(), "32xQ4_K"),
        (Q3_K_L, "1xQ6_K", "32xQ5_K".to_owned(), "32xQ5_K".to_owned(), "32xQ5_K"),
        (Q4_0, "1xQ6_K", "32xQ4_0".to_owned(), "32xQ4_0".to_owned(), "32xQ4_0"),
        (Q4_K_S, "1xQ6_K", "4xQ5_K 28xQ4_K".to_owned(), "4xQ5_K 28xQ4_K".to_owned(), "32xQ4_K"),
        (Q4_K_M, "1xQ6_K", more("Q4_K"), more("Q4_K"), "32xQ4_K"),
        (Q5_K_S, "1xQ6_K", "32xQ5_K".to_owned(), "32xQ5_K".to_owned(), "32xQ5_K"),
        (Q5_K_M, "1xQ6_K", more("Q5_K"), more("Q5_K"), "32xQ5_K"),
        (Q6_K, "1xQ6_K", "32xQ6_K".to_owned(), "32xQ6_K".to_owned(), "32xQ6_K"),
        (Q8_0, "1xQ8_0", "32xQ8_0".to_owned(), "32xQ8_0".to_owned(), "32xQ8_0"),
        (TQ2_0, "1xQ6_K", "32xTQ2_0".to_owned(), "32xTQ2_0".to_owned(), "32xTQ2_0"),
        (IQ4_XS, "1xQ6_K", "32xIQ4_XS".to_owned(), "4xQ5_K 28xIQ4_XS".to_owned(), "32xIQ4_XS"),
        (F16, "1xF16", "32xF16".to_owned(), "32xF16".to_owned(), "32xF16"),
    ] {
        assert_eq!(kinds(file_type, facts(32), "attn_v"), value, "{file_type} attn_v");
        assert_eq!(kinds(file_type, facts(32), "ffn_down"), down, "{file_type} ffn_down");
        let only = |role: &str| kinds(file_type, facts(32), role);
        assert_eq!(only("attn_output"), attention_output, "{file_type} attn_output");
        let tensors = llama(32, 256, false);
        let place = tensors.iter().position(|tensor| tensor.name == "output.weight").unwrap();
        let assigned = assign(file_type, &facts(32), &tensors, &[]).unwrap();
        assert_eq!(format!("1x{}", assigned[place].kind), output, "{file_type} output");
        assert_eq!(assigned[1].reason, Reason::Kept, "{file_type} output_norm");
    }
}

#[test]
fn shared_heads_and_importance_change_the_exceptions() {
    let grouped = Facts { kv_heads: 2, ..facts(4) };
    assert_eq!(kinds(FileType::Q2_K, grouped, "attn_v"), "4xQ4_K");
    assert_eq!(kinds(FileType::IQ4_NL, grouped, "attn_v"), "4xQ5_K");
    let weighted = Facts { importance: true, ..facts(8) };
    assert_eq!(kinds(FileType::Q4_0, weighted, "ffn_down"), "1xQ4_1 7xQ4_0");
    assert_eq!(kinds(FileType::Q5_0, weighted, "ffn_down"), "1xQ5_1 7xQ5_0");
    assert_eq!(kinds(FileType::IQ4_XS, weighted, "ffn_down"), "8xIQ4_XS");
    let seventy = Facts { kv_heads: 1, ..facts(80) };
    assert_eq!(kinds(FileType::Q3_K_S, seventy, "attn_v"), "80xQ5_K");
    let experts = Facts { experts: 8, ..facts(4) };
    assert_eq!(kinds(FileType::Q4_K_M, experts, "attn_v"), "4xQ8_0");
    assert_eq!(kinds(FileType::Q4_K_M, experts, "attn_k"), "4xQ8_0");
    assert_eq!(kinds(FileType::Q4_K_M, experts, "attn_output"), "4xQ5_K");
}

#[test]
fn tied_embeddings_take_the_type_of_the_output() {
    let first = |file_type, tied| assign(file_type, &facts(2), &llama(2, 256, tied), &[]).unwrap()[0].kind;
    assert_eq!(first(FileType::Q4_K_M, true), GgmlType::Q6_K);
    assert_eq!(first(FileType::Q4_K_M, false), GgmlType::Q4_K);
    assert_eq!(first(FileType::TQ1_0, false), GgmlType::Q4_K);
    assert_eq!(first(FileType::TQ1_0, true), GgmlType::Q6_K);
}

#[test]
fn narrow_rows_fall_back_to_smaller_blocks_and_then_to_f16() {
    use GgmlType::*;
    for (wanted, narrow) in [
        (Q2_K, Q4_0),
        (Q3_K, Q4_0),
        (TQ1_0, Q4_0),
        (TQ2_0, Q4_0),
        (Q4_K, Q5_0),
        (Q5_K, Q5_1),
        (Q6_K, Q8_0),
        (IQ4_XS, IQ4_NL),
    ] {
        assert_eq!(fall_back(wanted, 512), wanted);
        assert_eq!(fall_back(wanted, 96), narrow);
        assert_eq!(fall_back(wanted, 172), F16);
    }
    assert_eq!(fall_back(Q8_0, 172), F16);
    assert_eq!(fall_back(Q2_0, 32), Q4_0);
    // As reference.json of stories260K says: ffn_down F16, the tied embedding Q8_0.
    let mut tensors = llama(1, 64, true);
    tensors.push(tensor("blk.0.ffn_down_172.weight", &[172, 64]));
    let assigned = assign(FileType::Q4_K_M, &facts(1), &tensors, &[]).unwrap();
    assert_eq!((assigned[0].kind, assigned.last().unwrap().kind), (Q8_0, F16));
    assert_eq!((assigned[2].kind, assigned[2].wanted), (Q5_0, Q4_K));
}

#[test]
fn only_matrices_of_weights_are_quantized() {
    for (name, dims, expected) in [
        ("blk.0.attn_q.weight", &[64, 64][..], true),
        ("blk.0.ffn_up_exps.weight", &[64, 64, 8], true),
        ("blk.0.attn_q.bias", &[64, 64], false),
        ("blk.0.attn_norm.weight", &[64, 64], false),
        ("blk.0.attn_q.weight", &[64, 1], false),
        ("blk.0.ffn_gate_inp.weight", &[64, 8], false),
        ("position_embd.weight", &[64, 512], false),
        ("token_types.weight", &[64, 2], false),
        ("blk.0.ssm_conv1d.weight", &[4, 64], false),
    ] {
        assert_eq!(allows_quantization(name, dims), expected, "{name} {dims:?}");
    }
}

#[test]
fn the_first_rule_that_matches_wins_over_the_exceptions() {
    let rules = ["attn_v=Q8_0", "blk.0.*=F16", "*norm*=Q4_0"].map(|rule| rule.parse::<Rule>().unwrap());
    let tensors = llama(2, 256, true);
    let assigned = assign(FileType::Q4_K_M, &facts(2), &tensors, &rules).unwrap();
    let of = |name: &str| assigned[tensors.iter().position(|tensor| tensor.name == name).unwrap()];
    assert_eq!(
        (of("blk.0.attn_v.weight").kind, of("blk.0.attn_v.weight").reason),
        (GgmlType::Q8_0, Reason::Rule(0))
    );
    assert_eq!(of("blk.0.attn_q.weight").kind, GgmlType::F16);
    assert_eq!(of("blk.1.attn_q.weight").reason, Reason::Default);
    assert_eq!(of("blk.1.attn_norm.weight").reason, Reason::Kept);
}

#[test]
fn q2_k_s_needs_an_importance_matrix() {
    assert!(needs_importance(FileType::Q2_K_S, "blk.0.attn_q.weight", GgmlType::Q2_K));
    assert!(!needs_importance(FileType::Q2_K_S, "output.weight", GgmlType::Q2_K));
    assert!(!needs_importance(FileType::Q2_K, "blk.0.attn_q.weight", GgmlType::Q2_K));
}

/// Data folder, `None` (said on stderr) when there is none.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("BENKYOKAI_DATA").map(PathBuf::from).filter(|folder| folder.is_dir());
    if folder.is_none() {
        eprintln!("skipped: BENKYOKAI_DATA names no folder");
    }
    folder
}

#[test]
fn types_and_bytes_of_a_real_model_are_those_of_llama_cpp() {
    let Some(data) = data() else { return };
    let folder = data.join("shakespeare-llama-256");
    let file = File::open(folder.join("model-f16.gguf")).unwrap();
    let reference: Json =
        serde_json::from_slice(&std::fs::read(folder.join("reference.json")).unwrap()).unwrap();
    let tensors: Vec<_> = file
        .tensors()
        .iter()
        .map(|tensor| Tensor { name: tensor.name.clone(), dims: tensor.dims.clone(), kind: tensor.kind })
        .collect();
    let mut compared = 0;
    for (name, row) in reference.as_object().unwrap() {
        let Ok(file_type) = name.parse::<FileType>() else { continue };
        let assigned = assign(file_type, &facts(4), &tensors, &[]).unwrap();
        let (mut counts, mut bytes) = (BTreeMap::new(), 0);
        for (tensor, assignment) in tensors.iter().zip(assigned) {
            *counts.entry(assignment.kind.name()).or_insert(0_u64) += 1;
            bytes += assignment.kind.bytes(tensor.dims.iter().product::<u64>() as usize).unwrap() as u64;
        }
        assert_eq!(serde_json::json!(counts), row["tensor_types"], "{name}");
        assert_eq!(bytes, row["tensor_bytes"].as_u64().unwrap(), "{name}");
        compared += 1;
    }
    assert!(compared >= 12, "{compared} file types compared");
}

const TYPES: [GgmlType; 6] =
    [GgmlType::Q2_K, GgmlType::Q3_K, GgmlType::Q4_K, GgmlType::Q5_K, GgmlType::Q6_K, GgmlType::Q8_0];

/// Tensors of sizes and sensitivities that differ widely; errors fall by about 4 per bit.
fn problem(tensors: usize, seed: u64) -> Vec<Choices> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let offers = |random: &mut ChaCha8Rng| {
        let (blocks, sensitivity) = (random.random_range(1..40), 10_f64.powf(random.random_range(-2.0..2.0)));
        let offer = |kind: GgmlType| {
            let bytes = (blocks * kind.block_bytes() * 256 / kind.block_len()) as u64;
            let noise = random.random_range(0.7..1.4);
            Offer { kind, bytes, error: sensitivity * noise * 4_f64.powf(-kind.bits_per_weight()) }
        };
        TYPES.map(offer).to_vec()
    };
    (0..tensors).map(|number| Choices { name: format!("t{number}"), offers: offers(&mut random) }).collect()
}

/// Least error within the budget, by a table over every number of bytes.
fn exact(tensors: &[Choices], budget: u64) -> f64 {
    let mut table = vec![0.0; budget as usize + 1];
    for tensor in tensors {
        let best = |bytes: usize| {
            let offers = tensor.offers.iter().filter(|offer| offer.bytes as usize <= bytes);
            offers
                .map(|offer| table[bytes - offer.bytes as usize] + offer.error)
                .fold(f64::INFINITY, f64::min)
        };
        table = (0..table.len()).map(best).collect();
    }
    table[budget as usize]
}

#[test]
fn the_search_is_within_a_thousandth_of_the_exact_optimum() {
    for seed in 0..60 {
        let tensors = problem(2 + seed as usize % 9, seed);
        let smallest: u64 = tensors.iter().map(|tensor| tensor.offers[0].bytes).sum();
        let largest: u64 = tensors.iter().map(|tensor| tensor.offers[5].bytes).sum();
        for share in [0.0, 0.1, 0.35, 0.6, 0.9] {
            let budget = smallest + ((largest - smallest) as f64 * share) as u64;
            let (mix, best) = (search(&tensors, budget).unwrap(), exact(&tensors, budget));
            assert!(mix.bytes <= budget);
            assert!(mix.error <= best * 1.001, "seed {seed} share {share}: {} against {best}", mix.error);
            assert!(
                mix.bound <= best * (1.0 + 1e-9),
                "seed {seed} share {share}: bound {} above {best}",
                mix.bound
            );
        }
    }
}

#[test]
fn a_large_model_is_mixed_close_to_the_bound() {
    let tensors = problem(300, 7);
    let budget = tensors.iter().map(|tensor| tensor.offers[2].bytes).sum();
    let start = std::time::Instant::now();
    let mix = search(&tensors, budget).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    println!("300 tensors: {:.6} above the bound, {seconds:.3} s", mix.error / mix.bound - 1.0);
    assert!(mix.error <= mix.bound * 1.001, "{} against {}", mix.error, mix.bound);
    let uniform: f64 = tensors.iter().map(|tensor| tensor.offers[2].error).sum();
    assert!(mix.error < 0.7 * uniform);
}

#[test]
fn budgets_at_the_edges_have_their_answer() {
    let tensors = problem(5, 1);
    let smallest: u64 = tensors.iter().map(|tensor| tensor.offers[0].bytes).sum();
    let error = search(&tensors, smallest - 1).unwrap_err().to_string();
    assert!(
        error
            .starts_with(&format!("the smallest mix takes {smallest} bytes, the budget is {}", smallest - 1)),
        "{error}"
    );
    assert_eq!(search(&tensors, smallest).unwrap().chosen, [0; 5]);
    let all = search(&tensors, u64::MAX).unwrap();
    assert_eq!(all.error, all.bound);
    assert_eq!(search(&[], 0).unwrap().chosen, Vec::<usize>::new());
    let none = Choices { name: "t".to_owned(), offers: Vec::new() };
    let error = search(&[none], 9).unwrap_err().to_string();
    assert!(error.starts_with("tensor `t` has no type to choose from"), "{error}");
    let mut bad = problem(1, 1);
    bad[0].offers[0].error = f64::NAN;
    let error = search(&bad, u64::MAX).unwrap_err().to_string();
    assert!(error.starts_with("tensor `t0` has error NaN as Q2_K, expected a finite number"), "{error}");
}
