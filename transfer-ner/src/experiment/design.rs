//! What is trained: pairs, sizes, arms, seeds and samples of each preset.

pub use common::run::Preset;
use std::collections::BTreeMap;

use common::outcome::Outcome;
use common::workers;
use serde::{Deserialize, Serialize};

use super::arms::{ABLATION, CURVE, FIVE, OTHERS, SEGMENTATION};
use super::pair::Pair;
use crate::config::Config;

/// Sentences of the parts that all runs of a pair share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Source sentences.
    pub source: usize,
    /// Development sentences.
    pub dev: usize,
    /// Test sentences.
    pub test: usize,
}

/// What a job does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Trains a tagger and scores it.
    Train(Box<Config>),
    /// Trains the CRF over hand-made features and scores it.
    FeatureCrf,
    /// Trains with and without the discriminator and draws the shared features.
    SharedFeatures(Box<Config>),
}

/// One run and what it stands for in the analysis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Pair and number of target sentences, `es-50`: runs of one setting are compared with each other.
    pub setting: String,
    /// Method under comparison.
    pub arm: String,
    /// Source and target.
    pub pair: Pair,
    /// Target sentences.
    pub n: usize,
    /// Which random sample of them.
    pub sample: u64,
    /// Run seed.
    pub seed: u64,
    /// What is done.
    pub work: Work,
    /// Whether the test sentences are scored; candidates see the development sentences only.
    pub test: bool,
    /// Sizes of the shared parts.
    pub sizes: Sizes,
}

/// The runs of a preset before ε is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Design {
    /// Name in reports and run directories.
    pub preset: Preset,
    /// Seeds of the compared runs.
    pub seeds: Vec<u64>,
    /// Random samples of the target per seed, up to [`SAMPLED`] sentences.
    pub samples: u64,
    /// Seeds of the candidates; none of `seeds`.
    pub tuning_seeds: Vec<u64>,
    /// Lengths ε of the perturbation that are compared; the first is used where nothing is tuned.
    pub epsilons: Vec<f64>,
    /// Target sizes of each pair, with the arms trained there.
    pub settings: Vec<Setting>,
    /// Sizes of the shared parts.
    pub sizes: Sizes,
    /// Sizes of the networks and the schedule.
    pub scale: Scale,
}

/// Arms of one pair at one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Source and target.
    pub pair: Pair,
    /// Target sentences.
    pub n: usize,
    /// Names of arms, see [`Design::config`].
    pub arms: Vec<String>,
}

/// Sizes of the networks and the schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// Whether the networks are release A's.
    pub paper: bool,
    /// Batches of the target; of the source as many where methods take both in turn, or one first. Three times as many with more
    /// than [`SAMPLED`] target sentences.
    pub updates: usize,
    /// Times that the development sentences are scored.
    pub rounds: usize,
    /// Learning rate at the start.
    pub learning_rate: f64,
}

/// Up to this number of target sentences several samples are drawn: their variance dominates.
pub const SAMPLED: usize = 200;

/// ε chosen on development data, by pair and arm (`base+at` or `datnet-f`).
pub type Chosen = BTreeMap<(Pair, String), f64>;

fn setting(pair: Pair, n: usize, arms: &[&str]) -> Setting {
    Setting { pair, n, arms: arms.iter().map(|arm| (*arm).to_owned()).collect() }
}

impl Design {
    /// A look within a few minutes on two cores.
    pub fn quick() -> Self {
        Self {
            preset: Preset::Quick,
            seeds: vec![1, 2, 3],
            samples: 1,
            epsilons: vec![1.0],
            settings: vec![
                setting(Pair::Es, 50, &CURVE),
                setting(Pair::Es, 0, &["direct", "cheap", "align"]),
                setting(Pair::Btc, 50, &FIVE),
            ],
            sizes: Sizes { source: 1000, dev: 100, test: 300 },
            scale: Scale { updates: 60, rounds: 3, ..Self::cpu().scale },
            ..Self::cpu()
        }
    }

    /// The verdict preset: within an hour on two cores.
    pub fn cpu() -> Self {
        Self {
            preset: Preset::Cpu,
            seeds: (101..=105).collect(),
            samples: 3,
            tuning_seeds: vec![1000, 1001],
            epsilons: vec![1.0, 0.3, 5.0],
            settings: vec![
                setting(Pair::Es, 10, &FIVE),
                setting(Pair::Es, 50, &CURVE),
                setting(Pair::Es, 100, &[&ABLATION[..], &OTHERS].concat()),
                setting(Pair::Es, 200, &FIVE),
                setting(Pair::Es, 500, &FIVE),
                setting(Pair::Es, 1000, &CURVE),
                setting(Pair::Es, 0, &["direct", "cheap", "align"]),
                setting(Pair::Pt, 50, &FIVE),
                setting(Pair::Pt, 200, &FIVE),
                setting(Pair::Pt, 1000, &FIVE),
                setting(Pair::Pt, 0, &["direct", "cheap"]),
                setting(Pair::Btc, 50, &[&FIVE[..], &["init", "mult"]].concat()),
                setting(Pair::Btc, 200, &[&FIVE[..], &["init", "adapt"]].concat()),
                setting(Pair::Wnut, 50, &FIVE),
                setting(Pair::Wnut, 200, &FIVE),
                setting(Pair::BtcMinilm, 50, &[&FIVE[..], &["init", "mult"]].concat()),
                setting(Pair::WnutMinilm, 50, &FIVE),
                setting(Pair::Ja, 200, &SEGMENTATION),
                setting(Pair::Ja, 1000, &SEGMENTATION),
            ],
            sizes: Sizes { source: 2000, dev: 150, test: 400 },
            scale: Scale { paper: false, updates: 80, rounds: 4, learning_rate: 1e-2 },
        }
    }

    /// Release A's networks and schedule, all sizes of the curve: for a GPU.
    pub fn full() -> Self {
        let sizes = [10, 50, 100, 200, 500, 1000, usize::MAX];
        let pairs = [Pair::Es, Pair::Pt, Pair::Btc, Pair::Wnut];
        let mut settings: Vec<Setting> =
            pairs.into_iter().flat_map(|pair| sizes.map(|n| setting(pair, n, &CURVE))).collect();
        let more: Vec<&str> =
            ABLATION.iter().chain(&OTHERS).copied().filter(|arm| !CURVE.contains(arm)).collect();
        settings.push(setting(Pair::Es, 100, &more));
        settings.push(setting(Pair::Es, 0, &["direct", "cheap", "align"]));
        settings.push(setting(Pair::Pt, 0, &["direct", "cheap"]));
        settings.push(setting(Pair::Btc, 200, &["init", "adapt"]));
        settings.extend([50, 200, 1000].map(|n| setting(Pair::BtcMinilm, n, &FIVE)));
        settings.extend([50, 200, 1000].map(|n| setting(Pair::WnutMinilm, n, &FIVE)));
        settings.extend([200, 1000, usize::MAX].map(|n| setting(Pair::Ja, n, &SEGMENTATION)));
        Self {
            preset: Preset::Full,
            seeds: (1..=5).collect(),
            settings,
            epsilons: vec![5.0, 0.5, 1.0, 2.0],
            sizes: Sizes { source: usize::MAX, dev: usize::MAX, test: usize::MAX },
            scale: Scale { paper: true, updates: 5000, rounds: 50, learning_rate: 1e-3 },
            ..Self::cpu()
        }
    }

    /// Pairs of the design.
    pub fn pairs(&self) -> Vec<Pair> {
        let mut pairs: Vec<Pair> = self.settings.iter().map(|setting| setting.pair).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    /// Data sets that they read.
    pub fn data_sets(&self) -> Vec<&'static str> {
        let mut names: Vec<&str> = self.pairs().into_iter().flat_map(|pair| pair.data_sets()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Runs that choose ε on development data, for the base and for DATNet-F of each pair; none when there is one ε.
    pub fn candidates(&self) -> Vec<Job> {
        let mut jobs = Vec::new();
        if self.epsilons.len() < 2 {
            return jobs;
        }
        for pair in self.pairs() {
            let needed = |arm: &str| {
                self.settings.iter().any(|s| s.pair == pair && s.arms.iter().any(|own| own == arm))
            };
            for arm in ["base+at", "datnet-f"].into_iter().filter(|arm| needed(arm)) {
                for &epsilon in &self.epsilons {
                    for &seed in &self.tuning_seeds {
                        let setting = setting(pair, 50, &[]);
                        let job = self.job(&setting, &format!("{arm}@{epsilon}"), arm, seed, 0, epsilon);
                        jobs.push(Job { test: false, ..job });
                    }
                }
            }
        }
        jobs
    }

    /// The compared runs, given the ε chosen.
    pub fn compared(&self, chosen: &Chosen) -> Vec<Job> {
        let mut jobs = Vec::new();
        for &seed in &self.seeds {
            for setting in &self.settings {
                // Without target sentences, or with many, the sample is no source of variation worth its time.
                let samples = if setting.n == 0 || setting.n > SAMPLED { 1 } else { self.samples };
                for sample in 0..samples {
                    for arm in &setting.arms {
                        let tuned = if arm.starts_with("base") { "base+at" } else { "datnet-f" };
                        let epsilon = chosen.get(&(setting.pair, tuned.to_owned()));
                        let epsilon = epsilon.copied().unwrap_or(self.epsilons[0]);
                        jobs.push(self.job(setting, arm, arm, seed, sample, epsilon));
                    }
                }
            }
        }
        if let Some(first) = self.settings.iter().find(|setting| setting.pair == Pair::Es && setting.n > 0) {
            let work = Work::SharedFeatures(Box::new(self.config("f+grad", first.pair, self.epsilons[0])));
            jobs.push(Job {
                work,
                ..self.job(first, "shared-features", "f", self.seeds[0], 0, self.epsilons[0])
            });
        }
        jobs
    }

    fn job(&self, setting: &Setting, name: &str, arm: &str, seed: u64, sample: u64, epsilon: f64) -> Job {
        let size = if setting.n == usize::MAX { "all".to_owned() } else { setting.n.to_string() };
        Job {
            setting: format!("{}-{size}", setting.pair.name()),
            arm: name.to_owned(),
            pair: setting.pair,
            n: setting.n,
            sample: seed * 1000 + sample,
            seed: seed * 1000 + sample,
            work: match arm {
                "feature-crf" => Work::FeatureCrf,
                _ => {
                    let mut config = self.config(arm, setting.pair, epsilon);
                    if setting.n > SAMPLED {
                        config.schedule.updates *= 3;
                        config.schedule.source_updates *= 3;
                    }
                    Work::Train(Box::new(config))
                }
            },
            test: true,
            sizes: self.sizes,
        }
    }
}

impl workers::Job for Job {
    type Outcome = Outcome;

    fn describe(&self) -> String {
        format!("{} {} seed {}", self.setting, self.arm, self.seed)
    }
}
