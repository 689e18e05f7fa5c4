//! Thinned colours at full size, by libjpeg's triangle filter (`jdsample.c`): three parts of the nearer sample, one of the other.

use super::frame::Plane;

/// Line `y` of the image of a component.
pub(super) fn row(plane: &Plane, y: usize, out: &mut Vec<u8>) {
    let line = |row: usize| &plane.samples[row * plane.stride..][..plane.width];
    let row = y / plane.down;
    // Two samples or fewer are repeated.
    let wide = plane.width > 2;
    out.clear();
    match (plane.across, plane.down) {
        (1, 1) => out.extend_from_slice(line(row)),
        (2, 1) if wide => two_across(line(row), out),
        (2, 2) if wide => two_both(line(row), line(neighbour(plane, y)), out),
        (1, 2) => {
            let bias = if y.is_multiple_of(2) { 1 } else { 2 };
            let mixed = line(row).iter().zip(line(neighbour(plane, y)));
            out.extend(mixed.map(|(&near, &far)| ((u16::from(near) * 3 + u16::from(far) + bias) >> 2) as u8));
        }
        (across, _) => out.extend(line(row).iter().flat_map(|&sample| std::iter::repeat_n(sample, across))),
    }
    out.truncate(plane.pixels);
}

/// The line on the other side of image line `y`; beyond an edge, the edge's own.
fn neighbour(plane: &Plane, y: usize) -> usize {
    let row = y / 2;
    if y.is_multiple_of(2) { row.saturating_sub(1) } else { (row + 1).min(plane.height - 1) }
}

fn two_across(line: &[u8], out: &mut Vec<u8>) {
    let last = line.len() - 1;
    out.resize(2 * line.len(), 0);
    out[0] = line[0];
    out[1] = ((u16::from(line[0]) * 3 + u16::from(line[1]) + 2) >> 2) as u8;
    for (pair, window) in out[2..2 * last].chunks_exact_mut(2).zip(line.windows(3)) {
        let near = u16::from(window[1]) * 3;
        pair[0] = ((near + u16::from(window[0]) + 1) >> 2) as u8;
        pair[1] = ((near + u16::from(window[2]) + 2) >> 2) as u8;
    }
    out[2 * last] = ((u16::from(line[last]) * 3 + u16::from(line[last - 1]) + 1) >> 2) as u8;
    out[2 * last + 1] = line[last];
}

fn two_both(near: &[u8], far: &[u8], out: &mut Vec<u8>) {
    let sum = |at: usize| u16::from(near[at]) * 3 + u16::from(far[at]);
    let last = near.len() - 1;
    out.resize(2 * near.len(), 0);
    out[0] = ((sum(0) * 4 + 8) >> 4) as u8;
    out[1] = ((sum(0) * 3 + sum(1) + 7) >> 4) as u8;
    let windows = near.windows(3).zip(far.windows(3));
    for (pair, (near, far)) in out[2..2 * last].chunks_exact_mut(2).zip(windows) {
        let sum = |at: usize| u16::from(near[at]) * 3 + u16::from(far[at]);
        pair[0] = ((sum(1) * 3 + sum(0) + 8) >> 4) as u8;
        pair[1] = ((sum(1) * 3 + sum(2) + 7) >> 4) as u8;
    }
    out[2 * last] = ((sum(last) * 3 + sum(last - 1) + 8) >> 4) as u8;
    out[2 * last + 1] = ((sum(last) * 4 + 7) >> 4) as u8;
}
