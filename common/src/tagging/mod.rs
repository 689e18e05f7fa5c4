//! Words and classes as numbers: what every tagger of words shares before and after its network.

pub mod label;
pub mod lexicon;
pub mod words;
