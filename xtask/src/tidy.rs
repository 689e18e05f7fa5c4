//! `tidy`: house rules that are programs. Each finding names the rule of the README that it breaks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::reproduce::{experiments_of, members};

/// Longest file without documentation, blank lines and tests.
const MAX_LINES: usize = 600;
/// Largest file in the repository.
const MAX_BYTES: u64 = 1 << 20;
/// Largest page over all reports: every comparison with its runs as text, no pictures.
const MAX_PAGE: u64 = 2 << 20;
/// Largest generated file in a format of data or weights among the golden files; of PyTorch's archive of fifty tiny tensors,
/// 30 KB are names and padding.
const MAX_FIXTURE: u64 = 1 << 15;
/// Data, weights and fonts stay outside the repository.
const FOREIGN: [&str; 9] = ["safetensors", "gguf", "pt", "bin", "ttf", "otf", "knp", "conll", "parquet"];
/// Modules of `common` that need libtorch.
const TENSOR: [&str; 9] = ["cli", "crf", "device", "nn", "optim", "tagging", "tensor", "testing", "train"];

pub(crate) fn run(root: &Path) -> Result<()> {
    let files = tracked(root)?;
    let members = members(root)?;
    let mut findings = Vec::new();
    for file in &files {
        let path = root.join(file);
        let name = file.display().to_string();
        let mut find = |problem: &str| findings.push(format!("{name}: {problem}"));
        if fs::metadata(&path)
            .is_ok_and(|data| data.len() > if name == "reports/index.html" { MAX_PAGE } else { MAX_BYTES })
        {
            find("larger than 1 MiB; data and weights stay outside the repository");
        }
        let fixture = name.contains("/tests/golden/")
            && fs::metadata(&path).is_ok_and(|data| data.len() <= MAX_FIXTURE);
        if !fixture
            && file.extension().is_some_and(|extension| FOREIGN.iter().any(|foreign| extension == *foreign))
        {
            find("data, weights and fonts stay outside the repository");
        }
        if file.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).with_context(|| format!("reading {name}"))?;
            source(&name, &text, &members, &mut find);
        }
    }
    for member in &members {
        crate_rules(root, member, &members, &mut findings)?;
    }
    if !findings.is_empty() {
        bail!("{} findings (rules: README, \"Architecture\"):\n{}", findings.len(), findings.join("\n"));
    }
    Ok(())
}

/// Files that git tracks or would add.
fn tracked(root: &Path) -> Result<Vec<PathBuf>> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().context("starting git")?;
    let list = String::from_utf8_lossy(&output.stdout);
    Ok(list.lines().map(PathBuf::from).filter(|file| root.join(file).exists()).collect())
}

fn source(name: &str, text: &str, members: &[String], find: &mut impl FnMut(&str)) {
    let library = members.iter().any(|member| name.starts_with(&format!("{member}/src/")));
    if library && !text.starts_with("//!") && !text.starts_with("#![doc") {
        find("no `//!` line; every module says what it is for");
    }
    let code = text.split("#[cfg(test)]").next().unwrap_or(text);
    let lines =
        code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count();
    if library && lines > MAX_LINES {
        find(&format!("{lines} lines of code, at most {MAX_LINES}"));
    }
    for place in ["/home/", "/root/", "/work/"] {
        if code.lines().any(|line| line.contains(place) && !line.contains("for place in")) {
            find(&format!("a path of one machine: `{place}`"));
        }
    }
    let tensor = |module: &str| name.starts_with(&format!("common/src/{module}"));
    if name.starts_with("common/src/")
        && !TENSOR.iter().any(|module| tensor(module))
        && code.contains("tch::")
    {
        find("the pure half of `common` knows nothing of tensors");
    }
    if name.starts_with("xtask/src/") && (code.contains("use tch") || code.contains("use common")) {
        find("`xtask` drives processes only");
    }
}

fn crate_rules(root: &Path, member: &str, members: &[String], findings: &mut Vec<String>) -> Result<()> {
    let folder = root.join(member);
    let manifest: toml::Table = fs::read_to_string(folder.join("Cargo.toml"))?.parse()?;
    let experiment = |name: &str| root.join(name).join("claims.toml").exists();
    // Notebooks show every experiment.
    if let Some(dependencies) =
        manifest.get("dependencies").and_then(toml::Value::as_table).filter(|_| member != "notebooks")
    {
        for other in members.iter().filter(|other| experiment(other) && dependencies.contains_key(*other)) {
            findings.push(format!(
                "{member}/Cargo.toml: depends on the experiment `{other}`; move what both need to `common`"
            ));
        }
    }
    for own in experiments_of(root, member)? {
        let claims: toml::Table = fs::read_to_string(root.join(&own.claims))?.parse()?;
        let readme = fs::read_to_string(folder.join("README.md"))?;
        for claim in claims.get("claim").and_then(toml::Value::as_array).into_iter().flatten() {
            let id = claim.get("id").and_then(toml::Value::as_str).unwrap_or_default();
            if !readme.contains(&format!("| {id} |")) {
                findings.push(format!(
                    "{member}/README.md: claim `{id}` of {} is not in its table; run `cargo xtask readme`",
                    own.claims.display()
                ));
            }
        }
    }
    let golden = folder.join("tests/golden");
    if golden.exists() {
        let listed = fs::read_to_string(golden.join("README.md")).unwrap_or_default();
        for entry in fs::read_dir(&golden)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "README.md" && !listed.contains(&name) {
                findings.push(format!("{member}/tests/golden/{name}: not in tests/golden/README.md with package, version and inputs"));
            }
        }
    }
    Ok(())
}
