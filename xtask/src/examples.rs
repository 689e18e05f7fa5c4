//! The commands of the READMEs, run as they stand there.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::checks;
use crate::reproduce::members;
use crate::setup;

/// Stands for cargo while examples run: `cargo run -p CRATE [--bin NAME] -- …` starts the program that the workspace's build made.
/// Cargo itself would build each crate once more, with the features of that crate alone; what `cargo build` makes is made.
const STAND_IN: &str = r#"#!/bin/sh
if [ "$1" = build ]; then exit 0; fi
if [ "$1" != run ]; then exec "$CARGO" "$@"; fi
shift
while [ $# -gt 0 ]; do
  case "$1" in
    -q | --quiet) shift ;;
    -p | --package) name="${name:-$2}"; shift 2 ;;
    --bin) name="$2"; shift 2 ;;
    --) shift; exec "$PROGRAMS/$name" "$@" ;;
    *) break ;;
  esac
done
echo "a README's command is \`cargo run [-q] -p CRATE [--bin NAME] -- ...\`, found \`$*\`" >&2
exit 2
"#;

/// A command of a README and the output printed below it.
#[derive(Debug, PartialEq, Eq)]
struct Example {
    command: String,
    output: Vec<String>,
}

/// Runs every `console` block of the READMEs except those marked `long`, and compares words and layout of the output;
/// numbers may differ between processors. Without the data sets there is nothing to run.
pub(crate) fn run(root: &Path) -> Result<()> {
    let data = std::env::var("BENKYOKAI_DATA").unwrap_or_else(|_| root.join("data").display().to_string());
    if !Path::new(&data).exists() {
        eprintln!("skipped: no data in {data}; `cargo xtask data get NAME…` fetches what the READMEs read");
        return Ok(());
    }
    checks::everywhere(root, &["build", "--quiet", "--bins"], &[], &[])?;
    let stand_in = root.join("target/examples/cargo");
    write_program(&stand_in, STAND_IN)?;
    let readmes = members(root)?.into_iter().map(|member| root.join(member).join("README.md"));
    let without = setup::without_opencv(root)?;
    for path in readmes.chain([root.join("README.md")]).filter(|path| path.exists()) {
        for example in examples(&fs::read_to_string(&path)?) {
            if !without.is_empty() && example.command.contains("opencv") {
                eprintln!("skipped, as OpenCV is not here: `{}`", example.command);
                continue;
            }
            check(root, &data, &stand_in, &example)
                .with_context(|| format!("{}: `{}`", path.display(), example.command))?;
        }
    }
    Ok(())
}

fn examples(text: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            examples.push(Example { command: command.to_owned(), output: Vec::new() });
        } else if let Some(example) = examples.last_mut().filter(|_| inside) {
            example.output.push(line.to_owned());
        }
    }
    examples
}

fn write_program(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

/// `PATH` with the stand-in's folder before all others.
fn search_path(stand_in: &Path) -> Result<std::ffi::OsString> {
    let old = std::env::var_os("PATH").unwrap_or_default();
    let folders = stand_in.parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&old));
    Ok(std::env::join_paths(folders)?)
}

fn check(root: &Path, data: &str, stand_in: &Path, example: &Example) -> Result<()> {
    // Output and messages in the order in which a terminal shows them.
    let script = format!("{{ {}\n}} 2>&1", example.command.replace(" data/", &format!(" {data}/")));
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("PATH", search_path(stand_in)?)
        .env("CARGO", std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .env("PROGRAMS", root.join("target/debug"))
        .current_dir(root)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).replace(&format!("{data}/"), "data/");
    if !output.status.success() {
        bail!("ended with {}: {text}", output.status);
    }
    let found: Vec<String> = text.lines().map(masked).collect();
    let expected: Vec<String> = example.output.iter().map(|line| masked(line)).collect();
    if found != expected {
        bail!("the README shows\n{}\nbut the command gives\n{text}", example.output.join("\n"));
    }
    Ok(())
}

/// A line with `#` for every number and one space for every run of spaces.
fn masked(line: &str) -> String {
    let mut out = String::new();
    for c in line.trim_end().chars() {
        match c {
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            ' ' if out.ends_with(' ') => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_and_long_ones_left_out() {
        let text =
            "```console long\n$ a\n```\ntext\n```console\n$ b | c\none\n\ntwo\n$ d\n```\n```text\n$ e\n```\n";
        let example = |command: &str, output: &[&str]| Example {
            command: command.to_owned(),
            output: output.iter().map(|line| (*line).to_owned()).collect(),
        };
        assert_eq!(examples(text), [example("b | c", &["one", "", "two"]), example("d", &[])]);
    }

    #[test]
    fn a_command_starts_the_program_that_is_built() {
        let folder = tempfile::tempdir().unwrap();
        let stand_in = folder.path().join("target/examples/cargo");
        write_program(&stand_in, STAND_IN).unwrap();
        for name in ["one", "two"] {
            write_program(
                &folder.path().join("target/debug").join(name),
                &format!("#!/bin/sh\necho {name} \"$@\"\n"),
            )
            .unwrap();
        }
        let run = |command: &str, output: &str| {
            let output = vec![output.to_owned()];
            check(folder.path(), "data", &stand_in, &Example { command: command.to_owned(), output })
        };
        run("cargo run -q -p one -- a 'b c'", "one a b c").unwrap();
        run("cargo run -p one --bin two -- a", "two a").unwrap();
        let error = run("cargo run -p one --release -- a", "").unwrap_err().to_string();
        assert!(error.contains("a README's command is `cargo run"), "{error}");
    }

    #[test]
    fn numbers_are_masked_and_words_are_not() {
        assert_eq!(masked("LOC     0.12   34 "), masked("LOC 10.5 6"));
        assert_ne!(masked("LOC 1"), masked("PER 1"));
    }
}
