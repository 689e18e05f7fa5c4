//! Round trips between the formats on small models.

use std::fs;

use super::models::{SMALL, WIDE, decoded, kind, prose, write};
use super::{names, succeeds};
use quantization::ggml::GgmlType;
use quantization::gguf::File;
use quantization::model_file::{ModelFile, RowOrder};

#[test]
fn a_folder_becomes_gguf_and_comes_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("m"), SMALL, |_, _| ());
    succeeds(at, &["dequantize", "m", "m.gguf", "--type", "F16", "-q"]);
    succeeds(at, &["dequantize", "m.gguf", "back.safetensors", "--type", "F16", "-q"]);
    fs::copy(at.join("m/config.json"), at.join("config.json")).unwrap();
    let (before, after) =
        (ModelFile::open(at.join("m")).unwrap(), ModelFile::open(at.join("back.safetensors")).unwrap());
    assert_eq!(before.tensors(), after.tensors());
    for tensor in 0..before.tensors().len() {
        let weights = |file: &ModelFile| file.weights(tensor, RowOrder::Halves).unwrap();
        assert_eq!(weights(&before), weights(&after), "{}", before.tensors()[tensor].name);
    }
}

#[test]
fn rows_that_rotate_change_their_order_between_the_formats() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("m"), SMALL, |_, _| ());
    succeeds(at, &["dequantize", "m", "m.gguf", "--type", "F16", "-q"]);
    let (source, file) = (ModelFile::open(at.join("m")).unwrap(), File::open(at.join("m.gguf")).unwrap());
    let row = |weights: &[f32], row: usize| weights[row * 64..][..64].to_vec();
    let place = source.find("model.layers.0.self_attn.q_proj.weight").unwrap();
    let (halves, pairs) =
        (source.weights(place, RowOrder::Halves).unwrap(), decoded(&file, "blk.0.attn_q.weight"));
    // Heads of 16: row 1 of the pairs is the partner of row 0, row 8 of the halves.
    assert_eq!(row(&pairs, 1), row(&halves, 8));
    assert_eq!(row(&pairs, 18), row(&halves, 17));
}

#[test]
fn packed_layers_decode_to_the_rounded_weights_in_both_conventions() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("m"), SMALL, |_, _| ());
    for bits in ["2", "3", "4", "8"] {
        for (format, group) in [("gptq", "32"), ("gptq_v2", "-1")] {
            let grid =
                ["--method", "rtn", "--bits", bits, "--group", group, "--checkpoint-format", format, "-q"];
            succeeds(at, &[&["quantize", "m", "packed"][..], &grid].concat());
            succeeds(at, &[&["quantize", "m", "rounded", "--dequantized"][..], &grid].concat());
            assert_eq!(
                names(&at.join("packed")),
                ["config.json", "model.safetensors", "quantize_config.json"]
            );
            let open = |name: &str| ModelFile::open(at.join(name)).unwrap();
            let (packed, rounded) = (open("packed"), open("rounded"));
            for (tensor, entry) in packed.tensors().iter().enumerate() {
                let other = rounded.find(&entry.name).unwrap();
                let exact = packed.weights(tensor, RowOrder::Halves).unwrap();
                let half: Vec<f32> = exact
                    .iter()
                    .map(|&x| quantization::float::f16_to_f32(quantization::float::f32_to_f16(x)))
                    .collect();
                assert_eq!(
                    half,
                    rounded.weights(other, RowOrder::Halves).unwrap(),
                    "{} {bits} {format}",
                    entry.name
                );
            }
            let said = succeeds(at, &["inspect", "packed", "-q"]);
            assert!(said.contains(&format!("zero-points: `{format}`")), "{said}");
            fs::remove_dir_all(at.join("packed")).unwrap();
            fs::remove_dir_all(at.join("rounded")).unwrap();
        }
    }
}

#[test]
fn gptq_beats_rounding_on_its_own_calibration_text() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("m"), SMALL, |_, _| ());
    fs::write(at.join("text.txt"), prose(4000)).unwrap();
    let divergence = |name: &str| -> f64 {
        let said = succeeds(at, &["evaluate", name, "text.txt", "--base", "m", "--decoded", "--json", "-q"]);
        let json: serde_json::Value = serde_json::from_str(&said).unwrap();
        json["mean_KL_divergence"].as_f64().unwrap()
    };
    let grid = ["--bits", "3", "--group", "32", "-q"];
    succeeds(at, &[&["quantize", "m", "rtn", "--method", "rtn"][..], &grid].concat());
    let rounded = divergence("rtn");
    let choices: [(&str, &[&str]); 4] = [
        ("plain", &[]),
        ("sequential", &["--true-sequential"]),
        ("ordered", &["--act-order"]),
        ("fixed", &["--act-order", "--static-groups", "--sym", "--mse"]),
    ];
    for (name, options) in choices {
        let gptq = ["quantize", "m", name, "--method", "gptq", "--calibration", "text.txt"];
        succeeds(at, &[&gptq[..], &grid, options].concat());
        let compensated = divergence(name);
        // The symmetric grid is coarser to begin with; it only has to be sane.
        let bound = if name == "fixed" { 4.0 * rounded } else { rounded };
        assert!(compensated < bound, "{name}: {compensated} against {rounded}");
    }
}

#[test]
fn rules_patterns_and_importance_reach_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("m"), WIDE, |_, _| ());
    fs::write(at.join("text.txt"), prose(2000)).unwrap();
    succeeds(at, &["imatrix", "m", "text.txt", "m.imatrix", "-q"]);
    let rules = ["--tensor-type", "ffn_down=Q6_K", "--tensor-type", "blk.*.attn_?.weight=Q8_0"];
    let output = super::program(at, &[&["quantize", "m", "a.gguf", "--type", "Q2_K"][..], &rules].concat());
    assert!(super::text(&output.stderr).contains("attn_?.weight=Q8_0 matches no tensor"));
    let file = File::open(at.join("a.gguf")).unwrap();
    assert_eq!(kind(&file, "blk.0.ffn_down.weight"), GgmlType::Q6_K);
    succeeds(at, &["quantize", "m", "b.gguf", "--type", "Q2_K", "--imatrix", "m.imatrix", "--verbose", "-q"]);
    let (a, b) = (File::open(at.join("a.gguf")).unwrap(), File::open(at.join("b.gguf")).unwrap());
    let name = "blk.0.ffn_up.weight";
    assert_ne!(a.read_tensor(name).unwrap(), b.read_tensor(name).unwrap());
}

#[test]
fn a_budget_is_kept_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("m"), WIDE, |_, _| ());
    let mut before = 0;
    for size in ["260kB", "330kB", "420kB"] {
        succeeds(at, &["quantize", "m", "out.gguf", "--target-size", size, "-q"]);
        let bytes = fs::metadata(at.join("out.gguf")).unwrap().len();
        let allowed: u64 = size.trim_end_matches("kB").parse::<u64>().unwrap() * 1000;
        assert!(bytes <= allowed && bytes > before && bytes > allowed * 8 / 10, "{size}: {bytes}");
        before = bytes;
    }
    let said = succeeds(at, &["quantize", "m", "out.gguf", "--target-bpw", "4.2", "-q"]);
    let bits: f64 =
        said.split("bits per weight: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((3.6..=4.2).contains(&bits), "{said}");
}

#[test]
fn absmean_weights_survive_the_ternary_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("m"), WIDE, |_, _| ());
    for name in ["TQ2_0", "TQ1_0"] {
        succeeds(at, &["quantize", "m", "t.gguf", "--method", "bitnet", "--type", name, "-q"]);
        let (source, file) = (ModelFile::open(at.join("m")).unwrap(), File::open(at.join("t.gguf")).unwrap());
        let place = source.find("blk.0.ffn_gate.weight").unwrap();
        let weights = source.weights(place, RowOrder::Pairs).unwrap();
        let scale = weights.iter().map(|x| f64::from(x.abs())).sum::<f64>() / weights.len() as f64;
        for (x, y) in weights.iter().zip(decoded(&file, "blk.0.ffn_gate.weight")) {
            let ternary = (f64::from(*x) / scale).round().clamp(-1.0, 1.0) * scale;
            assert!((ternary - f64::from(y)).abs() < 1e-3 * scale, "{x} {y} {scale}");
        }
        assert_eq!(kind(&file, "token_embd.weight"), GgmlType::F16);
    }
}

#[test]
fn inspect_tells_values_costs_and_draws() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("m"), WIDE, |name, weights| {
        if name.ends_with("q_proj.weight") {
            weights[7] = 3.0;
        }
    });
    let said = succeeds(at, &["inspect", "m", "--cost", "--json", "--figure", "figures", "-q"]);
    let json: serde_json::Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!(json["format"], "safetensors");
    let tensors = json["tensors"].as_array().unwrap();
    let query = tensors.iter().find(|tensor| tensor["gguf_name"] == "blk.0.attn_q.weight").unwrap();
    assert_eq!((&query["values"]["outliers"], &query["values"]["max"]), (&1.into(), &3.0.into()));
    let error = |kind: &str| {
        let costs = json["costs"].as_array().unwrap();
        costs.iter().find(|cost| cost["type"] == kind).unwrap()["relative_rmse"].as_f64().unwrap()
    };
    assert!(error("Q8_0") < error("Q6_K") && error("Q6_K") < error("Q4_K") && error("Q4_K") < error("Q2_K"));
    assert_eq!(names(&at.join("figures/figures")).len(), 6);
    let listed = succeeds(at, &["inspect", "m", "--header"]);
    assert!(listed.contains("model.layers.0.mlp.down_proj.weight") && !listed.contains("deviation"));
}

#[test]
fn the_longer_search_lowers_the_error_in_the_same_format() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("m"), WIDE, |_, _| ());
    fs::write(at.join("text.txt"), prose(2000)).unwrap();
    succeeds(at, &["imatrix", "m", "text.txt", "m.imatrix", "-q"]);
    let original = quantization::model_file::ModelFile::open(at.join("m")).unwrap();
    let name = "blk.0.ffn_up.weight";
    let order = quantization::model_file::RowOrder::Pairs;
    let weights = original.weights(original.find(name).unwrap(), order).unwrap();
    let error_of = |out: &str| -> f64 {
        let back = decoded(&File::open(at.join(out)).unwrap(), name);
        weights.iter().zip(&back).map(|(x, y)| f64::from(x - y).powi(2)).sum()
    };
    let common = ["--type", "Q3_K_S", "-q"];
    succeeds(at, &[&["quantize", "m", "ggml.gguf", "--search", "ggml"], &common[..]].concat());
    succeeds(at, &[&["quantize", "m", "best.gguf", "--search", "best"], &common[..]].concat());
    assert!(error_of("best.gguf") < error_of("ggml.gguf"));
    let sizes = ["best.gguf", "ggml.gguf"].map(|out| fs::metadata(at.join(out)).unwrap().len());
    assert_eq!(sizes[0], sizes[1]);
    succeeds(
        at,
        &[&["quantize", "m", "w.gguf", "--search", "best", "--imatrix", "m.imatrix"], &common[..]].concat(),
    );
    assert!(error_of("w.gguf") > error_of("best.gguf"), "another error is lowered");
    succeeds(at, &["quantize", "m", "b.gguf", "--search", "best", "--target-bpw", "4.2", "-q"]);
    let said = super::error(at, &["quantize", "m", "out.gguf", "--type", "Q8_0", "--search", "best"]);
    assert!(
        said.starts_with(
            "the search `best` has no effect: no tensor becomes Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, the types"
        ),
        "{said}"
    );
    assert!(!at.join("out.gguf").exists());
    let said = super::error(at, &["quantize", "m", "out", "--method", "rtn", "--search", "best"]);
    assert!(said.starts_with("--search has no meaning with --method rtn"), "{said}");
}
