//! A run divided among machines that share its folder: each shard carries out every n-th job of one phase, outcomes are
//! files named by their job, and a last run finds them all and writes the report.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::reproduce::Experiment;
use crate::run::{Status, utc};
use crate::workers::{Job, Workers};
use crate::{environment, files, interrupt};

const DESIGN: &str = "design.json";
const SHARDS: &str = "shards";

/// Options of a run that is divided; `cargo xtask sweep` sets them.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Sharing {
    /// Carry out every N-th job of one phase, beginning with the I-th, in the folder of `--resume`; no report is written
    #[arg(long, value_name = "I/N", requires = "phase", requires = "resume")]
    shard: Option<Shard>,
    /// The phase that `--shard` belongs to, from 1
    #[arg(long, value_name = "PHASE", requires = "shard")]
    phase: Option<usize>,
    /// Write the report from what the shards have done, and fail where something is missing
    #[arg(long, requires = "resume", conflicts_with = "shard")]
    collect: bool,
    /// Make the folder of `--resume`, print the number of phases, and stop
    #[arg(long, requires = "resume", conflicts_with_all = ["shard", "collect"])]
    prepare: bool,
}

/// What a process does of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    All,
    /// Only its folder.
    Nothing,
    /// Some jobs of one phase.
    Shard { shard: Shard, phase: usize },
    /// The report, and the phases after so many that shards have done.
    Report { divided: usize },
}

impl Part {
    /// Whether the jobs of this phase are the shards' alone: they must be there.
    pub(super) fn needs(self, phase: usize) -> bool {
        match self {
            Self::Shard { phase: own, .. } => phase < own,
            Self::Report { divided } => phase <= divided,
            Self::All | Self::Nothing => false,
        }
    }
}

/// `index` of `count`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    index: usize,
    count: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        let shard = numbers.map(|(index, count)| Self { index, count });
        shard
            .filter(|shard| (1..=shard.count).contains(&shard.index))
            .ok_or_else(|| format!("`{text}` is no shard; expected I/N with I from 1 to N, such as `2/4`"))
    }
}

impl Shard {
    /// Its share: every `count`-th item, so that long jobs that stand together are spread.
    pub(super) fn of<T: Clone>(self, items: &[T]) -> Vec<T> {
        items.iter().skip(self.index - 1).step_by(self.count).cloned().collect()
    }
}

impl Sharing {
    /// What this process does.
    ///
    /// # Errors
    /// A phase that the experiment does not have.
    pub(super) fn part(&self, experiment: &Experiment) -> Result<Part> {
        let phases = experiment.phases;
        Ok(match (self.shard, self.phase) {
            (Some(shard), Some(phase)) if (1..=phases).contains(&phase) => Part::Shard { shard, phase },
            (Some(_), Some(phase)) => {
                bail!("--phase {phase}: {} has phases 1 to {phases}", experiment.name)
            }
            _ if self.collect => Part::Report { divided: phases },
            _ if self.prepare => Part::Nothing,
            _ => Part::All,
        })
    }
}

/// How a shard went, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    status: Status,
    phase: usize,
    shard: usize,
    of: usize,
    host: String,
    processor: String,
    commit: String,
    started: String,
    finished: Option<String>,
    problem: Option<String>,
}

/// The folder of a divided run, made where it is not there yet.
///
/// # Errors
/// A run of another design, an unwritable folder.
pub(super) fn folder(place: Option<&Path>, design: &str) -> Result<PathBuf> {
    let folder = place.context("a divided run needs --resume RUN")?.to_owned();
    let path = folder.join(DESIGN);
    if !path.exists() {
        files::make_folder(&folder)?;
        files::write_atomic(&path, design.as_bytes())?;
    }
    if files::read_text(&path)? != design {
        bail!("{}: made with another design; start a new run instead", folder.display());
    }
    Ok(folder)
}

/// Carries out a shard and records how it went. `body` says whether it was stopped early.
///
/// # Errors
/// Those of `body`, an unwritable record.
pub(super) fn run(
    workspace: &Path,
    folder: &Path,
    part: Part,
    body: impl FnOnce(PathBuf) -> Result<bool>,
) -> Result<ExitCode> {
    let Part::Shard { shard: Shard { index, count }, phase } = part else {
        bail!("only a shard is carried out so");
    };
    let shards = folder.join(SHARDS);
    files::make_folder(&shards)?;
    let path = shards.join(format!("phase-{phase}-shard-{index}-of-{count}.json"));
    let facts = environment::here(workspace);
    let fact = |name: &str| facts.get(name).cloned().unwrap_or_default();
    let mut record = Record {
        status: Status::Running,
        phase,
        shard: index,
        of: count,
        host: fact("host"),
        processor: fact("processor"),
        commit: fact("commit"),
        started: utc(SystemTime::now()),
        finished: None,
        problem: None,
    };
    write(&path, &record)?;
    let done = body(folder.to_owned());
    record.finished = Some(utc(SystemTime::now()));
    (record.status, record.problem) = match &done {
        Ok(false) => (Status::Complete, None),
        Ok(true) => (Status::Stopped, None),
        Err(error) => (Status::Failed, Some(format!("{error:#}"))),
    };
    write(&path, &record)?;
    Ok(if done? { ExitCode::from(interrupt::EXIT_CODE) } else { ExitCode::SUCCESS })
}

fn write(path: &Path, record: &Record) -> Result<()> {
    let json = serde_json::to_string_pretty(record).context("a record of a shard")?;
    Ok(files::write_atomic(path, (json + "\n").as_bytes())?)
}

/// Fails where the store lacks outcomes of a phase, and names its shards that did not come to their end.
///
/// # Errors
/// As said.
pub(super) fn complete<J: Job>(
    folder: &Path,
    (phase, name): (usize, &str),
    jobs: &[J],
    workers: &Workers,
) -> Result<()> {
    let missing: Vec<&J> = jobs.iter().filter(|job| !workers.has(*job)).collect();
    let Some(first) = missing.first() else { return Ok(()) };
    let open = |record: &&Record| record.phase == phase && record.status != Status::Complete;
    let failed: Vec<String> = records(folder)?.iter().filter(open).map(describe).collect();
    let who = if failed.is_empty() {
        "none of its shards has failed: some were not started".to_owned()
    } else {
        failed.join("; ")
    };
    bail!(
        "phase `{name}`: {} of {} jobs are missing, the first is {}; {who}; `cargo xtask sweep --resume {}` runs these again",
        missing.len(),
        jobs.len(),
        first.describe(),
        folder.display()
    )
}

fn describe(record: &Record) -> String {
    let Record { status, phase, shard, of, host, problem, .. } = record;
    let status = match status {
        Status::Running => "did not end",
        Status::Complete => "is done",
        Status::Stopped => "was stopped",
        Status::Failed => "failed",
    };
    let problem = problem.as_ref().map_or(String::new(), |problem| format!(": {problem}"));
    format!("phase {phase} shard {shard}/{of} on {host} {status}{problem}")
}

/// The records of all shards, in the order of their names.
fn records(folder: &Path) -> Result<Vec<Record>> {
    let shards = folder.join(SHARDS);
    if !shards.exists() {
        return Ok(Vec::new());
    }
    let names = files::names_in(&shards)?;
    let names = names.iter().filter(|name| name.extension().is_some_and(|extension| extension == "json"));
    let read = |name: &PathBuf| {
        let path = shards.join(name);
        let text = files::read_text(&path)?;
        serde_json::from_str(&text).with_context(|| format!("{}: not the record of a shard", path.display()))
    };
    names.map(read).collect()
}

/// What a report says of the machines that shards ran on; nothing of an undivided run.
pub(super) fn facts(folder: &Path) -> BTreeMap<String, String> {
    let records = records(folder).unwrap_or_default();
    if records.is_empty() {
        return BTreeMap::new();
    }
    let all = |value: fn(&Record) -> &String| {
        let values: BTreeSet<&str> = records.iter().map(|record| value(record).as_str()).collect();
        values.into_iter().collect::<Vec<_>>().join("; ")
    };
    let hosts: BTreeSet<&String> = records.iter().map(|record| &record.host).collect();
    BTreeMap::from([
        ("shards".to_owned(), format!("{} on {} machines", records.len(), hosts.len())),
        ("processors of the shards".to_owned(), all(|record| &record.processor)),
        ("commits of the shards".to_owned(), all(|record| &record.commit)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_divide_without_rest_or_overlap() {
        let items: Vec<usize> = (0..11).collect();
        for count in 1..=13 {
            let shares = (1..=count).flat_map(|index| Shard { index, count }.of(&items));
            let mut all: Vec<usize> = shares.collect();
            all.sort_unstable();
            assert_eq!(all, items, "{count} shards");
        }
        assert_eq!("2/4".parse::<Shard>().unwrap().of(&items), [1, 5, 9]);
        for text in ["0/4", "5/4", "1", "1/0", "a/b", "1/2/3", ""] {
            let expected = format!("`{text}` is no shard; expected I/N with I from 1 to N, such as `2/4`");
            assert_eq!(text.parse::<Shard>(), Err(expected));
        }
    }

    #[test]
    fn a_phase_belongs_to_shards_before_it_is_ones_own() {
        let shard = Part::Shard { shard: Shard { index: 1, count: 2 }, phase: 2 };
        assert_eq!([1, 2, 3].map(|phase| shard.needs(phase)), [true, false, false]);
        assert_eq!([1, 2, 3].map(|phase| Part::Report { divided: 2 }.needs(phase)), [true, true, false]);
        assert!(!Part::All.needs(1));
    }

    #[test]
    fn a_shard_leaves_a_record_however_it_ends() {
        let base = tempfile::tempdir().unwrap();
        let place = base.path().join("run");
        let run_folder = folder(Some(&place), "{}").unwrap();
        assert_eq!(folder(Some(&place), "{}").unwrap(), run_folder);
        assert!(folder(Some(&place), "{1}").unwrap_err().to_string().contains("another design"));
        let part = |index| Part::Shard { shard: Shard { index, count: 3 }, phase: 1 };
        run(base.path(), &run_folder, part(1), |_| Ok(false)).unwrap();
        run(base.path(), &run_folder, part(2), |_| Ok(true)).unwrap();
        run(base.path(), &run_folder, part(3), |_| bail!("no memory")).unwrap_err();
        let records = records(&run_folder).unwrap();
        assert_eq!(
            records.iter().map(|r| r.status).collect::<Vec<_>>(),
            [Status::Complete, Status::Stopped, Status::Failed]
        );
        assert!(describe(&records[2]).ends_with(" failed: no memory"), "{}", describe(&records[2]));
        assert_eq!(facts(&run_folder)["shards"], "3 on 1 machines");
        assert!(facts(base.path()).is_empty());
    }
}
