//! What a job of an experiment leaves behind: values by setting and arm, tables, figures.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::claims::{Claim, Part};
use crate::figure::Figure;
use crate::report::{Table, number};
use crate::workers::{Job, WorkerError, Workers};

/// Values of one metric for one arm of a setting, one per unit of replication.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Setting, as in `claims.toml`.
    pub setting: String,
    /// Arm, as in `claims.toml`.
    pub arm: String,
    /// Name of the metric.
    pub metric: String,
    /// Values by window, matrix, site, type, repetition, or the single one of a seed.
    pub values: Vec<f64>,
}

/// A figure to be drawn with the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drawing {
    /// Name of its files.
    pub id: String,
    /// What it shows.
    pub caption: String,
    /// Its content.
    pub figure: Figure,
}

/// Result of one job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Values for claims and summaries.
    pub measured: Vec<Measured>,
    /// Tables, in the order of the report.
    pub tables: Vec<Table>,
    /// Figures, in the order of the report.
    pub drawings: Vec<Drawing>,
    /// Sentences of findings.
    pub text: Vec<String>,
    /// Loss over training, `[step, loss]`.
    pub curve: Vec<[f64; 2]>,
    /// Wall time in seconds.
    pub wall_s: f64,
    /// Processor time in seconds; on a busy machine the wall time says less than this.
    pub cpu_s: f64,
}

impl Outcome {
    /// Keeps values of a metric.
    pub fn put(&mut self, setting: &str, arm: &str, metric: &str, values: Vec<f64>) {
        let (setting, arm, metric) = (setting.to_owned(), arm.to_owned(), metric.to_owned());
        self.measured.push(Measured { setting, arm, metric, values });
    }
}

/// What a run cost, for a report: its jobs' times, and the wall time of the last invocation in seconds.
pub fn cost<'a>(
    outcomes: impl Iterator<Item = &'a Outcome>,
    workers: usize,
    last_wall_s: f64,
) -> BTreeMap<String, String> {
    let (mut jobs, mut cpu_s, mut wall_s) = (0, 0.0, 0.0);
    for outcome in outcomes {
        jobs += 1;
        cpu_s += outcome.cpu_s;
        wall_s += outcome.wall_s;
    }
    let seconds = |seconds: f64| format!("{} s", number(seconds, 0));
    let idle = "divided by the workers, the wall time on idle cores";
    let facts = [
        ("jobs", format!("{jobs}")),
        ("processor time, all jobs", format!("{}; {idle}", seconds(cpu_s))),
        ("wall time, all jobs", format!("{} of one worker", seconds(wall_s))),
        ("wall time of the last invocation, stored jobs excluded", seconds(last_wall_s)),
        ("workers", format!("{workers} processes of one thread")),
    ];
    facts.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Carries out a job once more, in a store of its own below `folder`, and says whether its values are equal, bit by bit; times,
/// which end in `_ms` or `_s`, are not among them.
///
/// # Errors
/// As [`Workers::run`].
pub fn repeat_check<J: Job<Outcome = Outcome>>(
    workers: &Workers,
    job: &J,
    outcome: &Outcome,
    folder: &Path,
) -> Result<String, WorkerError> {
    let again = Workers { count: 1, store: folder.join("repeat"), ..workers.clone() };
    let Some(outcomes) = again.run(std::slice::from_ref(job), |_, _| true)? else {
        return Ok("not run".to_owned());
    };
    let same = timeless(&outcomes[0]).eq(timeless(outcome)) && outcomes[0].curve == outcome.curve;
    Ok(format!("{} bits: {}", if same { "equal" } else { "different" }, job.describe()))
}

fn timeless(outcome: &Outcome) -> impl Iterator<Item = &Measured> {
    outcome
        .measured
        .iter()
        .filter(|measured| !measured.metric.ends_with("_ms") && !measured.metric.ends_with("_s"))
}

/// All values of a run of the experiment.
#[derive(Debug, Default)]
pub struct Values(Vec<Measured>);

impl Values {
    /// The values of all outcomes; those of the same setting, arm and metric, as seeds give them, one after another.
    pub fn collect<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Self {
        let mut all: Vec<Measured> = Vec::new();
        for measured in outcomes.flat_map(|outcome| &outcome.measured) {
            let same = |known: &&mut Measured| {
                (&known.setting, &known.arm, &known.metric)
                    == (&measured.setting, &measured.arm, &measured.metric)
            };
            match all.iter_mut().find(same) {
                Some(known) => known.values.extend(&measured.values),
                None => all.push(measured.clone()),
            }
        }
        Self(all)
    }

    /// Values of a metric, empty when it was not measured.
    pub fn of(&self, setting: &str, arm: &str, metric: &str) -> &[f64] {
        let found = self.0.iter().find(|m| m.setting == setting && m.arm == arm && m.metric == metric);
        found.map_or(&[], |measured| &measured.values)
    }

    /// The paired runs of a part of a claim, where both arms have equally many.
    pub fn paired(&self, claim: &Claim, part: &Part) -> Option<(Vec<f64>, Vec<f64>)> {
        let of = |arm: &str| self.of(&part.setting, arm, &claim.metric).to_vec();
        let (a, b) = (of(&part.a), of(&part.b));
        (!a.is_empty() && a.len() == b.len()).then_some((a, b))
    }

    /// Settings and arms with a metric, in the order of measurement.
    pub fn with(&self, metric: &str) -> impl Iterator<Item = &Measured> {
        self.0.iter().filter(move |measured| measured.metric == metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_seeds_are_joined_in_their_order() {
        let outcome = |value: f64| {
            let mut outcome = Outcome::default();
            outcome.put("bitnet-small", "fp", "nll", vec![value]);
            outcome
        };
        let values = Values::collect([outcome(1.5), outcome(1.7)].iter());
        assert_eq!(values.of("bitnet-small", "fp", "nll"), [1.5, 1.7]);
        assert!(values.of("bitnet-small", "b158", "nll").is_empty());
    }

    #[test]
    fn a_run_costs_what_its_jobs_cost() {
        let outcome = Outcome { cpu_s: 1.5, wall_s: 2.0, ..Outcome::default() };
        let cost = cost([&outcome, &outcome].into_iter(), 2, 7.0);
        assert_eq!(cost["jobs"], "2");
        assert_eq!(
            cost["processor time, all jobs"],
            "3 s; divided by the workers, the wall time on idle cores"
        );
        assert_eq!(cost["wall time, all jobs"], "4 s of one worker");
    }
}
