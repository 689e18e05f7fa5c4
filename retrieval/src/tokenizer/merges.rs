//! The entries of a vocabulary by byte-pair merges (Sennrich et al. 2016) over characters; the same texts
//! always give the same entries.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

/// A word as places in the list of entries, and how often it occurs.
struct Word {
    symbols: Vec<usize>,
    count: usize,
}

/// How often a pair of adjacent entries occurs, and in which words.
#[derive(Default)]
struct Pair {
    count: usize,
    words: BTreeSet<usize>,
}

/// The `size` first entries of these words: characters by falling frequency, then merges in the order they
/// were made.
pub(super) fn merged(counts: HashMap<String, usize>, size: usize) -> Vec<String> {
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_unstable();
    let mut entries = alphabet(&counts, size);
    let places: HashMap<String, usize> = entries.iter().cloned().zip(0..).collect();
    let symbol = |character: char| places.get(character.encode_utf8(&mut [0; 4]) as &str).copied();
    let spelled = |(word, count): &(String, usize)| {
        let symbols: Option<Vec<usize>> = word.chars().map(symbol).collect();
        symbols.map(|symbols| Word { symbols, count: *count })
    };
    let mut words: Vec<Word> = counts.iter().filter_map(spelled).collect();
    let mut pairs: HashMap<(usize, usize), Pair> = HashMap::new();
    for (i, word) in words.iter().enumerate() {
        count(&mut pairs, i, word);
    }
    // Counts only fall, except of pairs with the newest entry, which are pushed when it is made; an outdated
    // count is pushed again.
    let mut heap: BinaryHeap<_> = pairs.iter().map(|(pair, found)| (found.count, Reverse(*pair))).collect();
    while entries.len() < size {
        let Some((known, Reverse(pair))) = heap.pop() else { break };
        let current = pairs.get(&pair).map_or(0, |found| found.count);
        if current < 2 {
            continue;
        }
        if current != known {
            heap.push((current, Reverse(pair)));
            continue;
        }
        let new = entries.len();
        entries.push(format!("{}{}", entries[pair.0], entries[pair.1]));
        let mut fresh = BTreeSet::new();
        for i in pairs.remove(&pair).unwrap_or_default().words {
            uncount(&mut pairs, i, &words[i]);
            words[i].symbols = replaced(&words[i].symbols, pair, new);
            count(&mut pairs, i, &words[i]);
            let adjacent = words[i].symbols.windows(2).map(|pair| (pair[0], pair[1]));
            fresh.extend(adjacent.filter(|(left, right)| *left == new || *right == new));
        }
        heap.extend(fresh.into_iter().map(|pair| (pairs[&pair].count, Reverse(pair))));
    }
    entries
}

/// Characters by falling frequency, at most `size`.
fn alphabet(counts: &[(String, usize)], size: usize) -> Vec<String> {
    let mut characters: HashMap<char, usize> = HashMap::new();
    for (word, count) in counts {
        for character in word.chars() {
            *characters.entry(character).or_default() += count;
        }
    }
    let mut characters: Vec<(char, usize)> = characters.into_iter().collect();
    characters.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    characters.into_iter().take(size).map(|(character, _)| character.to_string()).collect()
}

fn count(pairs: &mut HashMap<(usize, usize), Pair>, place: usize, word: &Word) {
    for pair in word.symbols.windows(2) {
        let found = pairs.entry((pair[0], pair[1])).or_default();
        found.count += word.count;
        found.words.insert(place);
    }
}

fn uncount(pairs: &mut HashMap<(usize, usize), Pair>, place: usize, word: &Word) {
    for pair in word.symbols.windows(2) {
        if let Some(found) = pairs.get_mut(&(pair[0], pair[1])) {
            found.count = found.count.saturating_sub(word.count);
            found.words.remove(&place);
        }
    }
}

/// The symbols with each occurrence of the pair, from the left, as the new one.
fn replaced(symbols: &[usize], pair: (usize, usize), new: usize) -> Vec<usize> {
    let mut result = Vec::with_capacity(symbols.len());
    let mut rest = symbols;
    while let [first, tail @ ..] = rest {
        let merge = *first == pair.0 && tail.first() == Some(&pair.1);
        result.push(if merge { new } else { *first });
        rest = if merge { &tail[1..] } else { tail };
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_pairs_are_merged_first() {
        // Sennrich et al.'s example without their end-of-word mark.
        let words = [("low", 5), ("lower", 2), ("newest", 6), ("widest", 3)];
        let counts = words.into_iter().map(|(word, count)| (word.to_owned(), count)).collect();
        let entries = merged(counts, 14);
        assert_eq!(entries[..2], ["e", "w"]);
        assert_eq!(entries[10..], ["es", "est", "lo", "low"]);
    }

    #[test]
    fn small_sizes_cut_the_alphabet_and_large_ones_end_with_the_pairs() {
        let counts = || [("aab".to_owned(), 3), ("c".to_owned(), 1)].into_iter().collect();
        assert_eq!(merged(counts(), 2), ["a", "b"]);
        assert_eq!(merged(counts(), 99), ["a", "b", "c", "aa", "aab"]);
    }
}
