//! The same questions on real data, without training: how long captions are, what a perfect reader gains from their length, what
//! preprocessing keeps of photographs.

mod lengths;
mod nlvr;
mod photographs;

use std::path::Path;

use anyhow::Result;
use common::report::Section;

use crate::tokenizer::Tokenizer;

/// Data sets that this reads.
pub(crate) const DATA_SETS: [&str; 4] = ["clip-bpe", "nlvr-v1", "imageinwords", "coco-ccby-29"];

/// Findings on the data sets below `root`; those that need one of the `missing` are left out. `made` are long captions of the
/// drawn world.
///
/// # Errors
/// Files that cannot be read or are not what they should be, figures that cannot be written.
pub(crate) fn sections(
    root: &Path,
    missing: &[String],
    made: &[String],
    folder: &Path,
) -> Result<Vec<Section>> {
    let there = |name: &str| !missing.iter().any(|missing| missing == name);
    let mut sections = Vec::new();
    if there("clip-bpe") {
        let tokenizer = Tokenizer::open(&root.join("clip-bpe/bpe_simple_vocab_16e6.txt.gz"))?;
        let records = if there("nlvr-v1") { nlvr::read(&root.join("nlvr-v1"))? } else { Vec::new() };
        let iiw = there("imageinwords").then(|| root.join("imageinwords/long_captions.jsonl"));
        sections.push(lengths::section(&tokenizer, made, &records, iiw.as_deref())?);
        if !records.is_empty() {
            sections.push(nlvr::section(&records, &tokenizer, folder)?);
        }
    }
    if there("coco-ccby-29") {
        sections.push(photographs::section(&root.join("coco-ccby-29/images"))?);
    }
    Ok(sections)
}
