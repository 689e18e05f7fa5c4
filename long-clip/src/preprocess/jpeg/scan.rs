//! A scan: which coefficients of which components it brings, one after another or bit by bit.

use super::Tables;
use super::bits::{Bits, Codes, NATURAL_ORDER};
use super::frame::{Component, Frame};
use super::truncated;

/// A component's part in a scan.
struct Part<'a> {
    component: usize,
    dc: Option<&'a Codes>,
    ac: Option<&'a Codes>,
}

/// Which coefficients, and which of their bits.
#[derive(Clone, Copy)]
struct Band {
    first: usize,
    last: usize,
    /// Bit that was brought last by an earlier scan; 0: none.
    high: u32,
    /// Bit that this scan brings.
    low: u32,
}

/// Reads a scan's coefficients into the frame; the number of bytes it took.
pub(super) fn read(frame: &mut Frame, header: &[u8], tables: &Tables, bytes: &[u8]) -> Result<usize, String> {
    let (&[count], rest) = header.split_first_chunk::<1>().ok_or_else(truncated)?;
    let (chosen, rest) = rest.split_at_checked(2 * usize::from(count)).ok_or_else(truncated)?;
    let &[first, last, bits] = rest.first_chunk::<3>().ok_or_else(truncated)?;
    let mut parts = Vec::new();
    frame.prepare(&tables.quantisers)?;
    for choice in chosen.chunks_exact(2) {
        let component = frame.components.iter().position(|component| component.id == choice[0]);
        let component = component.ok_or("a scan of an unknown component")?;
        let codes = |tables: &'_ [Option<Codes>; 4], number: u8| usize::from(number).min(tables.len());
        let (dc, ac) = (codes(&tables.dc, choice[1] >> 4), codes(&tables.ac, choice[1] & 15));
        parts.push(Part {
            component,
            dc: tables.dc.get(dc).and_then(Option::as_ref),
            ac: tables.ac.get(ac).and_then(Option::as_ref),
        });
    }
    let band = if frame.progressive {
        Band { first: first.into(), last: last.into(), high: (bits >> 4).into(), low: (bits & 15).into() }
    } else {
        Band { first: 0, last: 63, high: 0, low: 0 }
    };
    let within = band.first <= band.last
        && band.last < 64
        && band.low <= 13
        && (band.first > 0 || !frame.progressive || band.last == 0);
    if parts.is_empty() || !within || (band.first > 0 && parts.len() > 1) {
        return Err("a scan of impossible coefficients".to_owned());
    }
    let mut scan = Scan { bits: Bits::new(bytes), band, predictions: [0; 4], run: 0 };
    let interval = tables.restart_interval;
    if let [part] = &parts[..] {
        let (wide, high) = (frame.components[part.component].wide, frame.components[part.component].high);
        for place in 0..wide * high {
            scan.restart_if_due(interval, place);
            let component = &mut frame.components[part.component];
            let at = (place / wide, place % wide);
            scan.place(frame.progressive, part, 0, component, at)?;
        }
    } else {
        let unit_columns = frame.width.div_ceil(8 * frame.most.0);
        let unit_rows = frame.height.div_ceil(8 * frame.most.1);
        for unit in 0..unit_columns * unit_rows {
            scan.restart_if_due(interval, unit);
            let (row, column) = (unit / unit_columns, unit % unit_columns);
            for (slot, part) in parts.iter().enumerate() {
                let component = &mut frame.components[part.component];
                for place in 0..component.across * component.down {
                    let (y, x) = (place / component.across, place % component.across);
                    let at = (row * component.down + y, column * component.across + x);
                    scan.place(frame.progressive, part, slot.min(3), component, at)?;
                }
            }
            if scan.bits.is_cut() {
                return Err(truncated());
            }
        }
    }
    if scan.bits.is_cut() {
        return Err(truncated());
    }
    parts.iter().for_each(|part| frame.components[part.component].seen = true);
    frame.scans += 1;
    Ok(scan.bits.consumed())
}

struct Scan<'a> {
    bits: Bits<'a>,
    band: Band,
    predictions: [i32; 4],
    /// Blocks without anything more in this band.
    run: u32,
}

impl Scan<'_> {
    fn restart_if_due(&mut self, interval: usize, done: usize) {
        if interval > 0 && done > 0 && done.is_multiple_of(interval) {
            self.bits.restart();
            (self.predictions, self.run) = ([0; 4], 0);
        }
    }

    /// The block in a row and column of blocks: of a progressive file its coefficients, else its samples at once.
    fn place(
        &mut self,
        progressive: bool,
        part: &Part<'_>,
        slot: usize,
        component: &mut Component,
        (row, column): (usize, usize),
    ) -> Result<(), String> {
        if progressive {
            let at = row * component.stride + column;
            return self.block(true, part, slot, &mut component.coefficients[at]);
        }
        let mut block = [0; 64];
        self.block(false, part, slot, &mut block)?;
        component.put(&block, row, column);
        Ok(())
    }

    fn block(
        &mut self,
        progressive: bool,
        part: &Part<'_>,
        slot: usize,
        block: &mut [i16; 64],
    ) -> Result<(), String> {
        let missing = || "a scan without its code table".to_owned();
        let Band { first, high, .. } = self.band;
        match (progressive, first == 0, high == 0) {
            (false, ..) => {
                self.first_dc(part.dc.ok_or_else(missing)?, slot, block)?;
                self.sequential(part.ac.ok_or_else(missing)?, block)
            }
            (true, true, true) => self.first_dc(part.dc.ok_or_else(missing)?, slot, block),
            (true, true, false) => {
                block[0] |= (self.bits.take(1) << self.band.low) as i16;
                Ok(())
            }
            (true, false, true) => self.first_ac(part.ac.ok_or_else(missing)?, block),
            (true, false, false) => self.more_ac(part.ac.ok_or_else(missing)?, block),
        }
    }

    fn first_dc(&mut self, codes: &Codes, slot: usize, block: &mut [i16; 64]) -> Result<(), String> {
        let bits = u32::from(self.bits.value(codes)?);
        if bits > 15 {
            return Err("a difference of more than 15 bits".to_owned());
        }
        self.predictions[slot] = self.predictions[slot].wrapping_add(self.bits.signed(bits));
        block[0] = (self.predictions[slot] << self.band.low) as i16;
        Ok(())
    }

    fn sequential(&mut self, codes: &Codes, block: &mut [i16; 64]) -> Result<(), String> {
        let mut k = 1;
        while k < 64 {
            let (value, number) = self.bits.coefficient(codes)?;
            let zeros = usize::from(value >> 4);
            if value & 15 == 0 {
                if zeros != 15 {
                    break;
                }
                k += 16;
                continue;
            }
            k += zeros;
            if k > 63 {
                return Err("more than 64 coefficients".to_owned());
            }
            block[usize::from(NATURAL_ORDER[k])] = number as i16;
            k += 1;
        }
        Ok(())
    }

    fn first_ac(&mut self, codes: &Codes, block: &mut [i16; 64]) -> Result<(), String> {
        if self.run > 0 {
            self.run -= 1;
            return Ok(());
        }
        let mut k = self.band.first;
        while k <= self.band.last {
            let value = self.bits.value(codes)?;
            let (zeros, bits) = (u32::from(value >> 4), u32::from(value & 15));
            if bits == 0 {
                if zeros < 15 {
                    self.run = (1 << zeros) - 1 + self.bits.take(zeros) as u32;
                    break;
                }
                k += 16;
                continue;
            }
            k += zeros as usize;
            let number = self.bits.signed(bits);
            if k > 63 {
                return Err("more than 64 coefficients".to_owned());
            }
            block[usize::from(NATURAL_ORDER[k])] = (number << self.band.low) as i16;
            k += 1;
        }
        Ok(())
    }

    /// One more bit of each coefficient that has some, and new ones of ±1.
    fn more_ac(&mut self, codes: &Codes, block: &mut [i16; 64]) -> Result<(), String> {
        let one = 1_i16 << self.band.low;
        let mut k = self.band.first;
        if self.run == 0 {
            while k <= self.band.last {
                let value = self.bits.value(codes)?;
                let (mut zeros, bits) = (i32::from(value >> 4), value & 15);
                let mut new = 0;
                if bits != 0 {
                    new = if self.bits.take(1) == 1 { one } else { -one };
                } else if zeros < 15 {
                    self.run = (1 << zeros) + self.bits.take(zeros as u32) as u32;
                    break;
                }
                while k <= self.band.last {
                    let coefficient = &mut block[usize::from(NATURAL_ORDER[k])];
                    if *coefficient != 0 {
                        refine(&mut self.bits, coefficient, one);
                    } else {
                        zeros -= 1;
                        if zeros < 0 {
                            break;
                        }
                    }
                    k += 1;
                }
                if new != 0 && k < 64 {
                    block[usize::from(NATURAL_ORDER[k])] = new;
                }
                k += 1;
            }
        }
        if self.run > 0 {
            for &place in NATURAL_ORDER.get(k..=self.band.last).unwrap_or_default() {
                let coefficient = &mut block[usize::from(place)];
                if *coefficient != 0 {
                    refine(&mut self.bits, coefficient, one);
                }
            }
            self.run -= 1;
        }
        Ok(())
    }
}

fn refine(bits: &mut Bits<'_>, coefficient: &mut i16, one: i16) {
    if bits.take(1) == 1 && *coefficient & one == 0 {
        *coefficient = coefficient.wrapping_add(if *coefficient >= 0 { one } else { -one });
    }
}
