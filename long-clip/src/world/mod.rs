//! A world of drawn scenes whose captions are known to be true or false: the controlled test of the paper's claims.
//!
//! A [`Scene`] is a 3 × 3 grid with a few objects, exactly one of them large. It is drawn ([`draw`]) and described: a short
//! caption sums it up, a long one lists its objects and their relations in random order. [`Claim`] says what any beginning of a
//! caption states, hence which scenes it fits; from that come the truth of a retrieval hit and the oracle's ceiling.

mod caption;
mod claim;
mod draw;
mod gallery;
mod scene;
mod shape;
mod vocabulary;

pub use caption::{Caption, Sentence, Summary};
pub use claim::{Claim, Pattern};
pub use draw::{Look, draw};
pub use gallery::{Gallery, Item, Labelled, Oracle, families, labelled, oracle, scenes};
pub use scene::{Cell, Colour, Direction, Object, Scene, SceneSizes, Shape, Size};
pub use vocabulary::{END, N_WORDS, START, ids, word_id};
