//! What a report can check about itself.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Report, markdown::body};
use crate::stats;

/// Difference that rounding to a printed number of decimals leaves.
const ROUNDING: f64 = 1e-9;

/// Level of every interval, in percent.
const LEVEL: f64 = 95.0;

/// One line of the checklist: what is checked, whether it holds, the evidence.
pub type Check = (&'static str, bool, String);

impl Report {
    /// What the report can check about itself.
    pub fn checklist(&self) -> Vec<Check> {
        let parts = || self.claims.iter().flat_map(|claim| &claim.parts);
        let run = parts().filter(|part| part.difference.is_some()).count();
        let fewest = parts().map(|part| part.a.len()).filter(|n| *n > 0).min().unwrap_or(0);
        let figures = || self.sections.iter().flat_map(|section| &section.figures);
        let commit = self.environment.get("commit").cloned().unwrap_or_default();
        let repeat = self.determinism.get("repeat check").cloned().unwrap_or_default();
        let wrong = self.data.iter().filter(|file| !file.as_published).count();
        let lock = self.environment.get("Cargo.lock sha256").cloned().unwrap_or_default();
        let has =
            |what: &str| self.compute.keys().chain(self.environment.keys()).any(|name| name.contains(what));
        let fits = |holds: bool, evidence: String, what| (what, holds, evidence);
        let uncorrected = self.uncorrected();
        let unsupported = self.unsupported_numbers();
        let named: BTreeSet<&String> = figures().map(|figure| &figure.png).collect();
        vec![
            (
                "every claim has a source",
                self.claims.iter().all(|c| !c.claim.source.is_empty()),
                String::new(),
            ),
            fits(
                run == parts().count(),
                format!("{run} of {}", parts().count()),
                "every part of a claim was run",
            ),
            ("at least five runs per compared method", fewest >= 5, format!("fewest {fewest}")),
            (
                "unit of replication, test and metric stated",
                self.claims.iter().all(|c| !c.claim.replication.is_empty() && !c.claim.metric.is_empty()),
                String::new(),
            ),
            (
                "several tests corrected",
                uncorrected.is_empty(),
                match uncorrected.as_slice() {
                    [] => "Holm over the parts of each claim, recomputed".to_owned(),
                    claims => format!("not Holm's value: {}", claims.join(", ")),
                },
            ),
            ("hyper-parameters listed", !self.setup.is_empty(), format!("{} rows", self.setup.len())),
            ("deviations listed", !self.deviations.is_empty(), format!("{}", self.deviations.len())),
            ("data are the published files", wrong == 0, format!("{wrong} of {} differ", self.data.len())),
            ("licences known", self.data.iter().all(|file| !file.licence.is_empty()), String::new()),
            ("commit clean", !commit.is_empty() && !commit.ends_with('*'), commit),
            ("lock file hashed", !lock.is_empty(), lock.chars().take(12).collect()),
            (
                "hardware, threads and run time given",
                ["processor", "threads", "time"].into_iter().all(has),
                String::new(),
            ),
            ("command line printed", !self.command.is_empty(), self.command.clone()),
            (
                "figures have their numbers beside them",
                figures().all(|figure| !figure.csv.is_empty()),
                format!("{}", figures().count()),
            ),
            ("no figure is shown twice", named.len() == figures().count(), format!("{} files", named.len())),
            (
                "every number in the text is in report.json",
                unsupported.is_empty(),
                match unsupported.as_slice() {
                    [] => "recomputed from its numbers, means and counts".to_owned(),
                    numbers => numbers.join(", "),
                },
            ),
            ("one run was repeated, bit by bit equal", repeat.starts_with("equal"), repeat),
        ]
    }

    /// Claims with a corrected p-value that is not Holm's over the claim's parts.
    fn uncorrected(&self) -> Vec<String> {
        let wrong = |claim: &&crate::claims::JudgedClaim| {
            let tested: Vec<_> =
                claim.parts.iter().filter_map(|part| Some((part.difference?.p, part.p_holm))).collect();
            let holm = stats::holm(&tested.iter().map(|(p, _)| *p).collect::<Vec<f64>>());
            holm.iter()
                .zip(&tested)
                .any(|(expected, (_, found))| found.is_none_or(|p| (p - expected).abs() > ROUNDING))
        };
        self.claims.iter().filter(wrong).map(|claim| claim.claim.id.clone()).collect()
    }

    /// Numbers of the rendered text that are not numbers of the report, rounded: not one of its values, not one in its
    /// texts, not the mean or the length of one of its lists, nor any of these in percent.
    pub fn unsupported_numbers(&self) -> Vec<String> {
        let mut known = Vec::new();
        collect(&serde_json::to_value(self).unwrap_or_default(), &mut known);
        known.push(LEVEL);
        // Counts of verdicts by kind stand in the headline.
        known.extend((0..=self.claims.len()).map(|count| count as f64));
        known.extend(known.clone().into_iter().map(|value| value * 100.0));
        known.sort_by(f64::total_cmp);
        unsupported(&body(self), &known)
    }
}

/// Numbers of a text that are none of the sorted `known` ones rounded to as many decimals, whatever their sign.
fn unsupported(text: &str, known: &[f64]) -> Vec<String> {
    let supported = |token: &&str| {
        let decimals = token.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let half = 0.5 * 10_f64.powi(-(decimals as i32)) * (1.0 + ROUNDING) + ROUNDING;
        let Ok(value) = token.parse::<f64>() else { return true };
        [value, -value].iter().any(|value| {
            let next = known.partition_point(|known| *known < value - half);
            known.get(next).is_some_and(|known| *known <= value + half)
        })
    };
    let missing: BTreeSet<&str> = numbers(text).into_iter().filter(|token| !supported(token)).collect();
    missing.into_iter().map(str::to_owned).collect()
}

/// Numbers of a JSON value: its numbers, those in its texts, and the mean and length of its lists.
fn collect(value: &Value, known: &mut Vec<f64>) {
    match value {
        Value::Number(number) => known.extend(number.as_f64()),
        Value::String(text) => {
            known.extend(numbers(text).into_iter().filter_map(|token| token.parse::<f64>().ok()))
        }
        Value::Array(list) => {
            list.iter().for_each(|value| collect(value, known));
            known.push(list.len() as f64);
            let values: Vec<f64> = list.iter().filter_map(Value::as_f64).collect();
            known.extend(stats::mean(&values));
        }
        Value::Object(object) => object.iter().for_each(|(key, value)| {
            known.extend(numbers(key).into_iter().filter_map(|token| token.parse::<f64>().ok()));
            collect(value, known);
        }),
        Value::Null | Value::Bool(_) => {}
    }
}

/// Runs of digits with at most one point inside, outside words such as hashes.
fn numbers(text: &str) -> Vec<&str> {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '.' || c == '_';
    text.split(|c: char| !part_of_word(c))
        .map(|word| word.trim_matches('.'))
        .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .filter(|word| word.chars().all(|c| c.is_ascii_digit() || c == '.') && word.matches('.').count() <= 1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_outside_of_words_and_compared_at_their_precision() {
        let text = "mean −0.123 [0.12, 0.1234] of 5 runs, hash 12ab, C1, 2.0";
        assert_eq!(numbers(text), ["0.123", "0.12", "0.1234", "5", "2.0"]);
        let known = [-0.12296, 0.1234, 2.0, 5.2];
        assert_eq!(unsupported(text, &known), Vec::<String>::new());
        assert_eq!(unsupported(text, &known[1..3]), ["5"]);
    }
}
