//! `compare`: ours and a peer in turn on the same inputs, outputs checked, ratio of medians.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{checks, setup};

/// Options of `compare`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Crate with a `compare` folder
    name: String,
    /// Cases [default: all, whose results are then written to `reports/NAME/compare.json`]
    cases: Vec<String>,
    /// Runs of each side
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    ours: String,
    peer: String,
    target: f64,
    tolerance: Option<f64>,
    /// Arguments of both sides before the working folder.
    #[serde(default)]
    arguments: Vec<String>,
    /// Arguments of one side before those of both.
    #[serde(default)]
    ours_arguments: Vec<String>,
    #[serde(default)]
    peer_arguments: Vec<String>,
    note: String,
}

/// What both programs print on their last line.
#[derive(Clone, Deserialize, Serialize)]
struct Answer {
    seconds: f64,
    items: f64,
    values: Vec<f64>,
    /// The most memory that the process had, of cases that measure it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peak_bytes: Option<u64>,
    /// Part of the multiplications that the machine can do in that time, of cases that measure it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    share_of_peak: Option<f64>,
}

pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    setup::run(root, &setup::Arguments::default())?;
    let folder = root.join(&arguments.name).join("compare");
    let text = fs::read_to_string(folder.join("cases.toml"))
        .with_context(|| format!("`{}` has no compare/cases.toml", arguments.name))?;
    let Cases { case: all } = toml::from_str(&text)?;
    if let Some(unknown) = arguments.cases.iter().find(|name| all.iter().all(|case| case.name != **name)) {
        let names: Vec<&str> = all.iter().map(|case| &*case.name).collect();
        bail!("`{unknown}` is no case of `{}`; expected {}", arguments.name, names.join(", "));
    }
    let chosen = |case: &&Case| arguments.cases.is_empty() || arguments.cases.contains(&case.name);
    let cases: Vec<&Case> = all.iter().filter(chosen).collect();
    let python = setup::python_environment(&root.join(".venv-compare"), &folder.join("requirements.txt"))?;
    build(root, &arguments.name, &cases)?;
    let work = root.join("target/compare");
    fs::create_dir_all(&work)?;
    let mut results = Vec::new();
    for case in &cases {
        let mut ours = Command::new(root.join("target/debug/examples").join(&case.ours));
        let mut peer = Command::new(&python);
        peer.arg(folder.join(&case.peer));
        ours.args(&case.ours_arguments).args(&case.arguments).arg(&work);
        peer.args(&case.peer_arguments).args(&case.arguments).arg(&work);
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..arguments.rounds {
            mine.push(answer(&mut ours).with_context(|| format!("{}: {}", case.name, case.ours))?);
            theirs.push(answer(&mut peer).with_context(|| format!("{}: {}", case.name, case.peer))?);
        }
        results.push(summary(case, &mine, &theirs)?);
    }
    if !arguments.cases.is_empty() {
        return Ok(());
    }
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split(": ").nth(1));
    let out = root.join("reports").join(&arguments.name);
    fs::create_dir_all(&out)?;
    let report = json!({"processor": processor, "rounds": arguments.rounds, "cases": results});
    fs::write(out.join("compare.json"), format!("{report:#}\n"))?;
    Ok(())
}

/// Builds our side of the cases, with the features that the tests' programs have, so that neither builds anew after the other.
fn build(root: &Path, member: &str, cases: &[&Case]) -> Result<()> {
    let mut command = vec!["build"];
    match setup::without_opencv(root)?.iter().any(|without| without == member) {
        true => command.extend(["--package", member, "--no-default-features"]),
        false => command.push("--workspace"),
    }
    cases.iter().for_each(|case| command.extend(["--example", &case.ours]));
    checks::cargo(root, &command)
}

fn answer(command: &mut Command) -> Result<Answer> {
    let output = command.env("OMP_NUM_THREADS", "1").env("MKL_NUM_THREADS", "1").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_str(text.lines().last().unwrap_or_default())
        .with_context(|| format!("unreadable answer `{text}`"))
}

fn median(answers: &[Answer]) -> f64 {
    let mut speeds: Vec<f64> = answers.iter().map(|answer| answer.items / answer.seconds).collect();
    speeds.sort_by(f64::total_cmp);
    speeds[speeds.len() / 2]
}

fn summary(case: &Case, ours: &[Answer], peer: &[Answer]) -> Result<serde_json::Value> {
    let (mine, theirs) = (median(ours), median(peer));
    let differences =
        ours[0].values.iter().zip(&peer[0].values).map(|(a, b)| (a - b).abs() / a.abs().max(1.0));
    let difference = differences.fold(0.0, f64::max);
    if let Some(tolerance) = case
        .tolerance
        .filter(|tolerance| difference > *tolerance || ours[0].values.len() != peer[0].values.len())
    {
        bail!("{}: outputs differ by {difference:e}, at most {tolerance:e} is allowed", case.name);
    }
    let ratio = mine / theirs;
    if let (Some(mine), Some(theirs)) = (ours[0].peak_bytes, peer[0].peak_bytes) {
        println!("{:10} largest memory: ours {mine} bytes, peer {theirs} bytes", case.name);
    }
    if let Some(share) = ours.iter().filter_map(|answer| answer.share_of_peak).reduce(f64::max) {
        println!("{:10} ours reaches {:.0} % of the measured peak", case.name, 100.0 * share);
    }
    println!(
        "{:10} ours {mine:12.0}/s  peer {theirs:12.0}/s  ratio {ratio:7.2}  target {:5.1}  {}",
        case.name, case.target, case.note
    );
    Ok(
        json!({"name": case.name, "note": case.note, "target": case.target, "ours_per_s": mine, "peer_per_s": theirs,
        "ratio": ratio, "largest_difference": case.tolerance.map(|_| difference), "ours": ours, "peer": peer}),
    )
}
