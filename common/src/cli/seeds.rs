//! Seeds as they are typed: `1,2,3`, `1..=10`, or both.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Most seeds of a run: a slip such as `1..=1000000` would be a run of years.
const MOST: usize = 1000;

/// Different seeds in the order in which they were typed; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seeds(pub(super) Vec<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = |problem: String| format!("{problem}; expected seeds such as `1,2,3` or `1..=10`");
        let number =
            |text: &str| text.trim().parse::<u64>().map_err(|_| expected(format!("`{text}` is no seed")));
        let mut seeds = Vec::new();
        for item in text.split(',') {
            let Some((first, last)) = item.split_once("..=") else {
                seeds.push(number(item)?);
                continue;
            };
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return Err(expected(format!("`{item}` holds no seed")));
            }
            if last - first >= MOST as u64 {
                return Err(expected(format!("`{item}` holds more than {MOST} seeds")));
            }
            seeds.extend(first..=last);
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = seeds.iter().find(|seed| !seen.insert(**seed)) {
            return Err(expected(format!("seed {twice} stands twice")));
        }
        if seeds.len() > MOST {
            return Err(expected(format!("{} seeds, at most {MOST}", seeds.len())));
        }
        Ok(Self(seeds))
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(u64::to_string).collect();
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges_are_read_and_slips_refused() {
        let seeds = |text: &str| text.parse::<Seeds>().map(|seeds| seeds.0);
        assert_eq!(seeds("3,1, 2"), Ok(vec![3, 1, 2]));
        assert_eq!(seeds("1..=3,9"), Ok(vec![1, 2, 3, 9]));
        assert_eq!("1..=3".parse::<Seeds>().unwrap().to_string(), "1,2,3");
        let expected = "; expected seeds such as `1,2,3` or `1..=10`";
        for (text, problem) in [
            ("", "`` is no seed"),
            ("1,x", "`x` is no seed"),
            ("-1", "`-1` is no seed"),
            ("5..=2", "`5..=2` holds no seed"),
            ("1..=2000000", "`1..=2000000` holds more than 1000 seeds"),
            ("1..=3,2", "seed 2 stands twice"),
        ] {
            assert_eq!(seeds(text), Err(format!("{problem}{expected}")));
        }
    }
}
