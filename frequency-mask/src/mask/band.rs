//! Which frequencies a mask may touch.

use serde::{Deserialize, Serialize};

/// A band of frequencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Band {
    /// Low frequencies.
    Low,
    /// Middle frequencies.
    Mid,
    /// High frequencies.
    High,
    /// Every frequency.
    All,
}

impl Band {
    /// Every band, in the paper's order.
    pub const EACH: [Self; 4] = [Self::Low, Self::Mid, Self::High, Self::All];

    /// Name as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Mid => "mid",
            Self::High => "high",
            Self::All => "all",
        }
    }
}

impl std::str::FromStr for Band {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::EACH.into_iter().find(|band| band.name() == name);
        found.ok_or_else(|| format!("`{name}` is no band; expected low, mid, high or all"))
    }
}

/// Where the bands lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Rectangles of the unshifted spectrum, as the official code indexes it: "mid" holds the high frequencies, "high" the low ones
    /// without the mean.
    Released,
    /// Rings around the mean by radius, in cycles per pixel, with the two cut-offs.
    Radial {
        /// Ends of low and mid.
        cutoffs: [f64; 2],
    },
    /// Square rings around the mean, by the larger of both frequencies, in cycles per pixel.
    Square {
        /// Ends of low and mid.
        cutoffs: [f64; 2],
    },
}

impl Layout {
    /// Rings at 0.118 and 0.25 cycles per pixel. Ours: the paper's text was not available.
    pub const RADIAL: Self = Self::Radial { cutoffs: [0.118, 0.25] };
}

/// Rows and columns of the unshifted spectrum that the official code calls by the band's name, ends exclusive.
pub(super) fn rectangle(band: Band, height: usize, width: usize) -> ([usize; 2], [usize; 2]) {
    let part = |size: usize| match band {
        Band::Low => [0, size / 4],
        Band::Mid => [size / 4, 3 * size / 4],
        Band::High => [3 * size / 4, size],
        Band::All => [0, size],
    };
    (part(height), part(width))
}

/// Frequency of a bin along one axis in cycles per pixel, 0 to 0.5.
pub(super) fn frequency(index: usize, size: usize) -> f64 {
    index.min(size - index) as f64 / size as f64
}

/// Bins of the band, one of each pair of mirror images, with `row <= height / 2`.
pub(super) fn ring(
    band: Band,
    height: usize,
    width: usize,
    cutoffs: [f64; 2],
    square: bool,
    protect_dc: bool,
) -> Vec<[u32; 2]> {
    let inside = |radius: f64| match band {
        Band::Low => radius < cutoffs[0],
        Band::Mid => radius >= cutoffs[0] && radius < cutoffs[1],
        Band::High => radius >= cutoffs[1],
        Band::All => true,
    };
    let mut bins = Vec::new();
    for row in 0..=height / 2 {
        let own_mirror = row == 0 || 2 * row == height;
        for column in 0..if own_mirror { width / 2 + 1 } else { width } {
            let (y, x) = (frequency(row, height), frequency(column, width));
            let radius = if square { y.max(x) } else { y.hypot(x) };
            if inside(radius) && !(protect_dc && row == 0 && column == 0) {
                bins.push([row as u32, column as u32]);
            }
        }
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_rectangles_of_odd_sizes_are_those_of_integer_division() {
        assert_eq!(rectangle(Band::Low, 5, 7), ([0, 1], [0, 1]));
        assert_eq!(rectangle(Band::Mid, 5, 7), ([1, 3], [1, 5]));
        assert_eq!(rectangle(Band::High, 5, 7), ([3, 5], [5, 7]));
        assert_eq!(rectangle(Band::All, 5, 7), ([0, 5], [0, 7]));
    }

    #[test]
    fn rings_part_the_spectrum_and_hold_one_of_each_pair() {
        for (height, width) in [(5, 7), (6, 8), (1, 9), (9, 1)] {
            let cutoffs = [0.118, 0.25];
            let of = |band| ring(band, height, width, cutoffs, false, false);
            let parts = of(Band::Low).len() + of(Band::Mid).len() + of(Band::High).len();
            assert_eq!(parts, of(Band::All).len());
            let fixed = |size: usize| if size.is_multiple_of(2) { 2 } else { 1 };
            let own = fixed(height) * fixed(width);
            assert_eq!(parts, (height * width - own) / 2 + own, "{height} x {width}");
        }
    }
}
