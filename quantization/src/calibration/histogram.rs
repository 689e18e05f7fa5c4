//! A histogram whose range grows by doubling, so that it can be filled batch by batch.

/// Counts of values in equal bins over `[0, width · bins)` or `[−width · bins / 2, width · bins / 2)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    counts: Vec<u64>,
    width: f64,
    signed: bool,
}

impl Histogram {
    /// Histogram of magnitudes `|x|` over `[0, max|x|]`, the greatest in the last bin; bins of width 1 when all are 0.
    ///
    /// ```
    /// use quantization::calibration::Histogram;
    /// let histogram = Histogram::of_magnitudes(&[0.5, -1.5, 3.9, 4.0], 4);
    /// assert_eq!((histogram.counts(), histogram.width()), (&[1, 1, 0, 2][..], 1.0));
    /// ```
    ///
    /// # Panics
    /// When `bins` is 0 or a value is not finite.
    pub fn of_magnitudes(values: &[f32], bins: usize) -> Self {
        let largest = values.iter().fold(0f32, |largest, x| largest.max(x.abs()));
        let width = if largest > 0.0 { f64::from(largest) / bins as f64 } else { 1.0 };
        let mut histogram = Self { counts: vec![0; bins], width, signed: false };
        histogram.count(values);
        histogram
    }

    /// Empty histogram of magnitudes, or of signed values, whose range is set by the first batch and doubles when a
    /// later value lies outside. `bins` is rounded up to a multiple of 4.
    pub fn growing(bins: usize, signed: bool) -> Self {
        Self { counts: vec![0; bins.max(4).next_multiple_of(4)], width: 0.0, signed }
    }

    /// Counts a batch of finite values; where the range is too small, neighbouring bins merge until it is not.
    pub fn add(&mut self, values: &[f32]) {
        let largest = values.iter().fold(0f32, |largest, x| largest.max(x.abs()));
        if self.width == 0.0 && largest > 0.0 {
            let zeros: u64 = self.counts.iter().sum(); // batches of zeros so far
            let bins = if self.signed { self.counts.len() / 2 } else { self.counts.len() };
            self.counts.fill(0);
            self.width = f64::from(largest) / bins as f64;
            let zero = self.bin(0.0);
            self.counts[zero] = zeros;
        }
        while self.width > 0.0 && f64::from(largest) > self.reach() {
            self.double();
        }
        self.count(values);
    }

    /// Counts, one per bin.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Width of a bin; 0 while only zeros were added to a growing histogram.
    pub fn width(&self) -> f64 {
        self.width
    }

    /// Values counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Middle of a bin.
    pub fn middle(&self, bin: usize) -> f64 {
        (bin as f64 + 0.5) * self.width - if self.signed { self.reach() } else { 0.0 }
    }

    /// Values at which a share `tail` of the counts lies below, and a share `tail` above, interpolated inside a bin.
    /// For magnitudes the lower value is the same tail of the magnitudes themselves.
    pub fn tails(&self, tail: f64) -> (f64, f64) {
        let find = |counts: &mut dyn Iterator<Item = u64>| {
            let mut left = tail * self.total() as f64;
            let mut bins = 0.0;
            for count in counts {
                let count = count as f64;
                if left < count {
                    return bins + left / count;
                }
                left -= count;
                bins += 1.0;
            }
            bins
        };
        let start = if self.signed { -self.reach() } else { 0.0 };
        let from_below = find(&mut self.counts.iter().copied());
        let from_above = find(&mut self.counts.iter().rev().copied());
        (start + from_below * self.width, start + (self.counts.len() as f64 - from_above) * self.width)
    }

    /// Largest magnitude that fits.
    fn reach(&self) -> f64 {
        self.width * if self.signed { self.counts.len() as f64 / 2.0 } else { self.counts.len() as f64 }
    }

    fn bin(&self, x: f32) -> usize {
        let (x, start) = if self.signed { (f64::from(x), self.reach()) } else { (f64::from(x.abs()), 0.0) };
        (((x + start) / self.width) as usize).min(self.counts.len() - 1)
    }

    fn count(&mut self, values: &[f32]) {
        for x in values {
            let bin = if self.width == 0.0 { 0 } else { self.bin(*x) };
            self.counts[bin] += 1;
        }
    }

    fn double(&mut self) {
        let bins = self.counts.len();
        let merged: Vec<u64> = self.counts.chunks(2).map(|pair| pair.iter().sum()).collect();
        self.counts.fill(0);
        let start = if self.signed { bins / 4 } else { 0 };
        self.counts[start..start + merged.len()].copy_from_slice(&merged);
        self.width *= 2.0;
    }
}
