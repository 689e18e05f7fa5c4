//! The notebooks as programs: `cargo run -p notebooks -- NAME`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "cells talk to their reader")]

#[path = "../cells/click_mil.rs"]
mod click_mil;
#[path = "../cells/frequency_mask.rs"]
mod frequency_mask;
#[path = "../cells/long_clip.rs"]
mod long_clip;
#[path = "../cells/ner_mom.rs"]
mod ner_mom;
#[path = "../cells/overview.rs"]
mod overview;
#[path = "../cells/quantization.rs"]
mod quantization;
#[path = "../cells/retrieval.rs"]
mod retrieval;
#[path = "../cells/transfer_ner.rs"]
mod transfer_ner;

use std::process::ExitCode;

type Notebook = (&'static str, fn() -> anyhow::Result<()>);

const NOTEBOOKS: [Notebook; 8] = [
    ("overview", overview::run),
    ("click_mil", click_mil::run),
    ("frequency_mask", frequency_mask::run),
    ("long_clip", long_clip::run),
    ("ner_mom", ner_mom::run),
    ("quantization", quantization::run),
    ("retrieval", retrieval::run),
    ("transfer_ner", transfer_ner::run),
];

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some((_, run)) = NOTEBOOKS.iter().find(|(known, _)| *known == name) else {
        let names = NOTEBOOKS.map(|(name, _)| name).join(", ");
        eprintln!("error: `{name}` is no notebook; expected one of {names}");
        return ExitCode::from(2);
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
