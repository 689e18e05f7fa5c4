//! Characters of each place of a batch, so that each can be perturbed on its own: maxima of the filters, and what goes back from
//! them, without a graph. Only the window that holds a maximum has a gradient, so that nearly all of a convolution's backward pass
//! would be products with zero.

use std::ops::{AddAssign, Mul};

use common::tensor::with_gradient;
use tch::kind::Element;
use tch::{Device, Tensor};

use super::chars::Characters;
use crate::batch::Batch;

/// Floats that the kernels compute in.
pub trait Number: Element + Copy + Default + PartialOrd + AddAssign + Mul<Output = Self> {}

impl<T: Element + Copy + Default + PartialOrd + AddAssign + Mul<Output = T>> Number for T {}

/// The network of characters over the places of a batch, with the parameters of the moment.
#[derive(Debug)]
pub struct Places<'a, T> {
    characters: &'a Characters,
    /// Characters of a distinct word, padded with 0: `[distinct, width]`.
    ids: Vec<usize>,
    width: usize,
    lengths: Vec<usize>,
    /// Distinct word of each place; none where a sentence has ended.
    words: Vec<Option<usize>>,
    /// `[characters, dim]`, row 0 is 0.
    embedding: Vec<T>,
    dim: usize,
    filters: Vec<Filters<T>>,
    device: Device,
}

/// Filters of one width, `[filters, width, dim]`: a filter lies as the characters of a window do.
#[derive(Debug)]
struct Filters<T> {
    width: usize,
    weights: Vec<T>,
}

/// The largest value of each filter at each place.
#[derive(Debug)]
pub struct Maxima {
    /// Values, `[places, filters]`, without a graph.
    pub values: Tensor,
    /// First character of the window that holds it.
    at: Vec<u32>,
}

impl<'a, T: Number> Places<'a, T> {
    /// Places of a batch, `[batch, tokens]` one after another.
    pub fn new(characters: &'a Characters, batch: &Batch) -> Self {
        let device = batch.padded.characters.device();
        let whole = |tensor: &Tensor| -> Vec<usize> {
            vector::<i64>(tensor).into_iter().map(|value| value as usize).collect()
        };
        let dim = characters.embedding().size()[1] as usize;
        let mut embedding = vector::<T>(characters.embedding());
        embedding[..dim].fill(T::default());
        let filters = characters.filters().map(|(width, weight)| Filters {
            width: width as usize,
            weights: vector::<T>(&weight.transpose(1, 2)),
        });
        let filters: Vec<Filters<T>> = filters.collect();
        let widest = filters.iter().map(|filters| filters.width).max().unwrap_or(1);
        let stored = batch.padded.characters.size()[1] as usize;
        let width = stored.max(widest);
        let mut ids = Vec::new();
        for row in whole(&batch.padded.characters).chunks(stored.max(1)) {
            ids.extend(row);
            ids.resize(ids.len() + width - stored, 0);
        }
        let keep = vector::<bool>(&batch.keep);
        let words = whole(&batch.padded.surface).into_iter().zip(keep);
        let words = words.map(|(word, keep)| keep.then_some(word)).collect();
        let lengths = whole(&batch.characters);
        Self { characters, ids, width, lengths, words, embedding, dim, filters, device }
    }

    /// Characters of a place that a perturbation may have: the second axis of one.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Maxima of all places, where the embeddings of characters are moved by `eta`, `[places, characters, dim]`, if given.
    pub fn maxima(&self, eta: Option<&Tensor>) -> Maxima {
        let n = self.n_filters();
        let (mut values, mut at) = (vec![T::default(); self.words.len() * n], vec![0; self.words.len() * n]);
        let mut seen = vec![T::default(); self.width * self.dim];
        match eta.map(vector::<T>) {
            None => {
                let mut best = vec![None; self.lengths.len()];
                for (place, word) in self.words.iter().enumerate() {
                    let Some(word) = *word else { continue };
                    let own = place * n..(place + 1) * n;
                    match best[word] {
                        None => {
                            self.see(word, None, &mut seen);
                            self.best(word, &seen, &mut values[own.clone()], &mut at[own]);
                            best[word] = Some(place);
                        }
                        Some(first) => {
                            values.copy_within(first * n..(first + 1) * n, own.start);
                            at.copy_within(first * n..(first + 1) * n, own.start);
                        }
                    }
                }
            }
            Some(eta) => {
                for ((place, word), eta) in self.words.iter().enumerate().zip(eta.chunks(seen.len())) {
                    let Some(word) = *word else { continue };
                    let own = place * n..(place + 1) * n;
                    self.see(word, Some(eta), &mut seen);
                    self.best(word, &seen, &mut values[own.clone()], &mut at[own]);
                }
            }
        }
        let values = Tensor::from_slice(&values).view([self.words.len() as i64, n as i64]);
        Maxima { values: values.to_device(self.device), at }
    }

    /// Gradients towards the embeddings of the characters of each place, `[places, characters, dim]`, from those towards the maxima,
    /// `[places, filters]`. Padding has none.
    pub fn by_characters(&self, maxima: &Maxima, gradient: &Tensor) -> Tensor {
        let (n, row) = (self.n_filters(), self.width * self.dim);
        let mut out = vec![T::default(); self.words.len() * row];
        let gradient = vector::<T>(gradient);
        for (place, word) in self.words.iter().enumerate() {
            let Some(word) = *word else { continue };
            let own = &mut out[place * row..(place + 1) * row];
            self.each_filter(|filter, weights| {
                let start = maxima.at[place * n + filter] as usize * self.dim;
                add(&mut own[start..start + weights.len()], gradient[place * n + filter], weights);
            });
            own[self.lengths[word] * self.dim..].fill(T::default());
        }
        let shape = [self.words.len() as i64, self.width as i64, self.dim as i64];
        Tensor::from_slice(&out).view(shape).to_device(self.device)
    }

    /// A scalar of value 0 whose gradient towards the parameters is that of passes: maxima, gradients towards them, and the
    /// perturbation that they were seen with. `None` when no parameter takes a gradient.
    pub fn backward(&self, passes: &[(&Maxima, &Tensor, Option<&Tensor>)]) -> Option<Tensor> {
        let mut by_embedding = vec![T::default(); self.embedding.len()];
        let mut by_weights: Vec<Vec<T>> =
            self.filters.iter().map(|filters| vec![T::default(); filters.weights.len()]).collect();
        for (maxima, gradient, eta) in passes {
            let (gradient, eta) = (vector::<T>(gradient), eta.map(vector::<T>));
            self.add_pass(maxima, &gradient, eta.as_deref(), &mut by_embedding, &mut by_weights);
        }
        by_embedding[..self.dim].fill(T::default());
        let tensor = |values: &[T]| Tensor::from_slice(values).to_device(self.device);
        let embedding = self.characters.embedding();
        let mut gradients = vec![(embedding, tensor(&by_embedding).view_as(embedding))];
        for ((_, weight), by_weights) in self.characters.filters().zip(&by_weights) {
            let turned = weight.transpose(1, 2).size();
            gradients.push((weight, tensor(by_weights).view(&turned[..]).transpose(1, 2).contiguous()));
        }
        gradients.retain(|(parameter, _)| parameter.requires_grad());
        let pairs: Vec<(&Tensor, &Tensor)> = gradients.iter().map(|(of, gradient)| (*of, gradient)).collect();
        (!pairs.is_empty()).then(|| with_gradient(0.0, &pairs))
    }

    fn add_pass(
        &self,
        maxima: &Maxima,
        gradient: &[T],
        eta: Option<&[T]>,
        by_embedding: &mut [T],
        by_weights: &mut [Vec<T>],
    ) {
        let (n, row, dim) = (self.n_filters(), self.width * self.dim, self.dim);
        let (mut seen, mut back) = (vec![T::default(); row], vec![T::default(); row]);
        for (place, word) in self.words.iter().enumerate() {
            let Some(word) = *word else { continue };
            self.see(word, eta.map(|eta| &eta[place * row..(place + 1) * row]), &mut seen);
            back.fill(T::default());
            let mut filter = 0;
            for (filters, by_weights) in self.filters.iter().zip(&mut *by_weights) {
                let size = filters.width * dim;
                for (weights, by_weights) in filters.weights.chunks(size).zip(by_weights.chunks_mut(size)) {
                    let (at, factor) = (maxima.at[place * n + filter], gradient[place * n + filter]);
                    let window = at as usize * dim..at as usize * dim + size;
                    add(by_weights, factor, &seen[window.clone()]);
                    add(&mut back[window], factor, weights);
                    filter += 1;
                }
            }
            let ids = &self.ids[word * self.width..][..self.lengths[word]];
            for (back, id) in back.chunks(dim).zip(ids) {
                let own = &mut by_embedding[id * dim..(id + 1) * dim];
                own.iter_mut().zip(back).for_each(|(sum, value)| *sum += *value);
            }
        }
    }

    fn n_filters(&self) -> usize {
        self.filters.iter().map(|filters| filters.weights.len() / (filters.width * self.dim)).sum()
    }

    fn each_filter(&self, mut act: impl FnMut(usize, &[T])) {
        let all = self.filters.iter().flat_map(|filters| filters.weights.chunks(filters.width * self.dim));
        all.enumerate().for_each(|(filter, weights)| act(filter, weights));
    }

    /// Embeddings of a word's characters, moved or not, into `seen`, `[width, dim]`.
    fn see(&self, word: usize, eta: Option<&[T]>, seen: &mut [T]) {
        let ids = &self.ids[word * self.width..(word + 1) * self.width];
        for (seen, id) in seen.chunks_mut(self.dim).zip(ids) {
            seen.copy_from_slice(&self.embedding[id * self.dim..(id + 1) * self.dim]);
        }
        if let Some(eta) = eta {
            let real = self.lengths[word] * self.dim;
            seen[..real].iter_mut().zip(eta).for_each(|(seen, eta)| *seen += *eta);
        }
    }

    /// Largest value of each filter and the window that has it. Windows end within the word, or within the widest filter.
    fn best(&self, word: usize, seen: &[T], values: &mut [T], at: &mut [u32]) {
        let widest = self.filters.iter().map(|filters| filters.width).max().unwrap_or(1);
        let end = self.lengths[word].max(widest);
        self.each_filter(|filter, weights| {
            let windows = end + 1 - weights.len() / self.dim;
            for window in 0..windows {
                let value = dot(&seen[window * self.dim..][..weights.len()], weights);
                if window == 0 || value > values[filter] {
                    (values[filter], at[filter]) = (value, window as u32);
                }
            }
        });
    }
}

/// Entries of a tensor in their order.
fn vector<T: Element + Copy>(tensor: &Tensor) -> Vec<T> {
    let flat = tensor.detach().to_device(Device::Cpu).flatten(0, -1).contiguous();
    Vec::try_from(&flat).expect("entries of the tensor's own kind")
}

/// Eight sums side by side, so that they fill vector registers.
fn dot<T: Number>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::default(); 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = a.remainder().iter().zip(b.remainder());
    for (a, b) in a.zip(b) {
        for at in 0..8 {
            sums[at] += a[at] * b[at];
        }
    }
    rest.for_each(|(a, b)| sums[0] += *a * *b);
    let mut total = T::default();
    sums.into_iter().for_each(|sum| total += sum);
    total
}

fn add<T: Number>(to: &mut [T], factor: T, values: &[T]) {
    to.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * *value);
}
