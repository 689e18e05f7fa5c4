//! Llama-architecture models: real ones from the data folder, tiny ones made here.

mod measured;
mod sources;
mod structure;
mod text;
mod vocabulary;
