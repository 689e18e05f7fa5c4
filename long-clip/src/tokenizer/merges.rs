//! Byte pairs: which symbols become one, in which order.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A hash of few bytes that costs few cycles; its input is no adversary's table but a fixed vocabulary.
#[derive(Default)]
pub(super) struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 29
    }
}

type Table<K, V> = HashMap<K, V, BuildHasherDefault<Mixer>>;

/// Words of up to this many bytes are merged by looking at all pairs again and again, longer ones with a heap.
const SHORT: usize = 48;

/// Byte-pair encoding of words whose last symbol is marked.
pub(super) struct Merges {
    /// Pair of ids, the first in the upper half → (rank, id of the pair as one).
    pairs: Table<u64, (u32, u32)>,
    /// Words that are one symbol in the end.
    whole: Table<Box<[u8]>, u32>,
    /// Id of each byte inside a word; 256 more: at its end.
    bytes: [u32; 256],
    /// Text of each id.
    symbols: Vec<Box<[u8]>>,
    /// Whether a word ends with the symbol.
    ends: Vec<bool>,
    /// GPT-2's letter of each byte.
    letters: [char; 256],
}

/// Symbols that bytes and marked bytes take.
const SINGLE: u32 = 256;

impl Merges {
    /// From the lines of a merges file behind its header: two symbols in GPT-2's letters, separated by a space.
    pub(super) fn new<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Self, (usize, String)> {
        let alphabet = alphabet();
        let letters: HashMap<char, u8> = alphabet.iter().map(|&(byte, letter)| (letter, byte)).collect();
        let mut bytes = [0; 256];
        let mut spelled = ['\0'; 256];
        alphabet.iter().for_each(|&(byte, letter)| spelled[usize::from(byte)] = letter);
        let mut symbols: Vec<Box<[u8]>> = Vec::with_capacity(49_408);
        let mut ends = Vec::with_capacity(49_408);
        let mut known: HashMap<String, u32> = HashMap::with_capacity(49_408);
        for ending in ["", "</w>"] {
            for &(byte, letter) in &alphabet {
                let id = symbols.len() as u32;
                if ending.is_empty() {
                    bytes[usize::from(byte)] = id;
                }
                known.insert(format!("{letter}{ending}"), id);
                symbols.push(Box::new([byte]));
                ends.push(!ending.is_empty());
            }
        }
        let mut pairs = Table::default();
        for (line, text) in lines.enumerate() {
            let parts: Vec<&str> = text.split_whitespace().collect();
            let [left, right] = parts[..] else {
                return Err((line, format!("`{text}` is no pair of symbols")));
            };
            let id = |symbol: &str| {
                known.get(symbol).copied().ok_or_else(|| {
                    (
                        line,
                        format!("`{symbol}` is no symbol yet; lines of a merges file stand in their order"),
                    )
                })
            };
            let (left_id, right_id, new) = (id(left)?, id(right)?, symbols.len() as u32);
            pairs.entry(key(left_id, right_id)).or_insert((line as u32, new));
            let joined = format!("{left}{right}");
            let plain = joined.strip_suffix("</w>").unwrap_or(&joined);
            symbols.push(plain.chars().filter_map(|letter| letters.get(&letter).copied()).collect());
            ends.push(plain.len() < joined.len());
            known.insert(joined, new);
        }
        let mut merges = Self { pairs, whole: Table::default(), bytes, symbols, ends, letters: spelled };
        let mut whole = Table::default();
        let mut ids = Vec::new();
        for &id in known.values().filter(|&&id| merges.ends[id as usize]) {
            let word = &merges.symbols[id as usize];
            ids.clear();
            merges.merge(word, &mut ids);
            if ids[..] == [i64::from(id)] {
                whole.insert(word.clone(), id);
            }
        }
        merges.whole = whole;
        Ok(merges)
    }

    /// Number of symbols.
    pub(super) fn len(&self) -> usize {
        self.symbols.len()
    }

    /// A symbol in GPT-2's letters.
    pub(super) fn spelling(&self, id: i64) -> String {
        let bytes = self.symbol(id).unwrap_or_default();
        let mut text: String = bytes.iter().map(|&byte| self.letters[usize::from(byte)]).collect();
        if self.ends_word(id) {
            text.push_str("</w>");
        }
        text
    }

    /// The rules in their order, as pairs of ids.
    pub(super) fn rules(&self) -> Vec<(i64, i64)> {
        let mut rules: Vec<(u32, u64)> = self.pairs.iter().map(|(&key, &(rank, _))| (rank, key)).collect();
        rules.sort_unstable();
        rules.iter().map(|(_, key)| ((key >> 32) as i64, (key & 0xffff_ffff) as i64)).collect()
    }

    /// Whether a word ends with the symbol.
    pub(super) fn ends_word(&self, id: i64) -> bool {
        usize::try_from(id).is_ok_and(|id| self.ends.get(id) == Some(&true))
    }

    /// Bytes of a symbol.
    pub(super) fn symbol(&self, id: i64) -> Option<&[u8]> {
        self.symbols.get(usize::try_from(id).ok()?).map(|symbol| &**symbol)
    }

    /// Appends the ids of a word.
    pub(super) fn encode(&self, word: &[u8], ids: &mut Vec<i64>) {
        match self.whole.get(word) {
            Some(&id) => ids.push(id.into()),
            None => self.merge(word, ids),
        }
    }

    fn merge(&self, word: &[u8], ids: &mut Vec<i64>) {
        let mut symbols: Vec<u32> = word.iter().map(|&byte| self.bytes[usize::from(byte)]).collect();
        match symbols.last_mut() {
            Some(last) => *last += SINGLE,
            None => return,
        }
        if symbols.len() > SHORT {
            symbols = self.merge_long(&symbols);
        } else {
            while let Some((at, id)) = self.first(&symbols) {
                symbols[at] = id;
                symbols.remove(at + 1);
            }
        }
        ids.extend(symbols.iter().map(|&id| i64::from(id)));
    }

    /// The leftmost of the pairs with the lowest rank.
    fn first(&self, symbols: &[u32]) -> Option<(usize, u32)> {
        let mut best: Option<(u32, usize, u32)> = None;
        for (at, pair) in symbols.windows(2).enumerate() {
            if let Some(&(rank, id)) = self.pairs.get(&key(pair[0], pair[1]))
                && best.is_none_or(|(lowest, ..)| rank < lowest)
            {
                best = Some((rank, at, id));
            }
        }
        best.map(|(_, at, id)| (at, id))
    }

    /// The same for a long word: the pairs in a heap, the symbols in a list.
    fn merge_long(&self, symbols: &[u32]) -> Vec<u32> {
        use std::cmp::Reverse;
        use std::collections::BinaryHeap;

        const GONE: u32 = u32::MAX;
        let n = symbols.len();
        let mut ids = symbols.to_vec();
        let (mut next, mut previous): (Vec<usize>, Vec<usize>) =
            ((1..=n).collect(), (0..n).map(|i| i.wrapping_sub(1)).collect());
        let mut heap = BinaryHeap::new();
        let pair = |ids: &[u32], left: usize, right: usize| {
            let key = key(ids[left], ids[right]);
            self.pairs.get(&key).map(|&(rank, id)| Reverse((rank, left, key, id)))
        };
        heap.extend((1..n).filter_map(|right| pair(&ids, right - 1, right)));
        while let Some(Reverse((_, left, expected, id))) = heap.pop() {
            let right = next[left];
            // The pair may have lost one of its symbols since.
            if ids[left] == GONE || right >= n || key(ids[left], ids[right]) != expected {
                continue;
            }
            ids[left] = id;
            ids[right] = GONE;
            next[left] = next[right];
            if next[left] < n {
                previous[next[left]] = left;
                heap.extend(pair(&ids, left, next[left]));
            }
            if previous[left] < n {
                heap.extend(pair(&ids, previous[left], left));
            }
        }
        ids.retain(|&id| id != GONE);
        ids
    }
}

fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

/// GPT-2's letters of the bytes in the order of the vocabulary: printable bytes are their own letters and come first.
fn alphabet() -> Vec<(u8, char)> {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let own = (0..=255_u8).filter(printable).map(|byte| (byte, char::from(byte)));
    let others = (0..=255_u8).filter(|byte| !printable(byte));
    let moved = others.zip('\u{100}'..);
    own.chain(moved).collect()
}
