//! Llama-architecture models: real ones from the data folder, tiny ones made here.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

mod measured;
mod sources;
mod speed;
mod structure;
mod text;
mod vocabulary;
