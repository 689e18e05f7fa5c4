//! Numbers as text, rounded to what their interval supports.

/// A number with `decimals` decimals, a true minus sign, no negative zero.
pub fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let zero = text.trim_start_matches('-').chars().all(|c| matches!(c, '0' | '.'));
    if zero { text.trim_start_matches('-').to_owned() } else { text.replace('-', "−") }
}

/// Decimals at which two significant digits of `half_width` show, at most 6.
pub(super) fn decimals(half_width: f64) -> usize {
    if half_width <= 0.0 || !half_width.is_finite() {
        return 4;
    }
    (1.0 - half_width.log10().floor()).clamp(0.0, 6.0) as usize
}

/// `value` with as many decimals as two significant digits of the interval's half width need.
///
/// ```
/// use common::report::with_precision;
/// assert_eq!(with_precision(0.123456, [0.113, 0.133]), "0.123");
/// ```
pub fn with_precision(value: f64, [low, high]: [f64; 2]) -> String {
    number(value, decimals((high - low) / 2.0))
}

/// `mean [low, high]`, all with the same number of decimals.
pub fn mean_with_interval(mean: f64, interval: [f64; 2]) -> String {
    let [low, high] = interval.map(|end| with_precision(end, interval));
    format!("{} [{low}, {high}]", with_precision(mean, interval))
}

/// A p-value: three decimals, or a bound.
pub fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { number(p, 3) }
}
