//! Ranks of the truth among candidates, and what is counted of them.

use common::stats::paired_bootstrap;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

/// Similarities that are held at once: 64 MiB.
const HELD: i64 = 1 << 24;
/// Similarities that are kept for both ways, 512 MiB: COCO's 5,000 images and 25,000 texts. More are computed once each way.
const WHOLE: usize = 1 << 27;

/// Rank, from 1, of the best true candidate of each query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranks {
    /// Of each image, its best own text among all texts.
    pub image_to_text: Vec<usize>,
    /// Of each text, its image among all images.
    pub text_to_image: Vec<usize>,
}

/// Ranks both ways. `image_of_text[j]` is the image that text `j` belongs to. Of equal similarities the earlier candidate
/// stands first. No similarity is sorted: a rank is one plus the number of candidates before the truth.
///
/// # Shapes
/// - `images`: `[images, width]`; `texts`: `[texts, width]`; rows of length 1, f32
///
/// # Panics
/// When `image_of_text` has another number of texts, or names an image that is not there.
pub fn ranks(images: &Tensor, texts: &Tensor, image_of_text: &[usize]) -> Ranks {
    let (n_images, n_texts) = (images.size()[0] as usize, texts.size()[0] as usize);
    assert_eq!(image_of_text.len(), n_texts, "one image for each text");
    if n_images * n_texts <= WHOLE {
        let mut whole = Vec::with_capacity(n_images * n_texts);
        in_chunks(images, texts, |_, rows| whole.extend_from_slice(rows));
        return ranks_of_similarities(&whole, image_of_text, n_images);
    }
    ranks_in_parts(images, texts, image_of_text)
}

/// The same in memory that does not grow with the product of images and texts.
fn ranks_in_parts(images: &Tensor, texts: &Tensor, image_of_text: &[usize]) -> Ranks {
    let (n_images, n_texts) = (images.size()[0] as usize, texts.size()[0] as usize);
    let mut own: Vec<Vec<usize>> = vec![Vec::new(); n_images];
    image_of_text.iter().enumerate().for_each(|(text, &image)| own[image].push(text));
    let mut best = vec![0; n_images];
    in_chunks(images, texts, |first, rows| {
        let count = |(row, similarities): (usize, &[f32])| rank(similarities, &own[first + row]);
        let found: Vec<usize> = rows.par_chunks(n_texts.max(1)).enumerate().map(count).collect();
        best[first..first + found.len()].copy_from_slice(&found);
    });
    let mut places = vec![0; n_texts];
    in_chunks(texts, images, |first, rows| {
        let count = |(row, similarities): (usize, &[f32])| rank(similarities, &[image_of_text[first + row]]);
        let found: Vec<usize> = rows.par_chunks(n_images.max(1)).enumerate().map(count).collect();
        places[first..first + found.len()].copy_from_slice(&found);
    });
    Ranks { image_to_text: best, text_to_image: places }
}

/// Ranks both ways from a matrix of similarities, row by row `[images, texts]`, in one pass over it.
///
/// # Panics
/// When the matrix has another size, or `image_of_text` names an image that is not there.
pub fn ranks_of_similarities(similarities: &[f32], image_of_text: &[usize], n_images: usize) -> Ranks {
    let n_texts = image_of_text.len();
    assert_eq!(similarities.len(), n_images * n_texts, "one similarity for each image and text");
    let mut own: Vec<Vec<usize>> = vec![Vec::new(); n_images];
    image_of_text.iter().enumerate().for_each(|(text, &image)| own[image].push(text));
    let truth: Vec<f32> =
        image_of_text.iter().enumerate().map(|(text, &image)| similarities[image * n_texts + text]).collect();
    // Blocks of rows, so that each worker counts into columns of its own.
    let block = n_images.div_ceil(rayon::current_num_threads()).max(1);
    let count = |(number, rows): (usize, &[f32])| {
        let mut places = vec![0_u32; n_texts];
        let mut found = Vec::with_capacity(block);
        for (i, row) in rows.chunks_exact(n_texts).enumerate() {
            let image = number * block + i;
            found.push(rank(row, &own[image]));
            for ((place, &value), &truth) in places.iter_mut().zip(row).zip(&truth) {
                *place += u32::from(value > truth);
            }
            // Equal ones stand before the truth when they come earlier; they are rare, and sought only where there are any.
            let ties = row.iter().zip(&truth).filter(|(value, truth)| value == truth).count();
            if ties > own[image].len() {
                for (text, (value, truth)) in row.iter().zip(&truth).enumerate() {
                    places[text] += u32::from(value == truth && image < image_of_text[text]);
                }
            }
        }
        (found, places)
    };
    let parts: Vec<(Vec<usize>, Vec<u32>)> =
        similarities.par_chunks((block * n_texts).max(1)).enumerate().map(count).collect();
    let mut ranks = Ranks { image_to_text: Vec::with_capacity(n_images), text_to_image: vec![1; n_texts] };
    for (found, places) in parts {
        ranks.image_to_text.extend(found);
        ranks.text_to_image.iter_mut().zip(places).for_each(|(rank, place)| *rank += place as usize);
    }
    ranks.image_to_text.resize(n_images, 1);
    ranks
}

/// Calls `each` with the similarities of some queries to all candidates, row by row, and the first query's place.
fn in_chunks(queries: &Tensor, candidates: &Tensor, mut each: impl FnMut(usize, &[f32])) {
    let _guard = tch::no_grad_guard();
    let (n_queries, n_candidates) = (queries.size()[0], candidates.size()[0]);
    let rows = (HELD / n_candidates.max(1)).clamp(1, n_queries.max(1));
    let turned = candidates.tr();
    let mut held = vec![0.0; (rows * n_candidates) as usize];
    let mut first = 0;
    while first < n_queries && n_candidates > 0 {
        let count = rows.min(n_queries - first);
        let product =
            queries.narrow(0, first, count).matmul(&turned).to_kind(Kind::Float).to_device(Device::Cpu);
        let size = (count * n_candidates) as usize;
        product.contiguous().view([count * n_candidates]).copy_data(&mut held[..size], size);
        each(first as usize, &held[..size]);
        first += count;
    }
}

/// Rank of the first of the true candidates; without any, behind all.
fn rank(similarities: &[f32], truth: &[usize]) -> usize {
    let best = truth.iter().copied().reduce(|best, other| {
        let better = similarities[other] > similarities[best];
        if better { other } else { best }
    });
    let Some(best) = best else { return similarities.len() + 1 };
    let value = similarities[best];
    let greater: u32 = similarities.iter().map(|&other| u32::from(other > value)).sum();
    let equal: u32 = similarities[..best].iter().map(|&other| u32::from(other == value)).sum();
    (greater + equal) as usize + 1
}

/// Share of queries whose truth is among the first `k`; `None` without queries.
///
/// ```
/// assert_eq!(long_clip::retrieval::recall_at(&[1, 3, 7], 5), Some(2.0 / 3.0));
/// ```
pub fn recall_at(ranks: &[usize], k: usize) -> Option<f64> {
    let hits = ranks.iter().filter(|&&rank| rank <= k).count();
    (!ranks.is_empty()).then(|| hits as f64 / ranks.len() as f64)
}

/// 95 % percentile interval of [`recall_at`] over `rounds` resamples of groups of queries: an image's captions are drawn
/// together. `groups[i]` is the group of query `i`; groups are numbered from 0 without gaps.
pub fn recall_interval(
    ranks: &[usize],
    groups: &[usize],
    k: usize,
    rounds: usize,
    rng: &mut ChaCha8Rng,
) -> Option<[f64; 2]> {
    let n_groups = groups.iter().max().map_or(0, |last| last + 1);
    let mut counts = vec![(0_u32, 0_u32); n_groups];
    for (&rank, &group) in ranks.iter().zip(groups) {
        counts[group].0 += u32::from(rank <= k);
        counts[group].1 += 1;
    }
    paired_bootstrap(n_groups, rounds, rng, |drawn| {
        let (hits, all) =
            drawn.iter().fold((0, 0), |(hits, all), &group| (hits + counts[group].0, all + counts[group].1));
        f64::from(hits) / f64::from(all.max(1))
    })
}

/// Rows of the normalised mean of normalised prompt features: weights of a zero-shot classifier (Radford et al. 2021,
/// section 3.1.4).
///
/// # Shapes
/// - `prompts`: `[classes · templates, width]`, class by class; result: `[classes, width]`
///
/// # Panics
/// When the rows are no multiple of `templates`.
pub fn classifier(prompts: &Tensor, templates: i64) -> Tensor {
    let width = prompts.size()[1];
    let means = prompts.view([-1, templates, width]).mean_dim([1].as_slice(), false, prompts.kind());
    crate::model::normalised(&means)
}

#[cfg(test)]
mod tests {
    use common::testing::torch_rng;

    use super::*;
    use crate::model::normalised;

    /// By sorting all candidates, stable in their order.
    fn by_sorting(similarities: &[f32], truth: &[usize]) -> usize {
        let mut order: Vec<usize> = (0..similarities.len()).collect();
        order.sort_by(|&a, &b| similarities[b].total_cmp(&similarities[a]));
        order.iter().position(|place| truth.contains(place)).unwrap_or(similarities.len()) + 1
    }

    #[test]
    fn ranks_are_those_of_sorting_also_with_ties_and_many_captions() {
        let _rng = torch_rng(3);
        let draw = |n: i64| {
            // Few different values: ties abound.
            normalised(&Tensor::randint(3, [n, 4], (Kind::Float, Device::Cpu)).g_add_scalar(0.5))
        };
        let (images, texts) = (draw(17), draw(40));
        let image_of_text: Vec<usize> = (0..40).map(|text| text * 7 % 17).collect();
        let found = ranks(&images, &texts, &image_of_text);
        assert_eq!(ranks_in_parts(&images, &texts, &image_of_text), found);
        let matrix = Vec::<Vec<f32>>::try_from(images.matmul(&texts.tr())).unwrap();
        for (image, row) in matrix.iter().enumerate() {
            let own: Vec<usize> = (0..40).filter(|&text| image_of_text[text] == image).collect();
            assert_eq!(found.image_to_text[image], by_sorting(row, &own));
        }
        let turned = Vec::<Vec<f32>>::try_from(texts.matmul(&images.tr())).unwrap();
        for (text, row) in turned.iter().enumerate() {
            assert_eq!(found.text_to_image[text], by_sorting(row, &[image_of_text[text]]));
        }
    }

    #[test]
    fn intervals_hold_the_value_and_are_absent_without_queries() {
        let mut rng = common::seed::rng(1, "bootstrap", 0);
        let ranks: Vec<usize> = (0..100).map(|i| i % 10 + 1).collect();
        let groups: Vec<usize> = (0..100).map(|i| i / 5).collect();
        let [low, high] = recall_interval(&ranks, &groups, 5, 500, &mut rng).unwrap();
        // Twenty groups are hits or misses as a whole: ±1.96 √(0.25 / 20).
        assert!(low <= 0.5 && high >= 0.5 && (high - low - 0.44).abs() < 0.1, "{low} {high}");
        assert_eq!((recall_interval(&[], &[], 5, 500, &mut rng), recall_at(&[], 1)), (None, None));
    }
}
