//! The real program on good and bad input.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

#[path = "cli/bad_input.rs"]
mod bad_input;
#[cfg(feature = "tensor")]
#[path = "cli/encoders.rs"]
mod encoders;
#[cfg(feature = "tensor")]
#[path = "cli/experiment.rs"]
mod experiment;
#[path = "cli/formats.rs"]
mod formats;
#[path = "cli/importance.rs"]
mod importance;
#[path = "cli/models.rs"]
mod models;
#[path = "cli/real_models.rs"]
mod real_models;
#[path = "cli/resources.rs"]
mod resources;
#[path = "cli/tokenizers.rs"]
mod tokenizers;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Output of the program in this folder.
fn program(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quantization"));
    command.args(arguments).current_dir(folder).env_remove("BENKYOKAI_DATA").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Standard output of a run that must succeed.
fn succeeds(folder: &Path, arguments: &[&str]) -> String {
    let output = program(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Standard error of a run that must fail with one clear error and nothing on standard output.
fn error(folder: &Path, arguments: &[&str]) -> String {
    let output = program(folder, arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    let errors: Vec<&str> = said.lines().filter(|line| !line.starts_with("warning: ")).collect();
    assert_eq!(errors.len(), 1, "{said}");
    errors[0].strip_prefix("error: ").unwrap_or_else(|| panic!("{said}")).to_owned()
}

/// Names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The project's data folder, or nothing where it is not given.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("BENKYOKAI_DATA").map(PathBuf::from).filter(|folder| folder.is_dir());
    if folder.is_none() {
        eprintln!("skipped: BENKYOKAI_DATA is not set");
    }
    folder
}

#[test]
fn without_arguments_there_is_a_short_help() {
    let folder = tempfile::tempdir().unwrap();
    let output = program(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    let help = text(&output.stderr);
    for verb in ["inspect", "quantize", "dequantize", "imatrix", "evaluate", "generate", "Examples:"] {
        assert!(help.contains(verb), "{help}");
    }
}

#[test]
fn every_verb_shows_examples_that_parse() {
    let folder = tempfile::tempdir().unwrap();
    for verb in ["inspect", "quantize", "dequantize", "imatrix", "evaluate", "generate"] {
        let help = succeeds(folder.path(), &[verb, "--help"]);
        let examples = help.split_once("Examples:\n").unwrap().1;
        let commands: Vec<&str> =
            examples.lines().filter_map(|line| line.trim().strip_prefix("quantization ")).collect();
        assert!(commands.len() >= 2, "{help}");
        for command in commands {
            let arguments: Vec<&str> =
                command.split('"').enumerate().fold(Vec::new(), |mut all, (i, part)| {
                    if i % 2 == 1 {
                        all.push(part)
                    } else {
                        all.extend(part.split_whitespace())
                    }
                    all
                });
            // The files are missing, but what was typed is understood: 1, not 2.
            assert_eq!(program(folder.path(), &arguments).status.code(), Some(1), "{command}");
        }
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let folder = tempfile::tempdir().unwrap();
    models::write(&folder.path().join("m"), models::SMALL, |_, _| ());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_quantization"));
    command.args(["inspect", "m", "-q"]).current_dir(folder.path()).stdout(writer);
    let output = command.stderr(std::process::Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}
