//! What is made and trained: generators, arms, seeds and sizes of each preset.

use common::outcome::Outcome;
pub use common::run::Preset;
use common::workers;
use serde::{Deserialize, Serialize};

use crate::detector::Architecture;
use crate::generator::Generator;
use crate::mask::{Band, Cast, FrequencyMask, Kind, Mask};

/// Sizes of the runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Photographs of each part that are used.
    pub photographs: usize,
    /// Steps of each generator, of 16 images.
    pub generator_steps: usize,
    /// Real crops, and fakes of the training generator, from which each seed draws its half of the training set.
    pub pool: usize,
    /// Training crops of each class.
    pub training: usize,
    /// Validation crops of each class.
    pub validation: usize,
    /// Test crops of each class and generator.
    pub test: usize,
    /// Of them, those that are also judged under shift.
    pub shifted: usize,
    /// Side of the detector's input.
    pub input: u32,
    /// Epochs of a detector.
    pub epochs: usize,
    /// Images of a step.
    pub batch: usize,
    /// Learning rate, annealed.
    pub learning_rate: f64,
    /// The same of the pre-trained detector.
    pub fine_tuning_rate: f64,
}

/// The runs of a preset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Design {
    /// Name in reports and run directories.
    pub preset: Preset,
    /// Seeds of the detectors.
    pub seeds: Vec<u64>,
    /// Training generators with the arms trained on them.
    pub settings: Vec<(Generator, Vec<String>)>,
    /// Generators of the test sets.
    pub generators: Vec<Generator>,
    /// Sizes of the generators' work.
    pub sizes: Sizes,
    /// Sizes of the detectors' work: of what the generators made, the first are taken.
    pub detectors: Sizes,
    /// A setting of shorter training, with its name, generator, arms and sizes.
    pub shorter: Option<(String, Generator, Vec<String>, Sizes)>,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Trains a generator and stores its fakes.
    Generate,
    /// Trains a detector on fakes of the generator and tests it on all.
    Detect,
    /// Real crops against other real crops that went the way of the fakes without a generator.
    Trap,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// What is done.
    pub work: Work,
    /// Which generator is trained, or trained on.
    pub generator: Generator,
    /// Arm under comparison.
    pub arm: String,
    /// Seed of the detector; 0 of a generator.
    pub seed: u64,
    /// Generators of the test sets.
    pub tested: Vec<Generator>,
    /// Sizes.
    pub sizes: Sizes,
    /// Name of the setting where it is not the generator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

impl Job {
    /// Setting, as in `claims.toml`.
    pub fn setting(&self) -> &str {
        self.label.as_deref().unwrap_or(self.generator.name())
    }
}

impl workers::Job for Job {
    type Outcome = Outcome;

    fn describe(&self) -> String {
        match self.work {
            Work::Generate => format!("generator {}", self.generator.name()),
            _ => format!("{} {}, seed {}", self.setting(), self.arm, self.seed),
        }
    }
}

/// The masks that are compared at the paper's ratio.
const MASKS: [&str; 11] = [
    "none",
    "pixel",
    "patch",
    "compat-low",
    "compat-mid",
    "compat-high",
    "compat-all",
    "clean-low",
    "clean-mid",
    "clean-high",
    "clean-all",
];
/// What separates the parts of the official mask: no wrap and mean kept; only the wrap; only the loss of the mean.
const CONTROLS: [&str; 3] = ["soft-all", "wrap-only", "mean-only"];
/// Other shares of the whole spectrum, in percent.
const RATIOS: [&str; 4] = ["compat-all@5", "compat-all@30", "compat-all@50", "compat-all@70"];
/// Other detectors.
const DETECTORS: [&str; 3] = ["probe", "squeezenet", "squeezenet+compat-all"];
/// Arms of the shorter training.
const SHORTER: [&str; 5] = ["none", "patch", "compat-all", "clean-all", "soft-all"];
/// The paper's ratio.
const RATIO: f64 = 0.15;

impl Design {
    /// A look within a minute or so.
    pub fn quick() -> Self {
        let sizes = Sizes {
            photographs: 30,
            generator_steps: 40,
            pool: 160,
            training: 128,
            validation: 32,
            test: 48,
            shifted: 24,
            epochs: 2,
            ..Self::cpu().sizes
        };
        let arms = |arms: &[&str]| arms.iter().map(|arm| (*arm).to_owned()).collect::<Vec<_>>();
        Self {
            preset: Preset::Quick,
            seeds: vec![1, 2],
            settings: vec![(Generator::T4, arms(&["none", "pixel", "compat-all", "clean-all", "probe"]))],
            generators: vec![Generator::T4, Generator::T3, Generator::N],
            detectors: sizes.clone(),
            sizes,
            shorter: None,
        }
    }

    /// The verdict preset.
    pub fn cpu() -> Self {
        let sizes = Sizes {
            photographs: usize::MAX,
            generator_steps: 600,
            pool: 800,
            training: 400,
            validation: 80,
            test: 120,
            shifted: 50,
            input: 56,
            epochs: 4,
            batch: 32,
            learning_rate: 3e-3,
            fine_tuning_rate: 3e-4,
        };
        let arms = |lists: &[&[&str]]| lists.concat().iter().map(|arm| (*arm).to_owned()).collect::<Vec<_>>();
        Self {
            preset: Preset::Cpu,
            seeds: (101..=105).collect(),
            settings: vec![
                (Generator::T4, arms(&[&MASKS, &CONTROLS, &RATIOS, &DETECTORS])),
                (Generator::N, arms(&[&MASKS, &CONTROLS])),
            ],
            generators: Generator::EACH.into(),
            // 400 steps: after a first run whose detectors, of 45 steps, were unfinished.
            detectors: Sizes { validation: 60, test: 80, shifted: 32, epochs: 8, batch: 16, ..sizes.clone() },
            // The sizes of that first run.
            shorter: Some((
                "t4-short".to_owned(),
                Generator::T4,
                arms(&[&SHORTER]),
                Sizes { training: 240, validation: 60, test: 80, shifted: 32, epochs: 3, ..sizes.clone() },
            )),
            sizes,
        }
    }

    /// More of everything: for a GPU.
    pub fn full() -> Self {
        let cpu = Self::cpu();
        let all = cpu.settings[0].1.clone();
        let sizes = Sizes {
            generator_steps: 5000,
            pool: 10_000,
            training: 5000,
            validation: 500,
            test: 1000,
            shifted: 1000,
            epochs: 12,
            batch: 64,
            ..cpu.sizes.clone()
        };
        Self {
            preset: Preset::Full,
            seeds: (1..=10).collect(),
            settings: vec![(Generator::T4, all.clone()), (Generator::N, all)],
            detectors: sizes.clone(),
            sizes,
            shorter: None,
            ..cpu
        }
    }

    /// Data sets that the design reads.
    pub fn data_sets(&self) -> Vec<&'static str> {
        let pretrained =
            self.settings.iter().any(|(_, arms)| arms.iter().any(|arm| arm.starts_with("squeezenet")));
        let mut sets = vec![super::photographs::SET];
        sets.extend(pretrained.then_some(super::work::PRETRAINED));
        sets
    }

    /// Settings by name, with their arms.
    pub fn named(&self) -> Vec<(&str, &[String])> {
        let settings = self.settings.iter().map(|(generator, arms)| (generator.name(), &arms[..]));
        settings.chain(self.shorter.iter().map(|(label, _, arms, _)| (label.as_str(), &arms[..]))).collect()
    }

    /// Generators to be trained.
    pub fn makers(&self) -> Vec<Job> {
        let job = |generator: &Generator| self.job(Work::Generate, *generator, "generator", 0);
        self.generators.iter().map(job).collect()
    }

    /// Detectors to be trained, the trap of each seed among them.
    pub fn detectors(&self) -> Vec<Job> {
        let mut jobs = Vec::new();
        for &seed in &self.seeds {
            for (generator, arms) in &self.settings {
                jobs.extend(arms.iter().map(|arm| self.job(Work::Detect, *generator, arm, seed)));
            }
            jobs.push(self.job(Work::Trap, self.settings[0].0, "none", seed));
        }
        if let Some((label, generator, arms, sizes)) = &self.shorter {
            for &seed in &self.seeds {
                jobs.extend(arms.iter().map(|arm| {
                    let (sizes, label) = (sizes.clone(), Some(label.clone()));
                    Job { sizes, label, ..self.job(Work::Detect, *generator, arm, seed) }
                }));
            }
        }
        jobs
    }

    fn job(&self, work: Work, generator: Generator, arm: &str, seed: u64) -> Job {
        let tested = if work == Work::Detect { self.generators.clone() } else { vec![] };
        let sizes = if work == Work::Generate { &self.sizes } else { &self.detectors };
        Job { work, generator, arm: arm.to_owned(), seed, tested, sizes: sizes.clone(), label: None }
    }
}

/// Network and mask of an arm by its name.
///
/// # Panics
/// For a name that is none: the names are those of this module.
pub fn arm(name: &str) -> (Architecture, Option<Mask>) {
    let (architecture, mask) = match name {
        "probe" => (Architecture::Spectrum, "none"),
        "squeezenet" => (Architecture::Squeezenet, "none"),
        "squeezenet+compat-all" => (Architecture::Squeezenet, "compat-all"),
        mask => (Architecture::SmallResnet, mask),
    };
    let (kind, percent) = mask.split_once('@').unwrap_or((mask, ""));
    let ratio = percent.parse::<f64>().map_or(RATIO, |percent| percent / 100.0);
    let compat = FrequencyMask::compat(Band::All);
    let kind = match kind {
        "none" => return (architecture, None),
        "pixel" => Kind::Pixel,
        "patch" => Kind::Patch { spill: true },
        "mean-only" => Kind::MeanOnly,
        "wrap-only" => Kind::Frequency(FrequencyMask { cast: Cast::WrapOnly, ..compat }),
        "soft-all" => Kind::Frequency(FrequencyMask { cast: Cast::Clamp, protect_dc: true, ..compat }),
        banded => {
            let (mode, band) = banded.split_once('-').expect("a mode and a band");
            let band: Band = band.parse().expect("a band of this module");
            Kind::Frequency(match mode {
                "compat" => FrequencyMask::compat(band),
                _ => FrequencyMask::clean(band),
            })
        }
    };
    (architecture, Some(Mask::new(kind, ratio).expect("ratios of this module")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arm_of_every_preset_is_known() {
        for design in [Design::quick(), Design::cpu(), Design::full()] {
            for job in design.detectors() {
                let (_, mask) = arm(&job.arm);
                let plain = ["none", "probe", "squeezenet"].contains(&job.arm.as_str());
                assert_eq!(mask.is_none(), plain, "{}", job.arm);
            }
        }
        assert_eq!(arm("compat-all@70").1.map(|mask| mask.ratio()), Some(0.7));
    }
}
