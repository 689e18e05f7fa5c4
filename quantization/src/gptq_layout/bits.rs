//! A little-endian stream of codes in 32-bit words.

/// Words that hold `codes`, code `n` in bits `bits·n` and up. Codes are cut to their bits; unused bits are 0.
///
/// # Panics
/// Unless `bits` is 1 to 16.
///
/// ```
/// assert_eq!(quantization::gptq_layout::pack(&[7; 8], 4), [0x7777_7777]);
/// ```
pub fn pack(codes: &[u32], bits: u32) -> Vec<u32> {
    assert!((1..=16).contains(&bits), "codes have 1 to 16 bits");
    let mut words = vec![0; (codes.len() * bits as usize).div_ceil(32)];
    for (number, &code) in codes.iter().enumerate() {
        let at = number * bits as usize;
        let wide = u64::from(code & ((1 << bits) - 1)) << (at % 32);
        words[at / 32] |= wide as u32;
        if let Some(next) = words.get_mut(at / 32 + 1) {
            *next |= (wide >> 32) as u32;
        }
    }
    words
}

/// The first `count` codes of a stream.
///
/// # Panics
/// Unless `bits` is 1 to 16 and the words hold that many codes.
pub fn unpack(words: &[u32], bits: u32, count: usize) -> Vec<u32> {
    assert!((1..=16).contains(&bits), "codes have 1 to 16 bits");
    assert!(words.len() * 32 >= count * bits as usize, "the words hold fewer codes");
    let code = |number| {
        let at = number * bits as usize;
        let next = words.get(at / 32 + 1).copied().unwrap_or(0);
        let wide = u64::from(words[at / 32]) | u64::from(next) << 32;
        (wide >> (at % 32)) as u32 & ((1 << bits) - 1)
    };
    (0..count).map(code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_every_width_come_back() {
        for bits in 1..=16 {
            let codes: Vec<u32> =
                (0..67_u32).map(|n| n.wrapping_mul(2_654_435_761) >> 7 & ((1 << bits) - 1)).collect();
            let words = pack(&codes, bits);
            assert_eq!(words.len(), (67 * bits as usize).div_ceil(32));
            assert_eq!(unpack(&words, bits, 67), codes, "{bits} bits");
        }
    }

    #[test]
    fn three_bit_codes_10_and_21_cross_words() {
        let mut codes = [0; 32];
        (codes[10], codes[21]) = (7, 7);
        assert_eq!(pack(&codes, 3), [3 << 30, 1 | 1 << 31, 3]);
    }
}
