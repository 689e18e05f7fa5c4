//! The score of a box: strength of the segments inside it, less those that a path of affinities joins to its border.

use super::Config;
use super::segments::Segments;
use crate::edges::EdgeMap;

/// A box in whole pixels with its score.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Candidate {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) w: i32,
    pub(super) h: i32,
    pub(super) score: f32,
}

/// What scoring looks up. Images are held by columns.
#[derive(Debug)]
pub(super) struct Tables<'a> {
    pub(super) width: usize,
    pub(super) height: usize,
    segments: &'a Segments,
    /// Sums of segment strengths, each at its segment's last pixel, over all pixels before.
    whole: Vec<f32>,
    /// Sums of edge strengths over all pixels before.
    edges: Vec<f32>,
    rows: Lines,
    columns: Lines,
    /// `(1 / n)^κ`.
    norms: Vec<f32>,
    min_score: f32,
}

/// Segments along each row or column: runs of pixels of one segment.
#[derive(Debug)]
struct Lines {
    length: usize,
    runs: Vec<u32>,
    /// Place in `runs` of the first run that ends at this pixel or later.
    first: Vec<u32>,
    /// One past the last run that starts at this pixel or before.
    end: Vec<u32>,
}

impl Lines {
    /// Runs of `n` lines of `length` pixels.
    fn new(n: usize, length: usize, id: impl Fn(usize, usize) -> i32) -> Self {
        let mut lines = Self {
            length,
            runs: Vec::new(),
            first: Vec::with_capacity(n * length),
            end: Vec::with_capacity(n * length),
        };
        for line in 0..n {
            let mut current = 0;
            for place in 0..length {
                let id = id(line, place);
                if id != current && id > 0 {
                    lines.runs.push(id as u32);
                }
                let end = lines.runs.len() as u32;
                lines.first.push(end - u32::from(id > 0));
                lines.end.push(end);
                current = id;
            }
        }
        lines
    }

    /// Segments of a line between two of its pixels, both included.
    fn between(&self, line: i32, from: i32, to: i32) -> &[u32] {
        let at = |place: i32| line as usize * self.length + place as usize;
        let (from, to) = (self.first[at(from)] as usize, self.end[at(to)] as usize);
        &self.runs[from..to.max(from)]
    }
}

impl<'a> Tables<'a> {
    pub(super) fn new(edges: &EdgeMap, segments: &'a Segments, config: &Config) -> Self {
        let (width, height) = (segments.width, segments.height);
        let mut at_last = vec![0.0; width * height];
        for (&[x, y], &strength) in segments.last.iter().zip(&segments.strength) {
            if strength > 0.0 {
                at_last[usize::from(x) * height + usize::from(y)] = strength;
            }
        }
        let strong = |x: usize, y: usize| {
            let strength = edges.strength()[y * width + x];
            if strength > config.edge_min_mag { strength } else { 0.0 }
        };
        let id = |x: usize, y: usize| segments.ids[x * height + y];
        Self {
            width,
            height,
            segments,
            whole: sums(width, height, |x, y| at_last[x * height + y]),
            edges: sums(width, height, strong),
            rows: Lines::new(height, width, |y, x| id(x, y)),
            columns: Lines::new(width, height, id),
            norms: (0..=width + height).map(|n| norm(n, config.kappa)).collect(),
            min_score: config.min_score,
        }
    }

    fn sum(&self, table: &[f32], [x0, y0, x1, y1]: [i32; 4]) -> f32 {
        let at = |x: i32, y: i32| table[x as usize * (self.height + 1) + y as usize];
        at(x0, y0) + at(x1 + 1, y1 + 1) - at(x1 + 1, y0) - at(x0, y1 + 1)
    }
}

/// A box without any size has no score.
fn norm(n: usize, kappa: f32) -> f32 {
    if n == 0 { 0.0 } else { (1.0 / n as f32).powf(kappa) }
}

/// Sums over all pixels above and to the left, `[width + 1, height + 1]` by columns; the first row and column count as 0.
fn sums(width: usize, height: usize, value: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    let stride = height + 1;
    let mut sums = vec![0.0_f32; (width + 1) * stride];
    for x in 1..width {
        for y in 1..height {
            let (above, here) = (x * stride + y, (x + 1) * stride + y);
            sums[here + 1] = value(x, y) + sums[above + 1] + sums[here] - sums[above];
        }
    }
    sums
}

/// Scores boxes of one image, one after the other.
#[derive(Debug)]
pub(super) struct Scorer<'a> {
    tables: &'a Tables<'a>,
    /// Of each segment: the box for which it was last found, and its place in `found`.
    marks: Vec<(u32, u32)>,
    found: Vec<(u32, f32)>,
    box_number: u32,
}

impl<'a> Scorer<'a> {
    pub(super) fn new(tables: &'a Tables<'a>) -> Self {
        Self { tables, marks: vec![(0, 0); tables.segments.count()], found: Vec::new(), box_number: 0 }
    }

    /// The box, clipped into the image, with its score: 0 below the minimum, and 0 where the score is certainly not above `best`.
    ///
    /// All that is subtracted is positive, so the sum only falls: as soon as it is too low the box is given up.
    pub(super) fn score(&mut self, candidate: Candidate, best: f32) -> Candidate {
        let tables = self.tables;
        let [right, bottom] = [tables.width as i32 - 1, tables.height as i32 - 1];
        let (x0, y0) = (candidate.x.clamp(0, right), candidate.y.clamp(0, bottom));
        let x1 = (candidate.x + candidate.w).clamp(0, right);
        let y1 = (candidate.y + candidate.h).clamp(0, bottom);
        let mut clipped = Candidate { x: x0, y: y0, w: x1 - x0, h: y1 - y0, score: 0.0 };
        if clipped.w < 0 || clipped.h < 0 {
            return clipped;
        }
        let (half_w, half_h) = (clipped.w / 2, clipped.h / 2);
        let (inner_x, inner_y) = (x0 + half_w / 2, y0 + half_h / 2);
        let inner = [inner_x, inner_y, inner_x + half_w, inner_y + half_h];
        let sum = tables.sum(&tables.whole, [x0, y0, x1, y1]) - tables.sum(&tables.edges, inner);
        let norm = tables.norms[(half_w + half_h) as usize];
        let hopeless = |sum: f32| {
            let score = sum * norm;
            score < tables.min_score || score <= best
        };
        if hopeless(sum) {
            return clipped;
        }
        self.border([x0, y0, x1, y1]);
        let Some(rest) = self.without_found(sum, 0, [x0, y0, x1, y1], hopeless) else { return clipped };
        let on_border = self.found.len();
        self.follow([x0, y0, x1, y1]);
        if let Some(rest) = self.without_found(rest, on_border, [x0, y0, x1, y1], hopeless) {
            clipped.score = rest * norm;
        }
        clipped
    }

    /// Finds the segments that cross the border, with weight 1.
    fn border(&mut self, [x0, y0, x1, y1]: [i32; 4]) {
        let Self { tables, marks, found, box_number } = self;
        *box_number += 1;
        found.clear();
        let sides = [
            tables.rows.between(y0, x0, x1),
            tables.rows.between(y1, x0, x1),
            tables.columns.between(x0, y0, y1),
            tables.columns.between(x1, y0, y1),
        ];
        for &id in sides.into_iter().flatten() {
            let mark = &mut marks[id as usize];
            if mark.0 != *box_number {
                *mark = (*box_number, found.len() as u32);
                found.push((id, 1.0));
            }
        }
    }

    /// Follows affinities from the border into the box; a segment's weight is the greatest product along a path to it.
    fn follow(&mut self, bounds: [i32; 4]) {
        let Self { tables, marks, found, box_number } = self;
        let segments = tables.segments;
        let mut at = 0;
        while at < found.len() {
            let (id, weight) = found[at];
            let [from, to] = [0, 1].map(|next| segments.starts[id as usize + next] as usize);
            let mut next = at + 1;
            for &(neighbour, affinity) in &segments.affinities[from..to] {
                let reached = weight * affinity;
                if reached < 0.05 {
                    continue;
                }
                let mark = &mut marks[neighbour as usize];
                if mark.0 == *box_number {
                    let known = &mut found[mark.1 as usize].1;
                    if reached > *known {
                        *known = reached;
                        next = next.min(mark.1 as usize);
                    }
                } else if inside(segments.last[neighbour as usize], bounds) {
                    *mark = (*box_number, found.len() as u32);
                    found.push((neighbour, reached));
                }
            }
            at = next;
        }
    }

    /// The sum less the weighted strengths of what was found from place `from` on and lies in the box; `None` once it is hopeless.
    fn without_found(
        &self,
        mut sum: f32,
        from: usize,
        bounds: [i32; 4],
        hopeless: impl Fn(f32) -> bool,
    ) -> Option<f32> {
        let segments = self.tables.segments;
        for &(id, weight) in &self.found[from..] {
            if inside(segments.last[id as usize], bounds) {
                sum -= weight * segments.strength[id as usize];
            }
        }
        (!hopeless(sum)).then_some(sum)
    }
}

fn inside([x, y]: [u16; 2], [x0, y0, x1, y1]: [i32; 4]) -> bool {
    let (x, y) = (i32::from(x), i32::from(y));
    x >= x0 && x <= x1 && y >= y0 && y <= y1
}
