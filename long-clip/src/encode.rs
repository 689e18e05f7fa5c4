//! Features of many texts and images: batches of near-equal lengths, images decoded ahead of the model.

use std::sync::mpsc::sync_channel;

use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

use crate::data::ImageFile;
use crate::model::{Clip, ModelError, normalised};
use crate::preprocess::{self, ImageError, Rules};

/// Tokens of a batch: enough to fill a CPU's caches, few enough to stay in them.
pub const BATCH_TOKENS: usize = 4096;

/// Normalised features of texts in their order, `[texts, embed_dim]` in f32 on the CPU. Texts of near-equal lengths go through
/// the model together, about `batch_tokens` tokens at once. `done` is told the number of texts that are done, and returns
/// `false` to stop there.
///
/// # Errors
/// [`ModelError`]; `None` when stopped.
pub fn texts(
    model: &Clip,
    ids: &[Vec<i64>],
    batch_tokens: usize,
    mut done: impl FnMut(usize) -> bool,
) -> Result<Option<Tensor>, ModelError> {
    let _guard = tch::no_grad_guard();
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by_key(|&text| ids[text].len());
    let out = Tensor::zeros([ids.len() as i64, model.config.embed_dim], (Kind::Float, Device::Cpu));
    let mut first = 0;
    while first < order.len() {
        let (mut last, mut tokens) = (first, 0);
        while last < order.len() && (last == first || tokens + ids[order[last]].len() <= batch_tokens) {
            tokens += ids[order[last]].len();
            last += 1;
        }
        let batch: Vec<Vec<i64>> = order[first..last].iter().map(|&text| ids[text].clone()).collect();
        let features = normalised(&model.encode_text(&batch)?).to_device(Device::Cpu);
        let places: Vec<i64> = order[first..last].iter().map(|&text| text as i64).collect();
        let _ = out.shallow_clone().index_copy_(0, &Tensor::from_slice(&places), &features);
        first = last;
        if !done(first) {
            return Ok(None);
        }
    }
    Ok(Some(out))
}

/// What happens to images on their way.
#[derive(Debug)]
pub enum Encoded {
    /// Normalised features of some images, `[images, embed_dim]`, f32, CPU, and the places of these in the list.
    Features(Vec<usize>, Tensor),
    /// An image that could not be read.
    Broken(usize, ImageError),
}

/// Normalised features of images, batch by batch, in their order; broken ones are told of and left out. Images are read and
/// decoded by other threads, at most two batches ahead, so that memory does not grow with their number. `each` returns
/// `false` to stop.
///
/// # Errors
/// [`ModelError`].
pub fn images(
    model: &Clip,
    files: &[ImageFile],
    batch: usize,
    rules: Rules,
    mut each: impl FnMut(Encoded) -> bool,
) -> Result<(), ModelError> {
    let _guard = tch::no_grad_guard();
    let side = model.config.vision.image_px as usize;
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(2);
        scope.spawn(move || {
            for (number, part) in files.chunks(batch.max(1)).enumerate() {
                let decoded: Vec<Result<Vec<f32>, ImageError>> =
                    part.par_iter().map(|file| prepared(file, side, rules)).collect();
                if sender.send((number * batch.max(1), decoded)).is_err() {
                    return; // the receiver has stopped
                }
            }
        });
        for (first, decoded) in receiver {
            let (mut places, mut whole) = (Vec::new(), Vec::new());
            for (i, image) in decoded.into_iter().enumerate() {
                match image {
                    Ok(image) => {
                        places.push(first + i);
                        whole.push(image);
                    }
                    Err(error) => {
                        if !each(Encoded::Broken(first + i, error)) {
                            return Ok(());
                        }
                    }
                }
            }
            if whole.is_empty() {
                continue;
            }
            let pixels = preprocess::batch(&whole, side).to_device(model.store.device());
            let features = normalised(&model.encode_image(&pixels)?).to_device(Device::Cpu);
            if !each(Encoded::Features(places, features)) {
                return Ok(());
            }
        }
        Ok(())
    })
}

/// An image as the model takes it.
///
/// # Errors
/// [`ImageError`].
pub fn prepared(file: &ImageFile, side: usize, rules: Rules) -> Result<Vec<f32>, ImageError> {
    preprocess::prepare(&file.read()?, &file.name(), side, rules)
}
