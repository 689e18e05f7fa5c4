//! Repeated merging of the best adjacent pair, which both kinds of tokenizer do.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A piece of the text: bytes `start..end` and its token, `None` when no token is spelled so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symbol {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) token: Option<u32>,
}

/// A possible merge of neighbours; the larger priority goes first, then the place further left.
struct Pair {
    priority: f32,
    left: usize,
    right: usize,
    /// Ends of the joined text: the pair is stale when either side has been merged meanwhile.
    start: usize,
    end: usize,
    token: u32,
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.priority.total_cmp(&other.priority).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Pair {}

/// What is left when no adjacent pair has a merge. `join` gives the priority and token of two neighbours' merge.
pub(super) fn merge(
    mut symbols: Vec<Symbol>,
    join: impl Fn(&Symbol, &Symbol) -> Option<(f32, u32)>,
) -> impl Iterator<Item = Symbol> {
    let none = usize::MAX;
    let mut next: Vec<usize> =
        (1..=symbols.len()).map(|i| if i < symbols.len() { i } else { none }).collect();
    let mut previous: Vec<usize> = (0..symbols.len()).map(|i| i.wrapping_sub(1)).collect();
    let mut alive = vec![true; symbols.len()];
    let pair = |symbols: &[Symbol], left: usize, right: usize| {
        let (priority, token) = join(&symbols[left], &symbols[right])?;
        Some(Pair { priority, left, right, start: symbols[left].start, end: symbols[right].end, token })
    };
    let mut heap: BinaryHeap<Pair> =
        (1..symbols.len()).filter_map(|right| pair(&symbols, right - 1, right)).collect();
    while let Some(Pair { left, right, start, end, token, .. }) = heap.pop() {
        let fresh = alive[left] && alive[right] && next[left] == right;
        if !fresh || symbols[left].start != start || symbols[right].end != end {
            continue;
        }
        symbols[left] = Symbol { start, end, token: Some(token) };
        alive[right] = false;
        next[left] = next[right];
        if next[left] != none {
            previous[next[left]] = left;
            heap.extend(pair(&symbols, left, next[left]));
        }
        if previous[left] != none {
            heap.extend(pair(&symbols, previous[left], left));
        }
    }
    symbols.into_iter().zip(alive).filter_map(|(symbol, alive)| alive.then_some(symbol))
}
