//! Fast R-CNN (Girshick 2015) on frozen features: classes and corrected boxes of proposals.
//!
//! ```text
//! L = −log p_u + [u ≥ 1] smooth_L1(t − v)
//! t_x = (g_x − p_x) / p_w,  t_y = (g_y − p_y) / p_h,  t_w = log (g_w / p_w),  t_h = log (g_h / p_h)      x, y: centres
//! ```
//! The correction is the same for all classes; its targets are normalised to mean 0 and variance 1.

use std::path::Path;

use common::nn::checkpoint::{self, CheckpointError, named};
use common::nn::linear::Linear;
use common::optim::{AdamW, AdamWConfig, Diverged, clip_grad_norm};
use common::seed;
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Kind, Reduction, Tensor};
use thiserror::Error;

use crate::edge_boxes::Proposal;
use crate::evaluate::Detection;
use crate::features::FeatureStore;
use crate::geometry::BoundingBox;
use crate::nms::thin_out;

/// Sizes, schedule and thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Units of both hidden layers. Girshick: 4,096; ours: 256.
    pub hidden: i64,
    /// Dropout behind each. Girshick: 0.5.
    pub dropout: f64,
    /// Steps. Girshick: 40,000; ours: 2,000.
    pub steps: usize,
    /// Images per step. Girshick: 2; ours: 8, features are at hand.
    pub images: usize,
    /// Proposals per image and step. Girshick: 64.
    pub proposals: usize,
    /// Share of them with an object. Girshick: 0.25.
    pub foreground: f64,
    /// Overlap from which a proposal holds an object. Girshick: 0.5.
    pub object_from: f64,
    /// Overlap from which a proposal below `object_from` is background. Girshick: 0.1.
    pub background_from: f64,
    /// Learning rate of AdamW, a tenth of it in the last quarter. Ours: 1e-3.
    pub learning_rate: f64,
    /// Decay. Girshick: 5e-4.
    pub weight_decay: f64,
    /// Overlap above which the weaker of two detections is dropped. Girshick: 0.3.
    pub thin_out: f64,
    /// Detections per image at most. Girshick: 100.
    pub most: usize,
}

impl Config {
    /// Small enough for a processor.
    pub const fn usual() -> Self {
        Self {
            hidden: 256,
            dropout: 0.5,
            steps: 2000,
            images: 8,
            proposals: 64,
            foreground: 0.25,
            object_from: 0.5,
            background_from: 0.1,
            learning_rate: 1e-3,
            weight_decay: 5e-4,
            thin_out: 0.3,
            most: 100,
        }
    }
}

/// What a detector learns from.
#[derive(Clone, Copy, Debug)]
pub struct Training<'a> {
    /// Features of the proposals of each image.
    pub features: &'a FeatureStore,
    /// Proposals of each image.
    pub proposals: &'a [Vec<Proposal>],
    /// Images to learn from, by place.
    pub images: &'a [usize],
    /// Class and box of the objects of each of these images, in their order.
    pub objects: &'a [Vec<(usize, BoundingBox)>],
    /// Number of classes.
    pub classes: usize,
}

/// The layers above the features.
#[derive(Debug)]
pub struct Head {
    store: VarStore,
    hidden: [Linear; 2],
    classify: Linear,
    correct: Linear,
    dropout: f64,
    classes: usize,
    /// Mean and deviation of each correction.
    scale: [[f64; 2]; 4],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    schema: u32,
    width: usize,
    classes: usize,
    hidden: i64,
    dropout: f64,
    scale: [[f64; 2]; 4],
}

/// A head that cannot be trained, read or written.
#[derive(Debug, Error)]
pub enum HeadError {
    /// No proposal overlaps an object enough.
    #[error(
        "no proposal overlaps an object by {0} or more; expected some: are the boxes in pixels of the original images?"
    )]
    NoObjects(f64),
    /// The loss is not a number.
    #[error("step {step}: {source}; lower the learning rate")]
    Diverged {
        /// From 1.
        step: usize,
        /// What.
        source: Diverged,
    },
    /// Its weights.
    #[error(transparent)]
    Weights(#[from] CheckpointError),
    /// Its files.
    #[error(transparent)]
    File(#[from] common::files::FileError),
    /// Its description.
    #[error("{0}: not a detector of this version; train it again")]
    Description(String),
}

/// Correction from a proposal to a box, `(t_x, t_y, t_w, t_h)`.
///
/// ```
/// use click_mil::fast_rcnn::{corrected, correction};
/// use click_mil::geometry::BoundingBox;
/// let (proposal, truth) = (BoundingBox::new(0.0, 0.0, 10.0, 10.0), BoundingBox::new(2.0, 0.0, 22.0, 10.0));
/// let shift = correction(&proposal, &truth);
/// assert_eq!(shift, [0.7, 0.0, 2f64.ln(), 0.0]);
/// assert!(corrected(&proposal, shift).iou(&truth) > 0.999);
/// ```
pub fn correction(proposal: &BoundingBox, truth: &BoundingBox) -> [f64; 4] {
    let (from, to) = (proposal.centre(), truth.centre());
    let (width, height) = (proposal.width().max(1.0), proposal.height().max(1.0));
    [
        (to.x - from.x) / width,
        (to.y - from.y) / height,
        (truth.width().max(1.0) / width).ln(),
        (truth.height().max(1.0) / height).ln(),
    ]
}

/// A proposal after its correction. Growth is limited to a factor of 62.5, so that it stays finite.
pub fn corrected(proposal: &BoundingBox, [x, y, w, h]: [f64; 4]) -> BoundingBox {
    let most = (1000.0_f64 / 16.0).ln();
    let (width, height) = (proposal.width().max(1.0), proposal.height().max(1.0));
    let centre = proposal.centre();
    let (cx, cy) = (centre.x + x * width, centre.y + y * height);
    let (half_w, half_h) = (width * w.min(most).exp() / 2.0, height * h.min(most).exp() / 2.0);
    BoundingBox::new(cx - half_w, cy - half_h, cx + half_w, cy + half_h)
}

/// Proposals of one image that can be drawn.
#[derive(Default)]
struct Drawable {
    /// With class from 1 and correction.
    objects: Vec<(usize, i64, [f64; 4])>,
    background: Vec<usize>,
}

impl Head {
    fn new(
        width: usize,
        classes: usize,
        hidden: i64,
        dropout: f64,
        scale: [[f64; 2]; 4],
        device: Device,
    ) -> Self {
        let store = VarStore::new(device);
        let root = store.root();
        Self {
            hidden: [
                Linear::new(&(&root / "hidden" / 0), width as i64, hidden),
                Linear::new(&(&root / "hidden" / 1), hidden, hidden),
            ],
            classify: Linear::normal(&(&root / "classify"), hidden, classes as i64 + 1, 0.01),
            correct: Linear::normal(&(&root / "correct"), hidden, 4, 0.001),
            dropout,
            classes,
            scale,
            store,
        }
    }

    /// Trains a head.
    ///
    /// # Errors
    /// [`HeadError::NoObjects`], [`HeadError::Diverged`].
    pub fn train(
        training: &Training<'_>,
        config: &Config,
        run_seed: u64,
        device: Device,
    ) -> Result<Self, HeadError> {
        let drawable = drawable(training, config);
        let with_objects: Vec<usize> =
            (0..drawable.len()).filter(|&at| !drawable[at].objects.is_empty()).collect();
        if with_objects.is_empty() {
            return Err(HeadError::NoObjects(config.object_from));
        }
        let scale = scale(&drawable);
        tch::manual_seed(seed::derive(run_seed, "head", 0) as i64);
        let width = training.features.width();
        let head = Self::new(width, training.classes, config.hidden, config.dropout, scale, device);
        let decay = AdamWConfig { weight_decay: config.weight_decay, ..AdamWConfig::adam() };
        let mut optimiser = AdamW::new(&head.store, decay);
        for step in 1..=config.steps {
            let mut rng = seed::rng(run_seed, "batch", step as u64);
            let batch = Batch::draw(training, config, &drawable, &with_objects, &scale, &mut rng);
            tch::manual_seed(seed::derive(run_seed, "dropout", step as u64) as i64);
            optimiser.zero_grad();
            head.loss(&batch, width, device).backward();
            let clipped = clip_grad_norm(&head.store, 10.0);
            clipped.map_err(|source| HeadError::Diverged { step, source })?;
            let late = step * 4 > config.steps * 3;
            optimiser.step(config.learning_rate * if late { 0.1 } else { 1.0 });
        }
        Ok(head)
    }

    /// Logits of background and classes, `[boxes, classes + 1]`, and normalised corrections, `[boxes, 4]`.
    fn forward(&self, features: &Tensor, train: bool) -> (Tensor, Tensor) {
        let through =
            |input: Tensor, layer: &Linear| layer.forward(&input).relu().dropout(self.dropout, train);
        // Rows have length 1: without the factor the first layer would begin far too quietly.
        let scaled = features * (features.size()[1] as f64).sqrt();
        let hidden = self.hidden.iter().fold(scaled, through);
        (self.classify.forward(&hidden), self.correct.forward(&hidden))
    }

    fn loss(&self, batch: &Batch, width: usize, device: Device) -> Tensor {
        let n = batch.labels.len() as i64;
        let features = Tensor::from_slice(&batch.features).view([n, width as i64]).to_device(device);
        let labels = Tensor::from_slice(&batch.labels).to_device(device);
        let targets = Tensor::from_slice(&batch.targets).view([n, 4]).to_device(device);
        let (logits, corrections) = self.forward(&features, true);
        let classes = logits.log_softmax(-1, logits.kind()).nll_loss(&labels);
        let is_object = labels.gt(0).to_kind(Kind::Float).unsqueeze(-1);
        let off = corrections.smooth_l1_loss(&targets, Reduction::None, 1.0) * is_object;
        classes + off.sum(Kind::Float) / n as f64
    }

    /// Shares of background and classes for `n` proposals with these features, `[n, classes + 1]` by rows; each row sums to 1.
    pub fn shares(&self, features: &[f32], n: usize) -> Vec<f64> {
        self.judged(features, n).0
    }

    /// Shares, and normalised corrections `[n, 4]`.
    fn judged(&self, features: &[f32], n: usize) -> (Vec<f64>, Vec<f64>) {
        let _guard = tch::no_grad_guard();
        let features = Tensor::from_slice(features).view([n as i64, -1]).to_device(self.store.device());
        let (logits, corrections) = self.forward(&features, false);
        let read = |tensor: &Tensor| {
            let flat = tensor.to_device(Device::Cpu).to_kind(Kind::Double).flatten(0, -1);
            Vec::<f64>::try_from(&flat).expect("f64 in one dimension")
        };
        (read(&logits.softmax(-1, logits.kind())), read(&corrections))
    }

    /// Detections in an image whose proposals have these features, best first.
    pub fn detect(
        &self,
        features: &[f32],
        proposals: &[Proposal],
        picture: usize,
        [width, height]: [u32; 2],
        config: &Config,
    ) -> Vec<Detection> {
        if proposals.is_empty() {
            return Vec::new();
        }
        let (shares, corrections) = self.judged(features, proposals.len());
        let moved = |(proposal, values): (&Proposal, &[f64])| {
            let shift = std::array::from_fn(|side| values[side] * self.scale[side][1] + self.scale[side][0]);
            corrected(&proposal.bbox, shift).clipped(f64::from(width), f64::from(height))
        };
        let boxes: Vec<BoundingBox> = proposals.iter().zip(corrections.chunks(4)).map(moved).collect();
        let mut detections = Vec::new();
        for class in 0..self.classes {
            let scores: Vec<f64> = shares.chunks(self.classes + 1).map(|shares| shares[class + 1]).collect();
            let likely: Vec<usize> = (0..boxes.len()).filter(|&at| scores[at] > LEAST_SCORE).collect();
            let (own, own_scores): (Vec<BoundingBox>, Vec<f64>) =
                likely.iter().map(|&at| (boxes[at], scores[at])).unzip();
            for at in thin_out(&own, &own_scores, config.thin_out) {
                detections.push(Detection { picture, class, bbox: own[at], score: own_scores[at] });
            }
        }
        detections.sort_by(|a, b| b.score.total_cmp(&a.score));
        detections.truncate(config.most);
        detections
    }

    /// Writes the head into a folder.
    ///
    /// # Errors
    /// [`HeadError`].
    pub fn save(&self, folder: &Path) -> Result<(), HeadError> {
        common::files::make_folder(folder)?;
        let variables = named(&self.store);
        let (_, first) =
            variables.iter().find(|(name, _)| name == "hidden.0.weight").expect("a variable of the head");
        let description = Description {
            schema: 1,
            width: first.size()[1] as usize,
            classes: self.classes,
            hidden: first.size()[0],
            dropout: self.dropout,
            scale: self.scale,
        };
        checkpoint::save(&variables, &folder.join(WEIGHTS))?;
        let json = serde_json::to_vec_pretty(&description).expect("finite numbers");
        Ok(common::files::write_atomic(&folder.join(DESCRIPTION), &json)?)
    }

    /// Reads a head from its folder.
    ///
    /// # Errors
    /// [`HeadError`].
    pub fn load(folder: &Path, device: Device) -> Result<Self, HeadError> {
        let path = folder.join(DESCRIPTION);
        let text = common::files::read_text(&path)?;
        let of: Description = serde_json::from_str(&text)
            .map_err(|error| HeadError::Description(format!("{}: {error}", path.display())))?;
        let head = Self::new(of.width, of.classes, of.hidden, of.dropout, of.scale, device);
        checkpoint::load_checked(&head.store, &folder.join(WEIGHTS))?;
        Ok(head)
    }
}

/// Detections below this score are none. Girshick: 0.05 for the pictures, nothing for the scores; ours.
const LEAST_SCORE: f64 = 1e-3;
const WEIGHTS: &str = "head.safetensors";
const DESCRIPTION: &str = "head.json";

fn drawable(training: &Training<'_>, config: &Config) -> Vec<Drawable> {
    let of_image = |(&image, objects): (&usize, &Vec<(usize, BoundingBox)>)| {
        let mut drawable = Drawable::default();
        for (place, proposal) in training.proposals[image].iter().enumerate() {
            let overlap = |object: &&(usize, BoundingBox)| object.1.iou(&proposal.bbox);
            let best = objects.iter().max_by(|a, b| overlap(a).total_cmp(&overlap(b)));
            match best.map(|object| (overlap(&object), object)) {
                Some((iou, (class, bbox))) if iou >= config.object_from => {
                    drawable.objects.push((place, *class as i64 + 1, correction(&proposal.bbox, bbox)));
                }
                Some((iou, _)) if iou >= config.background_from => drawable.background.push(place),
                None => drawable.background.push(place), // an image without objects is all background
                Some(_) => {}
            }
        }
        drawable
    };
    training.images.iter().zip(training.objects).map(of_image).collect()
}

/// Mean and deviation of the corrections of all proposals with an object.
fn scale(drawable: &[Drawable]) -> [[f64; 2]; 4] {
    let all: Vec<[f64; 4]> =
        drawable.iter().flat_map(|of| of.objects.iter().map(|object| object.2)).collect();
    std::array::from_fn(|side| {
        let n = all.len() as f64;
        let mean = all.iter().map(|shift| shift[side]).sum::<f64>() / n;
        let variance = all.iter().map(|shift| (shift[side] - mean).powi(2)).sum::<f64>() / n;
        [mean, variance.sqrt().max(1e-3)]
    })
}

struct Batch {
    features: Vec<f32>,
    labels: Vec<i64>,
    targets: Vec<f32>,
}

impl Batch {
    fn draw(
        training: &Training<'_>,
        config: &Config,
        drawable: &[Drawable],
        with_objects: &[usize],
        scale: &[[f64; 2]; 4],
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let mut batch = Self { features: Vec::new(), labels: Vec::new(), targets: Vec::new() };
        for turn in 0..config.images {
            // Half of the images have objects for certain.
            let at = match turn % 2 {
                0 => *with_objects.choose(rng).expect("some image has objects"),
                _ => rng.random_range(0..drawable.len()),
            };
            let (image, of) = (training.images[at], &drawable[at]);
            let wanted = (config.proposals as f64 * config.foreground).round() as usize;
            let objects: Vec<_> = of.objects.choose_multiple(rng, wanted).collect();
            let rest = config.proposals - objects.len();
            for &&(place, label, shift) in &objects {
                let target =
                    std::array::from_fn(|side| ((shift[side] - scale[side][0]) / scale[side][1]) as f32);
                batch.push(training.features.row(image, place), label, target);
            }
            for &place in of.background.choose_multiple(rng, rest) {
                batch.push(training.features.row(image, place), 0, [0.0; 4]);
            }
        }
        batch
    }

    fn push(&mut self, features: Vec<f32>, label: i64, target: [f32; 4]) {
        self.features.extend(features);
        self.labels.push(label);
        self.targets.extend(target);
    }
}
