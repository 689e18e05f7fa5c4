//! Which deviations and gaps bear on which claims.

use super::input::Entry;
use super::ledger::anchor;
use super::text::{escape, prose, slug};

/// Number and text of a deviation: `D1 Fakes: …`.
fn split(deviation: &str) -> (&str, &str) {
    let (number, text) = deviation.split_once(' ').unwrap_or(("", deviation));
    let is_number =
        number.starts_with('D') && number.len() > 1 && number[1..].chars().all(|c| c.is_ascii_digit());
    if is_number { (number, text) } else { ("", deviation) }
}

/// The id of a deviation on the page.
fn id(entry: &str, number: &str) -> String {
    format!("{}.deviation-{}", slug(entry), slug(number))
}

/// Claims that a text names after its last "Affects": ids, ranges of ids as "C1 to C5", or all.
fn affected<'a>(text: &str, ids: &[&'a str]) -> Vec<&'a str> {
    let Some(at) = text.rfind("Affects ") else { return Vec::new() };
    let tail = &text[at..];
    if tail.starts_with("Affects all claims") {
        return ids.to_vec();
    }
    let mut found: Vec<&str> = Vec::new();
    let mut range_from: Option<usize> = None;
    let mut last: Option<usize> = None;
    for word in tail.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        match ids.iter().position(|id| *id == word) {
            Some(place) => {
                let from = range_from.take().filter(|from| *from < place).map_or(place, |from| from + 1);
                found.extend(&ids[from..=place]);
                last = Some(place);
            }
            None => {
                range_from = last.filter(|_| word == "to");
                last = None;
            }
        }
    }
    found
}

fn ids(entry: &Entry) -> Vec<&str> {
    entry.report.claims.iter().map(|claim| claim.claim.id.as_str()).collect()
}

/// All deviations, each with links to the claims it affects.
pub(super) fn list(entry: &Entry) -> String {
    let ids = ids(entry);
    let item = |deviation: &String| {
        let (number, text) = split(deviation);
        let named = affected(text, &ids);
        let links: Vec<String> = match named.len() == ids.len() {
            true => Vec::new(),
            false => named.iter().map(|claim| claim_link(entry, claim)).collect(),
        };
        let links = if links.is_empty() {
            String::new()
        } else {
            format!(" <span class=\"bears\">{}</span>", links.join(" "))
        };
        match number {
            "" => format!("<li class=\"find\">{}{links}</li>\n", prose(text)),
            number => format!(
                "<li class=\"find\" id=\"{}\"><b>{}</b> {}{links}</li>\n",
                id(&entry.name, number),
                escape(number),
                prose(text)
            ),
        }
    };
    format!("<ul class=\"plain\">\n{}</ul>\n", entry.report.deviations.iter().map(item).collect::<String>())
}

/// A small link to a claim.
pub(super) fn claim_link(entry: &Entry, claim: &str) -> String {
    let class = match entry.report.claims.iter().find(|judged| judged.claim.id == claim) {
        Some(judged) => super::verdict::Verdict::of(&judged.verdict_direction),
        None => return escape(claim),
    };
    format!(
        "<a class=\"chip {}\" href=\"#{}\" title=\"{}\">{}</a>",
        class.name,
        anchor(&entry.name, claim),
        class.words,
        escape(claim)
    )
}

/// The deviations and gaps that bear on a claim, as links.
pub(super) fn bearing_on(entry: &Entry, claim: &str) -> String {
    let ids = ids(entry);
    let numbered = entry.report.deviations.iter().map(|deviation| split(deviation));
    let deviations =
        numbered.filter(|(number, text)| !number.is_empty() && affected(text, &ids).contains(&claim));
    let mut links: Vec<String> = deviations
        .map(|(number, text)| {
            let first = text.split(['.', ':']).next().unwrap_or_default();
            format!(
                "<li><a href=\"#{}\">{}</a> {}</li>",
                id(&entry.name, number),
                escape(number),
                prose(first)
            )
        })
        .collect();
    let gaps = entry.gaps.iter().enumerate().filter(|(_, gap)| gap.claims.iter().any(|named| named == claim));
    links.extend(gaps.map(|(place, gap)| {
        format!("<li><a href=\"#{}\">gap</a> {}</li>", gap_id(entry, place), prose(&gap.about))
    }));
    if links.is_empty() {
        return String::new();
    }
    format!("<p>What bears on it:</p><ul class=\"plain\">{}</ul>\n", links.concat())
}

/// The id of a gap on the page.
pub(super) fn gap_id(entry: &Entry, place: usize) -> String {
    format!("{}.gap-{}", slug(&entry.name), place + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affected_claims_are_read_from_the_last_sentence() {
        let ids = ["C1", "C1d", "C2", "C3", "O1", "O2"];
        assert_eq!(affected("x. Affects all claims.", &ids), ids);
        assert_eq!(affected("C2 fell. Affects C1, C3.", &ids), ["C1", "C3"]);
        assert_eq!(affected("Affects C1 to C3, O2.", &ids), ["C1", "C1d", "C2", "C3", "O2"]);
        assert_eq!(affected("Affects all values and, for C2 and O1, the direction", &ids), ["C2", "O1"]);
        assert_eq!(affected("Affects the tables.", &ids), Vec::<&str>::new());
        assert_eq!(affected("no word", &ids), Vec::<&str>::new());
        assert_eq!(affected("Affects C3 to C1.", &ids), ["C3", "C1"]);
    }

    #[test]
    fn a_deviation_has_a_number_or_none() {
        assert_eq!(split("D12 Fakes: x"), ("D12", "Fakes: x"));
        assert_eq!(split("Data differ"), ("", "Data differ"));
    }
}
