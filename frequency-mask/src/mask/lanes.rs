//! Sixteen transforms at a time: one value of each in a [`Lane`], which the compiler keeps in one or two vector registers.

use std::f64::consts::TAU;
use std::sync::Arc;

use rustfft::num_complex::Complex32;
use rustfft::{Fft, FftPlanner};

/// Transforms that run side by side.
pub(super) const LANES: usize = 16;

/// One value of each of the transforms.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(64))]
pub(super) struct Lane(pub(super) [f32; LANES]);

impl Lane {
    pub(super) const ZERO: Self = Self([0.0; LANES]);

    // Plain loops: a closure would be compiled without the vector instructions of its caller.
    #[inline(always)]
    pub(super) fn add(mut self, other: Self) -> Self {
        for lane in 0..LANES {
            self.0[lane] += other.0[lane];
        }
        self
    }

    #[inline(always)]
    pub(super) fn sub(mut self, other: Self) -> Self {
        for lane in 0..LANES {
            self.0[lane] -= other.0[lane];
        }
        self
    }

    #[inline(always)]
    pub(super) fn mul(mut self, other: Self) -> Self {
        for lane in 0..LANES {
            self.0[lane] *= other.0[lane];
        }
        self
    }

    #[inline(always)]
    pub(super) fn scale(mut self, factor: f32) -> Self {
        for lane in 0..LANES {
            self.0[lane] *= factor;
        }
        self
    }

    /// `self + factor · other` in one instruction where the processor has it.
    #[inline(always)]
    fn plus(mut self, factor: f32, other: Self) -> Self {
        for lane in 0..LANES {
            self.0[lane] = other.0[lane].mul_add(factor, self.0[lane]);
        }
        self
    }
}

type Pair<const R: usize> = ([Lane; R], [Lane; R]);

/// Values of sixteen complex sequences of equal length, real and imaginary parts apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    pub(super) re: Vec<Lane>,
    pub(super) im: Vec<Lane>,
}

impl Block {
    pub(super) fn zeros(len: usize) -> Self {
        Self { re: vec![Lane::ZERO; len], im: vec![Lane::ZERO; len] }
    }
}

/// A stage that splits blocks of `block` values into `radix` blocks each.
struct Stage {
    radix: usize,
    block: usize,
    /// `radix - 1` factors, real and imaginary, for each place in a block of the next stage.
    twiddles: Vec<[f32; 2]>,
    /// Cosine and sine of the multiples of a whole turn by the radix.
    roots: Vec<[f32; 2]>,
}

enum Method {
    /// Stages in place.
    Stages(Vec<Stage>),
    /// Lengths with a large prime factor, one transform after another.
    Each(Arc<dyn Fft<f32>>),
}

/// The discrete Fourier transform of one length, unscaled, sixteen sequences at a time, in place: a block of 224 stays in the fastest
/// cache. The spectrum stands in the order of the digits turned round, which [`LaneFft::order`] tells.
pub(super) struct LaneFft {
    len: usize,
    method: Method,
    order: Vec<u32>,
}

/// Prime factors up to this have a butterfly.
const RADICES: [usize; 8] = [8, 7, 4, 5, 3, 2, 11, 13];

impl LaneFft {
    pub(super) fn new(len: usize) -> Self {
        let mut rest = len;
        let mut radices = Vec::new();
        for radix in RADICES {
            while rest.is_multiple_of(radix) && rest > 1 {
                radices.push(radix);
                rest /= radix;
            }
        }
        let (method, order) = if rest == 1 {
            (Method::Stages(stages(len, &radices)), (0..len).map(|bin| turned(bin, len, &radices)).collect())
        } else {
            (Method::Each(FftPlanner::new().plan_fft_forward(len)), (0..len as u32).collect())
        };
        Self { len, method, order }
    }

    /// Where each bin of the spectrum stands.
    #[inline(always)]
    pub(super) fn order(&self) -> &[u32] {
        &self.order
    }

    /// Transforms the block in place, `X(k) = Σ x(n) e^(-2πi kn / len)`, X(k) at `order()[k]`.
    #[inline(always)]
    pub(super) fn forward(&self, block: &mut Block) {
        let (re, im) = (&mut block.re[..self.len], &mut block.im[..self.len]);
        match &self.method {
            // A closure would be compiled without the vector instructions of its caller.
            Method::Stages(stages) => {
                for stage in stages {
                    step::<false>(stage, re, im);
                }
            }
            Method::Each(fft) => each(fft.as_ref(), self.len, re, im),
        }
    }

    /// The inverse without its factor `1/len`, of a spectrum in the order of `order()`: the forward one with the parts exchanged and the
    /// stages turned round.
    #[inline(always)]
    pub(super) fn inverse(&self, block: &mut Block) {
        let (re, im) = (&mut block.im[..self.len], &mut block.re[..self.len]);
        match &self.method {
            Method::Stages(stages) => {
                for stage in stages.iter().rev() {
                    step::<true>(stage, re, im);
                }
            }
            Method::Each(fft) => each(fft.as_ref(), self.len, re, im),
        }
    }
}

fn stages(len: usize, radices: &[usize]) -> Vec<Stage> {
    let mut block = len;
    let mut stages = Vec::new();
    for &radix in radices {
        let turn = |part: f64| [(TAU * part).cos() as f32, (TAU * part).sin() as f32];
        let pairs = (0..block / radix).flat_map(|p| (1..radix).map(move |j| p * j));
        let twiddles = pairs.map(|power| turn(-(power as f64) / block as f64)).collect();
        let roots = (0..radix).map(|n| turn(n as f64 / radix as f64)).collect();
        stages.push(Stage { radix, block, twiddles, roots });
        block /= radix;
    }
    stages
}

/// Place of a bin: the last digit of its number to these bases is the first of its place.
fn turned(bin: usize, len: usize, radices: &[usize]) -> u32 {
    let (mut rest, mut block, mut place) = (bin, len, 0);
    for radix in radices {
        block /= radix;
        place += rest % radix * block;
        rest /= radix;
    }
    place as u32
}

fn each(fft: &dyn Fft<f32>, len: usize, re: &mut [Lane], im: &mut [Lane]) {
    let mut line = vec![Complex32::default(); len];
    let mut scratch = vec![Complex32::default(); fft.get_inplace_scratch_len()];
    for lane in 0..LANES {
        for (value, (re, im)) in line.iter_mut().zip(re.iter().zip(im.iter())) {
            *value = Complex32::new(re.0[lane], im.0[lane]);
        }
        fft.process_with_scratch(&mut line, &mut scratch);
        for (value, (re, im)) in line.iter().zip(re.iter_mut().zip(im.iter_mut())) {
            (re.0[lane], im.0[lane]) = (value.re, value.im);
        }
    }
}

/// The transform of a short length. A trait, since a function that is passed on is not compiled into its caller.
trait Butterfly<const R: usize>: Copy {
    fn apply(self, values: Pair<R>, roots: &[[f32; 2]]) -> Pair<R>;
}

#[derive(Clone, Copy)]
struct Two;
#[derive(Clone, Copy)]
struct Four;
#[derive(Clone, Copy)]
struct Eight;
/// Odd lengths: sums and differences of mirrored inputs share their factors.
#[derive(Clone, Copy)]
struct Odd;

#[inline(always)]
fn step<const BACK: bool>(stage: &Stage, re: &mut [Lane], im: &mut [Lane]) {
    match stage.radix {
        2 => radix::<2, BACK>(stage, re, im, Two),
        3 => radix::<3, BACK>(stage, re, im, Odd),
        4 => radix::<4, BACK>(stage, re, im, Four),
        5 => radix::<5, BACK>(stage, re, im, Odd),
        7 => radix::<7, BACK>(stage, re, im, Odd),
        8 => radix::<8, BACK>(stage, re, im, Eight),
        11 => radix::<11, BACK>(stage, re, im, Odd),
        _ => radix::<13, BACK>(stage, re, im, Odd),
    }
}

/// One stage: butterflies, then twiddles; turned round, twiddles come first.
#[inline(always)]
fn radix<const R: usize, const BACK: bool>(
    stage: &Stage,
    re: &mut [Lane],
    im: &mut [Lane],
    butterfly: impl Butterfly<R>,
) {
    let Stage { block, twiddles, .. } = stage;
    let part = block / R;
    for p in 0..part {
        let twiddles = &twiddles[p * (R - 1)..(p + 1) * (R - 1)];
        let mut start = p;
        while start < re.len() {
            let mut values = ([Lane::ZERO; R], [Lane::ZERO; R]);
            (values.0[0], values.1[0]) = (re[start], im[start]);
            for k in 1..R {
                let at = start + k * part;
                (values.0[k], values.1[k]) =
                    if BACK { twisted(re[at], im[at], twiddles[k - 1]) } else { (re[at], im[at]) };
            }
            let (b_re, b_im) = butterfly.apply(values, &stage.roots[..R]);
            (re[start], im[start]) = (b_re[0], b_im[0]);
            for k in 1..R {
                let at = start + k * part;
                (re[at], im[at]) =
                    if BACK { (b_re[k], b_im[k]) } else { twisted(b_re[k], b_im[k], twiddles[k - 1]) };
            }
            start += block;
        }
    }
}

/// A value times its factor.
#[inline(always)]
fn twisted(re: Lane, im: Lane, [c, s]: [f32; 2]) -> (Lane, Lane) {
    (re.scale(c).plus(-s, im), im.scale(c).plus(s, re))
}

impl Butterfly<2> for Two {
    #[inline(always)]
    fn apply(self, (re, im): Pair<2>, _: &[[f32; 2]]) -> Pair<2> {
        ([re[0].add(re[1]), re[0].sub(re[1])], [im[0].add(im[1]), im[0].sub(im[1])])
    }
}

impl Butterfly<4> for Four {
    #[inline(always)]
    fn apply(self, (re, im): Pair<4>, _: &[[f32; 2]]) -> Pair<4> {
        let (a_re, a_im) = (re[0].add(re[2]), im[0].add(im[2]));
        let (b_re, b_im) = (re[0].sub(re[2]), im[0].sub(im[2]));
        let (c_re, c_im) = (re[1].add(re[3]), im[1].add(im[3]));
        let (d_re, d_im) = (re[1].sub(re[3]), im[1].sub(im[3]));
        (
            [a_re.add(c_re), b_re.add(d_im), a_re.sub(c_re), b_re.sub(d_im)],
            [a_im.add(c_im), b_im.sub(d_re), a_im.sub(c_im), b_im.add(d_re)],
        )
    }
}

impl Butterfly<8> for Eight {
    #[inline(always)]
    fn apply(self, (re, im): Pair<8>, roots: &[[f32; 2]]) -> Pair<8> {
        const H: f32 = std::f32::consts::FRAC_1_SQRT_2;
        let (e_re, e_im) = Four.apply(([re[0], re[2], re[4], re[6]], [im[0], im[2], im[4], im[6]]), roots);
        let (o_re, o_im) = Four.apply(([re[1], re[3], re[5], re[7]], [im[1], im[3], im[5], im[7]]), roots);
        let one = (o_re[1].add(o_im[1]).scale(H), o_im[1].sub(o_re[1]).scale(H));
        let three = (o_im[3].sub(o_re[3]).scale(H), o_re[3].add(o_im[3]).scale(-H));
        let turned = [(o_re[0], o_im[0]), one, (o_im[2], o_re[2].scale(-1.0)), three];
        let mut out = ([Lane::ZERO; 8], [Lane::ZERO; 8]);
        for (k, (t_re, t_im)) in turned.into_iter().enumerate() {
            (out.0[k], out.1[k]) = (e_re[k].add(t_re), e_im[k].add(t_im));
            (out.0[k + 4], out.1[k + 4]) = (e_re[k].sub(t_re), e_im[k].sub(t_im));
        }
        out
    }
}

impl<const R: usize> Butterfly<R> for Odd {
    #[inline(always)]
    fn apply(self, (re, im): Pair<R>, roots: &[[f32; 2]]) -> Pair<R> {
        let half = R / 2;
        let mut out = ([Lane::ZERO; R], [Lane::ZERO; R]);
        let (mut sums, mut differences) =
            (([Lane::ZERO; R], [Lane::ZERO; R]), ([Lane::ZERO; R], [Lane::ZERO; R]));
        (out.0[0], out.1[0]) = (re[0], im[0]);
        for n in 1..=half {
            (sums.0[n], sums.1[n]) = (re[n].add(re[R - n]), im[n].add(im[R - n]));
            (differences.0[n], differences.1[n]) = (re[n].sub(re[R - n]), im[n].sub(im[R - n]));
            (out.0[0], out.1[0]) = (out.0[0].add(sums.0[n]), out.1[0].add(sums.1[n]));
        }
        for k in 1..=half {
            let (mut even_re, mut even_im) = (re[0], im[0]);
            let (mut odd_re, mut odd_im) = (Lane::ZERO, Lane::ZERO);
            for n in 1..=half {
                let [cos, sin] = roots[(k * n) % R];
                (even_re, even_im) = (even_re.plus(cos, sums.0[n]), even_im.plus(cos, sums.1[n]));
                (odd_re, odd_im) = (odd_re.plus(sin, differences.1[n]), odd_im.plus(-sin, differences.0[n]));
            }
            (out.0[k], out.1[k]) = (even_re.add(odd_re), even_im.add(odd_im));
            (out.0[R - k], out.1[R - k]) = (even_re.sub(odd_re), even_im.sub(odd_im));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transforms_of_many_lengths_agree_with_the_definition() {
        for len in [1, 2, 3, 5, 7, 8, 11, 12, 13, 17, 30, 56, 64, 77, 107, 224, 225, 256] {
            let mut block = Block::zeros(len);
            for n in 0..len {
                for lane in 0..LANES {
                    block.re[n].0[lane] = ((n * 7 + lane * 3) % 11) as f32 - 5.0;
                    block.im[n].0[lane] = ((n * 5 + lane) % 13) as f32 - 6.0;
                }
            }
            let before = block.clone();
            let fft = LaneFft::new(len);
            fft.forward(&mut block);
            for (k, lane) in [(0, 0), (len / 3, 5), (len - 1, 15)] {
                let (mut re, mut im) = (0.0, 0.0);
                for n in 0..len {
                    let (sin, cos) = (-TAU * ((k * n) % len) as f64 / len as f64).sin_cos();
                    let (a, b) = (f64::from(before.re[n].0[lane]), f64::from(before.im[n].0[lane]));
                    (re, im) = (re + a * cos - b * sin, im + a * sin + b * cos);
                }
                let at = fft.order()[k] as usize;
                let error =
                    (f64::from(block.re[at].0[lane]) - re).hypot(f64::from(block.im[at].0[lane]) - im);
                assert!(error < 2e-5 * len as f64, "length {len}, bin {k}: {error:e}");
            }
            fft.inverse(&mut block);
            for n in 0..len {
                let back = block.re[n].scale(1.0 / len as f32).sub(before.re[n]);
                assert!(back.0.iter().all(|error| error.abs() < 1e-4), "length {len}");
            }
        }
    }
}
