//! What a sweep consists of, and how its shards went.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// A sweep, kept in its run's folder as `sweep/plan.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    /// Name of the experiment and of its program, a copy of which lies beside the plan.
    pub(super) experiment: String,
    /// Arguments of the program before those of the shard.
    pub(super) reproduce: Vec<String>,
    /// Tasks of each phase.
    pub(super) shards: usize,
    /// Phases, each of which needs all of the one before.
    pub(super) phases: usize,
    /// Options of `sbatch`.
    pub(super) sbatch: Vec<String>,
}

impl Plan {
    fn path(run: &Path) -> PathBuf {
        run.join("sweep/plan.json")
    }

    /// The plan of a run.
    pub(super) fn read(run: &Path) -> Result<Self> {
        let path = Self::path(run);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("{}: not the run of a sweep: no sweep/plan.json", run.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{}: not the plan of a sweep", path.display()))
    }

    /// Keeps the plan.
    pub(super) fn write(&self, run: &Path) -> Result<()> {
        let path = Self::path(run);
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// How every shard of every phase went, by the records that they leave.
    pub(super) fn states(&self, run: &Path) -> Result<Vec<State>> {
        let places = (1..=self.phases).flat_map(|phase| (1..=self.shards).map(move |shard| (phase, shard)));
        places
            .map(|(phase, shard)| {
                let path = run.join(format!("shards/phase-{phase}-shard-{shard}-of-{}.json", self.shards));
                let record = match path.exists() {
                    true => Some(record(&path)?),
                    false => None,
                };
                Ok(State { phase, shard, of: self.shards, record })
            })
            .collect()
    }
}

fn record(path: &Path) -> Result<Record> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}: not the record of a shard", path.display()))
}

/// What a shard's program writes of itself.
#[derive(Clone, Debug, Deserialize)]
struct Record {
    status: String,
    host: String,
    problem: Option<String>,
}

/// A shard of a phase.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// Phase, from 1.
    pub(super) phase: usize,
    /// Shard, from 1.
    pub(super) shard: usize,
    of: usize,
    record: Option<Record>,
}

impl State {
    /// Whether it came to its end.
    pub(super) fn is_complete(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.status == "complete")
    }

    /// Whether there is anything to tell.
    pub(super) fn was_started(&self) -> bool {
        self.record.is_some()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "phase {} shard {}/{}: ", self.phase, self.shard, self.of)?;
        let Some(record) = &self.record else { return f.write_str("not started") };
        let words = match record.status.as_str() {
            "running" => "runs, or was killed,",
            words => words,
        };
        write!(f, "{words} on {}", record.host)?;
        record.problem.as_ref().map_or(Ok(()), |problem| write!(f, ": {problem}"))
    }
}
