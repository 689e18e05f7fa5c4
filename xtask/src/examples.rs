//! The commands of the READMEs, run as they stand there.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::reproduce::members;
use crate::setup;

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
    let readmes = members(root)?.into_iter().map(|member| root.join(member).join("README.md"));
    let without = setup::without_opencv(root)?;
    for path in readmes.chain([root.join("README.md")]).filter(|path| path.exists()) {
        for example in examples(&fs::read_to_string(&path)?) {
            if !without.is_empty() && example.command.contains("opencv") {
                eprintln!("skipped, as OpenCV is not here: `{}`", example.command);
                continue;
            }
            check(root, &data, &without, &example)
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

fn check(root: &Path, data: &str, without: &[String], example: &Example) -> Result<()> {
    let command = example.command.replace(" data/", &format!(" {data}/"));
    let leave_out = |command: String, member: &String| {
        let package = format!("-p {member} ");
        command.replace(&package, &format!("{package}--no-default-features "))
    };
    let command = without.iter().fold(command, leave_out);
    // Output and messages in the order in which a terminal shows them.
    let script = format!("{{ {command}\n}} 2>&1");
    let output = Command::new("sh").args(["-c", &script]).current_dir(root).output()?;
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
    fn numbers_are_masked_and_words_are_not() {
        assert_eq!(masked("LOC     0.12   34 "), masked("LOC 10.5 6"));
        assert_ne!(masked("LOC 1"), masked("PER 1"));
    }
}
