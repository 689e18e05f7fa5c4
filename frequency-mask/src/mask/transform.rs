//! A real, symmetric filter applied to a photograph in the frequency domain, bytes to bytes.
//!
//! The filter is the same for all channels, so interleaved columns of the image are transformed as they lie: sixteen side by
//! side, and two real columns as the parts of one complex one. Of the spectrum only the rows that the filter touches are made:
//! when it touches few, what it removes is computed and subtracted.

use std::sync::Mutex;

use super::Cast;
use super::lanes::{Block, LANES, Lane, LaneFft};
use super::transpose::transposed;

const CHANNELS: usize = 3;

/// The transforms of one image size, with room to work in for as many threads as ask.
pub(super) struct Transform {
    height: usize,
    width: usize,
    columns: LaneFft,
    rows: LaneFft,
    rooms: Mutex<Vec<Room>>,
}

/// A filter: by how much each bin of the upper half of the spectrum is reduced or kept.
pub(super) struct Filter {
    height: usize,
    width: usize,
    /// Rows of the spectrum that are touched, growing; row `height / 2` of an even height goes with row 0.
    touched: Vec<usize>,
    /// Place of a row in `touched`, from the row.
    place: Vec<Option<u32>>,
    /// Weight removed at `[place / 16][column]`, lane `place % 16`.
    removed: Vec<Lane>,
    /// Weight removed in row `height / 2` of an even height.
    nyquist: Vec<f32>,
    /// The only channel that is filtered.
    pub(super) channel: Option<usize>,
}

struct Room {
    column: Block,
    rows: [Block; CHANNELS],
    /// Rows of the spectrum as tiles of 16 touched rows by 16 columns.
    spectrum: Block,
}

impl Filter {
    /// A filter that leaves everything as it is, and may later touch these rows of the upper half.
    pub(super) fn identity(height: usize, width: usize, rows: impl IntoIterator<Item = usize>) -> Self {
        let half = height.div_ceil(2);
        let mut touched: Vec<usize> = rows.into_iter().map(|row| if row >= half { 0 } else { row }).collect();
        touched.sort_unstable();
        touched.dedup();
        let mut place = vec![None; half];
        touched.iter().enumerate().for_each(|(at, &row)| place[row] = Some(at as u32));
        let groups = touched.len().div_ceil(LANES);
        Self {
            height,
            width,
            touched,
            place,
            removed: vec![Lane::ZERO; groups * width],
            nyquist: vec![0.0; width],
            channel: None,
        }
    }

    /// Back to the identity.
    pub(super) fn clear(&mut self) {
        self.removed.fill(Lane::ZERO);
        self.nyquist.fill(0.0);
    }

    /// Reduces a bin by half its height and its mirror image by the other half: what is left of a bin set to zero when only
    /// the real part of the inverse is kept.
    #[inline]
    pub(super) fn remove_half(&mut self, row: usize, column: usize) {
        self.reduce(row, column, 0.5);
        let mirror = |at: usize, size: usize| if at == 0 { 0 } else { size - at };
        self.reduce(mirror(row, self.height), mirror(column, self.width), 0.5);
    }

    #[inline]
    fn reduce(&mut self, row: usize, column: usize, weight: f32) {
        if 2 * row == self.height {
            self.nyquist[column] += weight;
        } else if let Some(Some(place)) = self.place.get(row) {
            let place = *place as usize;
            self.removed[place / LANES * self.width + column].0[place % LANES] += weight;
        }
    }

    /// Weight removed of any bin.
    pub(super) fn removed(&self, row: usize, column: usize) -> f32 {
        if 2 * row == self.height {
            return self.nyquist[column];
        }
        let (row, column) = match row < self.height.div_ceil(2) {
            true => (row, column),
            false => (self.height - row, if column == 0 { 0 } else { self.width - column }),
        };
        self.place[row].map_or(0.0, |place| {
            self.removed[place as usize / LANES * self.width + column].0[place as usize % LANES]
        })
    }

    /// Whether what is removed is computed, not what is kept.
    fn by_difference(&self) -> bool {
        self.touched.len() < self.place.len() || self.channel.is_some()
    }
}

/// One image, compiled once for each set of vector instructions.
struct Work<'a> {
    transform: &'a Transform,
    pixels: &'a [u8],
    filter: &'a Filter,
    cast: Cast,
    tiles: usize,
    room: &'a mut Room,
    out: &'a mut [u8],
}

impl pulp::WithSimd for Work<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self { transform, pixels, filter, cast, tiles, room, out } = self;
        transform.to_spectrum(pixels, filter, tiles, room);
        for group in 0..filter.touched.len().div_ceil(LANES) {
            transform.filter_rows::<S>(filter, group, tiles, room);
        }
        transform.to_pixels(pixels, filter, cast, tiles, room, out);
    }
}

impl Transform {
    pub(super) fn new(height: usize, width: usize) -> Self {
        let (columns, rows) = (LaneFft::new(height), LaneFft::new(width));
        Self { height, width, columns, rows, rooms: Mutex::default() }
    }

    /// Filters `pixels`, `[height, width, 3]`, into `out`.
    pub(super) fn apply(&self, pixels: &[u8], filter: &Filter, cast: Cast, out: &mut [u8]) {
        let mut room =
            self.rooms.lock().ok().and_then(|mut rooms| rooms.pop()).unwrap_or_else(|| self.room());
        let groups = filter.touched.len().div_ceil(LANES);
        let tiles = (self.width * CHANNELS).div_ceil(2 * LANES) * 2;
        room.spectrum.re.resize(groups * tiles * LANES, Lane::ZERO);
        room.spectrum.im.resize(groups * tiles * LANES, Lane::ZERO);
        pulp::Arch::new().dispatch(Work {
            transform: self,
            pixels,
            filter,
            cast,
            tiles,
            room: &mut room,
            out,
        });
        if let Ok(mut rooms) = self.rooms.lock() {
            rooms.push(room);
        }
    }

    fn room(&self) -> Room {
        let row = || Block::zeros(self.width);
        Room { column: Block::zeros(self.height), rows: [row(), row(), row()], spectrum: Block::default() }
    }

    /// Columns of the image, two at a time, to the touched rows of their spectra.
    #[inline(always)]
    fn to_spectrum(&self, pixels: &[u8], filter: &Filter, tiles: usize, room: &mut Room) {
        let (height, stride) = (self.height, self.width * CHANNELS);
        let Room { column, spectrum, .. } = room;
        let order = self.columns.order();
        let middle = order[height / 2] as usize;
        for tile in (0..tiles).step_by(2) {
            let first = tile * LANES;
            for y in 0..height {
                let line = &pixels[y * stride..(y + 1) * stride];
                column.re[y] = bytes(line, first);
                column.im[y] = bytes(line, first + LANES);
            }
            self.columns.forward(column);
            for (place, &row) in filter.touched.iter().enumerate() {
                let (a, b) = place_of(place, tile, tiles);
                let (parts_a, parts_b) = match row {
                    0 if height.is_multiple_of(2) => {
                        ((column.re[0], column.re[middle]), (column.im[0], column.im[middle]))
                    }
                    0 => ((column.re[0], Lane::ZERO), (column.im[0], Lane::ZERO)),
                    row => untangle(column, order[row] as usize, order[height - row] as usize),
                };
                (spectrum.re[a], spectrum.im[a]) = parts_a;
                (spectrum.re[b], spectrum.im[b]) = parts_b;
            }
        }
    }

    /// Sixteen rows of the spectrum: along them, times the filter, and back.
    #[inline(always)]
    fn filter_rows<S: pulp::Simd>(&self, filter: &Filter, group: usize, tiles: usize, room: &mut Room) {
        let Room { rows, spectrum, .. } = room;
        let order = self.rows.order();
        let width = self.width;
        let base = group * tiles * LANES;
        for tile in 0..tiles {
            let at = base + tile * LANES;
            let re = transposed::<S>(&spectrum.re[at..at + LANES]);
            let im = transposed::<S>(&spectrum.im[at..at + LANES]);
            for lane in 0..LANES.min((width * CHANNELS).saturating_sub(tile * LANES)) {
                let index = tile * LANES + lane;
                let (x, channel) = (index / CHANNELS, index % CHANNELS);
                (rows[channel].re[x], rows[channel].im[x]) = (re[lane], im[lane]);
            }
        }
        let removed = &filter.removed[group * width..(group + 1) * width];
        let difference = filter.by_difference();
        for (channel, row) in rows.iter_mut().enumerate() {
            if filter.channel.is_some_and(|only| only != channel) {
                row.re.fill(Lane::ZERO);
                row.im.fill(Lane::ZERO);
                continue;
            }
            self.rows.forward(row);
            let first = (group == 0 && filter.touched.first() == Some(&0)).then(|| packed_lane(row, order));
            let one = Lane([1.0; LANES]);
            for (removed, &at) in removed.iter().zip(order) {
                let weight = if difference { *removed } else { one.sub(*removed) };
                let at = at as usize;
                row.re[at] = row.re[at].mul(weight);
                row.im[at] = row.im[at].mul(weight);
            }
            if let Some(values) = first {
                filter_packed((row, order), &values, removed, &filter.nyquist, difference);
            }
            self.rows.inverse(row);
        }
        for tile in 0..tiles {
            let (mut re, mut im) = ([Lane::ZERO; LANES], [Lane::ZERO; LANES]);
            for lane in 0..LANES.min((width * CHANNELS).saturating_sub(tile * LANES)) {
                let index = tile * LANES + lane;
                let (x, channel) = (index / CHANNELS, index % CHANNELS);
                (re[lane], im[lane]) = (rows[channel].re[x], rows[channel].im[x]);
            }
            let at = base + tile * LANES;
            spectrum.re[at..at + LANES].copy_from_slice(&transposed::<S>(&re));
            spectrum.im[at..at + LANES].copy_from_slice(&transposed::<S>(&im));
        }
    }

    /// Columns back to bytes.
    #[inline(always)]
    fn to_pixels(
        &self,
        pixels: &[u8],
        filter: &Filter,
        cast: Cast,
        tiles: usize,
        room: &mut Room,
        out: &mut [u8],
    ) {
        let (height, stride) = (self.height, self.width * CHANNELS);
        let Room { column, spectrum, .. } = room;
        let order = self.columns.order();
        let middle = order[height / 2] as usize;
        let difference = filter.by_difference();
        let scale = 1.0 / (self.height * self.width) as f32;
        for tile in (0..tiles).step_by(2) {
            if difference {
                column.re.fill(Lane::ZERO);
                column.im.fill(Lane::ZERO);
            }
            for (place, &row) in filter.touched.iter().enumerate() {
                let (a, b) = place_of(place, tile, tiles);
                let (a, b) = ((spectrum.re[a], spectrum.im[a]), (spectrum.re[b], spectrum.im[b]));
                if row == 0 {
                    (column.re[0], column.im[0]) = (a.0, b.0);
                    if height.is_multiple_of(2) {
                        (column.re[middle], column.im[middle]) = (a.1, b.1);
                    }
                } else {
                    let (row, mirror) = (order[row] as usize, order[height - row] as usize);
                    (column.re[row], column.im[row]) = (a.0.sub(b.1), a.1.add(b.0));
                    (column.re[mirror], column.im[mirror]) = (a.0.add(b.1), b.0.sub(a.1));
                }
            }
            self.columns.inverse(column);
            let first = tile * LANES;
            for y in 0..height {
                let (line, to) =
                    (&pixels[y * stride..(y + 1) * stride], &mut out[y * stride..(y + 1) * stride]);
                write(cast, difference, column.re[y].scale(scale), line, to, first);
                write(cast, difference, column.im[y].scale(scale), line, to, first + LANES);
            }
        }
    }
}

/// Places of a touched row's columns in tile `tile` and the next.
#[inline(always)]
fn place_of(place: usize, tile: usize, tiles: usize) -> (usize, usize) {
    let a = (place / LANES * tiles + tile) * LANES + place % LANES;
    (a, a + LANES)
}

/// Spectra of two real columns at a row, from that of the one whose parts they are; places of the row and of its mirror image.
#[inline(always)]
fn untangle(column: &Block, row: usize, mirror: usize) -> ((Lane, Lane), (Lane, Lane)) {
    let (z_re, z_im) = (column.re[row], column.im[row]);
    let (m_re, m_im) = (column.re[mirror], column.im[mirror]);
    let a = (z_re.add(m_re).scale(0.5), z_im.sub(m_im).scale(0.5));
    let b = (z_im.add(m_im).scale(0.5), m_re.sub(z_re).scale(0.5));
    (a, b)
}

/// Lane 0 of a row: the spectra of row 0 and of row `height / 2`, both of real columns, as the parts of one.
#[inline(always)]
fn packed_lane(row: &Block, order: &[u32]) -> Vec<[f32; 2]> {
    order.iter().map(|&at| [row.re[at as usize].0[0], row.im[at as usize].0[0]]).collect()
}

/// Filters both spectra in lane 0: with `P = X + iY`, `X = (P(u) + P*(-u)) / 2` and `iY = (P(u) - P*(-u)) / 2`.
#[inline(always)]
fn filter_packed(
    (row, order): (&mut Block, &[u32]),
    values: &[[f32; 2]],
    removed: &[Lane],
    nyquist: &[f32],
    difference: bool,
) {
    let kept = |removed: f32| if difference { removed } else { 1.0 - removed };
    for column in 0..values.len() {
        let [re, im] = values[column];
        let [m_re, m_im] = values[if column == 0 { 0 } else { values.len() - column }];
        let (x, y) = (kept(removed[column].0[0]), kept(nyquist[column]));
        let (sum, rest) = (0.5 * (x + y), 0.5 * (x - y));
        let at = order[column] as usize;
        row.re[at].0[0] = sum * re + rest * m_re;
        row.im[at].0[0] = sum * im - rest * m_im;
    }
}

/// Sixteen bytes from `first` as numbers, zeros behind the end.
#[expect(
    clippy::needless_range_loop,
    reason = "plain loops over a fixed number of lanes become vector instructions"
)]
#[inline(always)]
fn bytes(line: &[u8], first: usize) -> Lane {
    let mut lane = Lane::ZERO;
    if let Some(sixteen) = line.get(first..first + LANES) {
        for k in 0..LANES {
            lane.0[k] = f32::from(sixteen[k]);
        }
    } else {
        line.iter().skip(first).zip(&mut lane.0).for_each(|(byte, value)| *value = f32::from(*byte));
    }
    lane
}

#[expect(
    clippy::needless_range_loop,
    reason = "plain loops over a fixed number of lanes become vector instructions"
)]
#[inline(always)]
fn write(cast: Cast, difference: bool, filtered: Lane, line: &[u8], out: &mut [u8], first: usize) {
    let value = if difference { bytes(line, first).sub(filtered) } else { filtered };
    let mut cut = [0_u8; LANES];
    match cast {
        Cast::Wrap => {
            for k in 0..LANES {
                cut[k] = whole(value.0[k]) as u8;
            }
        }
        Cast::Clamp => {
            for k in 0..LANES {
                cut[k] = whole((value.0[k] + 0.5).clamp(0.0, 255.0)) as u8;
            }
        }
        Cast::WrapOnly => {
            let before = bytes(line, first);
            for k in 0..LANES {
                let inside = (value.0[k] > -1.0) & (value.0[k] < 256.0);
                cut[k] = whole(if inside { before.0[k] } else { value.0[k] }) as u8;
            }
        }
    }
    if let Some(sixteen) = out.get_mut(first..first + LANES) {
        sixteen.copy_from_slice(&cut);
    } else {
        out.iter_mut().skip(first).zip(cut).for_each(|(byte, value)| *byte = value);
    }
}

/// The number without its fraction. What is not a number, and what is too large by far for a pixel, would need a check of each lane on
/// its own, and is made finite instead.
#[inline(always)]
fn whole(value: f32) -> i32 {
    const MOST: f32 = 1e9;
    #[expect(clippy::manual_clamp, reason = "`clamp` leaves what is not a number")]
    let finite = value.max(-MOST).min(MOST);
    #[expect(unsafe_code, reason = "a conversion without checks is one instruction for all lanes")]
    // SAFETY: not a NaN, for `max` takes the other number then, and far inside of an i32.
    unsafe {
        finite.to_int_unchecked()
    }
}
