//! The models under study with their texts: what is calibrated on, what is scored.

use std::path::Path;

use anyhow::{Context, Result, bail};
use common::{data, files};
use serde::{Deserialize, Serialize};

use crate::ggml;
use crate::llama::{Baseline, Hooks, Loading, Matrix, Model, Projection, Window, strided};
use crate::model_file::ModelFile;

/// A model under study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// `shakespeare-llama-256`: 3.2 M parameters, rows of 256 and 768, bytes as tokens.
    Shakespeare,
    /// `stories260k`: a published model of 0.26 M parameters, rows of 64 and 172.
    Stories,
}

impl Subject {
    /// Name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shakespeare => "shakespeare",
            Self::Stories => "stories",
        }
    }

    /// Data sets and files that are read.
    pub fn files(self) -> [(&'static str, &'static str); 2] {
        match self {
            Self::Shakespeare => {
                [("shakespeare-llama-256", "model-f16.gguf"), ("tinyshakespeare", "input.txt")]
            }
            Self::Stories => [("stories260k", "stories260K.bin"), ("tinystories-sample", "sequences.json")],
        }
    }
}

/// How much text is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// Windows that are scored, at most.
    pub windows: usize,
    /// Sequences that are calibrated on, at most.
    pub calibration: usize,
}

/// A model, decoded to f32, with its texts.
pub(super) struct Lab {
    pub(super) subject: Subject,
    pub(super) model: Model,
    pub(super) windows: Vec<Window>,
    pub(super) calibration: Vec<Vec<u32>>,
}

/// Per-window means of what quantization changed.
pub(super) struct Scored {
    pub(super) kl: Vec<f64>,
    pub(super) nll: Vec<f64>,
}

impl Lab {
    pub(super) fn open(subject: Subject, amount: Amount, root: &Path) -> Result<Self> {
        let [model, text] = subject.files();
        let text = data::locate(root, text.0)?.folder.join(text.1);
        let model = open(&data::locate(root, model.0)?.folder.join(model.1))?;
        let (windows, calibration) = match subject {
            Subject::Shakespeare => shakespeare(&text, amount)?,
            Subject::Stories => stories(&text, amount)?,
        };
        Ok(Self { subject, model, windows, calibration })
    }

    pub(super) fn baseline(&self) -> Result<Baseline<'_>> {
        Ok(Baseline::measure(&self.model, &self.windows, 1)?)
    }

    /// Every linear layer, block by block: weights `[rows, columns]` and columns.
    pub(super) fn matrices(&self) -> Result<Vec<(Vec<f32>, usize)>> {
        let layers = 0..self.model.config().layers;
        let all = layers.flat_map(|layer| Projection::ALL.map(|projection| (layer, projection)));
        all.map(|(layer, projection)| {
            let matrix = self.model.weights().matrix(layer, projection);
            Ok((matrix.to_f32()?, matrix.columns()))
        })
        .collect()
    }

    /// The model with other values in its linear layers, in the order of [`Self::matrices`].
    pub(super) fn with(&self, weights: Vec<Vec<f32>>) -> Result<Model> {
        let mut model = self.model.clone();
        let layers = 0..model.config().layers;
        let places = layers.flat_map(|layer| Projection::ALL.map(|projection| (layer, projection)));
        for ((layer, projection), weights) in places.zip(weights) {
            let place = model.weights().matrix(layer, projection);
            let matrix = Matrix::from_f32(weights, place.rows(), place.columns())?;
            model.weights_mut().replace(layer, projection, matrix)?;
        }
        Ok(model)
    }

    pub(super) fn score(&self, baseline: &Baseline, model: &Model) -> Result<Scored> {
        self.score_with(baseline, model, &mut Hooks::none())
    }

    pub(super) fn score_with(&self, baseline: &Baseline, model: &Model, hooks: &mut Hooks) -> Result<Scored> {
        let comparison = baseline.compare_with(model, hooks)?;
        let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
        Ok(Scored {
            kl: comparison.window_kl().to_vec(),
            nll: comparison.other.windows.iter().map(mean).collect(),
        })
    }
}

/// A model file with every matrix decoded to f32.
pub(super) fn open(path: &Path) -> Result<Model> {
    let file = ModelFile::open(path)?;
    let decode = |kind, bytes: &[u8], out: &mut [f32]| ggml::decode(kind, bytes, out).map_err(Into::into);
    Model::load(&file, &Loading::Decoded(&decode)).with_context(|| format!("loading {}", path.display()))
}

/// Share of the text that the model was trained on; the rest is scored.
const TRAINED: f64 = 0.9;

/// Windows of 257 bytes at stride 256 from the last tenth; calibration on windows spread over the rest.
fn shakespeare(path: &Path, amount: Amount) -> Result<(Vec<Window>, Vec<Vec<u32>>)> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let (trained, held_out) = bytes.split_at((bytes.len() as f64 * TRAINED) as usize);
    let tokens = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).collect::<Vec<u32>>();
    let stride = (trained.len() / amount.calibration.max(1)).max(256);
    let calibration = trained.chunks_exact(stride).take(amount.calibration).map(|part| tokens(&part[..256]));
    Ok((strided(&tokens(held_out), amount.windows, 257, 256), calibration.collect()))
}

/// The last sequences are scored, the first calibrated on.
fn stories(path: &Path, amount: Amount) -> Result<(Vec<Window>, Vec<Vec<u32>>)> {
    let sequences: Vec<Vec<u32>> = serde_json::from_str(&files::read_text(path)?)
        .with_context(|| format!("{}: not a list of lists of token ids", path.display()))?;
    if sequences.len() < 96 {
        bail!("{}: {} sequences, expected at least 96", path.display(), sequences.len());
    }
    let calibration = sequences.iter().take(amount.calibration.min(32)).cloned().collect();
    let scored = sequences.len() - amount.windows.min(64);
    Ok((sequences[scored..].iter().cloned().map(Window::sequence).collect(), calibration))
}
