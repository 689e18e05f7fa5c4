//! What is run: arms, seeds, amounts, jobs.

pub use common::run::Preset;

use common::outcome::Outcome;
use common::workers;
use serde::{Deserialize, Serialize};

use crate::transactions::loss::{Mining, Objective};
use crate::transactions::model::Size;
use crate::transactions::train::{MARGIN, TrainConfig};

/// Sizes of a preset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Amount {
    /// The encoder.
    pub size: Size,
    /// Steps of training.
    pub steps: usize,
    /// Steps of training on all rows.
    pub whole_steps: usize,
    /// One row in so many of the public data is used where arms are compared.
    pub stride: usize,
    /// The same where all rows are meant.
    pub whole_stride: usize,
    /// Generated transactions of each company.
    pub generated: usize,
    /// Vectors of the largest search that is timed.
    pub searched: usize,
}

/// Highest step size, the best of 5e-4, 1e-3 and 2e-3 for triplets on held-out months. Ours.
pub const RATE: f64 = 1e-3;
/// The same for the classifier and the supervised contrastive loss.
pub const FAST_RATE: f64 = 2e-3;
/// Margin of the contrastive loss, the better of 0.3 and 0.5 on held-out months; of triplets 0.2 was better than 0.5.
pub const CONTRASTIVE_MARGIN: f64 = 0.3;
/// Precision that automatic filling is asked for.
pub const PRECISION: f64 = 0.95;

impl Amount {
    /// Its sizes.
    pub fn of(preset: Preset) -> Self {
        let cpu = Self {
            size: Size::small(),
            steps: 160,
            whole_steps: 300,
            stride: 12,
            whole_stride: 1,
            generated: 1500,
            searched: 1_000_000,
        };
        match preset {
            Preset::Quick => Self {
                steps: 20,
                whole_steps: 20,
                stride: 30,
                whole_stride: 12,
                generated: 400,
                searched: 100_000,
                size: Size { vocabulary: 1500, ..cpu.size },
            },
            Preset::Cpu => cpu,
            Preset::Full => Self {
                size: Size { layers: 4, hidden: 256, vocabulary: 8000, ..cpu.size },
                steps: 3000,
                whole_steps: 10_000,
                stride: 2,
                generated: 20_000,
                ..cpu
            },
        }
    }
}

/// Training seeds.
pub fn seeds(preset: Preset) -> Vec<u64> {
    match preset {
        Preset::Quick => vec![1],
        Preset::Cpu => (201..=205).collect(),
        Preset::Full => (1..=10).collect(),
    }
}

/// All jobs, training with these seeds; those that take longest first, so that no worker idles at the end.
pub fn jobs(preset: Preset, seeds: &[u64]) -> Vec<Job> {
    let arms: &[Arm] = match preset {
        Preset::Quick => &[Arm::Triplet, Arm::Contrastive],
        _ => &Arm::ALL,
    };
    let mut studies: Vec<Study> = seeds.iter().map(|&seed| Study::Whole { seed }).collect();
    let trained = |data: Data| {
        let arms = arms.iter().filter(move |arm| data == Data::Pcard || !arm.is_width());
        arms.flat_map(|&arm| seeds.iter().map(move |&seed| Study::Train { data, arm, seed }))
            .collect::<Vec<_>>()
    };
    studies.extend(trained(Data::Pcard));
    studies.extend(trained(Data::Ledger));
    studies.extend([Study::Floors { data: Data::Pcard }, Study::Floors { data: Data::Ledger }, Study::Speed]);
    studies.into_iter().map(|study| Job { study, preset }).collect()
}

/// A data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Data {
    /// The council's purchase cards.
    Pcard,
    /// Generated, with confusable sub-accounts.
    Ledger,
}

impl Data {
    /// Setting in the claims.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcard => "pcard",
            Self::Ledger => "ledger",
        }
    }
}

/// A way to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arm {
    /// The article's: triplets with a margin, semi-hard negatives, half of the batches around confusable accounts.
    Triplet,
    /// Pairs of the same batches.
    Contrastive,
    /// All positives and negatives of the same batches.
    Supervised,
    /// A classifier, on the same batches.
    Softmax,
    /// Triplets with random negatives, accounts drawn without regard to confusion.
    Random,
    /// The same with semi-hard ones.
    SemiHard,
    /// The same with the hardest ones.
    Hard,
    /// As [`Arm::Triplet`], vectors of 16 values.
    Width16,
    /// As [`Arm::Triplet`], vectors of 8 values.
    Width8,
}

impl Arm {
    /// All arms.
    pub const ALL: [Self; 9] = [
        Self::Triplet,
        Self::Contrastive,
        Self::Supervised,
        Self::Softmax,
        Self::Random,
        Self::SemiHard,
        Self::Hard,
        Self::Width16,
        Self::Width8,
    ];

    /// Name in the claims and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Triplet => "triplet",
            Self::Contrastive => "contrastive",
            Self::Supervised => "supervised",
            Self::Softmax => "softmax",
            Self::Random => "random",
            Self::SemiHard => "semi-hard",
            Self::Hard => "hard",
            Self::Width16 => "width-16",
            Self::Width8 => "width-8",
        }
    }

    /// Whether only the width is another one.
    pub fn is_width(self) -> bool {
        matches!(self, Self::Width16 | Self::Width8)
    }

    /// Whether it is one of those that differ in mining alone.
    pub fn is_mining(self) -> bool {
        matches!(self, Self::Triplet | Self::Random | Self::SemiHard | Self::Hard)
    }

    /// The encoder's sizes.
    pub fn size(self, size: Size) -> Size {
        match self {
            Self::Width16 => Size { width: 16, ..size },
            Self::Width8 => Size { width: 8, ..size },
            _ => size,
        }
    }

    /// How it trains for `steps` steps.
    pub fn config(self, steps: usize) -> TrainConfig {
        let mut config = TrainConfig { learning_rate: RATE, ..TrainConfig::article(steps) };
        let plain = |config: &mut TrainConfig, mining| {
            config.shape.siblings = 0.0;
            config.objective = Objective::Triplet { margin: MARGIN, mining };
        };
        match self {
            Self::Triplet | Self::Width16 | Self::Width8 => {}
            Self::Contrastive => config.objective = Objective::Contrastive { margin: CONTRASTIVE_MARGIN },
            Self::Supervised => {
                config.objective = Objective::SupervisedContrastive { temperature: 0.1 };
                config.learning_rate = FAST_RATE;
            }
            Self::Softmax => {
                config.objective = Objective::Softmax { scale: 20.0 };
                config.learning_rate = FAST_RATE;
            }
            Self::Random => plain(&mut config, Mining::Random),
            Self::SemiHard => plain(&mut config, Mining::SemiHard),
            Self::Hard => plain(&mut config, Mining::Hard),
        }
        config
    }
}

/// One piece of the experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Study {
    /// An encoder is trained and asked.
    Train {
        /// On what.
        data: Data,
        /// How.
        arm: Arm,
        /// Run seed.
        seed: u64,
    },
    /// The article's way on all rows of the public data, with look-up, confidence and automatic filling.
    Whole {
        /// Run seed.
        seed: u64,
    },
    /// What needs no training of an encoder.
    Floors {
        /// On what.
        data: Data,
    },
    /// Times.
    Speed,
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

impl workers::Job for Job {
    type Outcome = Outcome;

    fn describe(&self) -> String {
        match self.study {
            Study::Train { data, arm, seed } => {
                format!("train {} on {} seed {seed}", arm.name(), data.name())
            }
            Study::Whole { seed } => format!("all rows seed {seed}"),
            Study::Floors { data } => format!("floors on {}", data.name()),
            Study::Speed => "times".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use common::workers::Job as _;

    use super::*;

    #[test]
    fn jobs_are_told_apart() {
        let jobs = jobs(Preset::Cpu, &seeds(Preset::Cpu));
        let mut keys: Vec<String> = jobs.iter().map(Job::key).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), jobs.len());
        assert_eq!(jobs[0].describe(), "all rows seed 201");
        assert_eq!(jobs.len(), 5 + 9 * 5 + 7 * 5 + 3);
    }
}
