//! What is trained: the arms, settings, seeds and candidates of each preset.

pub use common::run::Preset;
use std::collections::BTreeMap;

use common::workers;
use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use crate::config::{EncoderConfig, HeadKind, Sampling, TrainConfig};
use crate::loss::Loss;
use common::corpora::CorpusName;

/// One training run and what it stands for in the analysis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Corpus and network, `wac-bilstm`: runs of one setting are compared with each other.
    pub setting: String,
    /// Method under comparison, `ce`, `mom` …
    pub arm: String,
    /// Corpus to learn.
    pub corpus: CorpusName,
    /// Training sentences drawn from the corpus (all, when it has fewer).
    pub sentences: usize,
    /// Run seed: initial weights, training sample, batch order and dropout follow from it.
    pub seed: u64,
    /// Everything else.
    pub config: TrainConfig,
    /// Whether the test sentences are scored; candidates see the development sentences only.
    pub test: bool,
}

/// The runs of a preset before the settings of the losses are known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Design {
    /// Name in reports and run directories.
    pub preset: Preset,
    /// Seeds of the compared runs.
    pub seeds: Vec<u64>,
    /// Seed of the candidates; not one of `seeds`.
    pub tuning_seed: u64,
    /// Corpora with their number of training sentences and encoder.
    pub cells: Vec<Cell>,
    /// Candidates of each tuned loss; the first is used where nothing is tuned.
    pub candidates: BTreeMap<String, Vec<Loss>>,
    /// Arms without a setting of their own.
    pub fixed: BTreeMap<String, Loss>,
    /// Whether candidates are compared at all.
    pub tune: bool,
    /// Extra settings: less data, over-predicting baselines.
    pub extras: Vec<Extra>,
    /// Passes over the training sentences.
    pub epochs: usize,
}

/// One corpus learned by one encoder under every loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Corpus to learn.
    pub corpus: CorpusName,
    /// Training sentences (all, when it has fewer).
    pub sentences: usize,
    /// Network.
    pub encoder: EncoderConfig,
    /// What turns its states into entities.
    pub head: HeadKind,
}

/// A group of runs beyond corpora × encoders × losses, on the BiLSTM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extra {
    /// Cross-entropy and MoM on a quarter of the sentences (claim C6).
    LessData(CorpusName),
    /// Baselines that predict too many entities, with and without MoM (prediction P2).
    OverPredicting(CorpusName),
    /// Cross-entropy and MoM under a CRF.
    Crf(CorpusName),
}

/// λ of MoM over the over-predicting baselines, where nothing is tuned. Ours, declared before the run.
const OVER_LAMBDA: f64 = 0.5;
/// Weight of O in the recall-tuned baseline. Ours, declared before the run.
const RECALL_OUTSIDE_WEIGHT: f64 = 0.2;

impl Design {
    /// Data sets that its cells read.
    pub fn data_sets(&self) -> Vec<&'static str> {
        self.cells.iter().map(|cell| cell.corpus.data_set()).collect()
    }

    /// Two minutes on two cores.
    pub fn quick() -> Self {
        Self {
            preset: Preset::Quick,
            seeds: vec![1, 2, 3],
            cells: vec![cell(CorpusName::Wac, 2000, &bilstm()), cell(CorpusName::Btc, 1500, &bilstm())],
            tune: false,
            extras: vec![],
            epochs: 6,
            ..Self::cpu()
        }
    }

    /// The verdict preset: at most 45 minutes on two cores.
    pub fn cpu() -> Self {
        use CorpusName::{Bosque, Btc, Stockmark, Wac, Wnut17};
        Self {
            preset: Preset::Cpu,
            seeds: (101..=105).collect(),
            tuning_seed: 1000,
            cells: vec![
                cell(Wac, 3000, &bilstm()),
                cell(Stockmark, 2000, &bilstm()),
                cell(Bosque, 2500, &bilstm()),
                cell(Btc, 3000, &bilstm()),
                cell(Wnut17, 2500, &bilstm()),
                Cell { head: HeadKind::Mrc, ..cell(Btc, 1000, &bilstm()) },
                cell(Wac, 3000, &transformer()),
                cell(Bosque, 2500, &transformer()),
                cell(Btc, 3000, &transformer()),
                cell(Wnut17, 2500, &transformer()),
            ],
            candidates: candidates(),
            fixed: losses([("ce", "ce"), ("wce1", "wce1")]),
            tune: true,
            extras: vec![
                Extra::LessData(Wac),
                Extra::LessData(Btc),
                Extra::OverPredicting(Wac),
                Extra::OverPredicting(Btc),
                Extra::Crf(Btc),
            ],
            epochs: 8,
        }
    }

    /// All training sentences, ten seeds as in the paper, wide encoders: for a GPU.
    pub fn full() -> Self {
        use CorpusName::{Bosque, Btc, Stockmark, Wac, Wnut17};
        let bilstm = EncoderConfig::Bilstm { word_width: 100, char_filters: 60, hidden: 100, layers: 1 };
        let transformer =
            EncoderConfig::Transformer { word_width: 100, char_filters: 60, width: 256, layers: 4, heads: 4 };
        let all = |encoder: &EncoderConfig| {
            [Wac, Stockmark, Bosque, Btc, Wnut17].map(|corpus| cell(corpus, usize::MAX, encoder))
        };
        let queries = Cell { head: HeadKind::Mrc, ..cell(Btc, usize::MAX, &bilstm) };
        Self {
            preset: Preset::Full,
            seeds: (1..=10).collect(),
            cells: [&all(&bilstm)[..], &[queries], &all(&transformer)].concat(),
            epochs: 15,
            ..Self::cpu()
        }
    }

    /// Runs that choose each tuned loss's setting, by setting and arm; empty when nothing is tuned.
    pub fn candidates(&self) -> Vec<Job> {
        if !self.tune {
            return Vec::new();
        }
        let mut jobs = Vec::new();
        for cell in &self.cells {
            for (arm, losses) in &self.candidates {
                for loss in losses {
                    let job = self.job(cell, arm, loss.clone(), self.tuning_seed);
                    jobs.push(Job { test: false, ..job });
                }
            }
        }
        jobs
    }

    /// The compared runs, given the loss chosen for each setting and tuned arm.
    pub fn compared(&self, chosen: &Chosen) -> Vec<Job> {
        let mut jobs = Vec::new();
        for &seed in &self.seeds {
            for cell in &self.cells {
                for (arm, loss) in self.arms(&cell.name(), chosen) {
                    jobs.push(self.job(cell, &arm, loss, seed));
                }
            }
            for extra in &self.extras {
                jobs.extend(self.extra_jobs(*extra, chosen, seed));
            }
        }
        jobs
    }

    /// Loss of every arm in one setting, the chosen one for a tuned arm, else its first candidate.
    pub fn arms(&self, setting: &str, chosen: &Chosen) -> BTreeMap<String, Loss> {
        let tuned = self.candidates.iter().map(|(arm, losses)| {
            let key = (setting.to_owned(), arm.clone());
            (arm.clone(), chosen.get(&key).unwrap_or(&losses[0]).clone())
        });
        self.fixed.iter().map(|(arm, loss)| (arm.clone(), loss.clone())).chain(tuned).collect()
    }

    fn job(&self, cell: &Cell, arm: &str, loss: Loss, seed: u64) -> Job {
        let recipe = match cell.encoder {
            EncoderConfig::Transformer { .. } => TrainConfig::transformer(loss),
            _ => TrainConfig::bilstm(loss),
        };
        Job {
            setting: cell.name(),
            arm: arm.to_owned(),
            corpus: cell.corpus,
            sentences: cell.sentences,
            seed,
            config: TrainConfig {
                encoder: cell.encoder.clone(),
                head: cell.head,
                epochs: self.epochs,
                ..recipe
            },
            test: true,
        }
    }

    fn extra_jobs(&self, extra: Extra, chosen: &Chosen, seed: u64) -> Vec<Job> {
        let base = self.cells.iter().find(|cell| cell.corpus == extra.corpus());
        let base = base.expect("extras are made on corpora of the design");
        let arms = self.arms(&base.name(), chosen);
        let job = |arm: &str, loss: Loss| {
            let job = self.job(base, arm, loss, seed);
            Job { setting: format!("{}-{}", base.corpus, extra.suffix()), ..job }
        };
        let chosen_pair = ["ce", "mom"].map(|arm| job(arm, arms[arm].clone()));
        match extra {
            Extra::LessData(_) => {
                chosen_pair.map(|job| Job { sentences: base.sentences.min(LESS_DATA_OF) / 4, ..job }).into()
            }
            Extra::OverPredicting(_) => over_predicting(job),
            Extra::Crf(_) => chosen_pair
                .map(|job| Job { config: TrainConfig { head: HeadKind::Crf, ..job.config }, ..job })
                .into(),
        }
    }
}

/// `LessData` takes a quarter of the setting's sentences; where a setting takes all, of this many. Ours.
const LESS_DATA_OF: usize = 4000;

/// Loss chosen on development data, by setting and arm.
pub type Chosen = BTreeMap<(String, String), Loss>;

impl Extra {
    /// Corpus of the group.
    pub fn corpus(self) -> CorpusName {
        match self {
            Self::LessData(corpus) | Self::OverPredicting(corpus) | Self::Crf(corpus) => corpus,
        }
    }

    /// Second half of the group's setting name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::LessData(_) => "small",
            Self::OverPredicting(_) => "over",
            Self::Crf(_) => "crf",
        }
    }
}

impl Cell {
    /// Name of the setting, `corpus-encoder`, or `corpus-mrc` where the head answers queries.
    pub fn name(&self) -> String {
        match self.head {
            HeadKind::Mrc => format!("{}-mrc", self.corpus),
            HeadKind::Softmax | HeadKind::Crf => format!("{}-{}", self.corpus, self.encoder.name()),
        }
    }
}

fn cell(corpus: CorpusName, sentences: usize, encoder: &EncoderConfig) -> Cell {
    Cell { corpus, sentences, encoder: encoder.clone(), head: HeadKind::Softmax }
}

fn bilstm() -> EncoderConfig {
    TrainConfig::bilstm(cross_entropy()).encoder
}

fn transformer() -> EncoderConfig {
    TrainConfig::transformer(cross_entropy()).encoder
}

/// Baselines that see too many entities (oversampled sentences) or are told to find them (light O), each with
/// MoM on top. The MoM term acts on the same base loss, as the paper defines it.
fn over_predicting(job: impl Fn(&str, Loss) -> Job) -> Vec<Job> {
    let oversampled = |mut job: Job| {
        job.config.sampling = Sampling::EntityOversampled;
        job
    };
    let recall = format!("wce2:{RECALL_OUTSIDE_WEIGHT}");
    vec![
        oversampled(job("oversampled", cross_entropy())),
        oversampled(job("oversampled+mom", loss(&format!("mom:ce:{OVER_LAMBDA}")))),
        job("recall", loss(&recall)),
        job("recall+mom", loss(&format!("mom:{recall}:{OVER_LAMBDA}"))),
        job("ce", cross_entropy()),
        job("ce+mom", loss(&format!("mom:ce:{OVER_LAMBDA}"))),
    ]
}

/// Three candidates per tuned loss: equal budgets. λ from the dossier's grid; γ 1, 2, 4 around the usual 2;
/// dice as in the released scripts (α 0.01, ε 1) per element and over the batch.
fn candidates() -> BTreeMap<String, Vec<Loss>> {
    let grid = [
        ("mom", ["mom:ce:0.5", "mom:ce:0.2", "mom:ce:0.8"]),
        ("wce2", ["wce2:0.5", "wce2:0.2", "wce2:0.8"]),
        ("focal", ["focal:2", "focal:1", "focal:4"]),
        ("dice", ["dice:set_level", "dice:per_element", "dice:reference"]),
    ];
    grid.into_iter().map(|(arm, candidates)| (arm.to_owned(), candidates.map(loss).into())).collect()
}

fn losses<const N: usize>(named: [(&str, &str); N]) -> BTreeMap<String, Loss> {
    named.into_iter().map(|(arm, text)| (arm.to_owned(), loss(text))).collect()
}

fn cross_entropy() -> Loss {
    loss("ce")
}

fn loss(text: &str) -> Loss {
    text.parse().expect("the losses of the design are written as on the command line")
}

impl workers::Job for Job {
    type Outcome = Outcome;

    fn describe(&self) -> String {
        format!("{} {} seed {}", self.setting, self.arm, self.seed)
    }
}
