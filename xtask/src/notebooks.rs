//! `notebooks`: programs in `notebooks/cells` become notebooks, evcxr runs them, what their cells show is kept.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::setup;

/// Version that the notebooks were made with.
const EVCXR: &str = "0.22.0";
/// Environment of Jupyter, and where evcxr builds: a lasting folder, or each start would build all dependencies anew.
const VENV: &str = ".venv-notebooks";
const BUILD: &str = "target/evcxr";
/// Printed by the last cell. An error that a cell returns is text on stderr and no failure to nbconvert.
const MARKER: &str = "NOTEBOOK OK";

/// Options of `notebooks`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Notebooks by name [default: all]
    names: Vec<String>,
    /// Only say whether each notebook has the cells of its program
    #[arg(long)]
    check: bool,
    /// Write the notebooks without running them
    #[arg(long, conflicts_with = "check")]
    sync: bool,
}

/// A cell of a notebook.
#[derive(Debug, PartialEq)]
enum Cell {
    Markdown(String),
    Code(String),
}

pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let folder = root.join("notebooks");
    let known = programs(&folder)?;
    if let Some(unknown) = arguments.names.iter().find(|name| !known.contains(name)) {
        bail!("`{unknown}` is no notebook; expected {}", known.join(", "));
    }
    let chosen = known.iter().filter(|name| arguments.names.is_empty() || arguments.names.contains(name));
    if arguments.check {
        let mut stale = Vec::new();
        for name in chosen {
            let problem = difference(&folder, name).with_context(|| name.clone())?;
            stale.extend(problem.map(|problem| format!("{name}: {problem}")));
        }
        if !stale.is_empty() {
            bail!("{}\nrun `cargo xtask notebooks`", stale.join("\n"));
        }
        return Ok(());
    }
    let kernel = (!arguments.sync).then(|| Kernel::set_up(root)).transpose()?;
    for name in chosen {
        let path = notebook(&folder, name);
        let written = with_outputs_of(document(&cells(&folder, name)?), &path)?;
        write(&path, &written)?;
        if let Some(kernel) = &kernel {
            let done = kernel.execute(root, &path).with_context(|| name.clone())?;
            write(&path, &done)?;
            eprintln!("{name}: done");
        }
    }
    Ok(())
}

/// The step of `test`.
pub(crate) fn check(root: &Path) -> Result<()> {
    run(root, &Arguments { names: Vec::new(), check: true, sync: false })
}

fn programs(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder.join("cells")).context("notebooks/cells")?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    let mut names: Vec<String> = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn notebook(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.ipynb"))
}

fn cells(folder: &Path, name: &str) -> Result<Vec<Cell>> {
    let path = folder.join("cells").join(format!("{name}.rs"));
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    parse(&text).with_context(|| path.display().to_string())
}

/// Cells of a program. `//! :dep` lines of its head become the first cell; in the body of `run`, `// %% [markdown]` and `// %%`
/// begin cells.
fn parse(program: &str) -> Result<Vec<Cell>> {
    let head: Vec<&str> = program.lines().filter_map(|line| line.strip_prefix("//! :dep")).collect();
    if head.is_empty() {
        bail!("no `//! :dep` line: a notebook names what it depends on");
    }
    let mut lines = program.lines().skip_while(|line| !line.starts_with("pub(crate) fn run()")).skip(1);
    let mut cells = vec![];
    let dependencies: Vec<String> = head.iter().map(|rest| format!(":dep{rest}")).collect();
    let mut current: Option<(bool, Vec<String>)> = None;
    let mut finish = |current: &mut Option<(bool, Vec<String>)>| {
        if let Some((markdown, lines)) = current.take() {
            let text = lines.join("\n").trim_matches('\n').to_owned();
            if !text.is_empty() {
                cells.push(if markdown { Cell::Markdown(text) } else { Cell::Code(text) });
            }
        }
    };
    let mut ended = false;
    for line in lines.by_ref() {
        if line == "    Ok(())" {
            ended = true;
            break;
        }
        let inner = line.strip_prefix("    ").unwrap_or(line);
        match inner.strip_prefix("// %%") {
            Some(kind) => {
                finish(&mut current);
                current = Some((kind.trim() == "[markdown]", Vec::new()));
            }
            None => {
                let (markdown, lines) =
                    current.as_mut().with_context(|| format!("`{inner}` stands before the first `// %%`"))?;
                lines.push(match *markdown {
                    true if inner.is_empty() => String::new(),
                    true => {
                        let text =
                            inner.strip_prefix("//").with_context(|| format!("`{inner}` is no comment"))?;
                        text.strip_prefix(' ').unwrap_or(text).to_owned()
                    }
                    false => inner.to_owned(),
                });
            }
        }
    }
    finish(&mut current);
    if !ended || lines.next() != Some("}") {
        bail!("`run` does not end with `Ok(())` and `}}`");
    }
    let first_code = cells.iter().position(|cell| matches!(cell, Cell::Code(_))).unwrap_or(cells.len());
    cells.insert(first_code, Cell::Code(dependencies.join("\n")));
    cells.push(Cell::Code(format!("println!(\"{MARKER}\");")));
    Ok(cells)
}

/// The notebook without outputs.
fn document(cells: &[Cell]) -> Value {
    let lines = |text: &str| -> Vec<String> { text.split_inclusive('\n').map(str::to_owned).collect() };
    let cells: Vec<Value> = cells
        .iter()
        .enumerate()
        .map(|(at, cell)| {
            let id = format!("cell-{at}");
            match cell {
                Cell::Markdown(text) => {
                    json!({ "cell_type": "markdown", "id": id, "metadata": {}, "source": lines(text) })
                }
                Cell::Code(text) => json!({
                    "cell_type": "code", "execution_count": null, "id": id, "metadata": {}, "outputs": [], "source": lines(text),
                }),
            }
        })
        .collect();
    json!({
        "cells": cells,
        "metadata": {
            "kernelspec": { "display_name": "Rust", "language": "rust", "name": "rust" },
            "language_info": { "file_extension": ".rs", "name": "Rust" },
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    })
}

/// Outputs of an older notebook stay with the cells that have not changed, if none before them has.
fn with_outputs_of(mut document: Value, older: &Path) -> Result<Value> {
    let Ok(text) = fs::read_to_string(older) else { return Ok(document) };
    let older: Value = serde_json::from_str(&text).with_context(|| older.display().to_string())?;
    let empty = Vec::new();
    let old = older["cells"].as_array().unwrap_or(&empty);
    for (new, old) in document["cells"].as_array_mut().into_iter().flatten().zip(old) {
        if new["source"] != old["source"] {
            break;
        }
        if new["cell_type"] == "code" {
            new["outputs"] = old["outputs"].clone();
            new["execution_count"] = old["execution_count"].clone();
        }
    }
    Ok(document)
}

/// What keeps a notebook from being that of its program.
fn difference(folder: &Path, name: &str) -> Result<Option<String>> {
    let Ok(text) = fs::read_to_string(notebook(folder, name)) else {
        return Ok(Some("there is no notebook".into()));
    };
    let found: Value = serde_json::from_str(&text)?;
    let expected = document(&cells(folder, name)?);
    let sources = |value: &Value| -> Vec<Value> {
        value["cells"].as_array().into_iter().flatten().map(|cell| cell["source"].clone()).collect()
    };
    if sources(&found) != sources(&expected) {
        return Ok(Some("its cells are not those of its program".into()));
    }
    let outputs = |cell: &Value| cell["outputs"].as_array().is_some_and(|outputs| !outputs.is_empty());
    if !found["cells"].as_array().into_iter().flatten().any(outputs) {
        eprintln!("note: {name}.ipynb was never run; `cargo xtask notebooks {name}` runs it");
        return Ok(None);
    }
    Ok(problem(&found))
}

/// The error, panic or missing end of an executed notebook.
fn problem(notebook: &Value) -> Option<String> {
    let cells = notebook["cells"].as_array()?;
    let outputs = cells.iter().flat_map(|cell| cell["outputs"].as_array().into_iter().flatten());
    let text = |value: &Value| -> String {
        match value {
            Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
            other => other.as_str().unwrap_or_default().to_owned(),
        }
    };
    let (mut ended, mut told) = (false, String::new());
    for output in outputs {
        let words = text(&output["text"]);
        if output["name"] == "stderr" {
            told = words.trim().to_owned();
        }
        if output["output_type"] == "error" {
            // An error that an earlier cell returned is text, and its variables are missing afterwards.
            let failed = format!("a cell failed: {} {}", text(&output["ename"]), text(&output["evalue"]));
            return Some(if told.is_empty() { failed } else { format!("{failed}; before that: {told}") });
        }
        if output["name"] == "stderr" && words.contains("panicked at") {
            return Some(format!("a cell panicked: {words}"));
        }
        if words.contains("CHECK FAILED") {
            return Some(words);
        }
        ended |= words.contains(MARKER);
    }
    (!ended).then(|| {
        format!("its last cell did not print `{MARKER}`: it was not run, or a cell returned an error")
    })
}

fn write(path: &Path, notebook: &Value) -> Result<()> {
    let mut text = Vec::new();
    let mut form = serde_json::Serializer::with_formatter(
        &mut text,
        serde_json::ser::PrettyFormatter::with_indent(b" "),
    );
    serde::Serialize::serialize(notebook, &mut form)?;
    text.push(b'\n');
    let new = path.with_extension("ipynb.new");
    fs::write(&new, text).with_context(|| format!("writing {}", new.display()))?;
    fs::rename(&new, path).with_context(|| format!("replacing {}", path.display()))
}

/// Jupyter and evcxr, with what a cell needs around it.
#[derive(Debug)]
struct Kernel {
    jupyter: PathBuf,
    environment: HashMap<&'static str, String>,
}

impl Kernel {
    /// Makes sure of libtorch, of Jupyter in an environment of its own, and of the kernel.
    fn set_up(root: &Path) -> Result<Self> {
        setup::run(root, &setup::Arguments::default())?;
        let venv = root.join(VENV);
        setup::python_environment(&venv, &root.join("notebooks/requirements.txt"))?;
        let tools = root.join("target/tools");
        let program = tools.join("bin/evcxr_jupyter");
        if !program.exists() {
            eprintln!("building evcxr_jupyter {EVCXR} into target/tools: ten minutes or more");
            let name = format!("evcxr_jupyter@{EVCXR}");
            let mut command = Command::new("cargo");
            command.args(["install", "--locked", &name, "--root"]).arg(&tools);
            let status = command.arg("--target-dir").arg(root.join("target/tools/build")).status();
            if !status.context("starting cargo")?.success() {
                bail!("`cargo install {name}` failed; see above");
            }
        }
        let build = root.join(BUILD);
        fs::create_dir_all(&build)?;
        let libtorch = root.join(".libtorch");
        let text = |path: &Path| path.display().to_string();
        let environment = HashMap::from([
            ("LIBTORCH", text(&libtorch)),
            ("LD_LIBRARY_PATH", text(&libtorch.join("lib"))),
            ("EVCXR_TMPDIR", text(&build)),
            ("OMP_NUM_THREADS", "1".to_owned()),
        ]);
        let spec = venv.join("share/jupyter/kernels/rust");
        fs::create_dir_all(&spec)?;
        // With its environment in it the kernel works wherever Jupyter was started.
        let kernel = json!({
            "argv": [text(&program), "--control_file", "{connection_file}"],
            "display_name": "Rust",
            "language": "rust",
            "interrupt_mode": "message",
            "env": environment,
        });
        fs::write(spec.join("kernel.json"), serde_json::to_string_pretty(&kernel)?)?;
        Ok(Self { jupyter: venv.join("bin/jupyter"), environment })
    }

    /// The notebook with outputs; fails on any cell's error.
    fn execute(&self, root: &Path, path: &Path) -> Result<Value> {
        let out = root.join("target/notebooks");
        fs::create_dir_all(&out)?;
        let mut command = Command::new(&self.jupyter);
        command
            // An error stops nbconvert without a word of what it was; in the notebook it stands in full.
            .args(["nbconvert", "--to", "notebook", "--execute", "--allow-errors"])
            .args([
                "--ExecutePreprocessor.timeout=3600",
                "--ExecutePreprocessor.startup_timeout=600",
                "--output-dir",
            ])
            .arg(&out)
            .arg(path)
            .envs(&self.environment)
            .env("JUPYTER_PATH", root.join(VENV).join("share/jupyter"))
            .env("NOTEBOOK_CI", "1")
            .current_dir(root.join("notebooks"));
        let output = command.output().context("starting jupyter: remove .venv-notebooks and run again")?;
        if !output.status.success() {
            bail!("nbconvert failed:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        let name = path.file_name().context("a notebook's name")?;
        let mut done: Value = serde_json::from_str(&fs::read_to_string(out.join(name))?)?;
        if let Some(problem) = problem(&done) {
            bail!("{problem}");
        }
        strip(&mut done);
        Ok(done)
    }
}

/// Leaves what a reader sees: no times of execution, no warnings of cargo.
fn strip(notebook: &mut Value) {
    for cell in notebook["cells"].as_array_mut().into_iter().flatten() {
        cell["metadata"] = json!({});
        if let Some(outputs) = cell["outputs"].as_array_mut() {
            outputs.retain(|output| output["name"] != "stderr");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: &str = "//! Title.\n//! :dep common = { path = \"../common\" }\n\nuse anyhow::Result;\n\npub(crate) fn run() -> Result<()> {\n    // %% [markdown]\n    // # Title\n    //\n    // Text.\n    // %%\n    let x = 1;\n    if x > 0 {\n        println!(\"{x}\");\n    }\n\n    // %%\n    println!(\"two\");\n    Ok(())\n}\n";

    #[test]
    fn a_program_becomes_cells() {
        let markdown = |text: &str| Cell::Markdown(text.into());
        let code = |text: &str| Cell::Code(text.into());
        assert_eq!(
            parse(PROGRAM).unwrap(),
            [
                markdown("# Title\n\nText."),
                code(":dep common = { path = \"../common\" }"),
                code("let x = 1;\nif x > 0 {\n    println!(\"{x}\");\n}"),
                code("println!(\"two\");"),
                code("println!(\"NOTEBOOK OK\");"),
            ]
        );
        let broken = PROGRAM.replace("    // %% [markdown]\n", "");
        assert!(parse(&broken).unwrap_err().to_string().contains("stands before the first"));
        let open = PROGRAM.replace("    Ok(())\n", "");
        assert!(parse(&open).unwrap_err().to_string().contains("does not end"));
        let bare = PROGRAM.replace("//! :dep", "//! dep");
        assert!(parse(&bare).unwrap_err().to_string().contains("names what it depends on"));
    }

    #[test]
    fn every_way_to_fail_is_seen() {
        let of = |output: Value| problem(&json!({ "cells": [{ "outputs": [output] }] }));
        assert_eq!(of(json!({ "name": "stdout", "text": ["NOTEBOOK OK\n"] })), None);
        let failed = of(json!({ "output_type": "error", "ename": "E0425", "evalue": "no such name" }));
        assert_eq!(failed.as_deref(), Some("a cell failed: E0425 no such name"));
        let panicked = of(json!({ "name": "stderr", "text": "thread 'main' panicked at src" }));
        assert!(panicked.unwrap().starts_with("a cell panicked"));
        assert!(of(json!({ "name": "stdout", "text": "CHECK FAILED: x" })).is_some());
        assert!(
            of(json!({ "name": "stderr", "text": "an error that was returned" }))
                .unwrap()
                .contains("did not print")
        );
    }

    #[test]
    fn outputs_stay_until_the_first_changed_cell() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.ipynb");
        let code = |texts: [&str; 3]| document(&texts.map(|text| Cell::Code(text.into())));
        let mut old = code(["a", "b", "c"]);
        for at in 0..3 {
            old["cells"][at]["outputs"] = json!([{ "name": "stdout", "text": "shown" }]);
        }
        write(&path, &old).unwrap();
        let new = with_outputs_of(code(["a", "x", "c"]), &path).unwrap();
        let shown: Vec<usize> =
            (0..3).map(|at| new["cells"][at]["outputs"].as_array().unwrap().len()).collect();
        assert_eq!(shown, [1, 0, 0]);
    }
}
