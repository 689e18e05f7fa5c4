//! Arrays of numbers from files of other programs.

/// Type of an array's numbers, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Unsigned bytes.
    U8,
    /// Integers of 32 bits.
    I32,
    /// Integers of 64 bits.
    I64,
    /// IEEE halves.
    F16,
    /// 32-bit floats.
    F32,
}

impl Kind {
    /// Bytes of a number.
    pub(super) fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 => 8,
        }
    }
}

/// An array: its shape and its bytes, in C order.
#[derive(Debug)]
pub(super) struct Array {
    kind: Kind,
    pub(super) shape: Vec<usize>,
    bytes: Vec<u8>,
    start: usize,
}

impl Array {
    /// The array whose numbers are `bytes` from `start` on; `None` when their number is not the shape's.
    pub(super) fn new(kind: Kind, shape: Vec<usize>, bytes: Vec<u8>, start: usize) -> Option<Self> {
        let expected = shape.iter().try_fold(kind.size(), |product, &count| product.checked_mul(count))?;
        (bytes.len().checked_sub(start)? == expected).then_some(Self { kind, shape, bytes, start })
    }

    fn data(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The numbers of floats.
    pub(super) fn floats(&self) -> Option<Vec<f32>> {
        match self.kind {
            Kind::F32 => {
                Some(self.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
            }
            Kind::F16 => {
                Some(self.data().as_chunks::<2>().0.iter().map(|b| half(u16::from_le_bytes(*b))).collect())
            }
            _ => None,
        }
    }

    /// The numbers of signed integers.
    pub(super) fn integers(&self) -> Option<Vec<i64>> {
        match self.kind {
            Kind::I64 => {
                Some(self.data().as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect())
            }
            Kind::I32 => {
                let number = |b: &[u8; 4]| i64::from(i32::from_le_bytes(*b));
                Some(self.data().as_chunks::<4>().0.iter().map(number).collect())
            }
            _ => None,
        }
    }

    /// The bytes of unsigned bytes.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        (self.kind == Kind::U8).then(|| self.data())
    }
}

/// Value of an IEEE half.
fn half(bits: u16) -> f32 {
    let (sign, magnitude) = (u32::from(bits & 0x8000) << 16, u32::from(bits & 0x7fff));
    if magnitude >= 0x7c00 {
        return f32::from_bits(sign | 0x7f80_0000 | (magnitude & 0x3ff) << 13);
    }
    // The exponent's bias is mended by a multiplication, which is exact and serves subnormals too.
    let value = f32::from_bits(magnitude << 13) * f32::from_bits(0x7780_0000);
    f32::from_bits(value.to_bits() | sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_have_their_values() {
        assert_eq!([0x3c00, 0xc000, 0x0001].map(half), [1.0, -2.0, 2.0_f32.powi(-24)]);
        assert_eq!(half(0x7c00), f32::INFINITY);
    }
}
