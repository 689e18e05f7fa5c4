//! Damaged files, spoiled weights, impossible wishes: one clear error, and nothing left behind.

use std::fs;
use std::path::Path;

use super::models::{SMALL, WIDE, decoded, kind, prose, write};
use super::{error, names, program, succeeds, text};
use quantization::ggml::GgmlType;
use quantization::gguf::File;

fn gguf_of(folder: &Path) -> Vec<u8> {
    write(&folder.join("m"), SMALL, |_, _| ());
    succeeds(folder, &["quantize", "m", "good.gguf", "--type", "Q8_0", "-q"]);
    fs::read(folder.join("good.gguf")).unwrap()
}

#[test]
fn files_of_no_known_format_are_refused_with_the_known_ones() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("empty.gguf"), b"").unwrap();
    fs::write(at.join("noise.bin"), [7_u8; 4000]).unwrap();
    fs::write(at.join("notes.txt"), "hello").unwrap();
    fs::create_dir(at.join("folder")).unwrap();
    assert!(error(at, &["inspect", "none.gguf"]).starts_with("none.gguf: opening: "));
    assert!(error(at, &["inspect", "empty.gguf"]).starts_with("empty.gguf: "));
    assert!(error(at, &["inspect", "noise.bin"]).starts_with("noise.bin: "));
    let said = error(at, &["inspect", "notes.txt"]);
    assert!(
        said.starts_with("notes.txt: starts with `hello`; expected a GGUF file, a safetensors file"),
        "{said}"
    );
    let said = error(at, &["inspect", "folder"]);
    assert!(said.starts_with("folder: has no safetensors file; expected"), "{said}");
}

#[test]
fn truncated_and_hostile_files_are_one_error() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let good = gguf_of(at);
    let huge_count = [&good[..8], &u64::MAX.to_le_bytes(), &good[16..]].concat();
    let huge_keys = [&good[..16], &(1_u64 << 60).to_le_bytes(), &good[24..]].concat();
    let cuts = [4, 20, 100, 1000, good.len() / 2, good.len() - 1].map(|end| good[..end].to_vec());
    for (number, bytes) in cuts.into_iter().chain([huge_count, huge_keys]).enumerate() {
        fs::write(at.join("bad.gguf"), &bytes).unwrap();
        for arguments in [&["inspect", "bad.gguf"][..], &["quantize", "bad.gguf", "out.gguf"]] {
            let said = error(at, arguments);
            assert!(said.starts_with("bad.gguf: "), "{number}: {said}");
        }
    }
    let safetensors = fs::read(at.join("m/model.safetensors")).unwrap();
    fs::write(at.join("bad.safetensors"), &safetensors[..safetensors.len() - 7]).unwrap();
    assert!(error(at, &["inspect", "bad.safetensors"]).starts_with("bad.safetensors: "));
    assert_eq!(names(at), ["bad.gguf", "bad.safetensors", "good.gguf", "m"]);
}

#[test]
fn weights_that_are_no_numbers_are_named_and_an_older_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for bad in [f32::NAN, f32::INFINITY] {
        write(&at.join("m"), SMALL, |name, weights| {
            if name.ends_with("1.mlp.up_proj.weight") {
                weights[64 * 5 + 3] = bad;
            }
        });
        fs::write(at.join("out.gguf"), b"older").unwrap();
        let said = error(at, &["quantize", "m", "out.gguf", "--type", "Q4_0"]);
        assert!(said.contains("up_proj") && said.contains("row 5, column 3"), "{said}");
        assert_eq!(fs::read(at.join("out.gguf")).unwrap(), b"older");
        let said = error(at, &["quantize", "m", "out", "--method", "rtn", "--group", "32"]);
        assert!(said.contains("up_proj"), "{said}");
        assert_eq!(names(at), ["m", "out.gguf"]);
        let shown = succeeds(at, &["inspect", "m", "-q"]);
        assert!(shown.contains("1 NaN or infinite"), "{shown}");
    }
}

#[test]
fn all_zero_tensors_stay_zero_in_every_type() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("m"), WIDE, |name, weights| {
        if name.contains("mlp") {
            weights.fill(0.0);
        }
    });
    for name in [
        "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS",
        "TQ2_0",
    ] {
        succeeds(at, &["quantize", "m", "out.gguf", "--type", name, "--pure", "-q"]);
        let file = File::open(at.join("out.gguf")).unwrap();
        assert_eq!(kind(&file, "blk.0.ffn_up.weight").name(), name);
        assert!(decoded(&file, "blk.0.ffn_up.weight").iter().all(|&x| x == 0.0), "{name}");
    }
    succeeds(at, &["quantize", "m", "packed", "--method", "rtn", "-q"]);
    succeeds(at, &["quantize", "m", "ternary.gguf", "--method", "bitnet", "-q"]);
}

#[test]
fn rows_that_do_not_fill_blocks_fall_back_and_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("m"), SMALL, |_, _| ());
    let said = succeeds(at, &["quantize", "m", "out.gguf", "--type", "Q4_K_M", "-q"]);
    assert!(
        said.contains("blk.0.attn_q.weight: rows of 64 do not fill the blocks of Q4_K, stored as Q5_0"),
        "{said}"
    );
    let file = File::open(at.join("out.gguf")).unwrap();
    assert_eq!(kind(&file, "blk.0.attn_q.weight"), GgmlType::Q5_0);
    assert_eq!(kind(&file, "blk.0.attn_norm.weight"), GgmlType::F32);
}

#[test]
fn unknown_names_and_options_without_meaning_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("m"), SMALL, |_, _| ());
    let said = error(at, &["quantize", "m", "out.gguf", "--type", "Q7_K"]);
    assert!(said.starts_with("`Q7_K` is not a file type; expected one of F32, F16, Q4_0"), "{said}");
    let said = error(at, &["quantize", "m", "out.gguf", "--type", "IQ2_XS"]);
    assert!(said.contains("take one of similar size, such as Q2_K"), "{said}");
    let said = error(at, &["quantize", "m", "out.gguf", "--bits", "3"]);
    assert_eq!(said, "--bits has no meaning with --method gguf; leave it out or choose another method");
    let said = error(at, &["quantize", "m", "out", "--method", "rtn", "--act-order"]);
    assert_eq!(said, "--act-order has no meaning with --method rtn; leave it out or choose another method");
    let said = error(at, &["quantize", "m", "out", "--method", "rtn", "--bits", "5"]);
    assert_eq!(said, "--bits is 5, expected 2, 3, 4 or 8, which the GPTQ layout can store");
    let said = error(at, &["quantize", "m", "out", "--method", "gptq"]);
    assert_eq!(said, "--method gptq needs --calibration TEXT; without a text use --method rtn");
    let typed = program(at, &["quantize", "m", "out.gguf", "--tensor-type", "attn_v=Q9"]);
    assert_eq!(typed.status.code(), Some(2));
    assert!(text(&typed.stderr).contains("rule `attn_v=Q9`: `Q9` is not a tensor type"), "{typed:?}");
    let said = error(at, &["dequantize", "m", "out.npy"]);
    assert_eq!(said, "out.npy: ends with `.npy`, expected .gguf or .safetensors");
    let said = error(at, &["quantize", "m", "out.gguf", "--target-size", "1kB"]);
    assert!(said.contains("the budget"), "{said}");
    assert_eq!(names(at), ["m"]);
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("m"), SMALL, |_, _| ());
    let said = error(at, &["quantize", "m", "no/such/out.gguf"]);
    assert_eq!(said, "no/such/out.gguf: writing: no such file or folder");
    let said = error(at, &["quantize", "m", "m", "--method", "rtn", "--group", "32"]);
    assert_eq!(said, "m exists and is not an empty folder; choose another place or remove it");
    fs::write(at.join("text.txt"), prose(2000)).unwrap();
    let said = error(
        at,
        &["quantize", "m", "no/such", "--method", "gptq", "--group", "32", "--calibration", "text.txt"],
    );
    assert_eq!(said, "no/such: writing: no such folder as no");
    assert_eq!(names(at), ["m", "text.txt"]);
}

#[test]
fn a_short_calibration_text_is_enough_for_a_defined_result_and_an_empty_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("m"), SMALL, |_, _| ());
    fs::write(at.join("short.txt"), "To be, or not.").unwrap();
    fs::write(at.join("empty.txt"), "").unwrap();
    let gptq = ["quantize", "m", "out", "--method", "gptq", "--group", "32", "-q", "--calibration"];
    let output = program(at, &[&gptq[..], &["short.txt"]].concat());
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("14 tokens to calibrate on, fewer than the 96 inputs of the widest layer"),
        "{said}"
    );
    assert_eq!(names(&at.join("out")), ["config.json", "model.safetensors", "quantize_config.json"]);
    fs::remove_dir_all(at.join("out")).unwrap();
    let said = error(at, &[&gptq[..], &["empty.txt"]].concat());
    assert_eq!(said, "empty.txt: no text to calibrate on");
    assert_eq!(names(at), ["empty.txt", "m", "short.txt"]);
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("m"), SMALL, |_, _| ());
    write(&at.join("words"), super::models::Sizes { vocab: 300, ..SMALL }, |_, _| ());
    fs::write(at.join("text.txt"), prose(500)).unwrap();
    // A llama2.c vocabulary of two pieces.
    let piece =
        |text: &str| [&1_f32.to_le_bytes()[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    fs::write(at.join("tok.bin"), [&8_u32.to_le_bytes()[..], &piece("a"), &piece("b")].concat()).unwrap();
    let said = error(at, &["evaluate", "m", "text.txt", "--tokenizer", "tok.bin"]);
    assert!(said.starts_with("tok.bin: "), "{said}");
    let said = error(at, &["evaluate", "words", "text.txt"]);
    assert!(said.contains("has no tokenizer, and the model has 300 tokens"), "{said}");
    let said = error(at, &["evaluate", "m", "text.txt", "--base", "words"]);
    assert!(said.starts_with("words: 300 tokens in the vocabulary, m has 256"), "{said}");
    fs::write(at.join("empty.txt"), "").unwrap();
    let said = error(at, &["evaluate", "m", "empty.txt"]);
    assert!(said.starts_with("empty.txt: 0 tokens, expected at least one chunk"), "{said}");
}

#[test]
fn an_importance_matrix_of_another_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("m"), SMALL, |_, _| ());
    write(&at.join("wide"), WIDE, |_, _| ());
    fs::write(at.join("text.txt"), prose(600)).unwrap();
    succeeds(at, &["imatrix", "m", "text.txt", "small.imatrix", "-q"]);
    let said = error(at, &["quantize", "wide", "out.gguf", "--imatrix", "small.imatrix"]);
    assert!(said.contains("the importance matrix has 96 columns, expected 512"), "{said}");
    let said = error(at, &["quantize", "wide", "out.gguf", "--imatrix", "text.txt"]);
    assert!(said.starts_with("text.txt: "), "{said}");
}
