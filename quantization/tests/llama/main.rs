//! Llama-architecture models: real ones from the data folder, tiny ones made here.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod measured;
mod sources;
mod speed;
mod structure;
mod text;
mod vocabulary;
