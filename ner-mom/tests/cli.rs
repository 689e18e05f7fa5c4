//! The real program on good and bad input.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const TRAIN: &str =
    "Ann B-PER\nlives O\nin O\nOslo B-LOC\n\nBob B-PER\nsleeps O\n\nRome B-LOC\nis O\nold O\n\n";

fn ner_mom(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ner-mom"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("BENKYOKAI_DATA")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments may be gone before it reads.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn error(folder: &Path, arguments: &[&str]) -> String {
    let output = ner_mom(folder, arguments, "");
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stderr).trim_end().to_owned()
}

fn trained(folder: &Path) {
    fs::write(folder.join("train.conll"), TRAIN).unwrap();
    let output = ner_mom(
        folder,
        &[
            "train",
            "--train",
            "train.conll",
            "--dev",
            "train.conll",
            "--out",
            "model",
            "--loss",
            "mom:ce:0.5",
            "--epochs",
            "30",
            "--learning-rate",
            "0.02",
            "--device",
            "cpu",
        ],
        "",
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_model_is_trained_tags_a_stream_and_is_scored() {
    let folder = tempfile::tempdir().unwrap();
    trained(folder.path());
    let tagged = ner_mom(
        folder.path(),
        &["predict", "--model", "model", "--device", "cpu"],
        "Ann\nsleeps\n\nOslo\nis\nold\n",
    );
    assert!(tagged.status.success(), "{}", text(&tagged.stderr));
    let lines = text(&tagged.stdout);
    assert_eq!(lines.lines().count(), 7);
    assert!(lines.lines().all(|line| line.is_empty() || line.split('\t').count() == 2), "{lines}");
    let scored = ner_mom(folder.path(), &["evaluate", "train.conll", "train.conll", "--json"], "");
    assert!(
        text(&scored.stdout).contains(r#""micro":{"precision":1.0,"recall":1.0,"f1":1.0}"#),
        "{}",
        text(&scored.stdout)
    );
}

#[test]
fn files_are_converted_between_schemes_and_formats() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.conll"), "New I-LOC\nYork I-LOC\nis O\n").unwrap();
    let to = |target: &str| text(&ner_mom(folder.path(), &["convert", "a.conll", "--to", target], "").stdout);
    assert_eq!(to("iobes"), "New\tB-LOC\nYork\tE-LOC\nis\tO\n\n");
    assert_eq!(to("jsonl"), "{\"text\":\"New York is\",\"label\":[[0,8,\"LOC\"]]}\n");
    fs::write(folder.path().join("a.jsonl"), to("jsonl")).unwrap();
    let back = text(&ner_mom(folder.path(), &["convert", "a.jsonl", "--to", "jsonl"], "").stdout);
    assert_eq!(back, to("jsonl"));
}

#[test]
fn bad_input_is_one_error_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("bad.conll"), "Ann B_PER\n").unwrap();
    fs::write(at.join("a.conll"), TRAIN).unwrap();
    fs::write(at.join("short.conll"), "Ann B-PER\n").unwrap();
    fs::write(at.join("empty.conll"), "").unwrap();
    let train = |file: &str| {
        error(at, &["train", "--train", file, "--dev", "a.conll", "--out", "m", "--device", "cpu"])
    };
    assert!(
        train("bad.conll")
            .starts_with("error: reading the training files: bad.conll:1: `B_PER` is not a tag")
    );
    assert!(train("empty.conll").contains("empty.conll:1: no sentence"));
    assert!(train("absent.conll").contains("absent.conll:0: cannot be read"));
    assert!(!at.join("m").exists(), "nothing is written for bad input");
    let sizes = error(at, &["evaluate", "a.conll", "short.conll"]);
    assert_eq!(sizes, "error: short.conll: 1 sentences, expected 3 as in a.conll");
    let config = "epochs = 0";
    fs::write(at.join("c.toml"), config).unwrap();
    let unknown =
        error(at, &["train", "--train", "a.conll", "--dev", "a.conll", "--out", "m", "--config", "c.toml"]);
    assert!(unknown.contains("reading the configuration c.toml"), "{unknown}");
    let folder_is_a_file = error(
        at,
        &["train", "--train", "a.conll", "--dev", "a.conll", "--out", "a.conll", "--device", "cpu"],
    );
    assert!(folder_is_a_file.contains("making the folder"), "{folder_is_a_file}");
}

#[test]
fn a_damaged_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    trained(at);
    let weights = fs::read(at.join("model/model.safetensors")).unwrap();
    fs::write(at.join("model/model.safetensors"), &weights[..weights.len() / 2]).unwrap();
    let cut = error(at, &["predict", "--model", "model", "--device", "cpu"]);
    assert!(cut.contains("model.safetensors: not a whole safetensors file"), "{cut}");
    fs::write(at.join("model/model.json"), "{}").unwrap();
    let other = error(at, &["predict", "--model", "model", "--device", "cpu"]);
    assert!(other.contains("model.json: not a model description of this version"), "{other}");
}

#[test]
fn missing_data_name_the_command_that_fetches_them() {
    let folder = tempfile::tempdir().unwrap();
    let message = error(folder.path(), &["reproduce", "--preset", "cpu", "--data", "nowhere"]);
    assert!(message.contains("fetch it with `cargo xtask data get wac-knp`"), "{message}");
}

#[test]
fn no_arguments_show_the_help_with_examples() {
    let folder = tempfile::tempdir().unwrap();
    let output = ner_mom(folder.path(), &[], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("ner-mom train --train train.conll"), "{}", text(&output.stderr));
}
