//! What is trained: sizes, arms, seeds and learning rates of each preset.

pub use common::run::Preset;
use std::collections::BTreeMap;

use common::files;
use common::outcome::Outcome;
use common::workers;
use serde::{Deserialize, Serialize};

use super::arm::{BASE, COMPONENTS, SWEPT, UNTRAINED, VARIANTS, arm};
use super::data::World;
use crate::config::{Activation, ModelConfig, TextConfig, VisionConfig};
use crate::world::{Look, N_WORDS, SceneSizes};

/// Steps of AdamW with a linear warm-up over a tenth of them and a cosine to zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Steps.
    pub steps: usize,
    /// Scenes of a step.
    pub batch: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Decoupled decay of matrices.
    pub weight_decay: f64,
}

/// Sizes of the sets that are evaluated on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sets {
    /// Scenes drawn one by one.
    pub random: usize,
    /// Families of similar scenes.
    pub families: usize,
    /// Scenes of a family.
    pub members: usize,
    /// Images of each class.
    pub per_class: usize,
    /// Lengths at which captions are cut for the effective-length curve.
    pub lengths: Vec<usize>,
    /// Times that a run is looked at on validation scenes while it trains.
    pub looks: usize,
}

/// All sizes of a preset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// The world.
    pub world: World,
    /// The model, with 77 positions.
    pub model: ModelConfig,
    /// Training of the base.
    pub base: Schedule,
    /// Fine-tuning of an arm; its learning rate stands in the job.
    pub tune: Schedule,
    /// k of PCM.
    pub components: i64,
    /// Evaluation.
    pub sets: Sets,
}

/// What a job does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// What a reader that knows the scene graphs reaches.
    Oracle,
    /// Trains the base and measures it.
    Base {
        /// Name in tables and claims.
        name: String,
    },
    /// Makes an arm of the base, trains it and measures it.
    Arm {
        /// Name of the arm.
        name: String,
        /// Highest learning rate; 0 for an arm without training.
        learning_rate: f64,
    },
    /// Makes arms as above and keeps their position tables for figures.
    Positions {
        /// Names with learning rates.
        arms: Vec<(String, f64)>,
    },
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Run seed.
    pub seed: u64,
    /// Share τ of long captions in the base's training.
    pub tail: f64,
    /// What is done.
    pub work: Work,
    /// Whether test scenes are measured; candidates see validation scenes only.
    pub test: bool,
    /// Sizes.
    pub scale: Scale,
}

impl workers::Job for Job {
    type Outcome = Outcome;

    fn describe(&self) -> String {
        let what = match &self.work {
            Work::Oracle => "oracle".to_owned(),
            Work::Base { name } => format!("{name}, tail {}", self.tail),
            Work::Arm { name, learning_rate } => format!("{name} at {learning_rate}"),
            Work::Positions { .. } => "position tables".to_owned(),
        };
        format!("{what}, seed {}", self.seed)
    }
}

impl Job {
    /// Name of the file that keeps the job's base.
    pub fn base_file(&self) -> String {
        let Scale { world, model, base, .. } = &self.scale;
        // The base sees batches of all kinds.
        let world = (world.sizes, world.look, world.fewest_tokens);
        let all = serde_json::to_vec(&(world, model, base, self.seed, self.tail)).unwrap_or_default();
        format!("{}.safetensors", &files::sha256_hex(&all)[..16])
    }
}

/// The runs of a preset before learning rates are chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Design {
    /// Name in reports and run directories.
    pub preset: Preset,
    /// Seeds of the compared runs.
    pub seeds: Vec<u64>,
    /// Seeds of the candidates; none of `seeds`.
    pub tuning_seeds: Vec<u64>,
    /// Learning rates that are compared for each arm; the first is used where nothing is tuned.
    pub learning_rates: Vec<f64>,
    /// Share τ of long captions in the training of the base that the arms start from.
    pub tail: f64,
    /// Other shares, for bases that are only measured.
    pub other_tails: Vec<f64>,
    /// Arms besides the base.
    pub arms: Vec<String>,
    /// Sizes.
    pub scale: Scale,
}

/// Learning rate chosen on validation scenes, by arm.
pub type Chosen = BTreeMap<String, f64>;

fn model(side: i64, patch: i64, width: i64, layers: i64, heads: i64, embed_dim: i64) -> ModelConfig {
    ModelConfig {
        embed_dim,
        vision: VisionConfig { image_px: side, patch_px: patch, width, layers, heads, mlp_width: 4 * width },
        text: TextConfig {
            context_length: 77,
            vocabulary: N_WORDS,
            width,
            layers,
            heads,
            mlp_width: 4 * width,
        },
        activation: Activation::QuickGelu,
        norm_epsilon: 1e-5,
    }
}

fn names(lists: &[&[&str]]) -> Vec<String> {
    let mut names = lists.concat();
    // "A12-weight" comes after "A3".
    let number = |name: &str| name[1..].split('-').next().and_then(|digits| digits.parse::<u32>().ok());
    names.sort_by_key(|name| number(name));
    names.into_iter().filter(|name| *name != "A0").map(str::to_owned).collect()
}

impl Design {
    /// A look within a minute or two on two cores.
    pub fn quick() -> Self {
        let cpu = Self::cpu();
        Self {
            preset: Preset::Quick,
            seeds: vec![1, 2],
            learning_rates: vec![cpu.learning_rates[0]],
            other_tails: vec![],
            arms: names(&[&["A1", "A2", "A3", "A4", "A5", "A7"]]),
            scale: Scale {
                base: Schedule { steps: 150, ..cpu.scale.base.clone() },
                tune: Schedule { steps: 20, ..cpu.scale.tune.clone() },
                sets: Sets { random: 100, families: 20, per_class: 1, looks: 2, ..cpu.scale.sets.clone() },
                ..cpu.scale.clone()
            },
            ..cpu
        }
    }

    /// The verdict preset.
    pub fn cpu() -> Self {
        Self {
            preset: Preset::Cpu,
            seeds: (101..=105).collect(),
            tuning_seeds: vec![1000],
            learning_rates: vec![1e-3, 4e-4, 2.5e-3],
            tail: 0.05,
            other_tails: vec![0.0, 0.3],
            arms: names(&[&UNTRAINED, &SWEPT, &VARIANTS, &COMPONENTS]),
            scale: Scale {
                world: World {
                    sizes: SceneSizes { fewest: 3, most: 6 },
                    look: Look { side_px: 48, jitter: 0.06, noise: 12.0 },
                    fewest_tokens: 78,
                    class_noise: 50.0,
                },
                model: model(48, 16, 64, 2, 4, 128),
                base: Schedule { steps: 1000, batch: 64, learning_rate: 1e-3, weight_decay: 0.01 },
                tune: Schedule { steps: 180, batch: 64, learning_rate: 1e-3, weight_decay: 0.01 },
                components: 16,
                sets: Sets {
                    random: 300,
                    families: 60,
                    members: 5,
                    per_class: 4,
                    lengths: vec![8, 12, 16, 20, 30, 45, 60, 77, 248],
                    looks: 3,
                },
            },
        }
    }

    /// Larger images, networks, captions and batches: for a GPU.
    pub fn full() -> Self {
        let cpu = Self::cpu();
        Self {
            preset: Preset::Full,
            seeds: (1..=8).collect(),
            tuning_seeds: vec![1000, 1001],
            learning_rates: vec![3e-4, 1e-4, 1e-3],
            scale: Scale {
                world: World {
                    sizes: SceneSizes { fewest: 3, most: 8 },
                    look: Look { side_px: 96, ..cpu.scale.world.look },
                    fewest_tokens: 150,
                    class_noise: 50.0,
                },
                model: model(96, 16, 256, 6, 8, 256),
                base: Schedule { steps: 15_000, batch: 512, learning_rate: 5e-4, weight_decay: 0.01 },
                tune: Schedule { steps: 3000, batch: 512, learning_rate: 3e-4, weight_decay: 0.01 },
                components: 32,
                sets: Sets {
                    random: 1000,
                    families: 200,
                    lengths: vec![8, 12, 16, 20, 30, 40, 50, 60, 77, 100, 120, 150, 248],
                    ..cpu.scale.sets.clone()
                },
            },
            ..cpu
        }
    }

    fn job(&self, seed: u64, tail: f64, test: bool, work: Work) -> Job {
        Job { seed, tail, work, test, scale: self.scale.clone() }
    }

    /// Training of all bases, with the oracle of each seed.
    pub fn bases(&self) -> Vec<Job> {
        let base = |tail: f64| Work::Base {
            name: if tail == self.tail { BASE.to_owned() } else { format!("{BASE}-tail-{tail}") },
        };
        let mut jobs = Vec::new();
        if self.learning_rates.len() > 1 {
            jobs.extend(
                self.tuning_seeds.iter().map(|&seed| self.job(seed, self.tail, false, base(self.tail))),
            );
        }
        jobs.extend(self.seeds.iter().map(|&seed| self.job(seed, self.tail, true, base(self.tail))));
        for &seed in &self.seeds {
            jobs.extend(self.other_tails.iter().map(|&tail| self.job(seed, tail, true, base(tail))));
            jobs.push(self.job(seed, self.tail, true, Work::Oracle));
        }
        jobs
    }

    /// Runs that choose the learning rates on validation scenes; none when there is one rate.
    pub fn candidates(&self) -> Vec<Job> {
        let mut jobs = Vec::new();
        if self.learning_rates.len() < 2 {
            return jobs;
        }
        let swept = |name: &&String| SWEPT.contains(&name.as_str());
        for &seed in &self.tuning_seeds {
            for name in self.arms.iter().filter(swept) {
                for &learning_rate in &self.learning_rates {
                    let work = Work::Arm { name: name.clone(), learning_rate };
                    jobs.push(self.job(seed, self.tail, false, work));
                }
            }
        }
        jobs
    }

    /// The compared runs, given the learning rates chosen.
    pub fn compared(&self, chosen: &Chosen) -> Vec<Job> {
        let of_seed = |&seed: &u64| {
            let job = move |name: &String| {
                // All components are no components dropped, see the tests: once is enough to show it.
                if name == "A9-all" && seed != self.seeds[0] {
                    return None;
                }
                let work = Work::Arm { name: name.clone(), learning_rate: self.rate(name, chosen)? };
                Some(self.job(seed, self.tail, true, work))
            };
            self.arms.iter().filter_map(job).collect::<Vec<Job>>()
        };
        self.seeds.iter().flat_map(of_seed).collect()
    }

    /// The run that keeps position tables of the first seed.
    pub fn pictures(&self, chosen: &Chosen) -> Vec<Job> {
        let named = |name: &str| Some((name.to_owned(), self.rate(name, chosen)?));
        let arms = ["A0", "A1", "A2", "A7"].into_iter().filter_map(named).collect();
        self.seeds
            .iter()
            .take(1)
            .map(|&seed| self.job(seed, self.tail, true, Work::Positions { arms: Vec::clone(&arms) }))
            .collect()
    }

    /// Learning rate of an arm, 0 without training; `None` for a name that is none.
    fn rate(&self, name: &str, chosen: &Chosen) -> Option<f64> {
        let arm = arm(name, self.scale.components, self.scale.tune.batch as i64)?;
        let rate = chosen.get(arm.tuned_as).copied().unwrap_or(self.learning_rates[0]);
        Some(if arm.objective.is_some() { rate } else { 0.0 })
    }
}
