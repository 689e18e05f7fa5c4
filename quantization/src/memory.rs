//! Memory arithmetic: bytes of a model at a width, and the bits that scales and zero-points really cost.

/// Bytes of `parameters` numbers of `bits` bits each, without side information: `(bits / 8) · parameters`.
///
/// A model of 70·10⁹ parameters:
///
/// ```
/// use quantization::memory::bytes;
/// let gigabytes = |bits| bytes(70_000_000_000, bits) / 1e9;
/// assert_eq!(gigabytes(64.0), 560.0); // FP64
/// assert_eq!(gigabytes(32.0), 280.0); // FP32
/// assert_eq!(gigabytes(16.0), 140.0); // FP16, BF16
/// assert_eq!(gigabytes(8.0), 70.0); // INT8
/// assert_eq!(gigabytes(4.0), 35.0); // 4-bit codes
/// ```
///
/// `bits` may be a fraction, as [`Groups::bits_per_weight`] gives it.
pub fn bytes(parameters: u64, bits: f64) -> f64 {
    bits / 8.0 * parameters as f64
}

/// Bits per weight of a block format: `8 · bytes / weights` of one block.
///
/// ```
/// use quantization::ggml::GgmlType;
/// use quantization::memory::block_bits_per_weight;
/// // 32 codes of 4 bits and a scale of 16 bits
/// assert_eq!(block_bits_per_weight(18, 32), 4.5);
/// ```
pub fn block_bits_per_weight(block_bytes: usize, block_len: usize) -> f64 {
    8.0 * block_bytes as f64 / block_len as f64
}

/// Widths of a format with one scale and one zero-point for each group of weights.
///
/// ```
/// use quantization::memory::Groups;
/// // GPTQ, 4 bits: scales of 16 bits, zero-points packed to 4 bits
/// let gptq = |group_size| Groups { bits: 4, group_size, scale_bits: 16, zero_bits: 4 }.bits_per_weight();
/// assert_eq!(gptq(128), 4.15625);
/// assert_eq!(gptq(64), 4.3125);
/// assert_eq!(gptq(32), 4.625);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Bits of one code, `b`.
    pub bits: u32,
    /// Weights that share a scale, `g`; at least 1.
    pub group_size: usize,
    /// Bits of one scale, `s`.
    pub scale_bits: u32,
    /// Bits of one zero-point, `z`; 0 where the format has none.
    pub zero_bits: u32,
}

impl Groups {
    /// Bits per weight with side information: `b + (s + z) / g`.
    pub fn bits_per_weight(&self) -> f64 {
        f64::from(self.bits) + f64::from(self.scale_bits + self.zero_bits) / self.group_size as f64
    }

    /// Bytes of a matrix `[rows, columns]`: codes padded to whole bytes, one scale and zero-point for each begun
    /// group of a row, zero-points padded to whole bytes.
    ///
    /// ```
    /// use quantization::memory::Groups;
    /// let groups = Groups { bits: 4, group_size: 32, scale_bits: 16, zero_bits: 4 };
    /// // 2·100 codes in 100 bytes; 2·4 groups: 16 bytes of scales, 4 of zero-points
    /// assert_eq!(groups.bytes(2, 100), 120);
    /// ```
    pub fn bytes(&self, rows: usize, columns: usize) -> usize {
        let groups = rows * columns.div_ceil(self.group_size);
        let padded = |count: usize, bits: u32| (count * bits as usize).div_ceil(8);
        padded(rows * columns, self.bits) + padded(groups, self.scale_bits) + padded(groups, self.zero_bits)
    }
}

/// Bytes of the keys and values that attention keeps: `2 · layers · heads · width · tokens · bits / 8`.
///
/// ```
/// use quantization::memory::key_value_cache_bytes;
/// // 32 layers, 8 key-value heads of width 128, 8192 tokens, FP16: 1 GiB
/// assert_eq!(key_value_cache_bytes(32, 8, 128, 8192, 16), 1 << 30);
/// ```
pub fn key_value_cache_bytes(layers: u64, heads: u64, head_width: u64, tokens: u64, bits: u64) -> u64 {
    2 * layers * heads * head_width * tokens * bits / 8
}
