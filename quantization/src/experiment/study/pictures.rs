//! Lookup-free quantization: how much of its codebook a patch autoencoder uses, and what that buys.

use std::path::Path;

use anyhow::{Result, ensure};
use common::data;
use tch::Device;

use crate::experiment::design::Preset;
use crate::lfq::{AutoencoderConfig, EntropyConfig, photographs, random_patches, train};
use common::outcome::Outcome;

/// Data set of the photographs.
pub(in crate::experiment) const PHOTOGRAPHS: &str = "coco-ccby-29";
/// Photographs that are learned from; the others are scored.
const LEARNED: usize = 20;
/// Temperature of the entropy terms. Ours, from a look at other photographs; the papers' 0.01 saturates small encoders.
const TEMPERATURE: f64 = 0.1;
/// Side of a patch, pixels.
const SIDE: i64 = 8;

pub(super) fn run(
    (preset, device): (Preset, Device),
    bits: u32,
    entropy: bool,
    seed: u64,
    root: &Path,
) -> Result<Outcome> {
    let folder = data::locate(root, PHOTOGRAPHS)?.folder.join("images");
    let images = photographs(&folder, usize::MAX)?;
    ensure!(
        images.len() > LEARNED,
        "{}: {} photographs, expected more than {LEARNED}",
        folder.display(),
        images.len()
    );
    let (steps, count) = match preset {
        Preset::Quick => (60, 2_000),
        Preset::Cpu => (1500, 20_000),
        Preset::Full => (20_000, 200_000),
    };
    let patches = random_patches(&images[..LEARNED], SIDE, count, seed)?.to_device(device);
    let scored = random_patches(&images[LEARNED..], SIDE, count, seed + 1)?.to_device(device);
    let small = AutoencoderConfig::small(i64::from(bits), entropy);
    let entropy_config = EntropyConfig { temperature: TEMPERATURE, ..small.entropy };
    let config = AutoencoderConfig { steps, entropy: entropy_config, ..small };
    let (_, found) = train(&config, &patches, &scored, seed)?;
    let arm = if entropy { "entropy" } else { "none" };
    let mut outcome = Outcome::default();
    let setting = format!("lfq-{bits}");
    // A code can be used only when there are patches enough to use it.
    let reachable = found.usage.codes.min(found.usage.samples) as f64;
    outcome.put(&setting, arm, "usage", vec![found.usage.perplexity / reachable]);
    outcome.put(&setting, arm, "codes_used", vec![found.usage.used as f64]);
    outcome.put(&setting, arm, "perplexity", vec![found.usage.perplexity]);
    outcome.put(&setting, arm, "mse", vec![found.mse]);
    if entropy {
        outcome.put("lfq", &bits.to_string(), "mse", vec![found.mse]);
    }
    Ok(outcome)
}
