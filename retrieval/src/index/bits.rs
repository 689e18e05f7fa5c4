//! Numbers of a fixed number of bits, one after another.

/// Bytes after the last number, so that eight bytes can be read at any of them.
pub(super) const PADDING: usize = 8;

/// Bits that `value` needs.
pub(super) fn bits_of(value: u32) -> u32 {
    u32::BITS - value.leading_zeros()
}

/// Writes numbers, the lowest bit first.
#[derive(Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    filled: u32,
}

impl BitWriter {
    /// Appends the lower `bits` (at most 32) of `value`.
    pub(super) fn push(&mut self, value: u32, bits: u32) {
        self.pending |= u64::from(value) << self.filled;
        self.filled += bits;
        while self.filled >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.filled -= 8;
        }
    }

    /// The bytes, padded.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.filled > 0 {
            self.bytes.push(self.pending as u8);
        }
        self.bytes.extend([0; PADDING]);
        self.bytes
    }
}

/// Bytes of `count` numbers of `bits` bits, padded.
pub(super) fn packed_bytes(count: usize, bits: u32) -> usize {
    (count * bits as usize).div_ceil(8) + PADDING
}

/// Number of `bits` bits (at most 32) from bit `at` on; 0 beyond the end.
#[inline(always)]
pub(super) fn read(bytes: &[u8], at: usize, bits: u32) -> u32 {
    match bytes.get(at / 8..).and_then(|rest| rest.first_chunk::<8>()) {
        Some(word) => (u64::from_le_bytes(*word) >> (at % 8) & ((1 << bits) - 1)) as u32,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_width_return() {
        for bits in [0, 1, 7, 8, 13, 31, 32] {
            let mask = ((1_u64 << bits) - 1) as u32;
            let values: Vec<u32> = (0..100_u32).map(|i| i.wrapping_mul(2_654_435_761) & mask).collect();
            let mut writer = BitWriter::default();
            values.iter().for_each(|&value| writer.push(value, bits));
            let bytes = writer.finish();
            assert_eq!(bytes.len(), packed_bytes(values.len(), bits));
            let found: Vec<u32> = (0..100).map(|i| read(&bytes, i * bits as usize, bits)).collect();
            assert_eq!(found, values, "{bits} bits");
        }
        assert_eq!(read(&[1, 2], 0, 8), 0);
        assert_eq!([0, 1, 255, 256].map(bits_of), [0, 1, 8, 9]);
    }
}
