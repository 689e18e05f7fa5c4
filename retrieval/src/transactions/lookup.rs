//! Accounts by exact field values: the floor that an embedding has to clear, and a partner of it.
//!
//! Contexts go from all fields to none. A first-hit table takes the most frequent account of the first context that was
//! seen; the smoothed one is Witten and Bell's interpolation:
//!
//! ```text
//! P(a | c) = (n(a, c) + T(c) P(a | shorter c)) / (n(c) + T(c))        T: distinct accounts of the context
//! ```

use std::collections::HashMap;

use super::record::{AMOUNT, STANDARD, Template, clean};
use super::vote::{Shares, normalised};

/// Counts of accounts in one context.
#[derive(Clone, Debug, Default)]
struct Counts {
    total: f64,
    accounts: Vec<(u32, f64)>,
}

impl Counts {
    fn add(&mut self, account: u32) {
        self.total += 1.0;
        match self.accounts.iter_mut().find(|(known, _)| *known == account) {
            Some((_, n)) => *n += 1.0,
            None => self.accounts.push((account, 1.0)),
        }
    }
}

/// Counts of accounts by context.
#[derive(Clone, Debug)]
pub struct Lookup {
    contexts: Vec<Vec<usize>>,
    tables: Vec<HashMap<String, Counts>>,
    prior: Counts,
}

impl Lookup {
    /// An empty table of these contexts, each a set of field places, the most specific first.
    pub fn new(contexts: Vec<Vec<usize>>) -> Self {
        Self { tables: vec![HashMap::new(); contexts.len()], contexts, prior: Counts::default() }
    }

    /// The contexts of a template: merchant with everything that is not free text, with less and less of it, alone; then the
    /// place of purchase's owner alone.
    pub fn of_template(template: &Template) -> Self {
        let place = |name: &str| template.place(name);
        let of = |names: &[&str]| names.iter().filter_map(|name| place(name)).collect::<Vec<usize>>();
        let own = template.fields.iter().enumerate();
        let own: Vec<usize> = own
            .filter(|(_, name)| !STANDARD.contains(&name.as_str()) && *name != AMOUNT)
            .map(|(place, _)| place)
            .collect();
        let with_own = |mut places: Vec<usize>| {
            places.extend(&own);
            places
        };
        let mut contexts = vec![
            with_own(of(&["merchant", "department", "location", "program"])),
            of(&["merchant", "department", "location"]),
            of(&["merchant", "department"]),
            of(&["merchant"]),
            with_own(of(&["category", "department", "location"])),
        ];
        contexts.retain(|context| !context.is_empty());
        contexts.dedup();
        Self::new(contexts)
    }

    /// Counts a coded transaction.
    pub fn add(&mut self, fields: &[String], account: u32) {
        for (context, table) in self.contexts.iter().zip(&mut self.tables) {
            if let Some(key) = key(context, fields) {
                table.entry(key).or_default().add(account);
            }
        }
        self.prior.add(account);
    }

    /// The most frequent account of the first context that was seen, ties by the lower number; `None` of an empty table.
    pub fn first_hit(&self, fields: &[String]) -> Option<u32> {
        let seen = self.seen(fields).next().unwrap_or(&self.prior);
        let best = seen.accounts.iter().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
        best.map(|(account, _)| *account)
    }

    /// The smoothed distribution; empty of an empty table.
    pub fn shares(&self, fields: &[String]) -> Shares {
        let seen: Vec<&Counts> = self.seen(fields).collect();
        let mut shares: HashMap<u32, f64> =
            self.prior.accounts.iter().map(|(account, n)| (*account, n / self.prior.total)).collect();
        for counts in seen.into_iter().rev() {
            let kinds = counts.accounts.len() as f64;
            let whole = counts.total + kinds;
            shares.values_mut().for_each(|share| *share *= kinds / whole);
            for (account, n) in &counts.accounts {
                *shares.entry(*account).or_default() += n / whole;
            }
        }
        let mut shares: Vec<(u32, f64)> = shares.into_iter().collect();
        shares.sort_by_key(|(account, _)| *account); // sums in one order
        normalised(shares.into_iter())
    }

    /// Contexts with counts, the most specific first.
    fn seen<'a>(&'a self, fields: &'a [String]) -> impl Iterator<Item = &'a Counts> {
        self.contexts
            .iter()
            .zip(&self.tables)
            .filter_map(|(context, table)| table.get(&key(context, fields)?))
    }
}

/// The values of a context; none when its first one is missing.
fn key(context: &[usize], fields: &[String]) -> Option<String> {
    let first = context.first().map(|place| clean(&fields[*place])).filter(|value| !value.is_empty())?;
    let rest = context[1..].iter().map(|place| clean(&fields[*place]));
    Some(std::iter::once(first).chain(rest).collect::<Vec<_>>().join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(merchant: &str, place: &str) -> Vec<String> {
        vec![merchant.to_owned(), place.to_owned()]
    }

    fn table() -> Lookup {
        let mut table = Lookup::new(vec![vec![0, 1], vec![0]]);
        for (merchant, place, account) in [("A ", "x", 1), ("a", "x", 1), ("a", "y", 2), ("b", "y", 3)] {
            table.add(&fields(merchant, place), account);
        }
        table
    }

    #[test]
    fn the_first_seen_context_decides() {
        let table = table();
        assert_eq!(table.first_hit(&fields("a", "y")), Some(2));
        assert_eq!(table.first_hit(&fields("a", "z")), Some(1));
        assert_eq!(table.first_hit(&fields("c", "x")), Some(1));
        assert_eq!(Lookup::new(vec![vec![0]]).first_hit(&fields("a", "y")), None);
    }

    #[test]
    fn shares_are_interpolated_as_written_and_sum_to_one() {
        let table = table();
        let shares: HashMap<u32, f64> = table.shares(&fields("a", "y")).into_iter().collect();
        let prior = [0.5, 0.25, 0.25];
        let merchant = [(2.0 + 2.0 * prior[0]) / 5.0, (1.0 + 2.0 * prior[1]) / 5.0, 2.0 * prior[2] / 5.0];
        let both = [merchant[0] / 2.0, (1.0 + merchant[1]) / 2.0, merchant[2] / 2.0];
        for (account, share) in (1..).zip(both) {
            assert!((shares[&account] - share).abs() < 1e-12);
        }
        assert!((shares.values().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn contexts_of_a_template_use_its_own_fields() {
        let template = Template {
            fields: vec!["merchant".into(), "location".into(), "vat".into()],
            ..Template::standard()
        };
        let lookup = Lookup::of_template(&template);
        assert_eq!(lookup.contexts, [vec![0, 1, 2], vec![0, 1], vec![0], vec![1, 2]]);
    }
}
