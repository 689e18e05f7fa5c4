//! The claim table for a terminal.

use super::Report;

/// Claims and verdicts, one per line, and the counts.
pub fn claim_table(report: &Report) -> String {
    let width = report.claims.iter().map(|claim| claim.claim.id.len()).max().unwrap_or(0);
    let line = |claim: &crate::claims::JudgedClaim| {
        let label = claim.verdict_direction.label();
        let (id, text, why) = (&claim.claim.id, &claim.claim.text, &claim.why);
        let indent = " ".repeat(width + 21);
        format!("{id:width$}  {label:17}  {text}\n{indent}{why}\n")
    };
    let lines: String = report.claims.iter().map(line).collect();
    format!("{}: {}\n{}\n\n{lines}", report.experiment, report.headline, report.verdict_counts())
}
