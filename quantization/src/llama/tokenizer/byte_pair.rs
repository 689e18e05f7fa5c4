//! GPT-2's byte-level byte-pair encoding.

use std::collections::HashMap;

use super::cut::Cut;
use super::merge::{Symbol, merge};
use super::{Specials, TokenizerError, TokenizerParts, kinds};

/// Cuts the text into words, spells their bytes as letters, and merges the adjacent pair of the lowest rank first.
#[derive(Clone, Debug)]
pub struct BytePair {
    /// Pieces as bytes.
    pieces: Vec<Vec<u8>>,
    kinds: Vec<i32>,
    /// Token of each byte.
    bytes: Vec<Option<u32>>,
    /// Rank and token of the merge of two tokens.
    merges: HashMap<(u32, u32), (u32, u32)>,
    cut: Cut,
    /// Pieces by their letters, where a word that is one is not merged.
    whole: HashMap<Vec<u8>, u32>,
    pub(super) specials: Specials,
}

impl BytePair {
    pub(super) fn new(parts: TokenizerParts) -> Result<Self, TokenizerError> {
        let cut = Cut::named(parts.pre.as_deref())?;
        let count = parts.pieces.len();
        if !parts.types.is_empty() && parts.types.len() != count {
            return Err(TokenizerError::Length { what: "types", found: parts.types.len(), pieces: count });
        }
        let ids: HashMap<&[u8], u32> =
            parts.pieces.iter().enumerate().map(|(id, p)| (&p[..], id as u32)).collect();
        let mut merges = HashMap::with_capacity(parts.merges.len());
        for (rank, line) in parts.merges.iter().enumerate() {
            let merge =
                rule(line, &ids).ok_or_else(|| TokenizerError::Merge { rank, found: line.clone() })?;
            merges.entry((merge.0, merge.1)).or_insert((rank as u32, merge.2));
        }
        let whole = |(piece, &id): (&&[u8], &u32)| (spelled(piece), id);
        let whole = if cut.takes_whole_words() { ids.iter().map(whole).collect() } else { HashMap::new() };
        let letter = |byte: u8| ids.get(letter_of(byte).to_string().as_bytes()).copied();
        Ok(Self {
            specials: Specials::new(&parts, false),
            bytes: (0..=255).map(letter).collect(),
            pieces: parts.pieces.iter().map(|piece| spelled(piece)).collect(),
            kinds: if parts.types.is_empty() { vec![kinds::NORMAL; count] } else { parts.types },
            merges,
            cut,
            whole,
        })
    }

    pub(super) fn encode(&self, text: &str, out: &mut Vec<u32>) {
        for word in self.cut.words(text) {
            if let Some(&token) = self.whole.get(word.as_bytes()) {
                out.push(token);
                continue;
            }
            let symbols = word.bytes().enumerate().map(|(start, byte)| {
                let token = self.bytes[usize::from(byte)].or(self.specials.unknown);
                Symbol { start, end: start + 1, token }
            });
            let merged = merge(symbols.collect(), |left, right| {
                let &(rank, token) = self.merges.get(&(left.token?, right.token?))?;
                Some((-(rank as f32), token))
            });
            out.extend(merged.filter_map(|symbol| symbol.token));
        }
    }

    pub(super) fn decode(&self, token: u32, out: &mut Vec<u8>) {
        if let Some(piece) =
            self.pieces.get(token as usize).filter(|_| self.kinds[token as usize] != kinds::CONTROL)
        {
            out.extend_from_slice(piece);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }
}

/// Tokens of the two sides of `a b`, and of their concatenation.
pub(super) fn rule(line: &str, ids: &HashMap<&[u8], u32>) -> Option<(u32, u32, u32)> {
    // The first space may not be a side's own first byte: a space is spelled Ġ, so the only one separates.
    let (left, right) = line.split_once(' ')?;
    let joined = [left, right].concat();
    Some((*ids.get(left.as_bytes())?, *ids.get(right.as_bytes())?, *ids.get(joined.as_bytes())?))
}

/// The letter that stands for a byte: itself when printable in Latin-1, otherwise the next free one from U+0100.
fn letter_of(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&byte| !printable(byte)).count() as u32;
    char::from_u32(256 + before).expect("68 code points from U+0100 are characters")
}

/// The bytes that a piece's letters stand for; a character that stands for none is itself.
fn spelled(piece: &[u8]) -> Vec<u8> {
    let byte_of: HashMap<char, u8> = (0..=255).map(|byte| (letter_of(byte), byte)).collect();
    let mut bytes = Vec::with_capacity(piece.len());
    for char in String::from_utf8_lossy(piece).chars() {
        match byte_of.get(&char) {
            Some(&byte) => bytes.push(byte),
            None => bytes.extend_from_slice(char.to_string().as_bytes()),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_bytes_are_those_of_gpt_2() {
        let cases = [(b'!', '!'), (b' ', 'Ġ'), (b'\n', 'Ċ'), (0, 'Ā'), (0x7f, 'ġ'), (0xad, 'Ń'), (0xff, 'ÿ')];
        assert!(cases.iter().all(|&(byte, letter)| letter_of(byte) == letter));
        assert_eq!(spelled("Ġa".as_bytes()), b" a");
    }
}
