//! A ledger with confusable sub-accounts by construction, for what the public data lack: memos, trips, programmes, several
//! companies, and a known best answer.
//!
//! Each account of the common chart needs one kind of evidence: the merchant alone, the department, the memo or the trip. Each
//! company numbers its own chart. Three percent of the labels are a sibling's.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::lab::Row;
use crate::transactions::record::{Date, STANDARD, Transaction};

/// Share of rows whose label is that of a sibling.
pub(super) const NOISE: f64 = 0.03;

/// What decides between the accounts of a parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    Merchant,
    Department,
    Memo,
    Trip,
}

impl Evidence {
    pub(super) const ALL: [Self; 4] = [Self::Merchant, Self::Department, Self::Memo, Self::Trip];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Merchant => "merchant",
            Self::Department => "department",
            Self::Memo => "memo",
            Self::Trip => "trip",
        }
    }
}

struct Parent {
    evidence: Evidence,
    category: &'static str,
    stems: [&'static str; 4],
    /// Child name and the words that give it away in a memo or trip.
    children: &'static [(&'static str, &'static [&'static str])],
    /// Median amount in units.
    amount: f64,
}

const DEPARTMENTS: [&str; 6] = ["sales", "engineering", "recruiting", "finance", "support", "marketing"];
const CITIES: [&str; 8] = ["leeds", "london", "osaka", "berlin", "austin", "lyon", "madrid", "oslo"];
const PREFIXES: [&str; 5] = ["", "", "sq *", "paypal *", "tst* "];
const EMPTY_WORDS: [&str; 5] = ["misc", "per diem", "see receipt", "card purchase", "expense"];

const PARENTS: [Parent; 10] = [
    Parent {
        evidence: Evidence::Department,
        category: "airlines",
        stems: ["air", "jet", "wings", "fly"],
        amount: 240.0,
        children: &[
            ("travel sales", &[]),
            ("travel engineering", &[]),
            ("travel recruiting", &[]),
            ("travel other", &[]),
        ],
    },
    Parent {
        evidence: Evidence::Department,
        category: "computer software",
        stems: ["soft", "cloud", "data", "app"],
        amount: 60.0,
        children: &[
            ("software sales tools", &[]),
            ("software engineering tools", &[]),
            ("software hiring tools", &[]),
            ("software general", &[]),
        ],
    },
    Parent {
        evidence: Evidence::Memo,
        category: "eating places",
        stems: ["grill", "cafe", "bistro", "noodle"],
        amount: 35.0,
        children: &[
            ("meals client", &["client lunch", "dinner with customer", "prospect coffee"]),
            ("meals team", &["team lunch", "birthday cake", "offsite dinner"]),
            ("meals recruiting", &["candidate lunch", "interview dinner", "coffee with applicant"]),
        ],
    },
    Parent {
        evidence: Evidence::Trip,
        category: "lodging",
        stems: ["inn", "hotel", "suites", "lodge"],
        amount: 160.0,
        children: &[
            ("lodging conference", &["conference", "expo", "summit"]),
            ("lodging customer visit", &["customer visit", "site visit", "onboarding"]),
            ("lodging offsite", &["offsite", "retreat", "team week"]),
        ],
    },
    Parent {
        evidence: Evidence::Trip,
        category: "taxi",
        stems: ["cab", "ride", "taxi", "shuttle"],
        amount: 22.0,
        children: &[
            ("ground conference", &["conference", "expo", "summit"]),
            ("ground customer visit", &["customer visit", "site visit", "onboarding"]),
            ("ground offsite", &["offsite", "retreat", "team week"]),
        ],
    },
    Parent {
        evidence: Evidence::Memo,
        category: "advertising",
        stems: ["media", "ads", "print", "reach"],
        amount: 400.0,
        children: &[
            ("advertising online", &["search campaign", "clicks", "retargeting"]),
            ("advertising events", &["booth", "banner", "sponsorship"]),
            ("advertising brand", &["video shoot", "design work", "photography"]),
        ],
    },
    Parent {
        evidence: Evidence::Merchant,
        category: "service stations",
        stems: ["fuel", "petrol", "oil", "station"],
        amount: 50.0,
        children: &[("vehicle fuel", &[])],
    },
    Parent {
        evidence: Evidence::Merchant,
        category: "utilities",
        stems: ["power", "water", "telecom", "gas"],
        amount: 120.0,
        children: &[("utilities", &[])],
    },
    Parent {
        evidence: Evidence::Memo,
        category: "marketplace",
        stems: ["market", "store", "shop", "bazaar"],
        amount: 45.0,
        children: &[
            ("office supplies", &["paper", "toner", "pens"]),
            ("equipment small", &["keyboard", "monitor", "headset"]),
            ("books", &["book", "manual", "textbook"]),
            ("gifts", &["gift card", "leaving present", "flowers"]),
        ],
    },
    Parent {
        evidence: Evidence::Merchant,
        category: "insurance",
        stems: ["mutual", "assure", "cover", "shield"],
        amount: 700.0,
        children: &[("insurance", &[])],
    },
];

/// Company names; the last one is for tests alone.
const COMPANIES: [&str; 4] = ["acme", "borealis", "cedar", "delta"];

/// Number of companies.
pub(super) const N_COMPANIES: usize = COMPANIES.len();

/// `n` transactions of each company in the order of time, with what decides each and the best answer.
pub(super) fn ledger(n: usize, seed: u64) -> Vec<(Row, Evidence, u32)> {
    let merchants = merchants(seed);
    let mut rows = Vec::new();
    for (company, name) in COMPANIES.iter().enumerate() {
        let mut random = common::seed::rng(seed, "ledger", company as u64);
        for place in 0..n {
            rows.push(draw(&merchants, company, name, place, n, &mut random));
        }
    }
    rows
}

/// Merchants of each parent; names are made of stems and syllables.
fn merchants(seed: u64) -> Vec<Vec<String>> {
    let mut random = common::seed::rng(seed, "merchants", 0);
    let syllable = |random: &mut ChaCha8Rng| -> String {
        [*b"bcdfglmnprstv".choose(random).expect("some"), *b"aeiou".choose(random).expect("some")]
            .iter()
            .map(|byte| *byte as char)
            .collect()
    };
    let mut name = |stems: &[&str]| {
        let first: String = (0..3).map(|_| syllable(&mut random)).collect();
        // Some names say nothing of what is sold.
        match random.random_bool(0.7) {
            true => format!("{first} {}", stems.choose(&mut random).expect("some")),
            false => first,
        }
    };
    PARENTS.iter().map(|parent| (0..60).map(|_| name(&parent.stems)).collect()).collect()
}

fn draw(
    merchants: &[Vec<String>],
    company: usize,
    company_name: &str,
    place: usize,
    n: usize,
    random: &mut ChaCha8Rng,
) -> (Row, Evidence, u32) {
    let parent_place = random.random_range(0..PARENTS.len());
    let parent = &PARENTS[parent_place];
    let department = random.random_range(0..DEPARTMENTS.len());
    let children = parent.children.len();
    let mut child = match parent.evidence {
        Evidence::Department => department.min(children - 1),
        _ => random.random_range(0..children),
    };
    let cue = |random: &mut ChaCha8Rng| parent.children[child].1.choose(random).copied().unwrap_or_default();
    let city = CITIES.choose(random).copied().unwrap_or_default();
    let memo = match (parent.evidence, random.random_range(0.0..1.0)) {
        (Evidence::Memo, _) => {
            format!("{} {}", cue(random), ["", "q1", "monthly", "for ana"].choose(random).expect("some"))
        }
        (_, draw) if draw < 0.35 => String::new(),
        _ => (*EMPTY_WORDS.choose(random).expect("some")).to_owned(),
    };
    let trip = match parent.evidence {
        Evidence::Trip => format!("{city} {}", cue(random)),
        Evidence::Department if random.random_bool(0.5) => {
            format!("{city} {}", ["week", "visit", "days"].choose(random).expect("some"))
        }
        _ => String::new(),
    };
    // The most popular merchants sell most: rank by a power law.
    let list = &merchants[parent_place];
    let rank = (random.random_range(0f64..1.0).powi(3) * list.len() as f64) as usize;
    let prefix = PREFIXES.choose(random).copied().unwrap_or_default();
    let number =
        if random.random_bool(0.3) { format!(" #{}", random.random_range(100..999)) } else { String::new() };
    let merchant: String = format!("{prefix}{}{number}", list[rank]).chars().take(22).collect();
    let spread = random.random_range(-1.0f64..1.0) + random.random_range(-1.0f64..1.0);
    let amount = (parent.amount * (0.6 * spread).exp() * 100.0).round() as i64;
    let best = account(parent_place, child);
    if children > 1 && random.random_bool(NOISE) {
        child = (child + random.random_range(1..children)) % children;
    }
    let program = format!("{} card", DEPARTMENTS[department]);
    let values =
        [merchant.as_str(), parent.category, DEPARTMENTS[department], city, "", memo.trim(), &program, &trip];
    debug_assert_eq!(values.len(), STANDARD.len());
    let month = place * 24 / n;
    let date = Date::from_number(
        (2022 + month as u32 / 12) * 10_000 + (month as u32 % 12 + 1) * 100 + random.random_range(1..28u32),
    );
    let label = account(parent_place, child);
    let transaction = Transaction {
        line: place as u64 + 2,
        id: None,
        company: company_name.to_owned(),
        date: Some(date),
        amount: Some(amount),
        fields: values.map(str::to_owned).into(),
        // Each company has numbers of its own for the same accounts.
        account: Some(format!("{}", 1000 + 100 * company as u32 + (label * 37 + 11 * company as u32) % 100)),
        account_name: Some(parent.children[child].0.to_owned()),
    };
    (
        Row {
            transaction,
            company,
            account: label + company as u32 * N_ACCOUNTS,
            month: date.number() / 100,
        },
        parent.evidence,
        best + company as u32 * N_ACCOUNTS,
    )
}

/// Accounts of the common chart, counted generously.
pub(super) const N_ACCOUNTS: u32 = 50;

fn account(parent: usize, child: usize) -> u32 {
    parent as u32 * 5 + child as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_is_the_same_for_a_seed_and_as_noisy_as_said() {
        let rows = ledger(3000, 1);
        assert_eq!(rows.len(), 3000 * N_COMPANIES);
        let again = ledger(3000, 1);
        assert!(rows.iter().zip(&again).all(|(a, b)| a.0.transaction == b.0.transaction));
        let noisy: Vec<&(Row, Evidence, u32)> =
            rows.iter().filter(|row| row.1 != Evidence::Merchant).collect();
        let wrong = noisy.iter().filter(|row| row.0.account != row.2).count() as f64 / noisy.len() as f64;
        assert!((wrong - NOISE).abs() < 0.01, "{wrong}");
    }

    #[test]
    fn codes_of_a_company_tell_its_accounts_apart() {
        let mut codes: Vec<(String, u32)> = ledger(3000, 1)
            .into_iter()
            .map(|row| (row.0.transaction.account.unwrap(), row.0.account))
            .collect();
        codes.sort();
        codes.dedup();
        let mut distinct = codes.clone();
        distinct.dedup_by(|a, b| a.0 == b.0);
        assert_eq!(codes.len(), distinct.len());
    }
}
