//! The real command: files in, files and text out, and one clear message for bad input.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const ENGLISH: &str = "Ann\tB-PER\nlives\tO\nin\tO\nOslo\tB-LOC\n\nBob\tB-PER\nLee\tI-PER\nsleeps\tO\n\nRome\tB-LOC\nis\tO\n\
    old\tO\n\nDora\tB-PER\nleft\tO\nNew\tB-LOC\nYork\tI-LOC\n\nit\tO\nrains\tO\n\n";
const SPANISH: &str =
    "Ana\tB-PER\nvive\tO\nen\tO\nRoma\tB-LOC\n\nllueve\tO\n\nJuan\tB-PER\nLuis\tI-PER\nduerme\tO\n\n";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("en.conll", ENGLISH);
    write("es.conll", SPANISH);
    write("d.tsv", "lives\tvive\nin\ten\nrome\troma\nis\tes\nold\tvieja\nit\tello\nnew york\tnueva york\n");
    write("en.vec", "4 3\nann 1 0 0\nlives 0 1 0\nin 0 0 1\nroma 1 1 0\n");
    write("es.vec", "4 3\nana 1 0 0\nvive 0 1 0\nen 0 0 1\nroma 1 1 0\n");
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_transfer-ner")).args(arguments).current_dir(folder).output().unwrap()
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn fails(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap().trim_end().to_owned()
}

fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let common = [
        "train",
        "--dev",
        "es.conll",
        "--out",
        "model",
        "--threads",
        "1",
        "--device",
        "cpu",
        "--rounds",
        "2",
    ];
    [&common[..], more].concat()
}

/// The part for CUDA takes seconds and gigabytes to load; `--device cuda` loads it when it is asked for.
#[cfg(target_os = "linux")]
#[test]
fn the_program_starts_without_the_part_of_libtorch_for_cuda() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transfer-ner"));
    // The loader then lists what it would load, and nothing runs.
    let loaded = out(&command.env("LD_TRACE_LOADED_OBJECTS", "1").output().unwrap());
    assert!(loaded.contains("libtorch_cpu") && !loaded.contains("libtorch_cuda"), "{loaded}");
}

#[test]
fn every_method_trains_predicts_and_is_scored() {
    let folder = folder();
    let both = ["--source", "en.conll", "--target", "es.conll", "--updates", "6", "--source-updates", "4"];
    let vectors = ["--source-vectors", "en.vec", "--target-vectors", "es.vec"];
    for method in [
        "base",
        "direct",
        "init",
        "mult",
        "adapt",
        "datnet-f",
        "datnet-p",
        "cws-adv",
        "feature-crf",
        "cheap",
        "align",
    ] {
        let mut arguments = train(&both);
        arguments.extend(["--method", method]);
        match method {
            "cheap" => arguments.extend(["--dictionary", "d.tsv"]),
            "align" => {
                arguments.extend(vectors);
                arguments.extend(["--dictionary", "d2.tsv"]);
                std::fs::write(folder.path().join("d2.tsv"), "ann\tana\nlives\tvive\nin\ten\n").unwrap();
            }
            "adapt" => arguments.extend(vectors),
            _ => {}
        }
        assert_eq!(out(&run(folder.path(), &arguments)), "model\n", "{method}");
        let tagged = out(&run(folder.path(), &["predict", "--model", "model", "es.conll"]));
        assert_eq!(tagged.lines().count(), SPANISH.lines().count(), "{method}");
        std::fs::write(folder.path().join("tagged.conll"), tagged).unwrap();
        assert!(out(&run(folder.path(), &["evaluate", "es.conll", "tagged.conll"])).contains("micro"));
        assert!(!folder.path().join("model/checkpoints").exists());
        std::fs::remove_dir_all(folder.path().join("model")).unwrap();
    }
}

#[test]
fn a_stopped_run_goes_on_and_a_configuration_file_says_the_same() {
    let folder = folder();
    let both = ["--source", "en.conll", "--target", "es.conll"];
    let stopped =
        run(folder.path(), &[&train(&both)[..], &["--updates", "40", "--max-minutes", "0"]].concat());
    assert_eq!(stopped.status.code(), Some(130), "{}", String::from_utf8_lossy(&stopped.stderr));
    assert!(folder.path().join("model/checkpoints/last.json").exists());
    let resumed = run(folder.path(), &[&train(&both)[..], &["--updates", "40", "--resume"]].concat());
    out(&resumed);
    let weights = std::fs::read(folder.path().join("model/model.safetensors")).unwrap();
    let config = folder.path().join("own.toml");
    std::fs::copy(folder.path().join("model/config.toml"), &config).unwrap();
    out(&run(folder.path(), &[&train(&both)[..], &["--config", "own.toml"]].concat()));
    assert_eq!(std::fs::read(folder.path().join("model/model.safetensors")).unwrap(), weights);
}

#[test]
fn corpora_are_translated_with_their_tags() {
    let folder = folder();
    let text =
        out(&run(folder.path(), &["translate", "en.conll", "--dictionary", "d.tsv", "--keep-types", "PER"]));
    assert!(text.starts_with("Ann\tB-PER\nvive\tO\nen\tO\nOslo\tB-LOC\n\n"), "{text}");
    assert!(text.contains("left\tO\nNueva\tB-LOC\nyork\tI-LOC\n"), "{text}");
}

#[test]
fn vectors_are_aligned_and_written() {
    let folder = folder();
    std::fs::write(folder.path().join("seed.tsv"), "ann\tana\nlives\tvive\nin\ten\n").unwrap();
    let text = out(&run(
        folder.path(),
        &[
            "align",
            "en.vec",
            "es.vec",
            "--out",
            "mapped.vec",
            "--dictionary",
            "seed.tsv",
            "--truth",
            "seed.tsv",
            "--refinements",
            "0",
        ],
    ));
    assert!(text.starts_with("4 source and 4 target words, 4 pairs to begin with"), "{text}");
    assert!(text.ends_with("precision at 1: 1.0000\n"), "{text}");
    let mapped = std::fs::read_to_string(folder.path().join("mapped.vec")).unwrap();
    assert!(mapped.starts_with("4 3\nann "), "{mapped}");
}

#[test]
fn curves_print_a_table_and_write_every_run() {
    let folder = folder();
    let arguments = [
        "curve",
        "--source",
        "en.conll",
        "--target",
        "es.conll",
        "--dev",
        "es.conll",
        "--test",
        "es.conll",
        "--methods",
        "base,mult,feature-crf",
        "--sizes",
        "1,3",
        "--seeds",
        "1,2",
        "--updates",
        "4",
        "--rounds",
        "2",
        "--threads",
        "1",
        "--device",
        "cpu",
        "--csv",
        "runs.csv",
    ];
    let table = out(&run(folder.path(), &arguments));
    assert_eq!(table.lines().count(), 7, "{table}");
    let csv = std::fs::read_to_string(folder.path().join("runs.csv")).unwrap();
    assert!(csv.starts_with("method,target_sentences,seed,sample,dev_f1,test_f1\nbase,1,1,0,"), "{csv}");
    assert_eq!(csv.lines().count(), 13);
}

#[test]
fn bad_input_is_one_message_that_says_how_to_mend_it() {
    let folder = folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("other.conll", &SPANISH.replace("PER", "person"));
    let both = [
        "--source",
        "en.conll",
        "--target",
        "other.conll",
        "--updates",
        "2",
        "--method",
        "cheap",
        "--dictionary",
        "d.tsv",
    ];
    let error = fails(folder.path(), &train(&both));
    assert!(
        error.contains("different entity types (LOC, PER against LOC, person)") && error.contains("--map"),
        "{error}"
    );
    write("map.txt", "PER person\n");
    out(&run(folder.path(), &[&train(&both)[..], &["--map", "map.txt"]].concat()));

    let error = fails(folder.path(), &train(&["--source", "en.conll", "--method", "datnet-f"]));
    assert!(
        error.contains("error: no target sentences; only direct, cheap and align work without any"),
        "{error}"
    );
    let error = fails(folder.path(), &train(&["--source", "en.conll", "--method", "cheap"]));
    assert!(
        error.ends_with(
            "the method cheap needs a dictionary from source to target; give one with --dictionary"
        ),
        "{error}"
    );
    write("wide.vec", "1 4\nana 1 2 3 4\n");
    let vectors = [
        "--source",
        "en.conll",
        "--target",
        "es.conll",
        "--source-vectors",
        "en.vec",
        "--target-vectors",
        "wide.vec",
    ];
    let error = fails(folder.path(), &train(&vectors));
    assert!(
        error.ends_with("wide.vec:1: vectors of 4 dimensions, expected 3 as of the other file"),
        "{error}"
    );
    write("bad.tsv", "one two three\n");
    let error = fails(folder.path(), &["translate", "en.conll", "--dictionary", "bad.tsv"]);
    assert!(error.contains("bad.tsv:1: `one two three` is no pair"), "{error}");
    write("empty.conll", "");
    let error = fails(folder.path(), &train(&["--source", "en.conll", "--target", "empty.conll"]));
    assert!(error.contains("reading the target files: empty.conll:1: no sentence"), "{error}");
    let error = fails(folder.path(), &["predict", "--model", "nowhere", "es.conll"]);
    assert!(error.contains("nowhere/model.json: reading: no such file"), "{error}");
    assert!(!folder.path().join("nowhere").exists());
}

#[test]
fn other_unicode_forms_are_mended_with_a_warning() {
    let folder = folder();
    std::fs::write(folder.path().join("nfd.conll"), SPANISH.replace("Juan", "Joa\u{303}o")).unwrap();
    let arguments = ["--source", "en.conll", "--target", "nfd.conll", "--updates", "2", "--method", "mult"];
    let output = run(folder.path(), &train(&arguments));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("warning: 1 words of the target files were not in Unicode's form NFC"), "{error}");
}

#[test]
fn what_is_no_method_or_setting_is_refused_before_anything_is_written() {
    let folder = folder();
    for (option, value) in [
        ("--method", "datnet"),
        ("--discriminator", "grad:2:1"),
        ("--adversarial", "sentence:-1"),
        ("--attention", "many"),
        ("--frozen", "everything"),
    ] {
        let output = run(folder.path(), &[&train(&["--target", "es.conll"])[..], &[option, value]].concat());
        assert_eq!(output.status.code(), Some(2), "{option}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("expected"), "{option}");
    }
    assert!(!folder.path().join("model").exists());
}
