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

/// `train` on a file of many sentences for more epochs than any test waits for.
fn long_training(at: &Path, more: &[&str]) -> Command {
    fs::write(at.join("train.conll"), TRAIN.repeat(40)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ner-mom"));
    let arguments =
        "train --train train.conll --dev train.conll --out model --device cpu --threads 1 --epochs 2000";
    command.args(arguments.split(' ')).args(more).current_dir(at);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits until the file is there.
fn appears(path: &Path) {
    let started = std::time::Instant::now();
    while !path.exists() {
        assert!(started.elapsed().as_secs() < 60, "{} never appeared", path.display());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn interrupt(child: &std::process::Child) {
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
}

#[test]
fn an_interrupted_training_saves_its_model_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let child = long_training(at, &[]).spawn().unwrap();
    appears(&at.join("model/checkpoints/last.json"));
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains("go on with the same command and --resume"),
        "{}",
        text(&output.stderr)
    );
    let tagged = ner_mom(at, &["predict", "--model", "model", "--device", "cpu"], "Ann\n");
    assert!(tagged.status.success(), "{}", text(&tagged.stderr));
    let epochs = |name: &str| {
        let json: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(at.join(name)).unwrap()).unwrap();
        json["epochs"].as_array().unwrap().len()
    };
    let before = epochs("model/history.json");
    let resumed = long_training(at, &["--resume", "--max-minutes", "0.0001"]).output().unwrap();
    assert_eq!(resumed.status.code(), Some(130), "{}", text(&resumed.stderr));
    assert!(epochs("model/history.json") >= before);
    let other = long_training(at, &["--resume", "--seed", "9"]).output().unwrap();
    assert_eq!(other.status.code(), Some(1));
    assert!(
        text(&other.stderr).contains("the checkpoint has another seed than this run"),
        "{}",
        text(&other.stderr)
    );
}

#[test]
fn a_second_interrupt_ends_at_once_and_leaves_the_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let child = long_training(at, &[]).spawn().unwrap();
    appears(&at.join("model/checkpoints/last.json"));
    interrupt(&child);
    interrupt(&child);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    let resumed = long_training(at, &["--resume", "--max-minutes", "0.0001"]).output().unwrap();
    assert_eq!(resumed.status.code(), Some(130), "{}", text(&resumed.stderr));
}

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_old_model_whole() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    trained(at);
    let before = fs::read(at.join("model/model.safetensors")).unwrap();
    // No file may grow beyond 16 blocks, as on a disk that fills up in the middle of a write.
    let script = format!(
        "trap '' XFSZ; ulimit -f 16; exec {} train --train train.conll --dev train.conll --out model --device cpu --epochs 3",
        env!("CARGO_BIN_EXE_ner-mom")
    );
    let output = Command::new("bash").args(["-c", &script]).current_dir(at).output().unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("weights not written, an older file is untouched"), "{message}");
    assert_eq!(fs::read(at.join("model/model.safetensors")).unwrap(), before);
    let left: Vec<_> = fs::read_dir(at.join("model/checkpoints")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_full_disk_is_told_in_plain_words() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    trained(at);
    fs::create_dir(at.join("full")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=64k tmpfs full || exit 77; \
         {} train --train train.conll --dev train.conll --out full/model --device cpu --epochs 3; \
         code=$?; ls full/model/checkpoints; exit $code",
        env!("CARGO_BIN_EXE_ner-mom")
    );
    let output = Command::new("unshare").args(["-rm", "sh", "-c", &script]).current_dir(at).output().unwrap();
    let message = text(&output.stderr);
    if output.status.code() != Some(1) || message.contains("unshare") {
        println!("skipped: no file system of its own for this test: {message}");
        return;
    }
    assert!(
        message.contains("weights not written") && message.contains("No space left on device"),
        "{message}"
    );
    assert_eq!(text(&output.stdout), "", "nothing half-written stays");
}

#[test]
fn a_read_only_folder_is_refused_before_training() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("a.conll"), TRAIN).unwrap();
    let message = error(
        at,
        &["train", "--train", "a.conll", "--dev", "a.conll", "--out", "/proc/model", "--device", "cpu"],
    );
    assert!(message.starts_with("error: /proc/model: making the folder"), "{message}");
}

#[test]
fn unknown_labels_and_further_columns_do_not_disturb_prediction() {
    let folder = tempfile::tempdir().unwrap();
    trained(folder.path());
    let tagged = ner_mom(
        folder.path(),
        &["predict", "--model", "model", "--device", "cpu"],
        "Ann\tNNP\tB-NEVER-SEEN\nsleeps\tVBZ\tO\n",
    );
    assert!(tagged.status.success(), "{}", text(&tagged.stderr));
    assert_eq!(text(&tagged.stdout).lines().count(), 3);
}

#[test]
fn text_is_cut_and_tagged_with_offsets() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let lines = "{\"text\":\"Ann lives in Oslo\",\"label\":[[0,3,\"PER\"],[13,17,\"LOC\"]]}\n\
                 {\"tokens\":[\"Bob\",\"sleeps\"],\"ner_tags\":[1,0]}\n";
    fs::write(at.join("train.jsonl"), lines).unwrap();
    let arguments = "train --train train.jsonl --dev train.jsonl --out model --device cpu --epochs 60 --learning-rate 0.02 \
                     --segmenter spaces --tag-names O,B-PER --head crf";
    let trained = ner_mom(at, &arguments.split_whitespace().collect::<Vec<_>>(), "");
    assert!(trained.status.success(), "{}", text(&trained.stderr));
    let found =
        ner_mom(at, &["predict", "--model", "model", "--text", "--device", "cpu"], "Ann  lives in Oslo\n\n");
    assert_eq!(
        text(&found.stdout),
        "{\"text\":\"Ann  lives in Oslo\",\"label\":[[0,3,\"PER\"],[14,18,\"LOC\"]]}\n{\"text\":\"\",\"label\":[]}\n",
        "{}",
        text(&found.stderr)
    );
    let unnamed = error(at, &["convert", "train.jsonl"]);
    assert!(unnamed.ends_with("tag number 1 of 0 known; name them with --tag-names O,B-PER,…"), "{unnamed}");
    let strict = {
        fs::write(at.join("i.conll"), "New I-LOC\nYork I-LOC\n").unwrap();
        let scored =
            ner_mom(at, &["evaluate", "i.conll", "i.conll", "--strict", "--scheme", "iob2", "--json"], "");
        text(&scored.stdout)
    };
    assert!(strict.contains(r#""types":{}"#), "{strict}");
}

#[test]
fn an_unknown_matrix_library_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ner-mom"));
    let output = command
        .args(["convert", "x"])
        .env("BENKYOKAI_GEMM", "blas")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(text(&output.stderr), "error: BENKYOKAI_GEMM is `blas`, expected `mkl`, `onednn` or `auto`\n");
}

#[test]
fn an_experiment_without_data_runs_on_generated_text_and_stops_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let arguments =
        "reproduce --preset quick --data nowhere --runs runs --workers 2 --quiet --max-minutes 0.001";
    let output = ner_mom(at, &arguments.split(' ').collect::<Vec<_>>(), "");
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{message}");
    assert!(
        message.contains("generated text stands in for it") && message.contains("stopped early; go on with:"),
        "{message}"
    );
    let record = |name: &str| -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(at.join("runs/latest").join(name)).unwrap()).unwrap()
    };
    assert_eq!(record("run.json")["status"], "stopped");
    let done = fs::read_dir(at.join("runs/latest/jobs")).unwrap().count();
    assert!((1..=4).contains(&done), "{done} outcomes");
    // Going on keeps what is done, and refuses another design.
    let latest = fs::canonicalize(at.join("runs/latest")).unwrap().display().to_string();
    let more = format!(
        "reproduce --preset quick --data nowhere --resume {latest} --workers 2 --quiet --max-minutes 0.001"
    );
    let output = ner_mom(at, &more.split(' ').collect::<Vec<_>>(), "");
    assert_eq!(output.status.code(), Some(130));
    assert!(fs::read_dir(at.join("runs/latest/jobs")).unwrap().count() > done);
    fs::write(at.join("runs/latest/design.json"), "{}").unwrap();
    assert!(error(at, &more.split(' ').collect::<Vec<_>>()).contains("made with another design"));
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("gold.conll"), TRAIN).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ner-mom"));
    command.args(["evaluate", "gold.conll", "gold.conll"]).current_dir(folder.path());
    let output = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}
