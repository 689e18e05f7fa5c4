//! What an experiment cost.

use super::input::Report;
use super::text::duration;

/// Processor time of all runs in seconds, as the report states it first in a line named so.
pub(super) fn of(report: &Report) -> Option<f64> {
    let (_, value) = report.compute.iter().find(|(name, _)| name.starts_with("processor time"))?;
    let digits: String = value.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    value[digits.len()..].trim_start().starts_with('s').then(|| digits.parse().ok())?
}

/// For the row of one claim of so many.
pub(super) fn words(seconds: f64, claims: usize) -> String {
    match claims {
        1 => format!("{} of one core", duration(seconds)),
        n => format!("{} of one core for all {n} claims", duration(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_and_nothing_else() {
        let report = |value: &str| {
            let mut report = Report::default();
            report.compute.insert("processor time, all jobs".into(), value.into());
            report
        };
        assert_eq!(of(&report("1222 s; divided by the workers")), Some(1222.0));
        assert_eq!(of(&report("a while")), None);
        assert_eq!(of(&report("12 h")), None);
        assert_eq!(of(&Report::default()), None);
        assert_eq!(words(1222.0, 11), "20 min of one core for all 11 claims");
    }
}
