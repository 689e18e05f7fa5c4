//! The search: a sliding window over scale, shape and place, refinement of what scores, and thinning out.

use rayon::prelude::*;

use super::Config;
use super::score::{Candidate, Scorer, Tables};
use super::sort::sort_descending;

/// Windows that a thread takes at a time.
const CHUNK: usize = 2048;
/// Classes of box sizes for thinning out.
const SIZES: i32 = 10_000;

/// Windows that score, refined, best first.
pub(super) fn all(tables: &Tables<'_>, config: &Config) -> Vec<Candidate> {
    let mut windows = windows(tables, config);
    windows.par_chunks_mut(CHUNK).for_each_init(
        || Scorer::new(tables),
        |scorer, windows| {
            for window in windows {
                *window = scorer.score(*window, 0.0);
                if window.score > 0.0 {
                    *window = refined(scorer, *window, step_ratio(config));
                }
            }
        },
    );
    let n_scoring = windows.iter().filter(|window| window.score > 0.0).count();
    let mut order: Vec<(f32, u32)> =
        windows.iter().enumerate().map(|(place, window)| (window.score, place as u32)).collect();
    sort_descending(&mut order, |&(score, _)| score);
    order.truncate(n_scoring);
    order.into_iter().map(|(_, place)| windows[place as usize]).collect()
}

/// Step of the window as a share of its size, so that neighbours overlap by α.
fn step_ratio(config: &Config) -> f32 {
    (1.0 - config.alpha) / (1.0 + config.alpha)
}

fn windows(tables: &Tables<'_>, config: &Config) -> Vec<Candidate> {
    let alpha = config.alpha;
    let scale_step = (1.0 / alpha).sqrt();
    let shape_step = (1.0 + alpha) / (2.0 * alpha);
    let step_ratio = step_ratio(config);
    let smallest = config.min_box_area.sqrt();
    let shapes = (config.max_aspect_ratio.ln() / (shape_step * shape_step).ln()) as i32;
    let longest = tables.width.max(tables.height) as f32;
    let scales = ((longest / smallest).ln() / scale_step.ln()).ceil() as i32;
    let [width, height] = [tables.width as i32, tables.height as i32];
    let mut windows = Vec::new();
    for scale in 0..scales {
        for shape in -shapes..=shapes {
            let shape = shape_step.powf(shape as f32);
            let size = smallest * scale_step.powf(scale as f32);
            let [h, w] = [size / shape, size * shape].map(|side| side as i32);
            let [step_y, step_x] = [h, w].map(|side| ((side as f32 * step_ratio) as i32).max(2));
            let mut x = 0;
            while x < width - w + step_x {
                let mut y = 0;
                while y < height - h + step_y {
                    windows.push(Candidate { x, y, w, h, score: 0.0 });
                    y += step_y;
                }
                x += step_x;
            }
        }
    }
    windows
}

/// Moves one side after the other by halving steps, as long as the score grows.
fn refined(scorer: &mut Scorer<'_>, mut best: Candidate, step_ratio: f32) -> Candidate {
    let [mut step_y, mut step_x] = [best.h, best.w].map(|side| (side as f32 * step_ratio) as i32);
    loop {
        step_y /= 2;
        step_x /= 2;
        if step_y <= 2 && step_x <= 2 {
            return best;
        }
        step_y = step_y.max(1);
        step_x = step_x.max(1);
        let outward =
            [[0, -step_y, 0, step_y], [0, 0, 0, step_y], [-step_x, 0, step_x, 0], [0, 0, step_x, 0]];
        for [x, y, w, h] in outward {
            let moved = |sign: i32| Candidate {
                x: best.x + sign * x,
                y: best.y + sign * y,
                w: best.w + sign * w,
                h: best.h + sign * h,
                score: 0.0,
            };
            let mut found = scorer.score(moved(1), best.score);
            if found.score <= best.score {
                found = scorer.score(moved(-1), best.score);
            }
            if found.score > best.score {
                best = found;
            }
        }
    }
}

/// Drops boxes that overlap a better one by more than β, best first, at most `max_boxes`. Boxes are compared with those of like
/// size only: others cannot overlap that much.
pub(super) fn thin_out(mut found: Vec<Candidate>, config: &Config) -> Vec<Candidate> {
    sort_descending(&mut found, |candidate| candidate.score);
    let mut beta = config.beta;
    if beta > 0.99 {
        return found;
    }
    let size_step = (1.0 / beta).ln();
    let mut kept: Vec<Vec<Candidate>> = vec![Vec::new(); SIZES as usize + 1];
    let (mut count, mut reach) = (0, 1);
    for candidate in found {
        if count >= config.max_boxes {
            break;
        }
        let area = (candidate.w * candidate.h) as f32;
        let size = ((area.ln() / size_step).ceil() as i32).clamp(reach, SIZES - reach);
        let mut like = kept[(size - reach) as usize..=(size + reach) as usize].iter().flatten();
        if like.any(|other| overlap(&candidate, other) > beta) {
            continue;
        }
        kept[size as usize].push(candidate);
        count += 1;
        if config.eta < 1.0 && beta > 0.5 {
            beta *= config.eta;
            reach = ((1.0 / beta).ln() / size_step).ceil() as i32;
        }
    }
    let mut kept: Vec<Candidate> = kept.into_iter().flatten().collect();
    sort_descending(&mut kept, |candidate| candidate.score);
    kept
}

/// Intersection over union in f32.
fn overlap(a: &Candidate, b: &Candidate) -> f32 {
    let w = (a.x + a.w).min(b.x + b.w) - a.x.max(b.x);
    let h = (a.y + a.h).min(b.y + b.h) - a.y.max(b.y);
    let shared = w.max(0) as f32 * h.max(0) as f32;
    shared / (a.w as f32 * a.h as f32 + b.w as f32 * b.h as f32 - shared)
}
