//! Detectors: losses, names of weights, learning, and the traps of the experiment.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use common::testing::{gradient_error, torch_rng};
use common::train::Checkpoints;
use frequency_mask::augment::Augmentation;
use frequency_mask::detector::{Architecture, Detector};
use frequency_mask::experiment::photographs::{Part, Photographs, finished};
use frequency_mask::train::{Config, Images, Labelled, cross_entropy, train, weights_digest};
use image::{Rgb, RgbImage};
use tch::{Device, Tensor};

#[test]
fn gradient_of_the_cross_entropy_matches_finite_differences() {
    let labels = Tensor::from_slice(&[1.0, 0.0, 1.0]);
    let error =
        gradient_error(|logits| cross_entropy(logits, &labels), &Tensor::from_slice(&[0.3, -1.2, 0.8]));
    assert!(error < 1e-7, "relative error {error:e}");
    // -log(sigmoid(0)) = log 2
    let at_zero = cross_entropy(&Tensor::from_slice(&[0.0, 0.0]), &Tensor::from_slice(&[1.0, 0.0]));
    assert!((at_zero.double_value(&[]) - 2.0_f64.ln()).abs() < 1e-12);
}

#[test]
fn resnet_50_has_the_names_and_the_size_of_torchvision() {
    let _guard = torch_rng(0);
    let detector = Detector::new(Architecture::Resnet50, 0, Device::Cpu);
    let variables = detector.store.variables();
    for (name, size) in [
        ("conv1.weight", vec![64, 3, 7, 7]),
        ("bn1.running_var", vec![64]),
        ("layer1.0.conv3.weight", vec![256, 64, 1, 1]),
        ("layer1.0.downsample.0.weight", vec![256, 64, 1, 1]),
        ("layer2.0.conv2.weight", vec![128, 128, 3, 3]),
        ("layer4.2.bn3.bias", vec![2048]),
        ("fc.weight", vec![1, 2048]),
    ] {
        assert_eq!(variables[name].size(), size, "{name}");
    }
    assert!(variables.keys().all(|name| !name.contains("__")));
    // torchvision's resnet50 has 23,508,032 parameters without its last layer.
    assert_eq!(detector.n_parameters(), 23_508_032 + 2049);
    let logits = detector.score(&[RgbImage::new(64, 64), RgbImage::new(64, 64)], 2);
    assert_eq!(logits.len(), 2);
}

#[test]
fn squeezenet_takes_over_its_published_weights() {
    let Ok(root) = std::env::var("BENKYOKAI_DATA") else { return };
    let file = std::path::Path::new(&root).join("squeezenet1_1-features/squeezenet1_1_features.safetensors");
    if !file.exists() {
        return; // the data set is optional
    }
    let _guard = torch_rng(0);
    let detector = Detector::new(Architecture::Squeezenet, 0, Device::Cpu);
    let before = weights_digest(&detector);
    detector.load_pretrained(&file).unwrap();
    assert_ne!(weights_digest(&detector), before);
    assert_eq!(detector.n_parameters(), 722_496 + 513);
    let other = Detector::new(Architecture::Resnet50, 0, Device::Cpu);
    let error = other.load_pretrained(&file).unwrap_err().to_string();
    assert!(error.contains("`conv1.weight` is missing"), "{error}");
}

fn board(at: u32, fake: bool) -> RgbImage {
    RgbImage::from_fn(16, 16, |x, y| {
        let board = if fake && (x + y) % 2 == 0 { 30 } else { 0 };
        Rgb([100 + board + ((x * at + y) % 7) as u8; 3])
    })
}

fn boards(n: u32) -> Labelled {
    let images = (0..2 * n).map(|at| board(at, at >= n)).collect();
    Labelled { images: Images::Memory(images), labels: (0..2 * n).map(|at| at >= n).collect() }
}

fn plain(epochs: usize) -> Config {
    let augmentation = Augmentation {
        short_side: None,
        blur_probability: 0.0,
        jpeg_probability: 0.0,
        crop: 16,
        ..Augmentation::official()
    };
    Config { augmentation, epochs, patience: None, batch: 4, learning_rate: 3e-3, ..Config::official(None) }
}

#[test]
fn every_small_network_memorises_eight_pictures() {
    let _guard = torch_rng(0);
    for architecture in [Architecture::SmallResnet, Architecture::Spectrum] {
        let detector = Detector::new(architecture, 1, Device::Cpu);
        let history =
            train(&detector, boards(4), &boards(4), &plain(30), 1, &Checkpoints::default(), |_| true)
                .unwrap();
        assert_eq!(history.best_dev_f1, 1.0, "{architecture:?}");
    }
}

#[test]
fn equal_seeds_give_equal_bits_and_a_resumed_run_ends_as_if_not_stopped() {
    let _guard = torch_rng(0);
    let folder = tempfile::tempdir().unwrap();
    let go = |checkpoints: &Checkpoints, stop_at: Option<usize>| {
        let detector = Detector::new(Architecture::SmallResnet, 1, Device::Cpu);
        let mut steps = 0;
        let observe = |_: common::train::Progress<'_>| {
            steps += 1;
            stop_at.is_none_or(|stop| steps < stop)
        };
        train(&detector, boards(4), &boards(4), &plain(3), 1, checkpoints, observe).unwrap();
        weights_digest(&detector)
    };
    let whole = go(&Checkpoints::default(), None);
    assert_eq!(whole, go(&Checkpoints::default(), None));
    let folder = Some(folder.path().to_owned());
    go(&Checkpoints { folder: folder.clone(), resume: false }, Some(3));
    assert_eq!(whole, go(&Checkpoints { folder, resume: true }, None));
}

/// AP of a linear probe on spectra, trained and tested on other crops of two sources.
fn probed(crops: impl Fn(Part, &str, u64) -> RgbImage) -> f64 {
    let set = |part: Part, n: u64| -> Labelled {
        let images = ["a", "b"].iter().flat_map(|class| (0..n).map(|at| crops(part, class, at))).collect();
        Labelled { images: Images::Memory(images), labels: (0..2 * n).map(|at| at >= n).collect() }
    };
    let mut config = plain(6);
    config.augmentation.crop = 56;
    config.batch = 32;
    let detector = Detector::new(Architecture::Spectrum, 1, Device::Cpu);
    let (training, validation, test) =
        (set(Part::Training, 200), set(Part::Validation, 40), set(Part::Test, 300));
    train(&detector, training, &validation, &config, 1, &Checkpoints::default(), |_| true).unwrap();
    let Images::Memory(images) = &test.images else { unreachable!() };
    let views: Vec<RgbImage> = images.iter().map(|image| config.augmentation.test(image)).collect();
    common::metrics::binary::average_precision(&detector.score(&views, 50), &test.labels).unwrap()
}

#[test]
fn real_against_real_is_at_chance() {
    let _guard = torch_rng(0);
    let photographs = Photographs::generated();
    // Both classes as the experiment makes them, with another stream for the way of the fakes.
    let ap = probed(|part, class, at| {
        let stream = format!("trap {class}");
        finished(&photographs.region(part, &stream, at), &stream, at).unwrap()
    });
    assert!((ap - 0.5).abs() < 0.08, "{ap}");
}

#[test]
fn the_phase_of_a_grid_tells_nothing_after_random_offsets() {
    let _guard = torch_rng(0);
    let photographs = Photographs::generated();
    // JPEG blocks of the source: every region carries a grid of 8, at a phase that differs between the classes.
    let gridded = |part, at: u64, shift: u32| {
        let region = photographs.region(part, "grid", at);
        frequency_mask::augment::jpeg(
            &RgbImage::from_fn(80, 80, |x, y| {
                let inside = (x + shift).is_multiple_of(8) || (y + shift).is_multiple_of(8);
                let Rgb(pixel) = *region.get_pixel(x, y);
                Rgb(pixel.map(|byte| byte.saturating_add(if inside { 6 } else { 0 })))
            }),
            95,
        )
        .unwrap()
    };
    let shift = |class: &str| if class == "a" { 0 } else { 4 };
    let ap = probed(|part, class, at| finished(&gridded(part, at, shift(class)), class, at).unwrap());
    assert!((ap - 0.5).abs() < 0.08, "{ap}");
}
