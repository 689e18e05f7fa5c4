//! Claims declared before a run, and the one rule that turns paired runs into verdicts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::files::{self, FileError};
use crate::stats::{self, Comparison};

/// Fewest paired runs that can earn a verdict.
pub const MIN_RUNS: usize = 5;
/// Level of the Holm-adjusted test.
pub const LEVEL: f64 = 0.05;

/// A `claims.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// The paper under test.
    pub paper: Paper,
    /// Its claims, and our own predictions, in the order of the report.
    #[serde(rename = "claim")]
    pub claims: Vec<Claim>,
}

/// The paper under test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paper {
    /// Title.
    pub title: String,
    /// Authors.
    pub authors: String,
    /// Where it appeared.
    pub venue: String,
    /// Address.
    pub url: String,
    /// Parts that the claims come from.
    pub sections_used: Vec<String>,
}

/// One claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Short name, unique.
    pub id: String,
    /// The claim in our words.
    pub text: String,
    /// Section or table of the paper.
    pub source: String,
    /// What the paper reports, in words, where it was available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paper: Option<String>,
    /// Metric by the name the experiment knows.
    pub metric: String,
    /// Unit of the metric.
    pub unit: String,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// What is repeated: `seed`, `example` or `dataset`.
    pub replication: String,
    /// The test that decides.
    pub test: TestKind,
    /// For non-inferiority: the loss that is still no loss.
    #[serde(default)]
    pub margin: Option<f64>,
    /// Smallest difference worth calling an effect.
    #[serde(default)]
    pub delta_min: f64,
    /// How many parts must hold.
    pub needs: usize,
    /// Comparisons that the claim consists of; the Holm family.
    pub part: Vec<Part>,
}

/// The test that decides a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestKind {
    /// Paired t-test over runs of equal seeds.
    PairedT,
    /// One-sided paired t-test that `a` is not worse than `b` by more than the margin.
    NonInferiority,
    /// No test: every value of `a` is the same number as that of `b`.
    Exact,
}

/// One comparison of a claim: `a` should be better than `b`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Short name, unique.
    pub id: String,
    /// Where both were run.
    pub setting: String,
    /// Method that the claim favours.
    pub a: String,
    /// Method it is compared with.
    pub b: String,
}

/// A `claims.toml` that cannot be used.
#[derive(Debug, Error)]
pub enum ClaimsError {
    /// Unreadable.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not of the form, or contradictory.
    #[error("{path}: {problem}", path = path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// Reads and checks a `claims.toml`.
///
/// # Errors
/// [`ClaimsError`].
pub fn read(path: &Path) -> Result<Declared, ClaimsError> {
    let fail = |problem| ClaimsError::Form { path: path.to_owned(), problem };
    parse(&files::read_text(path)?).map_err(fail)
}

/// Checks the text of a `claims.toml`.
///
/// # Errors
/// What is wrong, for a message.
pub fn parse(text: &str) -> Result<Declared, String> {
    let declared: Declared = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut ids = BTreeSet::new();
    for claim in &declared.claims {
        let parts = claim.part.iter().map(|part| &part.id);
        if let Some(id) = std::iter::once(&claim.id).chain(parts).find(|id| !ids.insert((*id).clone())) {
            return Err(format!("the id `{id}` stands twice; expected each once"));
        }
        if claim.needs == 0 || claim.needs > claim.part.len() {
            let (needs, parts) = (claim.needs, claim.part.len());
            return Err(format!(
                "claim `{}` needs {needs} of {parts} parts; expected 1 to {parts}",
                claim.id
            ));
        }
        if (claim.test == TestKind::NonInferiority) != claim.margin.is_some() {
            return Err(format!(
                "claim `{}`: `margin` goes with the test `non-inferiority`, and only there",
                claim.id
            ));
        }
    }
    Ok(declared)
}

/// Outcome of a part or a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The effect is there, in the claimed direction.
    Reproduced,
    /// The effect is there, in the other direction.
    Opposite,
    /// The interval rules an effect of the claimed size out.
    NoEffect,
    /// Of a claim: so many parts are opposite or without effect that it cannot hold.
    NotReproduced,
    /// The runs do not decide.
    Inconclusive,
    /// Not run in this preset, or the preset gives no verdict.
    NotEvaluated,
}

impl Verdict {
    /// Sign and words for a table.
    pub fn label(self) -> &'static str {
        match self {
            Self::Reproduced => "✔ reproduced",
            Self::Opposite => "✘ opposite",
            Self::NoEffect => "✘ no effect",
            Self::NotReproduced => "✘ not reproduced",
            Self::Inconclusive => "? inconclusive",
            Self::NotEvaluated => "– not evaluated",
        }
    }
}

/// A part with its runs and verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgedPart {
    /// What was declared.
    pub part: Part,
    /// Values of `a` by seed.
    pub a: Vec<f64>,
    /// Values of `b` by seed.
    pub b: Vec<f64>,
    /// 95 % t-interval of the mean of `a`.
    pub ci_a: Option<[f64; 2]>,
    /// 95 % t-interval of the mean of `b`.
    pub ci_b: Option<[f64; 2]>,
    /// Difference, positive where `a` is better.
    pub difference: Option<Comparison>,
    /// p-value after Holm over the claim's parts.
    pub p_holm: Option<f64>,
    /// Exact sign-flip p-value, the companion without assumptions.
    pub signflip_p: Option<f64>,
    /// Hedges' g.
    pub effect: Option<f64>,
    /// Smallest effect found with 80 % power.
    pub mde80: Option<f64>,
    /// Verdict on the direction.
    pub verdict: Verdict,
    /// Why, where it is not plain.
    pub why: String,
}

/// A claim with its parts and verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgedClaim {
    /// What was declared.
    pub claim: Claim,
    /// Its parts.
    pub parts: Vec<JudgedPart>,
    /// Verdict on the direction.
    pub verdict_direction: Verdict,
    /// Verdict on the value: the settings are scaled down, so the paper's numbers are not comparable.
    pub verdict_value: String,
    /// Counts of the parts' verdicts, or why there is none.
    pub why: String,
}

/// Judges a claim. `runs(part)` gives the values of `a` and `b` by seed, `None` where the preset has none;
/// `gives_verdicts` is false for presets that are indicative only.
pub fn judge(
    claim: &Claim,
    gives_verdicts: bool,
    runs: impl Fn(&Part) -> Option<(Vec<f64>, Vec<f64>)>,
) -> JudgedClaim {
    let mut parts: Vec<JudgedPart> =
        claim.part.iter().map(|part| measured(claim, part, runs(part))).collect();
    let tested: Vec<f64> =
        parts.iter().filter_map(|part| part.difference.map(|difference| difference.p)).collect();
    let mut adjusted = stats::holm(&tested).into_iter();
    for part in &mut parts {
        if part.difference.is_some() {
            part.p_holm = adjusted.next();
        }
        if gives_verdicts {
            (part.verdict, part.why) = decide(claim, part);
        }
    }
    let (verdict_direction, why) = combine(claim.needs, gives_verdicts, &parts);
    let verdict_value = match claim.paper {
        Some(_) => "not comparable: scaled-down setting",
        None => "not comparable: scaled-down setting, and the published numbers were not available",
    }
    .to_owned();
    JudgedClaim { claim: claim.clone(), parts, verdict_direction, verdict_value, why }
}

fn measured(claim: &Claim, part: &Part, runs: Option<(Vec<f64>, Vec<f64>)>) -> JudgedPart {
    let (a, b) = runs.unwrap_or_default();
    let (better, worse) = if claim.higher_is_better { (&a, &b) } else { (&b, &a) };
    let difference = match claim.margin {
        Some(margin) => stats::non_inferiority(better, worse, margin),
        None => stats::paired_t(better, worse),
    };
    JudgedPart {
        part: part.clone(),
        ci_a: stats::t_interval(&a),
        ci_b: stats::t_interval(&b),
        difference,
        p_holm: None,
        signflip_p: stats::sign_flip(&stats::differences(better, worse)),
        effect: stats::hedges_g(better, worse),
        mde80: stats::minimum_detectable_effect(&stats::differences(better, worse)),
        verdict: Verdict::NotEvaluated,
        why: String::new(),
        a,
        b,
    }
}

fn decide(claim: &Claim, part: &JudgedPart) -> (Verdict, String) {
    let Some(Comparison { ci95: [low, high], .. }) = part.difference else {
        return (Verdict::NotEvaluated, "not run in this preset".to_owned());
    };
    let n = part.a.len();
    if claim.test == TestKind::Exact {
        let equal = part.a.iter().zip(&part.b).filter(|(a, b)| a == b).count();
        let verdict = if equal == n { Verdict::Reproduced } else { Verdict::Opposite };
        return (verdict, format!("{equal} of {n} equal"));
    }
    if n < MIN_RUNS {
        return (Verdict::Inconclusive, format!("{n} runs, a verdict needs {MIN_RUNS}"));
    }
    let significant = part.p_holm.is_some_and(|p| p <= LEVEL);
    let margin = claim.margin.unwrap_or(0.0);
    if significant && low > -margin {
        return (Verdict::Reproduced, String::new());
    }
    if high < -margin {
        return (Verdict::Opposite, String::new());
    }
    if claim.delta_min > 0.0 && high < claim.delta_min && low <= 0.0 {
        return (Verdict::NoEffect, format!("the interval rules out {}", claim.delta_min));
    }
    let why = if low > -margin { "not significant after Holm" } else { "the interval holds both signs" };
    (Verdict::Inconclusive, why.to_owned())
}

fn combine(needs: usize, gives_verdicts: bool, parts: &[JudgedPart]) -> (Verdict, String) {
    let count = |verdict| parts.iter().filter(|part| part.verdict == verdict).count();
    let (reproduced, opposite, none) =
        (count(Verdict::Reproduced), count(Verdict::Opposite), count(Verdict::NoEffect));
    let missing = count(Verdict::NotEvaluated);
    if !gives_verdicts {
        return (Verdict::NotEvaluated, "this preset is indicative only".to_owned());
    }
    let of = parts.len();
    let why = format!(
        "{reproduced} of {of} parts reproduced ({needs} needed), {opposite} opposite, {none} without effect, {} \
         inconclusive, {missing} not run",
        count(Verdict::Inconclusive)
    );
    let verdict = match () {
        () if missing == of => Verdict::NotEvaluated,
        () if reproduced >= needs => Verdict::Reproduced,
        () if opposite == of => Verdict::Opposite,
        () if none == of => Verdict::NoEffect,
        () if of - opposite - none < needs => Verdict::NotReproduced,
        () => Verdict::Inconclusive,
    };
    (verdict, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(margin: Option<f64>, needs: usize, n_parts: usize) -> Claim {
        let test = if margin.is_some() { TestKind::NonInferiority } else { TestKind::PairedT };
        let part = |i| Part { id: format!("P{i}"), setting: "s".into(), a: "a".into(), b: "b".into() };
        let name = |text: &str| text.to_owned();
        Claim {
            id: name("C"),
            text: name("t"),
            source: name("s"),
            paper: None,
            metric: name("m"),
            unit: name("u"),
            higher_is_better: true,
            replication: name("seed"),
            test,
            margin,
            delta_min: 0.0,
            needs,
            part: (0..n_parts).map(part).collect(),
        }
    }

    fn verdict(claim: &Claim, gains: &[f64]) -> Verdict {
        let judged = judge(claim, true, |_| Some((gains.to_vec(), vec![0.0; gains.len()])));
        judged.verdict_direction
    }

    #[test]
    fn the_rule_decides_by_interval_test_and_number_of_runs() {
        let plain = claim(None, 1, 1);
        assert_eq!(verdict(&plain, &[1.0, 1.1, 0.9, 1.0, 1.05]), Verdict::Reproduced);
        assert_eq!(verdict(&plain, &[-1.0, -1.1, -0.9, -1.0, -1.05]), Verdict::Opposite);
        assert_eq!(verdict(&plain, &[1.0, -1.1, 0.9, -1.0, 0.05]), Verdict::Inconclusive);
        assert_eq!(verdict(&plain, &[1.0, 1.1, 0.9, 1.0]), Verdict::Inconclusive);
        let margin = claim(Some(0.5), 1, 1);
        assert_eq!(verdict(&margin, &[-0.1, -0.12, -0.09, -0.1, -0.11]), Verdict::Reproduced);
        assert_eq!(verdict(&margin, &[-0.9, -0.92, -0.89, -0.9, -0.91]), Verdict::Opposite);
    }

    #[test]
    fn an_exact_claim_asks_for_equal_numbers() {
        let exact = Claim { test: TestKind::Exact, ..claim(None, 1, 1) };
        assert_eq!(verdict(&exact, &[0.0, 0.0]), Verdict::Reproduced);
        assert_eq!(verdict(&exact, &[0.0, 1e-9]), Verdict::Opposite);
    }

    #[test]
    fn no_effect_needs_a_claimed_size() {
        let sized = Claim { delta_min: 2.0, ..claim(None, 1, 1) };
        assert_eq!(verdict(&sized, &[0.1, -0.1, 0.05, -0.05, 0.0]), Verdict::NoEffect);
    }

    #[test]
    fn holm_counts_all_parts_of_a_claim() {
        // p = 0.046 alone, twice that in a family of two.
        let a = [0.912, 0.905, 0.921, 0.917, 0.909];
        let b = [0.901, 0.907, 0.898, 0.905, 0.896];
        let runs = |_: &Part| Some((a.to_vec(), b.to_vec()));
        assert_eq!(judge(&claim(None, 1, 1), true, runs).verdict_direction, Verdict::Reproduced);
        assert_eq!(judge(&claim(None, 1, 2), true, runs).verdict_direction, Verdict::Inconclusive);
    }

    #[test]
    fn an_indicative_preset_and_missing_runs_give_no_verdict() {
        let gains = || Some((vec![1.0, 1.1, 0.9, 1.0, 1.05], vec![0.0; 5]));
        assert_eq!(judge(&claim(None, 1, 1), false, |_| gains()).verdict_direction, Verdict::NotEvaluated);
        assert_eq!(judge(&claim(None, 1, 1), true, |_| None).verdict_direction, Verdict::NotEvaluated);
    }

    #[test]
    fn contradictory_declarations_are_refused() {
        let claim = claim(None, 1, 1);
        let paper = Paper {
            title: "t".into(),
            authors: "a".into(),
            venue: "v".into(),
            url: "u".into(),
            sections_used: vec![],
        };
        let text = |claims: Vec<Claim>| toml::to_string(&Declared { paper: paper.clone(), claims }).unwrap();
        assert!(parse(&text(vec![claim.clone()])).is_ok());
        let twice = parse(&text(vec![claim.clone(), claim.clone()])).unwrap_err();
        assert_eq!(twice, "the id `C` stands twice; expected each once");
        let needs = parse(&text(vec![Claim { needs: 2, ..claim }])).unwrap_err();
        assert_eq!(needs, "claim `C` needs 2 of 1 parts; expected 1 to 1");
    }
}
