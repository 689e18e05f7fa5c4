//! Masks against the official code, against a direct transform, and by their properties.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::f64::consts::TAU;

use common::testing::golden;
use frequency_mask::mask::{Band, Cast, FrequencyMask, Kind, Layout, Mask, MaskError, Masker};
use image::RgbImage;
use proptest::prelude::*;
use serde_json::Value;

fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect()
}

fn pairs(value: &Value) -> Vec<[usize; 2]> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| [0, 1].map(|at| pair[at].as_u64().unwrap() as usize))
        .collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    numbers(value).into_iter().map(|n| n as u8).collect()
}

fn noise(width: u32, height: u32) -> RgbImage {
    let value = |x: u32, y: u32, c: u32| {
        let wave = 90.0 * (0.31 * f64::from(x) + 0.17 * f64::from(y) + f64::from(c)).sin();
        (128.0 + wave + f64::from((x * 31 + y * 17 + c * 7) % 19)) as u8
    };
    RgbImage::from_fn(width, height, |x, y| image::Rgb([0, 1, 2].map(|c| value(x, y, c))))
}

fn masker(frequency: FrequencyMask, ratio: f64) -> Masker {
    Masker::new(Mask::new(Kind::Frequency(frequency), ratio).unwrap())
}

/// Transforms in f32 round differently, and truncation shows it where the exact value is a whole number but for this.
const WHOLE: f64 = 1e-3;

#[test]
fn compat_filters_as_the_official_code_does_with_the_same_bins() {
    let golden = golden(env!("CARGO_MANIFEST_DIR"), "masks.json");
    for case in golden["frequency"].as_array().unwrap() {
        let (height, width) = (case["height"].as_u64().unwrap(), case["width"].as_u64().unwrap());
        let image = RgbImage::from_raw(width as u32, height as u32, bytes(&case["image"])).unwrap();
        let ours = Masker::apply_bins(&image, &pairs(&case["removed"]), Cast::Wrap);
        let theirs = bytes(&case["out"]);
        let exact = direct(&image, &pairs(&case["removed"]));
        for ((ours, theirs), exact) in ours.iter().zip(&theirs).zip(exact) {
            let apart = ours.wrapping_sub(*theirs).min(theirs.wrapping_sub(*ours));
            let whole = (exact - exact.round()).abs() < WHOLE;
            assert!(apart == 0 || (apart == 1 && whole), "{} {height} x {width}: {exact}", case["kind"]);
        }
    }
}

#[test]
fn compat_draws_as_many_bins_of_the_same_rectangle_as_the_official_code() {
    let golden = golden(env!("CARGO_MANIFEST_DIR"), "masks.json");
    for case in golden["frequency"].as_array().unwrap() {
        let (height, width) = (case["height"].as_u64().unwrap(), case["width"].as_u64().unwrap());
        let name = case["kind"].as_str().unwrap();
        let bands: Vec<Band> = name.split('+').map(|band| band.parse().unwrap()).collect();
        let single = FrequencyMask { bands, ..FrequencyMask::compat(Band::All) };
        let masker = masker(single, case["ratio"].as_f64().unwrap());
        let image = RgbImage::new(width as u32, height as u32);
        // Each removed bin takes half of itself and half of its mirror image away: the weights sum to the number of bins.
        let picture = masker.picture(&image, 1, 2, 3).unwrap();
        let removed: f64 = picture.pixels().map(|pixel| 1.0 - f64::from(pixel.0[0]) / 255.0).sum();
        let expected = case["removed"].as_array().unwrap().len();
        assert!(
            (removed - expected as f64).abs() < 0.01 * expected as f64 + 0.1,
            "{name}: {removed}, {expected}"
        );
    }
}

#[test]
fn pixels_and_patches_are_those_of_the_official_code() {
    let golden = golden(env!("CARGO_MANIFEST_DIR"), "masks.json");
    for case in golden["spatial"].as_array().unwrap() {
        let (height, width) = (case["height"].as_u64().unwrap(), case["width"].as_u64().unwrap());
        let image = RgbImage::from_pixel(width as u32, height as u32, image::Rgb([200, 100, 50]));
        let black = pairs(&case["black"]);
        let chosen = numbers(&case["chosen"]);
        if case["kind"] == "pixel" {
            let ours = Masker::new(Mask::new(Kind::Pixel, 0.15).unwrap()).apply(&image, 0, 0, 0);
            assert_eq!(ours.pixels().filter(|pixel| pixel.0 == [0; 3]).count(), chosen.len());
            assert_eq!(black.len(), chosen.len());
        } else {
            // The same patches, drawn as the official code draws them.
            let side = (1..=16).rev().find(|side| width % side == 0 && height % side == 0).unwrap();
            let covered = |[y, x]: [u64; 2], spill: u64| {
                chosen.iter().any(|index| {
                    let (top, left) = (index / (width / side) * side, index % (width / side) * side);
                    (top..top + side + spill).contains(&y) && (left..left + side + spill).contains(&x)
                })
            };
            let cells = (0..height).flat_map(|y| (0..width).map(move |x| [y, x]));
            let spilled: Vec<[usize; 2]> =
                cells.filter(|cell| covered(*cell, 1)).map(|cell| cell.map(|at| at as usize)).collect();
            assert_eq!(spilled, black);
            let ours =
                Masker::new(Mask::new(Kind::Patch { spill: false }, 0.15).unwrap()).apply(&image, 0, 0, 0);
            let count = ours.pixels().filter(|pixel| pixel.0 == [0; 3]).count();
            assert_eq!(count, chosen.len() * (side * side) as usize);
        }
    }
}

/// The filter by its definition: `½ (M(k) + M(-k))` on every bin of a direct transform.
fn direct(image: &RgbImage, bins: &[[usize; 2]]) -> Vec<f64> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let keep = |row: usize, column: usize| f64::from(u8::from(!bins.contains(&[row, column])));
    let mut out = vec![0.0; width * height * 3];
    for channel in 0..3 {
        for (v, u) in (0..height).flat_map(|v| (0..width).map(move |u| (v, u))) {
            let phase =
                |y: usize, x: usize| TAU * ((v * y) as f64 / height as f64 + (u * x) as f64 / width as f64);
            let (mut re, mut im) = (0.0, 0.0);
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let value = f64::from(image.get_pixel(x as u32, y as u32).0[channel]);
                re += value * phase(y, x).cos();
                im -= value * phase(y, x).sin();
            }
            let weight = 0.5 * (keep(v, u) + keep((height - v) % height, (width - u) % width));
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let part = re * phase(y, x).cos() - im * phase(y, x).sin();
                out[(y * width + x) * 3 + channel] += weight * part / (width * height) as f64;
            }
        }
    }
    out
}

#[test]
fn filtering_equals_a_direct_transform_with_the_symmetric_mask() {
    for (width, height) in [(7, 5), (6, 4), (1, 9), (9, 1), (1, 1), (17, 2), (23, 19)] {
        let image = noise(width, height);
        let bins: Vec<[usize; 2]> = (0..height as usize)
            .flat_map(|row| (0..width as usize).map(move |column| [row, column]))
            .filter(|[row, column]| (row * 5 + column * 3) % 4 == 1)
            .collect();
        let expected = direct(&image, &bins);
        let ours = Masker::apply_bins(&image, &bins, Cast::Clamp);
        for (ours, exact) in ours.iter().zip(&expected) {
            assert!(
                (f64::from(*ours) - exact.clamp(0.0, 255.0)).abs() < 0.501,
                "{width} x {height}: {ours} {exact}"
            );
        }
    }
}

#[test]
fn what_is_computed_by_difference_equals_the_whole_filter() {
    // One band touches few rows, so its masks go the short way; the bins of the picture go the long way.
    for (width, height) in [(64, 48), (63, 49), (30, 224)] {
        let image = noise(width, height);
        for band in [Band::Low, Band::Mid, Band::High] {
            let whole = FrequencyMask { cast: Cast::Clamp, ..FrequencyMask::compat(band) };
            let short = masker(whole, 1.0).apply(&image, 0, 0, 0);
            let part = |size: usize| match band {
                Band::Low => 0..size / 4,
                Band::Mid => size / 4..3 * size / 4,
                _ => 3 * size / 4..size,
            };
            let bins: Vec<[usize; 2]> = part(height as usize)
                .flat_map(|row| part(width as usize).map(move |column| [row, column]))
                .collect();
            let long = Masker::apply_bins(&image, &bins, Cast::Clamp);
            let worst = short.iter().zip(long.iter()).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(worst <= Some(1), "{band:?} {width} x {height}: {worst:?}");
        }
    }
}

#[test]
fn ratio_0_is_the_identity_and_ratio_1_of_all_is_black() {
    for (width, height) in [(32, 32), (31, 17), (1, 40)] {
        let image = noise(width, height);
        for band in Band::EACH {
            assert_eq!(masker(FrequencyMask::clean(band), 0.0).apply(&image, 1, 2, 3), image);
        }
        let all = FrequencyMask { protect_dc: false, ..FrequencyMask::clean(Band::All) };
        assert!(masker(all, 1.0).apply(&image, 1, 2, 3).iter().all(|byte| *byte == 0));
        // With the mean kept, the mean is what is left.
        let kept = masker(FrequencyMask::clean(Band::All), 1.0).apply(&image, 1, 2, 3);
        let mean = image.pixels().map(|pixel| f64::from(pixel.0[0])).sum::<f64>() / f64::from(width * height);
        assert!(kept.pixels().all(|pixel| (f64::from(pixel.0[0]) - mean).abs() < 0.51));
    }
}

#[test]
fn at_15_percent_of_all_the_released_mask_removes_2_percent_of_the_bins_and_halves_26() {
    let image = RgbImage::new(224, 224);
    let picture = masker(FrequencyMask::compat(Band::All), 0.15).picture(&image, 7, 0, 0).unwrap();
    let share = |value: u8| picture.pixels().filter(|pixel| pixel.0[0] == value).count() as f64 / 50176.0;
    assert!((share(0) - 0.0225).abs() < 0.003, "{}", share(0));
    assert!((share(128) - 0.255).abs() < 0.005, "{}", share(128));
    let clean = masker(FrequencyMask::clean(Band::All), 0.15).picture(&image, 7, 0, 0).unwrap();
    let zero = clean.pixels().filter(|pixel| pixel.0[0] == 0).count() as f64 / 50176.0;
    assert!((zero - 0.15).abs() < 0.001 && clean.pixels().all(|pixel| [0, 255].contains(&pixel.0[0])));
}

#[test]
fn parseval_energy_removed_by_a_clean_mask_is_that_of_its_bins() {
    // A pure wave in one bin: removing high frequencies takes all of it, removing low ones nothing.
    let wave = RgbImage::from_fn(32, 32, |x, _| image::Rgb([if x % 2 == 0 { 100 } else { 156 }; 3]));
    let high = masker(FrequencyMask::clean(Band::High), 1.0).apply(&wave, 0, 0, 0);
    assert!(high.iter().all(|byte| *byte == 128));
    assert_eq!(masker(FrequencyMask::clean(Band::Low), 1.0).apply(&wave, 0, 0, 0), wave);
    assert_eq!(masker(FrequencyMask::clean(Band::Mid), 1.0).apply(&wave, 0, 0, 0), wave);
    // The official code's names: "mid" is where this wave is; "high" and "low" leave it.
    let released = |band| masker(FrequencyMask { cast: Cast::Clamp, ..FrequencyMask::compat(band) }, 1.0);
    assert_eq!(released(Band::High).apply(&wave, 0, 0, 0), wave);
}

#[test]
fn one_channel_is_masked_and_the_others_stay() {
    let image = noise(40, 24);
    let green = FrequencyMask { channel: Some(1), ..FrequencyMask::clean(Band::All) };
    let out = masker(green, 0.5).apply(&image, 0, 0, 0);
    let same = |channel: usize| image.pixels().zip(out.pixels()).all(|(a, b)| a.0[channel] == b.0[channel]);
    assert_eq!([0, 1, 2].map(same), [true, false, true]);
}

#[test]
fn only_wrapped_bytes_change_under_the_wrap_control() {
    let mut image = noise(64, 64);
    image.iter_mut().for_each(|byte| *byte = if *byte > 128 { 250 } else { 5 });
    let wrap = FrequencyMask { cast: Cast::WrapOnly, ..FrequencyMask::compat(Band::All) };
    let compat = masker(FrequencyMask::compat(Band::All), 0.3).apply(&image, 5, 6, 7);
    let only = masker(wrap, 0.3).apply(&image, 5, 6, 7);
    let changed = image.iter().zip(only.iter()).filter(|(a, b)| a != b).count();
    assert!(changed > 100 && changed < image.len() / 2, "{changed}");
    assert!(image.iter().zip(only.iter()).zip(compat.iter()).all(|((a, b), c)| a == b || b == c));
}

#[test]
fn masks_that_are_none_are_refused() {
    let frequency = |bands: &[Band]| {
        Kind::Frequency(FrequencyMask { bands: bands.to_vec(), ..FrequencyMask::compat(Band::All) })
    };
    let message = |result: Result<Mask, MaskError>| result.unwrap_err().to_string();
    let text = "the ratio of a mask is 15; expected 0 to 1 (15 % is 0.15)";
    assert_eq!(message(Mask::new(Kind::Pixel, 15.0)), text);
    assert!(Mask::new(Kind::Pixel, f64::NAN).is_err() && Mask::new(Kind::Pixel, -0.1).is_err());
    assert!(message(Mask::new(frequency(&[]), 0.1)).starts_with("0 bands"));
    assert!(message(Mask::new(frequency(&[Band::Low, Band::All]), 0.1)).starts_with("2 bands"));
    let layout = Layout::Radial { cutoffs: [0.3, 0.2] };
    let rings = Kind::Frequency(FrequencyMask { layout, ..FrequencyMask::clean(Band::Low) });
    assert!(message(Mask::new(rings, 0.1)).starts_with("the cut-offs 0.3 and 0.2 are no bands"));
    let channel = Kind::Frequency(FrequencyMask { channel: Some(3), ..FrequencyMask::clean(Band::Low) });
    assert!(message(Mask::new(channel, 0.1)).starts_with("channel 3 cannot be masked"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn equal_seeds_draw_equal_masks_and_others_do_not(width in 8_u32..80, height in 8_u32..80, seed in 0_u64..9) {
        let image = noise(width, height);
        let masker = masker(FrequencyMask::clean(Band::All), 0.2);
        let first = masker.apply(&image, seed, 3, 1);
        prop_assert_eq!(&first, &masker.apply(&image, seed, 3, 1));
        prop_assert_ne!(&first, &masker.apply(&image, seed, 4, 1));
        prop_assert_ne!(&first, &masker.apply(&image, seed, 3, 2));
        prop_assert_ne!(&first, &masker.apply(&image, seed + 10, 3, 1));
    }

    #[test]
    fn any_size_and_ratio_gives_an_image_of_that_size(width in 1_u32..50, height in 1_u32..50, ratio in 0.0..=1.0) {
        let image = noise(width, height);
        for band in Band::EACH {
            for frequency in [FrequencyMask::compat(band), FrequencyMask::clean(band)] {
                let out = masker(frequency, ratio).apply(&image, 1, 1, 1);
                prop_assert_eq!(out.dimensions(), image.dimensions());
            }
        }
        for kind in [Kind::Pixel, Kind::Patch { spill: true }, Kind::Patch { spill: false }, Kind::MeanOnly] {
            let out = Masker::new(Mask::new(kind, ratio).unwrap()).apply(&image, 1, 1, 1);
            prop_assert_eq!(out.dimensions(), image.dimensions());
        }
    }
}
