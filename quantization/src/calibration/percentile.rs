//! Exact percentiles.

/// The `share`-quantile of `values`, linearly interpolated between neighbours as numpy does; none of nothing.
///
/// ```
/// use quantization::calibration::percentile;
/// assert_eq!(percentile(&[4.0, 1.0, 3.0, 2.0], 0.5), Some(2.5));
/// assert_eq!(percentile(&[4.0, 1.0, 3.0, 2.0], 1.0), Some(4.0));
/// ```
///
/// # Panics
/// When `share` is not in [0, 1] or a value is not a number.
pub fn percentile(values: &[f32], share: f64) -> Option<f64> {
    assert!((0.0..=1.0).contains(&share), "a share between 0 and 1");
    assert!(values.iter().all(|x| !x.is_nan()), "numbers only");
    if values.is_empty() {
        return None;
    }
    let place = share * (values.len() - 1) as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let mut values = values.to_vec();
    let (_, at, above) = values.select_nth_unstable_by(low, f32::total_cmp);
    let at = f64::from(*at);
    let next = above.iter().copied().reduce(f32::min).map_or(at, f64::from);
    Some(at + part * (next - at))
}
