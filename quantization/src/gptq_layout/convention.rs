//! Which zero-point convention a file uses, judged by what is in it.

use super::{Convention, LayoutError, Packed, QuantizeConfig, mask};

/// A judgement with its reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The likelier convention.
    pub convention: Convention,
    /// Probability of it, 0.5 to 1, if the pieces of evidence were independent.
    pub confidence: f64,
    /// Whether the configuration says the other one.
    pub contradicts_config: bool,
    /// What was found, one sentence each.
    pub evidence: Vec<String>,
}

/// Weights of evidence in favour of v1, as natural log-odds. Ours: what is in the tensors outweighs what the configuration says,
/// because mislabelled files exist.
const STATED: f64 = 3.0;
const UNSTATED: f64 = 1.0;
const CONSTANT: f64 = 5.0;
/// Most that the means may say.
const MEANS: f64 = 6.0;
/// Ours: how far the mean of real weights may be from 0 however many groups there are, in steps and as a share of the grid's width.
/// Steps of 8 bits are so fine that a mean says little about one step more or less.
const SYSTEMATIC: (f64, f64) = (0.1, 0.001);

/// The convention of the zero-points in `layers`, from three sources.
///
/// - `checkpoint_format` of the configuration; when missing, v1 is the custom.
/// - Constant zero-points: symmetric grids have the middle code 2^(b−1), which v1 stores as 2^(b−1) − 1 (for 4 bits the word 0x77777777).
/// - Means: weights are about as often above as below 0, so mean(code) − zero is about 0 in the right reading and ±1 in the other.
///
/// # Errors
/// [`LayoutError`] when a layer's parts do not fit together.
pub fn zero_point_convention(
    config: Option<&QuantizeConfig>,
    layers: &[Packed],
) -> Result<Verdict, LayoutError> {
    let stated = config.and_then(QuantizeConfig::convention);
    let mut evidence = Vec::new();
    let mut v1 = match stated {
        Some(convention) => {
            evidence.push(format!("the configuration says `{}`", convention.name()));
            if convention == Convention::V1 { STATED } else { -STATED }
        }
        None => {
            evidence.push("the configuration does not say; `gptq` is the custom".to_owned());
            UNSTATED
        }
    };
    v1 += constant_zeros(layers, &mut evidence);
    v1 += means(layers, &mut evidence)?;
    let convention = if v1 >= 0.0 { Convention::V1 } else { Convention::V2 };
    let confidence = 1.0 / (1.0 + (-v1.abs()).exp());
    let contradicts_config = stated.is_some_and(|stated| stated != convention);
    Ok(Verdict { convention, confidence, contradicts_config, evidence })
}

fn constant_zeros(layers: &[Packed], evidence: &mut Vec<String>) -> f64 {
    let mut words =
        layers.iter().flat_map(|layer| layer.stored_zeros().into_iter().map(|zero| (zero, layer.bits)));
    let Some((first, bits)) = words.next() else { return 0.0 };
    if !words.all(|word| word == (first, bits)) {
        evidence.push("stored zero-points differ: the grids are asymmetric".to_owned());
        return 0.0;
    }
    let middle = 1 << (bits - 1);
    let said = format!("every stored zero-point is {first}");
    match first {
        _ if first + 1 == middle => {
            evidence.push(format!("{said}, the middle {middle} minus 1: symmetric grids in v1"));
            CONSTANT
        }
        _ if first == middle => {
            evidence.push(format!("{said}, the middle: symmetric grids in v2"));
            -CONSTANT
        }
        _ => {
            evidence.push(format!("{said}, neither the middle {middle} nor one less"));
            0.0
        }
    }
}

fn means(layers: &[Packed], evidence: &mut Vec<String>) -> Result<f64, LayoutError> {
    let offsets = layers.iter().map(mean_offsets).collect::<Result<Vec<_>, _>>()?.concat();
    let count = offsets.len() as f64;
    if offsets.len() < 8 {
        evidence.push("too few groups for a judgement by the means".to_owned());
        return Ok(0.0);
    }
    let mean = |pick: fn(&[f64; 2]) -> f64| offsets.iter().map(pick).sum::<f64>() / count;
    let (first, second) = (mean(|both| both[0]), mean(|both| both[1]));
    let spread = offsets.iter().map(|both| (both[0] - first).powi(2)).sum::<f64>() / (count - 1.0);
    let steps = layers.iter().map(|layer| 1_u32 << layer.bits).max().unwrap_or(1);
    let systematic = SYSTEMATIC.0 + SYSTEMATIC.1 * f64::from(steps);
    let variance = spread / count + systematic * systematic;
    evidence.push(format!("mean(code) - zero is {first:.3} steps if read as v1, {second:.3} if read as v2"));
    Ok(((second * second - first * first) / (2.0 * variance)).clamp(-MEANS, MEANS))
}

/// mean(code) − zero of each group and output, read as v1 and as v2; groups without inputs are left out.
fn mean_offsets(packed: &Packed) -> Result<Vec<[f64; 2]>, LayoutError> {
    let layer = packed.unpack(Convention::V2)?;
    let (outputs, groups) = (layer.outputs, layer.groups());
    let (mut sums, mut counts) = (vec![0_u64; groups * outputs], vec![0_u64; groups]);
    for (codes, &group) in layer.codes.chunks_exact(outputs).zip(&layer.g_idx) {
        counts[group as usize] += 1;
        let row = &mut sums[group as usize * outputs..][..outputs];
        row.iter_mut().zip(codes).for_each(|(sum, &code)| *sum += u64::from(code));
    }
    let mut offsets = Vec::with_capacity(sums.len());
    for (at, (&sum, &stored)) in sums.iter().zip(&layer.zeros).enumerate() {
        let count = counts[at / outputs];
        if count > 0 {
            let mean = sum as f64 / count as f64;
            let v1 = stored.wrapping_add(1) & mask(layer.bits);
            offsets.push([mean - f64::from(v1), mean - f64::from(stored)]);
        }
    }
    Ok(offsets)
}
