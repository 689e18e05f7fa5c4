//! Every notebook runs through as a program, where its data sets are.

use std::process::Command;

const NOTEBOOKS: [&str; 8] = [
    "overview",
    "click_mil",
    "frequency_mask",
    "long_clip",
    "ner_mom",
    "quantization",
    "retrieval",
    "transfer_ner",
];

#[test]
fn every_notebook_runs_through() {
    for name in NOTEBOOKS {
        let output = Command::new(env!("CARGO_BIN_EXE_notebooks"))
            .arg(name)
            .env("OMP_NUM_THREADS", "1")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("the program starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        // A data set that is not there is the only reason not to run through.
        let missing = errors.contains("cargo xtask data get");
        assert!(output.status.success() || missing, "{name}: {errors}");
    }
}

#[test]
fn an_unknown_name_is_told() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_notebooks")).arg("nothing").output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("expected one of overview"));
}
