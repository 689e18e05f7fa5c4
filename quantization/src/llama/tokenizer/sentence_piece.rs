//! SentencePiece's byte-pair encoding with scores, as llama2.c and llama.cpp compute it, or with listed merges, as Hugging Face
//! does.

use std::collections::HashMap;

use super::byte_pair::rule;
use super::merge::{Symbol, merge};
use super::{Specials, TokenizerError, TokenizerParts, kinds};

/// How SentencePiece spells a space.
const SPACE: &str = "\u{2581}";

/// Merges the adjacent pair whose joined piece has the highest score, until none is a piece; where the merges are listed, the
/// pair whose merge comes first.
#[derive(Clone, Debug)]
pub struct SentencePiece {
    /// Pieces with [`SPACE`] for the space.
    pieces: Vec<Vec<u8>>,
    scores: Vec<f32>,
    kinds: Vec<i32>,
    tokens: HashMap<Vec<u8>, u32>,
    /// Token of each byte, for characters without a piece.
    bytes: Vec<Option<u32>>,
    /// Rank and token of the merge of two tokens; empty where scores decide.
    merges: HashMap<(u32, u32), (u32, u32)>,
    add_space: bool,
    pub(super) specials: Specials,
}

impl SentencePiece {
    pub(super) fn new(parts: TokenizerParts) -> Result<Self, TokenizerError> {
        let count = parts.pieces.len();
        for (what, found) in [("scores", parts.scores.len()), ("types", parts.types.len())] {
            if found != count {
                return Err(TokenizerError::Length { what, found, pieces: count });
            }
        }
        let mut tokens = HashMap::with_capacity(count);
        let mut bytes = vec![None; 256];
        for (id, (piece, &kind)) in parts.pieces.iter().zip(&parts.types).enumerate() {
            if kind == kinds::BYTE {
                let value = byte_value(piece).ok_or_else(|| TokenizerError::Byte { piece: lossy(piece) })?;
                bytes[usize::from(value)] = Some(id as u32);
            } else if kind == kinds::NORMAL || kind == kinds::USER {
                tokens.entry(piece.clone()).or_insert(id as u32);
            }
        }
        let ids: HashMap<&[u8], u32> = tokens.iter().map(|(piece, &id)| (&piece[..], id)).collect();
        let mut merges = HashMap::with_capacity(parts.merges.len());
        for (rank, line) in parts.merges.iter().enumerate() {
            if let Some((left, right, token)) = rule(line, &ids) {
                merges.entry((left, right)).or_insert((rank as u32, token));
            }
        }
        Ok(Self {
            merges,
            specials: Specials::new(&parts, true),
            pieces: parts.pieces,
            scores: parts.scores,
            kinds: parts.types,
            tokens,
            bytes,
            add_space: parts.add_space_prefix.unwrap_or(true),
        })
    }

    pub(super) fn encode(&self, text: &str, out: &mut Vec<u32>) {
        if text.is_empty() {
            return;
        }
        let prefix = if self.add_space { SPACE } else { "" };
        let text = format!("{prefix}{}", text.replace(' ', SPACE));
        let bytes = text.as_bytes();
        let symbols = text.char_indices().map(|(start, char)| {
            let end = start + char.len_utf8();
            Symbol { start, end, token: self.tokens.get(&bytes[start..end]).copied() }
        });
        let merged = merge(symbols.collect(), |left, right| {
            if !self.merges.is_empty() {
                let &(rank, token) = self.merges.get(&(left.token?, right.token?))?;
                return Some((-(rank as f32), token));
            }
            let token = *self.tokens.get(&bytes[left.start..right.end])?;
            Some((self.scores[token as usize], token))
        });
        for symbol in merged {
            match symbol.token {
                Some(token) => out.push(token),
                None => {
                    out.extend(bytes[symbol.start..symbol.end].iter().filter_map(|&byte| self.byte(byte)))
                }
            }
        }
    }

    pub(super) fn decode(&self, token: u32, out: &mut Vec<u8>) {
        let Some(piece) = self.pieces.get(token as usize) else { return };
        match self.kinds[token as usize] {
            kinds::BYTE => out.extend(byte_value(piece)),
            kinds::CONTROL => {}
            _ => {
                let mut rest = &piece[..];
                while let Some(place) = rest.windows(SPACE.len()).position(|bytes| bytes == SPACE.as_bytes())
                {
                    out.extend_from_slice(&rest[..place]);
                    out.push(b' ');
                    rest = &rest[place + SPACE.len()..];
                }
                out.extend_from_slice(rest);
            }
        }
    }

    pub(super) fn adds_space(&self) -> bool {
        self.add_space
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    fn byte(&self, byte: u8) -> Option<u32> {
        self.bytes[usize::from(byte)].or(self.specials.unknown)
    }
}

/// The byte in `<0x0A>`.
fn byte_value(piece: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(piece).ok()?;
    u8::from_str_radix(text.strip_prefix("<0x")?.strip_suffix('>')?, 16).ok()
}

fn lossy(piece: &[u8]) -> String {
    String::from_utf8_lossy(piece).into_owned()
}

/// A piece of `tok512.bin` and its like, whose spaces are plain.
pub(super) fn with_marked_spaces(piece: &[u8]) -> Vec<u8> {
    piece.iter().flat_map(|&byte| if byte == b' ' { SPACE.as_bytes().to_vec() } else { vec![byte] }).collect()
}
