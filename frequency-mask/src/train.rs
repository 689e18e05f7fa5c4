//! Training a detector: binary cross-entropy, AdamW, the epoch with the best validation accuracy kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use common::nn::checkpoint::named;
use common::optim::AdamWConfig;
use common::seed;
use common::train::{
    self, Checkpoints, Course, History, Identity, Learned, Learner, Progress, StepError, digest,
};
use image::RgbImage;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Kind, Tensor};
use thiserror::Error;

use crate::augment::Augmentation;
use crate::data::{self, PictureError};
use crate::detector::Detector;
use crate::mask::{Mask, Masker};

/// How a detector learns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The mask; absent: none.
    pub mask: Option<Mask>,
    /// What happens to training images besides.
    pub augmentation: Augmentation,
    /// Most epochs. Official code: 100.
    pub epochs: usize,
    /// Epochs without a better validation accuracy after which training ends. Official code: 5, then a tenth of the rate.
    pub patience: Option<usize>,
    /// Images of a step. Official scripts: 128.
    pub batch: usize,
    /// Learning rate. Official code: 1e-4.
    pub learning_rate: f64,
    /// Whether the rate falls to 0 by a half cosine over all epochs. Ours.
    pub anneal: bool,
    /// Decay of matrices. Official code: 1e-4.
    pub weight_decay: f64,
}

impl Config {
    /// The official code's settings, but for its learning rate, which stays until patience runs out.
    pub fn official(mask: Option<Mask>) -> Self {
        Self {
            mask,
            augmentation: Augmentation::official(),
            epochs: 100,
            patience: Some(5),
            batch: 128,
            learning_rate: 1e-4,
            anneal: false,
            weight_decay: 1e-4,
        }
    }
}

/// Where images come from.
#[derive(Clone, Debug)]
pub enum Images {
    /// Already read.
    Memory(Vec<RgbImage>),
    /// Read when needed, by all cores, while the network computes.
    Files(Vec<PathBuf>),
}

impl Images {
    /// Number of images.
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(images) => images.len(),
            Self::Files(paths) => paths.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What `make` makes of an image.
    fn with<T>(&self, index: usize, make: impl Fn(&RgbImage) -> T) -> Result<T, PictureError> {
        match self {
            Self::Memory(images) => Ok(make(&images[index])),
            Self::Files(paths) => Ok(make(&data::read_picture(&paths[index])?)),
        }
    }
}

/// Images with labels; `true` is "generated".
#[derive(Clone, Debug)]
pub struct Labelled {
    /// The images.
    pub images: Images,
    /// A label for each.
    pub labels: Vec<bool>,
}

/// Training that cannot start, or cannot go on.
#[derive(Debug, Error)]
pub enum TrainError {
    /// A class is missing.
    #[error(
        "the {what} images are all {found}; a detector learns from both: put real ones into `0_real`, generated ones into `1_fake`"
    )]
    OneClass {
        /// Training or validation.
        what: &'static str,
        /// The class that is there.
        found: &'static str,
    },
    /// An image.
    #[error(transparent)]
    Picture(#[from] PictureError),
}

/// Trains; `observe` hears of each step and epoch and returns `false` to stop there.
///
/// # Errors
/// One class only, an image that cannot be read, divergence, checkpoints.
pub fn train(
    detector: &Detector,
    training: Labelled,
    validation: &Labelled,
    config: &Config,
    run_seed: u64,
    checkpoints: &Checkpoints,
    observe: impl FnMut(Progress<'_>) -> bool,
) -> Result<History, train::TrainError<TrainError>> {
    let mut run =
        Run::new(detector, training, validation, config, run_seed).map_err(train::TrainError::Learner)?;
    train::fit(&mut run, checkpoints, observe)
}

/// What the threads that prepare batches share.
struct Material {
    data: Labelled,
    augmentation: Augmentation,
    masker: Option<Masker>,
    seed: u64,
}

type Prepared = Result<Vec<RgbImage>, PictureError>;

/// A batch of a plan: epoch, place in it, images.
#[derive(Clone, Debug, PartialEq)]
struct Batch {
    epoch: usize,
    rows: Vec<usize>,
}

struct Run<'a> {
    detector: &'a Detector,
    config: &'a Config,
    material: Arc<Material>,
    validation: Vec<RgbImage>,
    validation_labels: Vec<bool>,
    seed: u64,
    ahead: Option<(Batch, JoinHandle<Prepared>)>,
}

impl<'a> Run<'a> {
    fn new(
        detector: &'a Detector,
        training: Labelled,
        validation: &Labelled,
        config: &'a Config,
        seed: u64,
    ) -> Result<Self, TrainError> {
        both("training", &training.labels)?;
        both("validation", &validation.labels)?;
        let masker = config.mask.clone().map(Masker::new);
        let prepare = |index: usize| {
            let make =
                |image: &RgbImage| config.augmentation.validation(image, masker.as_ref(), seed, index as u64);
            validation.images.with(index, make)
        };
        let prepared: Prepared = (0..validation.images.len()).into_par_iter().map(prepare).collect();
        let augmentation = config.augmentation.clone();
        Ok(Self {
            detector,
            config,
            validation: prepared?,
            validation_labels: validation.labels.clone(),
            material: Arc::new(Material { data: training, augmentation, masker, seed }),
            seed,
            ahead: None,
        })
    }

    /// The images of a batch; the next one is prepared meanwhile where images are read from files.
    fn images(&mut self, batch: &Batch) -> Prepared {
        let images = match self.ahead.take() {
            Some((prepared, handle)) if prepared == *batch => {
                handle.join().expect("preparing does not panic")
            }
            _ => self.material.prepare(batch),
        };
        if matches!(self.material.data.images, Images::Files(_)) {
            let plan = self.batches(batch.epoch);
            let next = plan.iter().skip_while(|planned| *planned != batch).nth(1).cloned();
            self.ahead = next.map(|next| {
                let (material, planned) = (self.material.clone(), next.clone());
                (next, std::thread::spawn(move || material.prepare(&planned)))
            });
        }
        images
    }

    fn batches(&self, epoch: usize) -> Vec<Batch> {
        let mut order: Vec<usize> = (0..self.material.data.labels.len()).collect();
        order.shuffle(&mut seed::rng(self.seed, "order", epoch as u64));
        order.chunks(self.config.batch).map(|rows| Batch { epoch, rows: rows.to_vec() }).collect()
    }
}

impl Material {
    fn prepare(&self, batch: &Batch) -> Prepared {
        let one = |&index: &usize| {
            let make = |image: &RgbImage| {
                self.augmentation.training(
                    image,
                    self.masker.as_ref(),
                    self.seed,
                    index as u64,
                    batch.epoch as u64,
                )
            };
            self.data.images.with(index, make)?.map_err(PictureError::encoding)
        };
        match &self.data.images {
            Images::Memory(_) => batch.rows.iter().map(one).collect(),
            Images::Files(_) => batch.rows.par_iter().map(one).collect(),
        }
    }
}

fn both(what: &'static str, labels: &[bool]) -> Result<(), TrainError> {
    let found = |label: bool| if label { "generated" } else { "real" };
    match labels.first() {
        Some(first) if labels.iter().any(|label| label != first) => Ok(()),
        first => Err(TrainError::OneClass { what, found: first.map_or("missing", |first| found(*first)) }),
    }
}

/// Mean of `log(1 + e^-z)` over the generated and `log(1 + e^z)` over the real: binary cross-entropy of logits `[batch]`.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Tensor {
    let signed = logits * (1.0_f64 - labels * 2.0_f64);
    signed.softplus().mean(logits.kind())
}

impl Learner for Run<'_> {
    type Batch = Batch;
    type Error = TrainError;

    fn store(&self) -> &VarStore {
        &self.detector.store
    }

    fn course(&self) -> Course {
        let images = self.material.data.labels.len();
        Course {
            epochs: self.config.epochs,
            steps: images.div_ceil(self.config.batch) * self.config.epochs,
            examples: images,
            clip_norm: f64::INFINITY,
            patience: self.config.patience,
            optimiser: AdamWConfig { weight_decay: self.config.weight_decay, ..AdamWConfig::adam() },
        }
    }

    fn identity(&self) -> Identity {
        let paths = match &self.material.data.images {
            Images::Memory(images) => vec![format!("{} in memory", images.len())],
            Images::Files(paths) => paths.iter().map(|path| path.display().to_string()).collect(),
        };
        Identity::new([
            ("configuration", digest(self.config)),
            ("set of training images", digest(&(paths, &self.material.data.labels))),
            ("seed", self.seed.to_string()),
        ])
    }

    fn plan(&self, epoch: usize) -> Vec<Batch> {
        self.batches(epoch)
    }

    fn learning_rate(&self, _epoch: usize, step: usize) -> f64 {
        let part = step as f64 / self.course().steps as f64;
        let share = if self.config.anneal { 0.5 * (1.0 + (std::f64::consts::PI * part).cos()) } else { 1.0 };
        self.config.learning_rate * share
    }

    fn learn(&mut self, batch: &Batch, _step: usize) -> Result<Learned, StepError<TrainError>> {
        let images = self.images(batch).map_err(TrainError::Picture)?;
        let labels: Vec<f32> =
            batch.rows.iter().map(|row| f32::from(u8::from(self.material.data.labels[*row]))).collect();
        let input = self.detector.batch(&images);
        let loss = cross_entropy(
            &self.detector.forward(&input, true),
            &Tensor::from_slice(&labels).to_device(self.detector.store.device()),
        );
        let value = loss.double_value(&[]);
        if !value.is_finite() {
            return Err(StepError::Diverged(format!("the loss is {value}; lower the learning rate")));
        }
        loss.backward();
        Ok(Learned { loss: value, words: images.len() })
    }

    /// Validation accuracy at the logit 0; the fraction that [`train::fit`] compares.
    fn score(&mut self) -> Result<f64, TrainError> {
        let logits = self.detector.score(&self.validation, self.config.batch);
        Ok(common::metrics::binary::accuracy(&logits, &self.validation_labels, 0.0).unwrap_or_default())
    }
}

/// First 16 hex digits of the sha256 over all weights in the order of their names.
pub fn weights_digest(detector: &Detector) -> String {
    let bytes = named(&detector.store).into_iter().flat_map(|(_, tensor)| {
        let flat = tensor.detach().to_kind(Kind::Float).to_device(tch::Device::Cpu).flatten(0, -1);
        let values = Vec::<f32>::try_from(&flat).expect("f32 in one dimension");
        values.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>()
    });
    common::files::sha256_hex(&bytes.collect::<Vec<u8>>())[..16].to_owned()
}
