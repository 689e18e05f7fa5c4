//! The words of the world, each one token of CLIP's vocabulary, numbered closely.
//!
//! A token table with a row for each of CLIP's 49,408 tokens would hold some 49,350 rows that no caption ever reads; they are
//! left out. Numbers of tokens, and so all positions, are those of CLIP's own tokenizer (a test compares them).

use super::caption::Caption;

/// Words in order of their ids, which start at 1; 0 is padding.
const WORDS: [&str; 57] = [
    "a", "small", "large", "red", "green", "blue", "yellow", "purple", "orange", "white", "black", "circle",
    "square", "triangle", "star", "cross", "diamond", "is", "at", "the", "top", "bottom", "left", "right",
    "center", "above", "below", "of", "and", "no", "one", "two", "three", "four", "five", "six", "seven",
    "eight", "object", "objects", ",", ".", "this", "picture", "shows", "some", "things", "photo", "an",
    "image", "with", "in", "there", "drawing", "shape", "big", "colored",
];

/// Words, padding, start and end.
pub const N_WORDS: i64 = WORDS.len() as i64 + 3;
/// Id of the start token.
pub const START: i64 = WORDS.len() as i64 + 1;
/// Id of the end token: the largest, as in CLIP.
pub const END: i64 = WORDS.len() as i64 + 2;

/// Id of a word; `None` for one that the world does not have.
pub fn word_id(word: &str) -> Option<i64> {
    WORDS.iter().position(|known| *known == word).map(|at| at as i64 + 1)
}

/// Ids of a caption with start and end, cut to `most_tokens`; the end is kept.
pub fn ids(caption: &Caption, most_tokens: usize) -> Vec<i64> {
    of_words(&caption.words(), most_tokens)
}

/// Ids of words with start and end, cut to `most_tokens`; the end is kept.
pub(super) fn of_words(words: &[&str], most_tokens: usize) -> Vec<i64> {
    let kept = words.len().min(most_tokens.saturating_sub(2));
    let mut ids = vec![START];
    ids.extend(words[..kept].iter().filter_map(|word| word_id(word)));
    ids.push(END);
    ids
}
