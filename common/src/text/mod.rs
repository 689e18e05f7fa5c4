//! Raw text for a model: BERT's word pieces, and words of Japanese text.

pub mod pieces;
pub mod segment;
