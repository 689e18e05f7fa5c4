//! Ranking measures against trec_eval.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;

use common::metrics::ranking::{Grades, Measure, Ranked};
use serde::Deserialize;

/// trec_eval computes in 64 bits and prints none away.
const TOLERANCE: f64 = 1e-12;

#[derive(Deserialize)]
struct Golden {
    qrels: BTreeMap<String, Grades>,
    run: BTreeMap<String, BTreeMap<String, f64>>,
    scores: BTreeMap<String, BTreeMap<String, f64>>,
}

/// Our measure for a name such as `ndcg_cut_10`; the reciprocal rank looks at all ranks.
fn measure(name: &str) -> Measure {
    if name == "recip_rank" {
        return Measure::Mrr(usize::MAX);
    }
    let (kind, k) = name.rsplit_once('_').unwrap();
    let kind = kind.trim_end_matches("_cut");
    format!("{kind}@{k}").parse().unwrap()
}

#[test]
fn measures_equal_those_of_trec_eval_on_rankings_with_ties() {
    let golden: Golden = serde_json::from_str(include_str!("golden/ranking.json")).unwrap();
    let mut compared = 0;
    for (query, scores) in &golden.scores {
        let hits: Vec<(&str, f64)> =
            golden.run[query].iter().map(|(id, score)| (id.as_str(), *score)).collect();
        let ranked = Ranked::new(&hits, &golden.qrels[query]);
        for (name, expected) in scores {
            let found = measure(name).of(&ranked);
            assert!((found - expected).abs() < TOLERANCE, "{query} {name}: {found}, trec_eval {expected}");
            compared += 1;
        }
    }
    assert_eq!(compared, 12 * 15);
}
