//! Verbs and options that several commands have: reading annotated files, `predict`, `evaluate`, `convert`, `report`, `compare`,
//! and what a `reproduce` does around its jobs. For binaries: these functions print.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "commands talk to their users")]

pub mod annotated;
pub mod apply;
pub mod reports;
pub mod reproduce;
