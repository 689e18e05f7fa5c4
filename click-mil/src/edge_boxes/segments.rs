//! Segments: edge pixels grouped into pieces of contour, and how well two pieces continue each other.
//!
//! Images are held by columns (`x * height + y`), the order in which sums are taken.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::f32::consts::PI;

use super::Config;
use crate::edges::EdgeMap;

/// Affinities below this are never followed: a path of that weight counts as none. OpenCV and the authors' program.
const WEAKEST: f32 = 0.05;
/// Segments that come within so many pixels of each other are neighbours. Authors: 2.
const NEAR: usize = 2;
/// A pixel that is no edge.
const NONE: i32 = -1;
/// An edge pixel without a segment yet.
const FREE: i32 = 0;

/// Groups of edge pixels, numbered from 1; number 0 stands for none.
#[derive(Debug)]
pub(super) struct Segments {
    /// Width of the image.
    pub(super) width: usize,
    /// Height of the image.
    pub(super) height: usize,
    /// Segment of each pixel by columns, 0 or less for none.
    pub(super) ids: Vec<i32>,
    /// Summed strength of each.
    pub(super) strength: Vec<f32>,
    /// Last pixel of each in the order of columns: where the segment counts as a whole.
    pub(super) last: Vec<[u16; 2]>,
    /// Neighbours of segment `s` are `affinities[starts[s]..starts[s + 1]]`: number and affinity.
    pub(super) starts: Vec<u32>,
    /// See `starts`.
    pub(super) affinities: Vec<(u32, f32)>,
}

/// Difference of two orientations in half circles, 0 to 0.5.
fn turn(one: f32, two: f32) -> f32 {
    let turn = (one - two).abs() / PI;
    if turn > 0.5 { 1.0 - turn } else { turn }
}

/// Edges by columns.
struct Columns {
    width: usize,
    height: usize,
    strength: Vec<f32>,
    orientation: Vec<f32>,
}

impl Columns {
    fn of(edges: &EdgeMap) -> Self {
        let (width, height) = (edges.width(), edges.height());
        let by_columns = |rows: &[f32]| {
            let mut columns = Vec::with_capacity(rows.len());
            for x in 0..width {
                columns.extend((0..height).map(|y| rows[y * width + x]));
            }
            columns
        };
        let [strength, orientation] = [edges.strength(), edges.orientation()].map(by_columns);
        Self { width, height, strength, orientation }
    }

    /// Places of the pixels that can be edges, in order: all but the outermost.
    fn inner(&self) -> impl Iterator<Item = usize> + '_ {
        (1..self.width - 1).flat_map(move |x| (1..self.height - 1).map(move |y| x * self.height + y))
    }

    /// The eight neighbours of an inner pixel and the pixel itself, in order.
    fn around(&self, place: usize) -> [usize; 9] {
        let h = self.height;
        let [before, after] = [place - h, place + h];
        [before - 1, before, before + 1, place - 1, place, place + 1, after - 1, after, after + 1]
    }
}

impl Segments {
    /// Segments of edges of at least 3 pixels on each side.
    pub(super) fn new(edges: &EdgeMap, config: &Config) -> Self {
        let columns = Columns::of(edges);
        let mut ids = grow(&columns, config);
        dissolve_weak(&columns, &mut ids, config.cluster_min_mag);
        let n = number_anew(&columns, &mut ids);
        let mut segments = Self {
            width: columns.width,
            height: columns.height,
            ids,
            strength: vec![0.0; n],
            last: vec![[0; 2]; n],
            starts: Vec::new(),
            affinities: Vec::new(),
        };
        let shapes = segments.measure(&columns);
        segments.connect(&shapes, config.gamma);
        segments
    }

    /// Number of segments, the empty one with number 0 among them.
    pub(super) fn count(&self) -> usize {
        self.strength.len()
    }

    /// Fills strengths and last pixels; returns mean position and orientation of each segment.
    fn measure(&mut self, columns: &Columns) -> Vec<Shape> {
        let mut sums = vec![[0.0_f32; 4]; self.count()];
        for place in columns.inner() {
            let Ok(id @ 1..) = usize::try_from(self.ids[place]) else { continue };
            let (x, y) = (place / columns.height, place % columns.height);
            let (strength, orientation) = (columns.strength[place], columns.orientation[place]);
            self.strength[id] += strength;
            self.last[id] = [x as u16, y as u16];
            let sum = &mut sums[id];
            sum[0] += strength * (2.0 * orientation).cos();
            sum[1] += strength * (2.0 * orientation).sin();
            sum[2] += strength * x as f32;
            sum[3] += strength * y as f32;
        }
        let shape = |(sum, &strength): ([f32; 4], &f32)| {
            let [cos, sin, x, y] = if strength > 0.0 { sum.map(|sum| sum / strength) } else { sum };
            Shape { x, y, orientation: sin.atan2(cos) / 2.0 }
        };
        sums.into_iter().zip(&self.strength).map(shape).collect()
    }

    /// Finds neighbours and their affinities, `|cos(θ_i − θ_ij) cos(θ_j − θ_ij)|^γ` with θ_ij the normal of the line between the
    /// mean positions.
    fn connect(&mut self, shapes: &[Shape], gamma: f32) {
        let mut neighbours: Vec<Vec<(u32, f32)>> = vec![Vec::new(); self.count()];
        let (width, height) = (self.width, self.height);
        for x in NEAR..width.saturating_sub(NEAR) {
            for y in NEAR..height.saturating_sub(NEAR) {
                let one = self.ids[x * height + y];
                if one <= FREE {
                    continue;
                }
                for near in x - NEAR..=x + NEAR {
                    let stretch = &self.ids[near * height + y - NEAR..=near * height + y + NEAR];
                    for &two in stretch {
                        let known = |list: &[(u32, f32)]| list.iter().any(|&(id, _)| id == two as u32);
                        if two <= one || known(&neighbours[one as usize]) {
                            continue;
                        }
                        let affinity = shapes[one as usize].affinity(&shapes[two as usize], gamma);
                        neighbours[one as usize].push((two as u32, affinity));
                        neighbours[two as usize].push((one as u32, affinity));
                    }
                }
            }
        }
        for list in &neighbours {
            self.starts.push(self.affinities.len() as u32);
            self.affinities.extend(list.iter().filter(|&&(_, affinity)| affinity >= WEAKEST));
        }
        self.starts.push(self.affinities.len() as u32);
    }
}

/// Mean position and orientation of a segment.
struct Shape {
    x: f32,
    y: f32,
    orientation: f32,
}

impl Shape {
    fn affinity(&self, other: &Self, gamma: f32) -> f32 {
        let normal = (self.y - other.y).atan2(self.x - other.x) + PI / 2.0;
        ((self.orientation - normal).cos() * (other.orientation - normal).cos()).abs().powf(gamma)
    }
}

/// From each free pixel on, steps to the queued neighbour that turns least, until the turns add up to the threshold.
fn grow(columns: &Columns, config: &Config) -> Vec<i32> {
    let mut ids = vec![NONE; columns.strength.len()];
    for place in columns.inner() {
        if columns.strength[place] > config.edge_min_mag {
            ids[place] = FREE;
        }
    }
    let mut queued = vec![0; ids.len()];
    let mut queue: BinaryHeap<Reverse<(u32, u32)>> = BinaryHeap::new();
    let mut places = Vec::new();
    let mut segment = 0;
    for start in columns.inner() {
        if ids[start] != FREE {
            continue;
        }
        segment += 1;
        queue.clear();
        places.clear();
        let (mut place, mut turned) = (start, 0.0);
        while turned < config.edge_merge_thr {
            ids[place] = segment;
            for near in columns.around(place) {
                if ids[near] != FREE || queued[near] == segment {
                    continue;
                }
                queued[near] = segment;
                let turn = turn(columns.orientation[near], columns.orientation[place]);
                // Bits of numbers that are not negative are ordered as they are; of equal turns the first queued comes first.
                queue.push(Reverse((turn.to_bits(), places.len() as u32)));
                places.push(near);
            }
            let Some(Reverse((turn, next))) = queue.pop() else { break };
            turned += f32::from_bits(turn);
            place = places[next as usize];
        }
    }
    ids
}

/// Gives the pixels of segments up to `weakest` to the neighbour that turns least, again and again until none has one.
fn dissolve_weak(columns: &Columns, ids: &mut [i32], weakest: f32) {
    let n = ids.iter().copied().max().unwrap_or(0).max(0) as usize + 1;
    let mut strength = vec![0.0_f32; n];
    for place in columns.inner() {
        if ids[place] > FREE {
            strength[ids[place] as usize] += columns.strength[place];
        }
    }
    let mut free = Vec::new();
    for place in columns.inner() {
        if ids[place] > FREE && strength[ids[place] as usize] <= weakest {
            ids[place] = FREE;
        }
        if ids[place] == FREE {
            free.push(place);
        }
    }
    loop {
        let before = free.len();
        free.retain(|&place| {
            let mut best = (1000.0, FREE);
            for near in columns.around(place) {
                if ids[near] > FREE {
                    let turn = turn(columns.orientation[near], columns.orientation[place]);
                    if turn < best.0 {
                        best = (turn, ids[near]);
                    }
                }
            }
            ids[place] = best.1;
            best.1 == FREE
        });
        if free.len() == before {
            return;
        }
    }
}

/// Numbers the segments that have strength from 1 on in their order; returns how many numbers there are with 0.
fn number_anew(columns: &Columns, ids: &mut [i32]) -> usize {
    let n = ids.iter().copied().max().unwrap_or(0).max(0) as usize + 1;
    let mut strength = vec![0.0_f32; n];
    for place in columns.inner() {
        if ids[place] > FREE {
            strength[ids[place] as usize] += columns.strength[place];
        }
    }
    let mut count = 1;
    let mut number = |&strength: &f32| {
        let number = if strength > 0.0 { count } else { FREE };
        count += i32::from(strength > 0.0);
        number
    };
    let numbers: Vec<i32> = strength.iter().map(&mut number).collect();
    for place in columns.inner() {
        if ids[place] > FREE {
            ids[place] = numbers[ids[place] as usize];
        }
    }
    count as usize
}
