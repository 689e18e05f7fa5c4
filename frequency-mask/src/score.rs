//! Scoring pictures from files: read by all cores while the network computes, the middle or tiles of each.

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use image::RgbImage;
use rayon::prelude::*;

use crate::augment::{centre, cropped};
use crate::data::{PictureError, read_picture};
use crate::detector::Detector;

/// Which parts of a picture are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The middle, as the official tests do.
    Centre,
    /// Tiles that cover the picture; the mean of their scores.
    MeanOfTiles,
    /// The same; the highest score.
    HighestTile,
}

/// Pictures that are read ahead.
const CHUNK: usize = 64;

/// Left and upper ends of tiles of `side` that cover `size`, the last one flush with the end.
fn starts(size: u32, side: u32) -> Vec<u32> {
    let last = size.saturating_sub(side);
    let mut starts: Vec<u32> = (0..=last).step_by(side as usize).collect();
    if starts.last() != Some(&last) {
        starts.push(last);
    }
    starts
}

/// The squares of a picture that are scored.
pub fn views(picture: &RgbImage, view: View, side: u32) -> Vec<RgbImage> {
    if view == View::Centre {
        return vec![centre(picture, side)];
    }
    let across = starts(picture.width(), side);
    let down = starts(picture.height(), side);
    down.iter().flat_map(|y| across.iter().map(|x| cropped(picture, *x, *y, side))).collect()
}

/// Scores pictures in the given order; `take` gets each with its logit, or with why there is none, and returns `false` to stop.
///
/// # Errors
/// Those of `take`.
pub fn score_files<E>(
    detector: &Detector,
    paths: &[PathBuf],
    view: View,
    side: u32,
    mut take: impl FnMut(&Path, Result<f64, PictureError>) -> Result<bool, E>,
) -> Result<(), E> {
    let (sender, receiver) = sync_channel(2);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for chunk in paths.chunks(CHUNK) {
                let read = |path: &PathBuf| Ok(views(&read_picture(path)?, view, side));
                let pictures: Vec<Result<Vec<RgbImage>, PictureError>> = chunk.par_iter().map(read).collect();
                if sender.send((chunk, pictures)).is_err() {
                    return; // nobody wants more
                }
            }
        });
        for (chunk, pictures) in receiver {
            let all: Vec<RgbImage> = pictures.iter().flatten().flatten().cloned().collect();
            let mut logits = detector.score(&all, CHUNK).into_iter();
            for (path, picture) in chunk.iter().zip(pictures) {
                let logit = picture.map(|views| {
                    let own: Vec<f64> = logits.by_ref().take(views.len()).collect();
                    match view {
                        View::HighestTile => own.into_iter().fold(f64::NEG_INFINITY, f64::max),
                        _ => own.iter().sum::<f64>() / own.len() as f64,
                    }
                });
                if !take(path, logit)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    })
}

/// Probability of "generated" from a logit.
pub fn probability(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_the_picture_and_end_with_it() {
        assert_eq!(starts(10, 4), [0, 4, 6]);
        assert_eq!(starts(8, 4), [0, 4]);
        assert_eq!(starts(3, 4), [0]);
        let picture = RgbImage::new(10, 3);
        assert_eq!(views(&picture, View::MeanOfTiles, 4).len(), 3);
        assert!(views(&picture, View::MeanOfTiles, 4).iter().all(|tile| tile.dimensions() == (4, 4)));
    }
}
