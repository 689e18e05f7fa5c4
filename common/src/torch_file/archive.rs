//! A ZIP archive: where each of its uncompressed files lies.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;

use crate::files::read_exact_at;

/// Largest comment behind the directory.
const COMMENT: u64 = 65_535;
/// Most bytes of a directory: 65,536 tensors with long names.
const DIRECTORY: usize = 1 << 24;

/// Names and places of the archive's files that are not compressed.
///
/// # Errors
/// Why it is no such archive.
pub(super) fn entries(file: &File, length: u64) -> Result<HashMap<String, Range<u64>>, String> {
    read(file, length).ok_or_else(|| "not a whole ZIP archive".to_owned())
}

fn read(file: &File, length: u64) -> Option<HashMap<String, Range<u64>>> {
    let piece = |at: u64, size: usize| {
        let mut bytes = vec![0; size];
        read_exact_at(file, &mut bytes, at).ok().map(|()| bytes)
    };
    let from = length.saturating_sub(22 + COMMENT);
    let tail = piece(from, (length - from) as usize)?;
    let end = tail.windows(4).rposition(|window| window == b"PK\x05\x06")?;
    let (mut count, mut size) = (number(&tail, end + 10, 2)?, number(&tail, end + 12, 4)?);
    let mut at = number(&tail, end + 16, 4)?;
    if count == 0xffff || at == 0xffff_ffff || size == 0xffff_ffff {
        // The numbers are in the 64-bit form of this record, which a locator before it points to.
        let locator = piece((from + end as u64).checked_sub(20)?, 20)?;
        let record = piece(number(&locator, 8, 8).filter(|_| locator.starts_with(b"PK\x06\x07"))?, 56)?;
        (count, size, at) = (number(&record, 32, 8)?, number(&record, 40, 8)?, number(&record, 48, 8)?);
    }
    let directory = piece(at, usize::try_from(size).ok().filter(|&size| size <= DIRECTORY)?)?;
    let mut entries = HashMap::new();
    let mut at = 0;
    for _ in 0..count {
        let entry = directory.get(at..)?;
        if !entry.starts_with(b"PK\x01\x02") {
            return None;
        }
        let [name, extra, comment] =
            [28, 30, 32].map(|place| number(entry, place, 2).map(|size| size as usize));
        let (name, extra) = (name?, extra?);
        let (mut size, mut local) = (number(entry, 20, 4)?, number(entry, 42, 4)?);
        let text = String::from_utf8(entry.get(46..46 + name)?.to_vec()).ok()?;
        wide(entry.get(46 + name..46 + name + extra)?, number(entry, 24, 4)?, &mut size, &mut local)?;
        let header = piece(local, 30)?;
        let start = local.checked_add(30 + number(&header, 26, 2)? + number(&header, 28, 2)?)?;
        let end = start.checked_add(size).filter(|&end| end <= length)?;
        // TorchScript compresses its code, which nobody reads here.
        if number(entry, 10, 2)? == 0 {
            entries.insert(text, start..end);
        }
        at += 46 + name + extra + comment?;
    }
    Some(entries)
}

fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// Size and place of an entry from its 64-bit fields, where the 32-bit ones say so.
fn wide(mut extra: &[u8], plain: u64, size: &mut u64, local: &mut u64) -> Option<()> {
    while extra.len() >= 4 {
        let (kind, length) = (number(extra, 0, 2)?, number(extra, 2, 2)? as usize);
        if kind == 1 {
            let mut at = 4;
            let mut next = |value: &mut u64| {
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
