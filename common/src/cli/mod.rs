//! Verbs and options that several commands have: reading annotated files, `predict`, `evaluate`, `convert`, `report`, `compare`,
//! and what a `reproduce` does around its jobs. For binaries: these functions print.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "commands talk to their users")]

#[cfg(feature = "text")]
pub mod annotated;
#[cfg(all(feature = "tensor", feature = "text"))]
pub mod apply;
pub mod reports;
#[cfg(feature = "tensor")]
pub mod reproduce;
#[cfg(feature = "tensor")]
mod seeds;
#[cfg(feature = "tensor")]
mod shard;
