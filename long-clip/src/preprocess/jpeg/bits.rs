//! The bits of a scan, and the Huffman codes in them.

/// Place in a block of the k-th coefficient of a scan: along the diagonals.
pub(super) const NATURAL_ORDER: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Bits of a code that one look-up decodes; longer codes are rare.
const LOOK: u32 = 9;

/// Huffman codes of a table.
pub(super) struct Codes {
    /// By the next `LOOK` bits: value and length; length 0 for a longer code.
    short: [(u8, u8); 1 << LOOK],
    /// First code behind those of each length, shifted to 16 bits.
    ends: [u32; 17],
    /// What to add to a code of each length to get its place among the values.
    places: [i32; 17],
    values: Vec<u8>,
}

impl Codes {
    pub(super) fn new(counts: &[u8; 16], values: &[u8]) -> Result<Self, String> {
        let mut codes =
            Self { short: [(0, 0); 1 << LOOK], ends: [0; 17], places: [0; 17], values: values.to_vec() };
        let (mut code, mut place) = (0_u32, 0_usize);
        for length in 1..=16_u32 {
            let count = usize::from(counts[length as usize - 1]);
            codes.places[length as usize] = place as i32 - code as i32;
            if code as usize + count > 1 << length {
                return Err("a code table with too many codes".to_owned());
            }
            for _ in 0..count {
                if length <= LOOK {
                    let first = (code << (LOOK - length)) as usize;
                    codes.short[first..first + (1 << (LOOK - length))].fill((values[place], length as u8));
                }
                code += 1;
                place += 1;
            }
            codes.ends[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Ok(codes)
    }
}

/// Bits of an entropy-coded segment. Behind its end come zeros.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The next bits, the first highest.
    buffer: u64,
    count: u32,
    /// Zeros behind the last bit of the file, lent to the buffer.
    lent: u32,
    at_marker: bool,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, buffer: 0, count: 0, lent: 0, at_marker: false }
    }

    /// Fills the buffer to more than 56 bits, as far as there are some.
    fn fill(&mut self) {
        // Eight bytes at once where none of them can be a marker's.
        if let Some(next) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let word = u64::from_be_bytes(*next);
            // A zero byte of the complement is a byte 0xff.
            let inverse = !word;
            if inverse.wrapping_sub(0x0101_0101_0101_0101) & !inverse & 0x8080_8080_8080_8080 == 0 {
                let bytes = (64 - self.count) / 8;
                self.buffer |= word >> self.count;
                if self.count + 8 * bytes < 64 {
                    self.buffer &= u64::MAX << (64 - self.count - 8 * bytes);
                }
                self.at += bytes as usize;
                self.count += 8 * bytes;
                return;
            }
        }
        while self.count <= 56 {
            let byte = match self.bytes.get(self.at) {
                Some(0xff) if self.bytes.get(self.at + 1) == Some(&0) => {
                    self.at += 2;
                    0xff
                }
                Some(0xff) if self.bytes.get(self.at + 1).is_some() => {
                    self.at_marker = true;
                    break;
                }
                Some(&byte) if byte != 0xff => {
                    self.at += 1;
                    byte
                }
                _ => break,
            };
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    #[inline]
    fn need(&mut self, bits: u32) {
        if self.count < bits {
            self.fill();
            if self.count < bits {
                // libjpeg goes on with zeros before a marker; at the end of the file nothing is to be had.
                self.lent = self.lent.saturating_add(64 - self.count);
                self.count = 64;
            }
        }
    }

    /// Whether the file ended within the segment.
    pub(super) fn is_cut(&self) -> bool {
        !self.at_marker && self.lent > self.count
    }

    pub(super) fn take(&mut self, bits: u32) -> i32 {
        if bits == 0 {
            return 0;
        }
        self.need(bits);
        let value = (self.buffer >> (64 - bits)) as i32;
        self.buffer <<= bits;
        self.count -= bits;
        value
    }

    /// The value of the next code.
    pub(super) fn value(&mut self, codes: &Codes) -> Result<u8, String> {
        self.need(16);
        let (value, length) = codes.short[(self.buffer >> (64 - LOOK)) as usize];
        if length > 0 {
            self.buffer <<= length;
            self.count -= u32::from(length);
            return Ok(value);
        }
        let next = (self.buffer >> 48) as u32;
        let length = (LOOK as usize + 1..=16).find(|&length| next < codes.ends[length]);
        let length = length.ok_or("a code that is in no table")?;
        let place = (next >> (16 - length)) as i32 + codes.places[length];
        self.buffer <<= length;
        self.count -= length as u32;
        let value = usize::try_from(place).ok().and_then(|place| codes.values.get(place));
        value.copied().ok_or_else(|| "a code that is in no table".to_owned())
    }

    /// The value of the next code, and the number of as many bits as its lower half says.
    #[inline]
    pub(super) fn coefficient(&mut self, codes: &Codes) -> Result<(u8, i32), String> {
        self.need(32);
        let (value, length) = codes.short[(self.buffer >> (64 - LOOK)) as usize];
        if length == 0 {
            let value = self.value(codes)?;
            return Ok((value, self.signed(u32::from(value & 15))));
        }
        self.buffer <<= length;
        self.count -= u32::from(length);
        let bits = u32::from(value & 15);
        if bits == 0 {
            return Ok((value, 0));
        }
        let number = (self.buffer >> (64 - bits)) as i32;
        self.buffer <<= bits;
        self.count -= bits;
        let number = if number < 1 << (bits - 1) { number - (1 << bits) + 1 } else { number };
        Ok((value, number))
    }

    /// A number of so many bits, negative when its first bit is 0.
    pub(super) fn signed(&mut self, bits: u32) -> i32 {
        let value = self.take(bits);
        if bits > 0 && value < 1 << (bits - 1) { value - (1 << bits) + 1 } else { value }
    }

    /// Goes on behind the next restart marker.
    pub(super) fn restart(&mut self) {
        (self.buffer, self.count, self.lent, self.at_marker) = (0, 0, 0, false);
        while let Some(&byte) = self.bytes.get(self.at) {
            if byte == 0xff && matches!(self.bytes.get(self.at + 1), Some(0xd0..=0xd7)) {
                self.at += 2;
                return;
            }
            if byte == 0xff && self.bytes.get(self.at + 1).is_some_and(|&next| next != 0 && next != 0xff) {
                return; // another marker: the scan is over
            }
            self.at += 1;
        }
    }

    /// Bytes up to the marker that follows.
    pub(super) fn consumed(&self) -> usize {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let marker =
            rest.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7 | 0xff));
        self.at + marker.unwrap_or(rest.len())
    }
}
