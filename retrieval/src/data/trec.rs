//! TREC judgements and runs.

use std::io::{self, Write};
use std::path::Path;

use common::formats::{ParseError, open};

use super::table::start;
use super::{Judgements, Run};

/// Judgements of a file: TREC (`query 0 document grade`) or BEIR (`query⇥document⇥grade` below a heading).
///
/// # Errors
/// [`ParseError`] with the line: other columns, a grade that is no integer, a pair that is judged twice, nothing at all.
pub fn read_judgements(path: &Path) -> Result<Judgements, ParseError> {
    let mut judgements = Judgements::new();
    let mut lines = open(path)?;
    while let Some((number, line)) = lines.next_line()? {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let heading = number == 1 && columns.last().is_some_and(|last| last.parse::<f64>().is_err());
        if columns.is_empty() || heading {
            continue;
        }
        let fail = |problem: String| ParseError::new(path, number, problem, "");
        let (query, document, grade) = match columns[..] {
            [query, _, document, grade] | [query, document, grade] => (query, document, grade),
            _ => {
                return Err(fail(format!(
                    "{} columns, expected `query 0 document grade` or `query⇥document⇥grade`",
                    columns.len()
                )));
            }
        };
        let grade = grade.parse::<i64>();
        let grade = grade
            .map_err(|_| fail(format!("grade `{}`, expected an integer", columns[columns.len() - 1])))?;
        if judgements.entry(query.to_owned()).or_default().insert(document.to_owned(), grade).is_some() {
            return Err(fail(format!("query `{query}` and document `{document}` are judged twice")));
        }
    }
    match judgements.is_empty() {
        true => Err(ParseError::new(
            path,
            1,
            "no judgement; expected `query 0 document grade`",
            "is the file empty?",
        )),
        false => Ok(judgements),
    }
}

/// A run in TREC's format, `query Q0 document rank score tag`. The rank is passed over: the score orders, as in trec_eval.
///
/// # Errors
/// [`ParseError`] with the line: other columns, a score that is no finite number, a document that a query has twice.
pub fn read_run(path: &Path) -> Result<Run, ParseError> {
    let mut run = Run::new();
    let mut seen = std::collections::HashSet::new();
    let mut lines = open(path)?;
    while let Some((number, line)) = lines.next_line()? {
        let columns: Vec<&str> = line.split_whitespace().collect();
        if columns.is_empty() {
            continue;
        }
        let fail = |problem: String| ParseError::new(path, number, problem, "");
        let [query, _, document, _, score, _] = columns[..] else {
            let problem = format!("`{}`, expected `query Q0 document rank score tag`", start(line));
            return Err(fail(problem));
        };
        let score = score.parse().ok().filter(|score: &f64| score.is_finite());
        let score = score.ok_or_else(|| fail(format!("score `{}`, expected a number", columns[4])))?;
        if !seen.insert((query.to_owned(), document.to_owned())) {
            return Err(fail(format!("query `{query}` has document `{document}` twice")));
        }
        run.entry(query.to_owned()).or_default().push((document.to_owned(), score));
    }
    for hits in run.values_mut() {
        hits.sort_by(|a, b| b.1.total_cmp(&a.1));
    }
    Ok(run)
}

/// Writes hits of one query, best first, as lines of a TREC run.
///
/// # Errors
/// Those of `output`.
pub fn write_run(mut output: impl Write, query: &str, hits: &[(String, f64)], tag: &str) -> io::Result<()> {
    for (rank, (document, score)) in hits.iter().enumerate() {
        writeln!(output, "{query} Q0 {document} {} {score} {tag}", rank + 1)?;
    }
    Ok(())
}
