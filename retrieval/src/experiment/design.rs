//! What is run: arms, seeds, amounts, jobs.

pub use common::run::Preset;

use common::outcome::Outcome;
use common::workers;
use serde::{Deserialize, Serialize};

use crate::training::config::{Interaction, Optimiser, TrainConfig};
use crate::training::loss::{Loss, Normalisation};

/// Sizes of a preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// Layers of the encoder.
    pub layers: i64,
    /// Width of its hidden states.
    pub hidden: i64,
    /// Values per token vector.
    pub width: i64,
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// Steps of training.
    pub steps: usize,
    /// Steps of post-training.
    pub post_steps: usize,
    /// Queries that are asked per test set.
    pub queries: usize,
    /// Training articles.
    pub articles: usize,
}

/// Learning rate of the linear schedule: ours, the best of 3e-5, 1e-4, 3e-4, 5e-4, 1e-3, 2e-3 and 4e-3 on JaQuAD's development
/// questions (`examples/learning_rate.rs`). The schedule-free optimiser takes three times that, as in the paper.
pub const LINEAR_RATE: f64 = 5e-4;
/// Documents per query where nothing else is said. Paper: 32.
pub const WAYS: usize = 8;
/// Documents per query in post-training: XQuAD's articles have five paragraphs.
pub const POST_WAYS: usize = 4;
/// Longest document in tokens. Paper: 300.
pub const DOCUMENT_LENGTH: usize = 160;

impl Amount {
    /// Its sizes.
    pub fn of(preset: Preset) -> Self {
        let cpu = Self {
            layers: 2,
            hidden: 128,
            width: 64,
            vocabulary: 8000,
            steps: 240,
            post_steps: 60,
            queries: 600,
            articles: 691,
        };
        match preset {
            Preset::Quick => {
                Self { vocabulary: 4000, steps: 12, post_steps: 4, queries: 100, articles: 40, ..cpu }
            }
            Preset::Cpu => cpu,
            Preset::Full => Self {
                layers: 6,
                hidden: 384,
                width: 128,
                steps: 10_000,
                post_steps: 1000,
                queries: 4442,
                ..cpu
            },
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

/// All jobs, training with these seeds; those that take longest first, so that no worker idles at the end. Some need a
/// `pretrained` encoder.
pub fn jobs(preset: Preset, seeds: &[u64], pretrained: bool) -> Vec<Job> {
    let arms: &[Arm] = match preset {
        Preset::Quick => &[Arm::Paper, Arm::MarginMse],
        _ => &Arm::ALL,
    };
    let trained = arms.iter().flat_map(|&arm| seeds.iter().map(move |&seed| Study::Train { arm, seed }));
    let studies = trained.chain([Study::Floor]).chain(pretrained.then_some(Study::Pretrained));
    studies.map(|study| Job { study, preset }).collect()
}

/// A way to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arm {
    /// The paper's recipe: KL of min-max-normalised scores, schedule-free, no in-batch negatives.
    Paper,
    /// No score is normalised.
    NormNone,
    /// Only the teacher's scores are.
    NormTeacher,
    /// Margins instead of KL divergence.
    MarginMse,
    /// KL divergence and a tenth of the margins' error.
    Mixed,
    /// With in-batch negatives.
    InBatch,
    /// Two documents per query.
    TwoWays,
    /// Two documents per query and in-batch negatives.
    TwoWaysInBatch,
    /// Linear warm-up and decay.
    Linear,
    /// Schedule-free at the learning rate of the linear decay.
    FreeOnce,
    /// Schedule-free at five times that.
    FreeFiveTimes,
    /// Trained and asked without `[MASK]` tokens.
    Unfilled,
    /// One mean-pooled vector per text.
    Single,
}

impl Arm {
    /// All arms, the one with the most to measure first.
    pub const ALL: [Self; 13] = [
        Self::Paper,
        Self::NormNone,
        Self::NormTeacher,
        Self::MarginMse,
        Self::Mixed,
        Self::InBatch,
        Self::TwoWays,
        Self::TwoWaysInBatch,
        Self::Linear,
        Self::FreeOnce,
        Self::FreeFiveTimes,
        Self::Unfilled,
        Self::Single,
    ];

    /// Arms whose quality is measured over training.
    pub const DRAWN: [Self; 4] = [Self::Paper, Self::Linear, Self::FreeOnce, Self::FreeFiveTimes];

    /// Name in `claims.toml` and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::NormNone => "norm-none",
            Self::NormTeacher => "norm-teacher",
            Self::MarginMse => "margin-mse",
            Self::Mixed => "mixed",
            Self::InBatch => "in-batch",
            Self::TwoWays => "two-ways",
            Self::TwoWaysInBatch => "two-ways-in-batch",
            Self::Linear => "linear",
            Self::FreeOnce => "free-1x",
            Self::FreeFiveTimes => "free-5x",
            Self::Unfilled => "unfilled",
            Self::Single => "single",
        }
    }

    /// How post-training goes on from the paper's recipe.
    pub fn post_training(steps: usize) -> TrainConfig {
        TrainConfig { n_ways: POST_WAYS, evaluate_at: Vec::new(), ..Self::Paper.config(steps) }
    }

    /// How it trains for `steps` steps.
    pub fn config(self, steps: usize) -> TrainConfig {
        let mut config = TrainConfig {
            together: 8,
            n_ways: WAYS,
            optimiser: schedule_free(3.0),
            ..TrainConfig::paper(steps)
        };
        match self {
            // `Unfilled` differs in its queries, not in its training.
            Self::Paper | Self::Unfilled => {}
            Self::FreeOnce => config.optimiser = schedule_free(1.0),
            Self::FreeFiveTimes => config.optimiser = schedule_free(5.0),
            Self::NormNone => config.normalisation = Normalisation::None,
            Self::NormTeacher => config.normalisation = Normalisation::TeacherOnly,
            Self::MarginMse => config.loss = Loss::MarginMse,
            Self::Mixed => config.loss = Loss::Mixed { margin_weight: 0.1 },
            Self::InBatch => config.in_batch_negatives = true,
            Self::TwoWays => config.n_ways = 2,
            Self::TwoWaysInBatch => {
                config.n_ways = 2;
                config.in_batch_negatives = true;
            }
            Self::Linear => {
                config.optimiser = Optimiser::LinearDecay { learning_rate: LINEAR_RATE, warmup: 0.05 };
                config.clip_norm = Some(2.0);
            }
            Self::Single => config.interaction = Interaction::Pooled,
        }
        if Self::DRAWN.contains(&self) {
            config.evaluate_at = (1..4).map(|quarter| steps * quarter / 4).collect();
        }
        config
    }
}

fn schedule_free(times: f64) -> Optimiser {
    Optimiser::ScheduleFree { learning_rate: times * LINEAR_RATE, warmup: 0.05 }
}

/// One piece of the experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Study {
    /// An encoder is trained and asked; the paper's recipe in every way of asking, compressing and searching.
    Train {
        /// How.
        arm: Arm,
        /// Run seed.
        seed: u64,
    },
    /// BM25 on the same questions.
    Floor,
    /// A pretrained English encoder as it is, on XQuAD.
    Pretrained,
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
            Study::Train { arm, seed } => format!("train {} seed {seed}", arm.name()),
            Study::Floor => "BM25".to_owned(),
            Study::Pretrained => "pretrained encoder".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use common::workers::Job as _;

    use super::*;

    #[test]
    fn jobs_are_told_apart_and_every_arm_can_be_trained() {
        let jobs = jobs(Preset::Cpu, &seeds(Preset::Cpu), true);
        let mut keys: Vec<String> = jobs.iter().map(Job::key).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), jobs.len());
        assert_eq!(jobs[0].describe(), "train paper seed 101");
        for arm in Arm::ALL {
            arm.config(100).check().unwrap();
        }
    }
}
