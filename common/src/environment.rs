//! What a report says about the machine, the software and the code.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::files;

/// Variables that change results or speed; nothing else of the environment is recorded.
const VARIABLES: [&str; 7] = [
    "BENKYOKAI_GEMM",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "NVIDIA_TF32_OVERRIDE",
    "CUDA_VISIBLE_DEVICES",
];

/// Facts about code, machine and environment; what cannot be found out is left out.
pub fn capture(workspace: &Path) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let mut put = |name: &str, value: Option<String>| value.map(|value| facts.insert(name.to_owned(), value));
    put("commit", commit(workspace));
    put("Cargo.lock sha256", files::sha256_of(&workspace.join("Cargo.lock")).ok());
    put("rustc", output(Command::new("rustc").arg("--version")));
    put(
        "operating system",
        fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| format!("Linux {}", text.trim())),
    );
    put("processor", field("/proc/cpuinfo", "model name"));
    put("cores", std::thread::available_parallelism().ok().map(|n| n.to_string()));
    put("memory", field("/proc/meminfo", "MemTotal"));
    for name in VARIABLES {
        put(name, std::env::var(name).ok());
    }
    facts
}

/// Name and processor of this machine, and the commit of the workspace.
pub fn here(workspace: &Path) -> BTreeMap<String, String> {
    let facts = [
        ("host", fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned())),
        ("processor", field("/proc/cpuinfo", "model name")),
        ("commit", commit(workspace)),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Short commit, with `*` when tracked files differ from it.
fn commit(workspace: &Path) -> Option<String> {
    let git = |arguments: &[&str]| output(Command::new("git").arg("-C").arg(workspace).args(arguments));
    let hash = git(&["rev-parse", "--short=10", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":!reports", ":!*.md"])?;
    Some(if changed.is_empty() { hash } else { format!("{hash}*") })
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_variables_are_recorded() {
        let facts = capture(Path::new("."));
        assert!(facts.keys().all(|name| !name.contains("PATH") && !name.contains("TOKEN")), "{facts:?}");
    }
}
