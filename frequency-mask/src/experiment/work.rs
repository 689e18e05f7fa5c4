//! Carrying out one job: a generator with its fakes, or a detector with its scores.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use common::metrics::binary::{average_precision, roc_auc};
use common::outcome::Outcome;
use common::train::Checkpoints;
use common::{data, seed, stats};
use cpu_time::ProcessTime;
use image::RgbImage;
use image::imageops::{self, FilterType};
use rand::seq::SliceRandom;
use tch::{Device, Tensor};

use super::design::{Job, Sizes, Work, arm};
use super::photographs::{self, CROP, Part, Photographs, REGION, finished};
use crate::augment::{Augmentation, blur, centre, jpeg};
use crate::detector::{Architecture, Detector};
use crate::generator::autoencoder::Autoencoder;
use crate::generator::diffusion::Diffusion;
use crate::generator::gan::Gan;
use crate::generator::{Budget, Generator, to_images, to_tensor};
use crate::spectrum::AverageSpectrum;
use crate::train::{Config, Images, Labelled, train, weights_digest};

/// The data set of the pre-trained network.
pub const PRETRAINED: &str = "squeezenet1_1-features";
const WEIGHTS: &str = "squeezenet1_1_features.safetensors";

/// Changes that test images may have gone through, by name; those of section 6.1 of the design notes.
pub const SHIFTS: [&str; 4] = ["jpeg90", "jpeg60", "resize", "blur"];

/// Images of a generator's step.
const STEP: usize = 16;

/// What the jobs of a worker share.
pub struct Lab {
    /// Data root.
    pub data: PathBuf,
    /// Whether stand-ins replace missing photographs.
    pub generate: bool,
    /// Folder of the run's fakes.
    pub fakes: PathBuf,
    /// Where networks compute.
    pub device: Device,
    photographs: Option<Photographs>,
    pools: HashMap<String, Vec<RgbImage>>,
}

impl Lab {
    /// Nothing read yet.
    pub fn new(data: PathBuf, generate: bool, fakes: PathBuf, device: Device) -> Self {
        Self { data, generate, fakes, device, photographs: None, pools: HashMap::new() }
    }

    /// Carries out one job.
    ///
    /// # Errors
    /// Missing data, diverged training, files.
    pub fn carry_out(&mut self, job: &Job) -> Result<Outcome> {
        let (started, processor) = (Instant::now(), ProcessTime::now());
        if self.photographs.is_none() {
            self.photographs = Some(match self.generate {
                true => Photographs::generated(),
                false => Photographs::read(&self.data, job.sizes.photographs)?,
            });
        }
        let mut outcome = match job.work {
            Work::Generate => self.generate(job)?,
            Work::Detect => self.detect(job)?,
            Work::Trap => self.trap(job)?,
        };
        (outcome.wall_s, outcome.cpu_s) =
            (started.elapsed().as_secs_f64(), processor.elapsed().as_secs_f64());
        Ok(outcome)
    }

    fn photographs(&self) -> &Photographs {
        self.photographs.as_ref().expect("read before the first job")
    }

    /// Trains a generator and stores finished fakes: reconstructions of the regions that the real crops come from, or samples.
    fn generate(&self, job: &Job) -> Result<Outcome> {
        let budget = Budget { steps: job.sizes.generator_steps, learning_rate: 2e-3, device: self.device };
        let photographs = self.photographs();
        let draw = |step: usize| {
            let one =
                |at| photographs.region(Part::Generators, "generator batches", (step * STEP + at) as u64);
            to_tensor(&(0..STEP).map(one).collect::<Vec<_>>(), self.device)
        };
        let run_seed = seed::derive(0, job.generator.name(), 0);
        let mut outcome = Outcome::default();
        let parts = [
            (Part::Training, job.sizes.pool),
            (Part::Validation, job.sizes.validation),
            (Part::Test, job.sizes.test),
        ];
        let name = job.generator.name();
        let mut made: Vec<(Part, Vec<RgbImage>)> = Vec::new();
        match (job.generator, job.generator.upsampler()) {
            (generator, Some(upsampler)) if generator.is_autoencoder() => {
                let trained = Autoencoder::train(upsampler, &budget, run_seed, draw);
                let mut errors = Vec::new();
                for (part, n) in parts {
                    let fakes = rebuilt(&trained.model, photographs, part, n, self.device, &mut errors);
                    made.push((part, fakes));
                }
                let mean = stats::mean(&errors).unwrap_or_default().max(1e-9);
                outcome.put(name, "generator", "psnr_db", vec![10.0 * (255.0 * 255.0 / mean).log10()]);
                outcome.curve = trained.curve;
            }
            (_, Some(upsampler)) => {
                let budget = Budget { learning_rate: 5e-4, ..budget };
                let trained = Gan::train(upsampler, &budget, run_seed, draw);
                tch::manual_seed(run_seed as i64 + 1);
                let n = job.sizes.test.div_ceil(STEP);
                let samples = (0..n).flat_map(|_| to_images(&trained.model.sample(STEP as i64, &budget)));
                made.push((Part::Test, samples.take(job.sizes.test).collect()));
                outcome.curve = trained.curve;
            }
            (_, None) => {
                let trained = Diffusion::train(&budget, run_seed, draw);
                tch::manual_seed(run_seed as i64 + 1);
                let n = job.sizes.test.div_ceil(STEP);
                let sample = |_| to_images(&trained.model.sample(STEP as i64, i64::from(REGION), &budget));
                made.push((Part::Test, (0..n).flat_map(sample).take(job.sizes.test).collect()));
                outcome.curve = trained.curve;
            }
        }
        for (part, regions) in made {
            let all: Result<Vec<RgbImage>> =
                regions.iter().enumerate().map(|(at, region)| finished(region, name, at as u64)).collect();
            let all = all?;
            if part == Part::Test {
                outcome.drawings = self.drawings(job, &all)?;
                outcome.put(name, "generator", "peaks", vec![spectrum_of(&all).peaks()]);
                let real = photographs.real(Part::Test, all.len())?;
                outcome.put("real", "generator", "peaks", vec![spectrum_of(&real).peaks()]);
            }
            photographs::store(&all, &self.fakes, &format!("{name}-{}", part.name()))?;
        }
        Ok(outcome)
    }

    /// The average spectrum of its fakes.
    fn drawings(&self, job: &Job, fakes: &[RgbImage]) -> Result<Vec<common::outcome::Drawing>> {
        let mut panels = vec![spectrum_panel(job.generator.name(), fakes)];
        if job.generator == Generator::T4 {
            let real = self.photographs().real(Part::Test, fakes.len())?;
            panels.insert(0, spectrum_panel("photographs", &real));
        }
        let figure = common::figure::Figure::Pictures {
            title: "Average spectra".to_owned(),
            columns: 3,
            pictures: panels,
        };
        let (id, caption) = ("spectra".to_owned(), String::new());
        Ok(vec![common::outcome::Drawing { id, caption, figure }])
    }

    /// The first `n` crops of a pool, which is read once.
    fn pool(&mut self, generator: Option<Generator>, part: Part, n: usize) -> Result<Vec<RgbImage>> {
        let name = format!("{}-{}", generator.map_or("real", Generator::name), part.name());
        if !self.pools.contains_key(&name) {
            let crops = match generator {
                Some(_) => photographs::stored(&self.fakes, &name)?,
                None => self.photographs().real(part, n)?,
            };
            self.pools.insert(name.clone(), crops);
        }
        Ok(self.pools[&name].iter().take(n).cloned().collect())
    }

    /// Trains a detector on real crops and fakes of one generator, and scores it on the test sets of all.
    fn detect(&mut self, job: &Job) -> Result<Outcome> {
        let sizes = &job.sizes;
        let sample = |crops: Vec<RgbImage>, stream: &str| sampled(crops, sizes.training, job.seed, stream);
        let real = sample(self.pool(None, Part::Training, sizes.pool)?, "real");
        let fake = sample(self.pool(Some(job.generator), Part::Training, sizes.pool)?, "fake");
        let training = labelled(real, fake);
        let real = self.pool(None, Part::Validation, sizes.validation)?;
        let validation = labelled(real, self.pool(Some(job.generator), Part::Validation, sizes.validation)?);
        let mut outcome = Outcome::default();
        let detector = self.trained(job, training, &validation, &mut outcome)?;
        self.test(job, &detector, &mut outcome)?;
        Ok(outcome)
    }

    fn trained(
        &self,
        job: &Job,
        training: Labelled,
        validation: &Labelled,
        outcome: &mut Outcome,
    ) -> Result<Detector> {
        let (architecture, mask) = arm(&job.arm);
        let detector = Detector::new(architecture, seed::derive(job.seed, "weights", 0), self.device);
        let pretrained = architecture == Architecture::Squeezenet;
        if pretrained {
            let set = data::locate(&self.data, PRETRAINED)?;
            detector.load_pretrained(&set.folder.join(WEIGHTS))?;
        }
        let sizes = &job.sizes;
        let rate = if pretrained { sizes.fine_tuning_rate } else { sizes.learning_rate };
        let config = Config {
            mask,
            augmentation: Augmentation { short_side: None, crop: sizes.input, ..Augmentation::official() },
            epochs: sizes.epochs,
            patience: None,
            batch: sizes.batch,
            learning_rate: rate,
            anneal: true,
            weight_decay: 1e-4,
        };
        let history =
            train(&detector, training, validation, &config, job.seed, &Checkpoints::default(), |_| true)?;
        let mut put = |metric: &str, value: f64| {
            outcome.put(job.setting(), &job.arm, metric, vec![value]);
        };
        put("val_accuracy", history.best_dev_f1);
        put("parameters", detector.n_parameters() as f64);
        outcome.curve = history.epochs.iter().map(|point| [point.step as f64, point.train_loss]).collect();
        outcome.text = vec![format!("weights {}", weights_digest(&detector))];
        Ok(detector)
    }

    fn test(&mut self, job: &Job, detector: &Detector, outcome: &mut Outcome) -> Result<()> {
        let sizes = &job.sizes;
        let real = self.pool(None, Part::Test, sizes.test)?;
        let score = |crops: &[RgbImage], shift: &str| scores(detector, crops, shift, sizes);
        let clean = score(&real, "")?;
        let shifted: Result<Vec<Vec<f64>>> =
            SHIFTS.iter().map(|shift| score(&real[..sizes.shifted.min(real.len())], shift)).collect();
        let shifted = shifted?;
        let (setting, arm) = (job.setting(), &job.arm);
        let (mut unseen, mut rebuilt, mut areas) = (Vec::new(), Vec::new(), Vec::new());
        let mut under = vec![Vec::new(); SHIFTS.len()];
        for &generator in &job.tested {
            let fake = self.pool(Some(generator), Part::Test, sizes.test)?;
            let (precision, area) = judged(&clean, &score(&fake, "")?);
            outcome.put(setting, arm, &format!("ap_{}", generator.name()), vec![precision]);
            if generator == job.generator {
                outcome.put(setting, arm, "ap_seen", vec![precision]);
                continue;
            }
            unseen.push(precision);
            areas.push(area);
            if generator.is_autoencoder() {
                rebuilt.push(precision);
            }
            for ((shift, real), under) in SHIFTS.iter().zip(&shifted).zip(&mut under) {
                under.push(judged(real, &score(&fake[..sizes.shifted.min(fake.len())], shift)?).0);
            }
        }
        let mut put = |metric: &str, values: &[f64]| {
            outcome.put(setting, arm, metric, stats::mean(values).into_iter().collect());
        };
        put("map_unseen", &unseen);
        put("map_rebuilt", &rebuilt);
        put("auc_unseen", &areas);
        for (shift, under) in SHIFTS.iter().zip(&under) {
            put(&format!("map_{shift}"), under);
        }
        put("map_shifted", &under.concat());
        Ok(())
    }

    /// Real crops against other real crops that went the way of the fakes: nothing to be found, AP about one half. Each seed draws
    /// its own crops, so that the interval over seeds covers their choice.
    fn trap(&mut self, job: &Job) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let sizes = &job.sizes;
        let photographs = self.photographs();
        let set = |part: Part, n: usize, label: &str| -> Result<Vec<RgbImage>> {
            let stream = format!("trap {label} {}", job.seed);
            (0..n as u64).map(|at| finished(&photographs.region(part, &stream, at), &stream, at)).collect()
        };
        let training = labelled(
            set(Part::Training, sizes.training, "real")?,
            set(Part::Training, sizes.training, "fake")?,
        );
        let validation = labelled(
            set(Part::Validation, sizes.validation, "real")?,
            set(Part::Validation, sizes.validation, "fake")?,
        );
        let (real, fake) =
            (set(Part::Test, 3 * sizes.test, "real")?, set(Part::Test, 3 * sizes.test, "fake")?);
        let mut unused = Outcome::default();
        let detector = self.trained(job, training, &validation, &mut unused)?;
        let (precision, _) =
            judged(&scores(&detector, &real, "", sizes)?, &scores(&detector, &fake, "", sizes)?);
        outcome.put("trap", "none", "ap", vec![precision]);
        Ok(outcome)
    }
}

/// Average precision and area of fake against real scores.
fn judged(real: &[f64], fake: &[f64]) -> (f64, f64) {
    let scores = [real, fake].concat();
    let labels: Vec<bool> = (0..scores.len()).map(|at| at >= real.len()).collect();
    let half = 0.5; // of a detector whose scores are no numbers, which training refuses
    (average_precision(&scores, &labels).unwrap_or(half), roc_auc(&scores, &labels).unwrap_or(half))
}

fn scores(detector: &Detector, crops: &[RgbImage], shift: &str, sizes: &Sizes) -> Result<Vec<f64>> {
    let view = |crop: &RgbImage| Ok(centre(&shifted(crop, shift)?, sizes.input));
    let views: Result<Vec<RgbImage>> = crops.iter().map(view).collect();
    Ok(detector.score(&views?, 75))
}

fn shifted(crop: &RgbImage, shift: &str) -> Result<RgbImage> {
    Ok(match shift {
        "jpeg90" => jpeg(crop, 90)?,
        "jpeg60" => jpeg(crop, 60)?,
        "resize" => {
            let (width, height) = crop.dimensions();
            let small = imageops::resize(crop, width * 3 / 4, height * 3 / 4, FilterType::CatmullRom);
            imageops::resize(&small, width, height, FilterType::CatmullRom)
        }
        "blur" => blur(crop, 1.0),
        _ => crop.clone(),
    })
}

fn rebuilt(
    model: &Autoencoder,
    photographs: &Photographs,
    part: Part,
    n: usize,
    device: Device,
    errors: &mut Vec<f64>,
) -> Vec<RgbImage> {
    let _guard = tch::no_grad_guard();
    let stream = format!("{} regions", part.name());
    let regions: Vec<RgbImage> = (0..n as u64).map(|at| photographs.region(part, &stream, at)).collect();
    let mut fakes = Vec::new();
    for regions in regions.chunks(STEP) {
        let output: Tensor = model.forward(&to_tensor(regions, device));
        for (region, fake) in regions.iter().zip(to_images(&output)) {
            let squares = region.iter().zip(fake.iter()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
            errors.push(squares.sum::<f64>() / region.len() as f64);
            fakes.push(fake);
        }
    }
    fakes
}

fn sampled(mut crops: Vec<RgbImage>, n: usize, run_seed: u64, stream: &str) -> Vec<RgbImage> {
    crops.shuffle(&mut seed::rng(run_seed, stream, 0));
    crops.truncate(n);
    crops
}

fn labelled(real: Vec<RgbImage>, fake: Vec<RgbImage>) -> Labelled {
    let labels = (0..real.len() + fake.len()).map(|at| at >= real.len()).collect();
    Labelled { images: Images::Memory([real, fake].concat()), labels }
}

fn spectrum_of(crops: &[RgbImage]) -> AverageSpectrum {
    let mut spectrum = AverageSpectrum::new(CROP, CROP);
    crops.iter().for_each(|crop| spectrum.add(crop));
    spectrum
}

/// All panels share one range, so that they can be compared.
fn spectrum_panel(name: &str, crops: &[RgbImage]) -> common::figure::Picture {
    common::figure::Picture::grey(name, &spectrum_of(crops).values(), [1.3, 2.8])
}
