//! Text as HTML, and numbers as text.

/// Text that stands for itself, between tags and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A sentence as HTML, with what stands between backticks as code.
pub(super) fn prose(text: &str) -> String {
    let pieces: Vec<&str> = text.split('`').collect();
    let mut out = String::new();
    for (place, piece) in pieces.iter().enumerate() {
        let closed = place % 2 == 1 && place + 1 < pieces.len();
        match (closed, place % 2) {
            (true, _) => out += &format!("<code>{}</code>", escape(piece)),
            (false, 1) => out += &format!("`{}", escape(piece)),
            _ => out += &escape(piece),
        }
    }
    out
}

/// Text as a part of an address or of an id: letters, digits and `-`, `_`, `.`; the rest becomes `-`.
pub(super) fn slug(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect()
}

/// The id that `report.html` gives to a heading.
pub(super) fn heading_id(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

/// A relative address; what is no letter, digit or one of `/ . - _` is written by its bytes.
pub(super) fn address(path: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/.-_".contains(&b);
    path.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// An address of the web as `href`, or nothing: a report decides what it links to, but not that a script runs.
pub(super) fn web(url: &str) -> Option<String> {
    (url.starts_with("https://") || url.starts_with("http://")).then(|| escape(url))
}

/// A number with `decimals` decimals, a true minus sign, no negative zero, as the reports print it.
pub(super) fn number(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "—".to_owned();
    }
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

/// `mean [low, high]`, all with the decimals that two significant digits of the half width need.
pub(super) fn interval(mean: f64, [low, high]: [f64; 2]) -> String {
    let decimals = match (high - low) / 2.0 {
        // Counts that do not vary.
        half if half == 0.0 && mean.fract() == 0.0 => 0,
        half => decimals(half),
    };
    format!("{} [{}, {}]", number(mean, decimals), number(low, decimals), number(high, decimals))
}

/// A p-value: three decimals, or a bound.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { number(p, 3) }
}

/// At most four significant digits, at most seven decimals.
pub(super) fn significant(value: f64) -> String {
    if value == 0.0 || value.fract() == 0.0 && value.abs() < 1e6 {
        return number(value, 0);
    }
    let digits = value.abs().log10().floor();
    if digits >= 6.0 {
        return number(value, 0);
    }
    let text = number(value, (3.0 - digits).clamp(0.0, 7.0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Mean; `None` of nothing.
pub(super) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// A time in the unit that a reader thinks in.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_report_says_becomes_markup() {
        assert_eq!(
            escape("<a href=\"x\" title='y'>&"),
            "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;"
        );
        assert_eq!(prose("`<b>` & `x"), "<code>&lt;b&gt;</code> &amp; `x");
        assert_eq!(prose("a `b` c"), "a <code>b</code> c");
        assert_eq!(slug("a b\"<é"), "a-b--é");
        assert_eq!(address("figures/a b\".svg"), "figures/a%20b%22.svg");
        assert_eq!(address("javascript:x"), "javascript%3Ax");
        assert_eq!(web("javascript:alert(1)"), None);
        assert_eq!(web("https://a/?b&c").as_deref(), Some("https://a/?b&amp;c"));
    }

    #[test]
    fn numbers_as_the_reports_print_them() {
        assert_eq!(interval(-0.123456, [-0.133, -0.113]), "−0.123 [−0.133, −0.113]");
        assert_eq!(interval(0.0, [0.0, 0.0]), "0 [0, 0]");
        assert_eq!(number(f64::NAN, 2), "—");
        assert_eq!(significant(0.40768), "0.4077");
        assert_eq!(
            (significant(12845056.0), significant(0.005), significant(1.5e-9)),
            ("12845056".into(), "0.005".into(), "0".into())
        );
        assert_eq!((p_value(0.0001), p_value(0.0457)), ("< 0.001".to_owned(), "0.046".to_owned()));
        assert_eq!(
            (duration(45.0), duration(1222.0), duration(9000.0)),
            ("45 s".into(), "20 min".into(), "2.5 h".into())
        );
    }
}
