//! libjpeg's integer colour conversion (`jdcolor.c`).

use super::super::dispatch::multiversion;

/// 1.402, 1.772, 0.71414 and 0.34414 with 16 bits behind the point.
const RED: i32 = 91_881;
const BLUE: i32 = 116_130;
const GREEN_RED: i32 = 46_802;
const GREEN_BLUE: i32 = 22_554;
const HALF: i32 = 1 << 15;

#[inline(always)]
fn rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let red = y + ((RED * cr + HALF) >> 16);
    let green = y + ((-GREEN_BLUE * cb - GREEN_RED * cr + HALF) >> 16);
    let blue = y + ((BLUE * cb + HALF) >> 16);
    [red, green, blue].map(|value| value.clamp(0, 255) as u8)
}

multiversion! {
    /// A line of red, green and blue.
    pub(super) fn rgb_of_ycc(y: &[u8], cb: &[u8], cr: &[u8], out: &mut [u8]) {
        const LANES: usize = 16;
        // Lanes side by side first, so that the arithmetic is done on whole registers.
        let lanes = y.chunks_exact(LANES).zip(cb.chunks_exact(LANES)).zip(cr.chunks_exact(LANES));
        for (pixels, ((y, cb), cr)) in out.chunks_exact_mut(3 * LANES).zip(lanes) {
            let mut planes = [[0_u8; LANES]; 3];
            for i in 0..LANES {
                let [red, green, blue] = rgb(y[i], cb[i], cr[i]);
                planes[0][i] = red;
                planes[1][i] = green;
                planes[2][i] = blue;
            }
            for i in 0..LANES {
                pixels[3 * i] = planes[0][i];
                pixels[3 * i + 1] = planes[1][i];
                pixels[3 * i + 2] = planes[2][i];
            }
        }
        let rest = y.len() / LANES * LANES;
        let singles = y[rest..].iter().zip(&cb[rest..]).zip(&cr[rest..]);
        for (pixel, ((&y, &cb), &cr)) in out[3 * rest..].chunks_exact_mut(3).zip(singles) {
            pixel.copy_from_slice(&rgb(y, cb, cr));
        }
    }
}

/// A line of four inks; the black is as it was.
pub(super) fn cmyk_of_ycck(y: &[u8], cb: &[u8], cr: &[u8], k: &[u8], out: &mut [u8]) {
    for (pixel, (((&y, &cb), &cr), &k)) in out.chunks_exact_mut(4).zip(y.iter().zip(cb).zip(cr).zip(k)) {
        let [red, green, blue] = rgb(y, cb, cr);
        pixel.copy_from_slice(&[255 - red, 255 - green, 255 - blue, k]);
    }
}

/// A line of components side by side.
pub(super) fn interleaved(planes: &[&[u8]], out: &mut [u8]) {
    for (x, pixel) in out.chunks_exact_mut(planes.len()).enumerate() {
        for (value, plane) in pixel.iter_mut().zip(planes) {
            *value = plane[x];
        }
    }
}
