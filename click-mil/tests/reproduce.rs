//! `reproduce`, `report` and `compare`: the quick preset on stand-ins from end to end, and bad input.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_click-mil"));
    command.current_dir(folder).env_remove("BENKYOKAI_DATA").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn without_data_the_quick_preset_runs_on_stand_ins_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("data")).unwrap();
    let options = ["--data", "data", "--runs", "runs", "--workers", "2", "--quiet"];
    let output = run(folder, &[&["reproduce", "--out", "report"], &options[..]].concat());
    let error = text(&output.stderr);
    assert!(output.status.success(), "{error}");
    assert!(error.contains("data set `voc-mix` is not in data"), "{error}");
    let out = text(&output.stdout);
    assert!(out.contains("\nC1  – not evaluated") && out.trim_end().ends_with("report/report.html"), "{out}");
    let report = fs::read_to_string(folder.join("report/report.md")).unwrap();
    assert!(report.contains("Drawn shapes and an untrained network instead of voc-mix"), "{report}");
    assert!(report.contains("equal bits: voc-mix click-1, click seed 1, fold seed 1"), "{report}");
    assert!(report.contains("fast-rcnn: mean over click seeds"), "{report}");
    for figure in ["localisation", "detectors", "time", "iterations"] {
        assert!(folder.join(format!("report/figures/{figure}.csv")).exists(), "{figure}");
    }
    // Nothing of the gigabytes is left, and what was done is not done again.
    let run_folder = folder.join("runs/latest");
    assert!(!run_folder.join("features").exists());
    let resumed = [&["reproduce", "--resume", run_folder.to_str().unwrap()], &options[..]].concat();
    let output = run(folder, &resumed);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let compare = run(folder, &["compare", "report", "runs/latest"]);
    assert!(text(&compare.stdout).contains("| C1-mix |"), "{}", text(&compare.stderr));
    assert!(run(folder, &["report", "report"]).status.success());
}

#[test]
fn the_verdict_preset_wants_the_data_and_says_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let output = run(folder, &["reproduce", "--preset", "cpu", "--data", "nowhere", "--runs", "runs"]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    let expected =
        "error: data set `voc-mix` is not in nowhere; fetch it with `cargo xtask data get voc-mix`";
    assert!(error.starts_with(expected) && error.lines().count() == 1, "{error}");
    assert!(!folder.join("runs").exists(), "nothing is begun");
    let output = run(folder, &["reproduce", "--preset", "huge"]);
    assert_eq!(output.status.code(), Some(2));
    let output = run(folder, &["report", "."]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("report.json"), "{}", text(&output.stderr));
}
