//! Partial mixes that may still become the best: dynamic programming with pruning.

use super::search::Choices;

/// Most partial mixes that are kept; exact as long as fewer are needed. Ours.
const WIDTH: usize = 4096;

/// The first tensors' types, summed up.
#[derive(Clone, Copy)]
struct Partial {
    bytes: u64,
    error: f64,
    /// Place of the mix it extends, in the list one tensor before.
    before: u32,
    /// Offer of the last tensor.
    place: u32,
}

/// A mix within `budget` with less error than `known`, if there is one to be found.
///
/// A partial mix is dropped when another takes no more bytes and makes no more error, or when even the cheapest rest at `price` per byte
/// cannot bring it below `known`.
pub(super) fn search(tensors: &[Choices], budget: u64, price: f64, known: f64) -> Option<Vec<usize>> {
    let rest = Rest::new(tensors, price);
    let mut lists = vec![vec![Partial { bytes: 0, error: 0.0, before: 0, place: 0 }]];
    for (number, tensor) in tensors.iter().enumerate() {
        let mut next = Vec::new();
        for (before, partial) in lists[number].iter().enumerate() {
            for (place, offer) in tensor.offers.iter().enumerate() {
                let (bytes, error) = (partial.bytes + offer.bytes, partial.error + offer.error);
                let fits = bytes + rest.smallest[number + 1] <= budget;
                let least = rest.priced[number + 1] + error + price * (bytes as f64 - budget as f64);
                if fits && least < known && error + rest.errors[number + 1] < known {
                    next.push(Partial { bytes, error, before: before as u32, place: place as u32 });
                }
            }
        }
        lists.push(undominated(next, price));
    }
    let last = lists.last()?;
    let best = (0..last.len()).min_by(|&a, &b| last[a].error.total_cmp(&last[b].error))?;
    Some(trace(&lists, best))
}

/// Sums over the tensors from each place on.
struct Rest {
    smallest: Vec<u64>,
    errors: Vec<f64>,
    /// Least error + price · bytes.
    priced: Vec<f64>,
}

impl Rest {
    fn new(tensors: &[Choices], price: f64) -> Self {
        let count = tensors.len() + 1;
        let mut rest = Self { smallest: vec![0; count], errors: vec![0.0; count], priced: vec![0.0; count] };
        for (place, tensor) in tensors.iter().enumerate().rev() {
            let least = |key: &dyn Fn(u64, f64) -> f64| {
                tensor.offers.iter().map(|offer| key(offer.bytes, offer.error)).fold(f64::INFINITY, f64::min)
            };
            let smallest = tensor.offers.iter().map(|offer| offer.bytes).min().unwrap_or(0);
            rest.smallest[place] = rest.smallest[place + 1] + smallest;
            rest.errors[place] = rest.errors[place + 1] + least(&|_, error| error);
            rest.priced[place] = rest.priced[place + 1] + least(&|bytes, error| error + price * bytes as f64);
        }
        rest
    }
}

/// Partial mixes that no other beats in bytes and error; beyond [`WIDTH`], those of least priced error.
fn undominated(mut all: Vec<Partial>, price: f64) -> Vec<Partial> {
    all.sort_by(|a, b| a.bytes.cmp(&b.bytes).then(a.error.total_cmp(&b.error)));
    let mut least = f64::INFINITY;
    all.retain(|partial| {
        let better = partial.error < least;
        least = least.min(partial.error);
        better
    });
    if all.len() > WIDTH {
        let priced = |partial: &Partial| partial.error + price * partial.bytes as f64;
        all.select_nth_unstable_by(WIDTH, |a, b| priced(a).total_cmp(&priced(b)));
        all.truncate(WIDTH);
    }
    all
}

fn trace(lists: &[Vec<Partial>], mut at: usize) -> Vec<usize> {
    let mut chosen = Vec::with_capacity(lists.len() - 1);
    for list in lists[1..].iter().rev() {
        chosen.push(list[at].place as usize);
        at = list[at].before as usize;
    }
    chosen.reverse();
    chosen
}
