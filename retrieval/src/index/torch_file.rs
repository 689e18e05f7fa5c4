//! Files of `torch.save` that hold tensors: a ZIP archive without compression, of a pickle and one file of numbers per
//! storage. The pickle is read by an interpreter that knows tensors only and runs nothing ([`pickle`](super::pickle)).

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use common::files;

use super::IndexError;
use super::array::Array;
use super::pickle::{self, Tensor};

/// Reads the tensors of a file: one, or those of a tuple or list.
pub(super) fn read(path: &Path) -> Result<Vec<Array>, IndexError> {
    let bytes = files::read(path)?;
    parse(&bytes).map_err(|problem| IndexError::Foreign { path: path.to_owned(), problem })
}

fn parse(bytes: &[u8]) -> Result<Vec<Array>, String> {
    let entries =
        entries(bytes).ok_or("not a file of `torch.save` (a ZIP archive) of version 1.6 or later")?;
    let (name, place) = entries
        .iter()
        .find(|(name, _)| name.ends_with("/data.pkl"))
        .ok_or("no `data.pkl` in it; was it made by `torch.save`?")?;
    let folder = name.trim_end_matches("data.pkl");
    let order = entries.get(&format!("{folder}byteorder"));
    if order.is_some_and(|place| &bytes[place.clone()] != b"little") {
        return Err("big-endian numbers, expected little-endian".to_owned());
    }
    let array = |tensor: Tensor| {
        let storage = entries.get(&format!("{folder}data/{}", tensor.storage));
        let storage = &bytes[storage.ok_or("a tensor without its numbers")?.clone()];
        let count = tensor.shape.iter().try_fold(1, |product: usize, &count| product.checked_mul(count));
        let size = tensor.kind.size();
        let numbers = count.and_then(|count| {
            let start = tensor.offset.checked_mul(size)?;
            storage.get(start..start.checked_add(count.checked_mul(size)?)?)
        });
        let numbers = numbers.ok_or("fewer numbers than the tensor's shape")?.to_vec();
        Array::new(tensor.kind, tensor.shape, numbers, 0)
            .ok_or_else(|| "a tensor that does not fit".to_owned())
    };
    pickle::tensors(&bytes[place.clone()])?.into_iter().map(array).collect()
}

fn number(bytes: &[u8], at: usize, size: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    bytes
        .iter()
        .rev()
        .try_fold(0_u64, |number, &byte| number.checked_mul(256)?.checked_add(byte.into()))?
        .try_into()
        .ok()
}

/// Names and places of the archive's files.
fn entries(bytes: &[u8]) -> Option<HashMap<String, Range<usize>>> {
    // The end of the directory, behind which only a comment of less than 64 KiB can be.
    let tail = bytes.len().saturating_sub(22 + 65_535);
    let end = tail + bytes[tail..].windows(4).rposition(|window| window == b"PK\x05\x06")?;
    let (mut count, mut at) = (number(bytes, end + 10, 2)?, number(bytes, end + 16, 4)?);
    if count == 0xffff || at == 0xffff_ffff {
        // The numbers are in the 64-bit form of this record, which a locator before it points to.
        let locator = end.checked_sub(20)?;
        let record = number(bytes, locator + 8, 8).filter(|_| bytes[locator..].starts_with(b"PK\x06\x07"))?;
        (count, at) = (number(bytes, record + 32, 8)?, number(bytes, record + 48, 8)?);
    }
    let mut entries = HashMap::new();
    for _ in 0..count {
        if !bytes.get(at..)?.starts_with(b"PK\x01\x02") || number(bytes, at + 10, 2)? != 0 {
            return None; // no directory, or compressed
        }
        let [size, name, extra, comment] =
            [(20, 4), (28, 2), (30, 2), (32, 2)].map(|(place, size)| number(bytes, at + place, size));
        let local = number(bytes, at + 42, 4)?;
        let (mut size, name, mut local, extra) = (size?, name?, local, extra?);
        let text = String::from_utf8(bytes.get(at + 46..at + 46 + name)?.to_vec()).ok()?;
        wide(
            bytes.get(at + 46 + name..at + 46 + name + extra)?,
            number(bytes, at + 24, 4)?,
            &mut size,
            &mut local,
        )?;
        let start = local + 30 + number(bytes, local + 26, 2)? + number(bytes, local + 28, 2)?;
        let end = start.checked_add(size).filter(|&end| end <= bytes.len())?;
        entries.insert(text, start..end);
        at += 46 + name + extra + comment?;
    }
    Some(entries)
}

/// Size and place of an entry from its 64-bit fields, where the 32-bit ones say so.
fn wide(mut extra: &[u8], plain: usize, size: &mut usize, local: &mut usize) -> Option<()> {
    while extra.len() >= 4 {
        let (kind, length) = (number(extra, 0, 2)?, number(extra, 2, 2)?);
        if kind == 1 {
            let mut at = 4;
            let mut next = |value: &mut usize| {
                if *value == 0xffff_ffff {
                    *value = number(extra, at, 8)?;
                    at += 8;
                }
                Some(())
            };
            next(&mut { plain })?;
            next(size)?;
            next(local)?;
        }
        extra = extra.get(4 + length..)?;
    }
    Some(())
}
