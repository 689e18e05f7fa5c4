//! `reproduce` and `report` on the smallest design: a few studies of the preset `quick` on generated stand-ins.

use std::fs;

use super::{error, program, succeeds, text};

#[test]
fn the_quick_preset_runs_on_stand_ins_and_its_report_can_be_rendered_again() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let studies = ["memory", "weights subject stories", "qat bits", "ptq", "lfq bits 8 entropy true"];
    let mut arguments = vec![
        "reproduce",
        "--preset",
        "quick",
        "--data",
        "nowhere",
        "--runs",
        "runs",
        "--out",
        "out",
        "--quiet",
    ];
    arguments.extend(["--workers", "2"]);
    studies.iter().for_each(|study| arguments.extend(["--only", study]));
    let output = program(at, &arguments);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("generated stand-ins are used for all data sets"), "{said}");
    let table = text(&output.stdout);
    assert!(table.contains("M1 ") && table.contains("out/report.html"), "{table}");
    let report = fs::read_to_string(at.join("out/report.md")).unwrap();
    for part in ["Generated stand-ins, because", "## Memory and number lines", "Quantization-aware training"]
    {
        assert!(report.contains(part), "{part}");
    }
    assert!(!report.contains("A sentence encoder") && !report.contains("Residual codec"));
    fs::remove_file(at.join("out/report.md")).unwrap();
    assert!(succeeds(at, &["report", "out"]).contains("M1 "));
    assert_eq!(fs::read_to_string(at.join("out/report.md")).unwrap(), report);
    assert!(succeeds(at, &["compare", "out", "out"]).contains("M1"));
}

#[test]
fn studies_presets_and_devices_that_are_not_there_are_one_error() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let run =
        |more: &[&str]| error(at, &[&["reproduce", "--data", "nowhere", "--runs", "runs"], more].concat());
    assert!(run(&["--preset", "cpu"]).starts_with("data set `shakespeare-llama-256` is not in nowhere"));
    assert_eq!(run(&["--only", "nothing"]), "--only nothing: no study of this preset is described so");
    assert!(run(&["--device", "tpu"]).starts_with("`tpu` is not a device; expected `auto`, `cpu`"));
    assert!(run(&["--minilm", "m"]).starts_with("data set `xquad-en` is not in nowhere"));
    assert!(!at.join("runs").exists());
    assert!(error(at, &["report", "nowhere"]).starts_with("nowhere/report.json: "));
}
