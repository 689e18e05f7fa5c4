//! What is run: the jobs of each preset.

pub use common::run::Preset;

use common::outcome::Outcome;
use common::workers;
use serde::{Deserialize, Serialize};

use super::lab::{Amount, Subject};

/// Size of the language models that are trained with BitNet's layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Size {
    /// Two blocks, 64 wide.
    Small,
    /// Two blocks, 128 wide.
    Large,
}

impl Size {
    /// Name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
        }
    }
}

/// How the linear layers of a language model are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arm {
    /// Full precision; also rounded to three values afterwards.
    Fp,
    /// BitNet b1.58.
    B158,
    /// BitNet b1.
    B1,
}

impl Arm {
    /// Name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp => "fp",
            Self::B158 => "b158",
            Self::B1 => "b1",
        }
    }
}

/// One piece of the experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Study {
    /// Files against the memory formula; number lines and rounding grids.
    Memory,
    /// Grids, granularities, clipping at one width.
    Weights {
        /// The model.
        subject: Subject,
        /// Bits per weight.
        bits: u32,
    },
    /// GPTQ and its options at one width.
    Gptq {
        /// The model.
        subject: Subject,
        /// Bits per weight.
        bits: u32,
    },
    /// ggml's types, importance, the better search.
    Gguf {
        /// The model.
        subject: Subject,
    },
    /// Grids and granularities on a sentence encoder at one width.
    EncoderWeights {
        /// Bits per weight.
        bits: u32,
    },
    /// ggml's types on a sentence encoder.
    EncoderTypes,
    /// Static and dynamic ranges of activations at one width.
    Activations {
        /// The model.
        subject: Subject,
        /// Bits per activation.
        bits: u32,
    },
    /// Ternary products in integers.
    Ternary,
    /// ColBERTv2's residual codec.
    Residual,
    /// A language model trained with BitNet's layers.
    Bitnet {
        /// Its size.
        size: Size,
        /// Its layers.
        arm: Arm,
        /// Run seed.
        seed: u64,
    },
    /// Fine-tuning in full precision, quantized afterwards at every width.
    Ptq {
        /// Run seed.
        seed: u64,
    },
    /// Fine-tuning with quantization in the loop.
    Qat {
        /// Bits per weight.
        bits: u32,
        /// Run seed.
        seed: u64,
    },
    /// A patch autoencoder with lookup-free quantization.
    Lfq {
        /// Bits of a code: the vocabulary is `2^bits`.
        bits: u32,
        /// Whether the entropy term is on.
        entropy: bool,
        /// Run seed.
        seed: u64,
    },
}

/// A study at the amounts of a preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// What is done.
    pub study: Study,
    /// How much of it.
    pub preset: Preset,
}

/// Widths of the study on training with quantization in the loop.
pub(super) const QAT_BITS: [u32; 3] = [4, 3, 2];

impl workers::Job for Job {
    type Outcome = Outcome;

    fn describe(&self) -> String {
        serde_json::to_string(&self.study)
            .unwrap_or_default()
            .replace(['{', '}', '"'], "")
            .replace([':', ','], " ")
    }
}

impl Amount {
    /// Text per model.
    pub fn of(preset: Preset) -> Self {
        match preset {
            Preset::Quick => Self { windows: 8, calibration: 8 },
            Preset::Cpu => Self { windows: 128, calibration: 64 },
            Preset::Full => Self { windows: 430, calibration: 128 },
        }
    }
}

/// Training seeds.
pub fn seeds(preset: Preset) -> Vec<u64> {
    match preset {
        Preset::Quick => vec![1],
        Preset::Cpu => (101..=105).collect(),
        Preset::Full => (1..=10).collect(),
    }
}

/// The jobs on a sentence encoder, for those who have one.
pub fn encoder_jobs(preset: Preset) -> Vec<Job> {
    let mut studies = vec![Study::EncoderTypes];
    let bits: &[u32] = if preset == Preset::Quick { &[4] } else { &[8, 4, 3, 2] };
    studies.extend(bits.iter().map(|&bits| Study::EncoderWeights { bits }));
    studies.into_iter().map(|study| Job { study, preset }).collect()
}

/// All other jobs, training with these seeds; those that take longest first, so that no worker idles at the end.
pub fn jobs(preset: Preset, seeds: &[u64]) -> Vec<Job> {
    use Subject::{Shakespeare, Stories};
    let subjects = [Shakespeare, Stories];
    let mut studies = Vec::new();
    for subject in subjects {
        studies.extend([4, 3, 2].map(|bits| Study::Gptq { subject, bits }));
        studies.extend([8, 4, 3, 2].map(|bits| Study::Weights { subject, bits }));
        studies.push(Study::Gguf { subject });
        studies.extend([8, 6, 4].map(|bits| Study::Activations { subject, bits }));
    }
    if preset == Preset::Quick {
        let light = |study: &Study| match study {
            Study::Gptq { bits, .. } | Study::Weights { bits, .. } | Study::Activations { bits, .. } => {
                *bits == 4
            }
            _ => true,
        };
        studies.retain(light);
    }
    studies.extend(training(preset, seeds));
    studies.extend([Study::Memory, Study::Ternary, Study::Residual]);
    studies.into_iter().map(|study| Job { study, preset }).collect()
}

fn training(preset: Preset, seeds: &[u64]) -> Vec<Study> {
    let mut studies = Vec::new();
    for &seed in seeds {
        for size in [Size::Large, Size::Small] {
            studies.extend([Arm::Fp, Arm::B158, Arm::B1].map(|arm| Study::Bitnet { size, arm, seed }));
        }
        studies.push(Study::Ptq { seed });
        studies.extend(QAT_BITS.map(|bits| Study::Qat { bits, seed }));
        for bits in [6, 8, 10, 12, 14, 18] {
            studies.push(Study::Lfq { bits, entropy: true, seed });
        }
        studies.extend([8, 12].map(|bits| Study::Lfq { bits, entropy: false, seed }));
    }
    let light = |study: &Study| match study {
        Study::Bitnet { size, .. } => *size == Size::Small,
        Study::Qat { bits, .. } => *bits == 2,
        Study::Lfq { bits, .. } => *bits == 8,
        _ => true,
    };
    if preset == Preset::Quick {
        studies.retain(light);
    }
    studies
}

#[cfg(test)]
mod tests {
    use common::workers::Job as _;

    use super::*;

    #[test]
    fn jobs_are_told_apart_and_described_in_words() {
        let jobs = jobs(Preset::Cpu, &seeds(Preset::Cpu));
        let mut keys: Vec<String> = jobs.iter().map(Job::key).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), jobs.len());
        assert_eq!(jobs[0].describe(), "gptq subject shakespeare bits 4");
    }
}
