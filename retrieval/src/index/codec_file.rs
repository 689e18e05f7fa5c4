//! The codec as a file.

use std::path::Path;

use super::manifest::{Manifest, Part, read_part, write_part};
use super::{Codec, IndexError};

const MAGIC: &[u8; 8] = b"BKCODEC1";

pub(super) fn write(folder: &Path, file: String, codec: &Codec) -> Result<Part, IndexError> {
    let mut bytes = MAGIC.to_vec();
    for number in [codec.width, codec.bits as usize, codec.len()] {
        bytes.extend((number as u32).to_le_bytes());
    }
    for value in codec.cutoffs.iter().chain(&codec.weights).chain(&codec.scales) {
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(codec.codes.iter().map(|code| code.cast_unsigned()));
    write_part(folder, file, &[&bytes])
}

pub(super) fn read(folder: &Path, manifest: &Manifest) -> Result<Codec, IndexError> {
    let path = folder.join(&manifest.codec.file);
    let bytes = read_part(folder, &manifest.codec)?;
    let corrupt = |problem: &str| IndexError::corrupt(&path, problem);
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| corrupt("not a codec file"))?;
    let (head, rest) = rest.split_at_checked(12).ok_or_else(|| corrupt("too short"))?;
    let head = numbers(head);
    let (width, bits, count) = (head[0] as usize, head[1], head[2] as usize);
    if (width, bits, count) != (manifest.width, manifest.bits, manifest.centroids) || count == 0 || bits > 4 {
        return Err(corrupt("width, bits or number of centroids differ from the manifest's"));
    }
    let cells = 1_usize << bits;
    let floats = 2 * cells - 1 + count;
    if rest.len() != 4 * floats + count * width {
        return Err(corrupt("another length than its header says"));
    }
    let (floats, codes) = rest.split_at(4 * floats);
    let floats: Vec<f32> = numbers(floats).into_iter().map(f32::from_bits).collect();
    let (cutoffs, weights) = (floats[..cells - 1].to_vec(), floats[cells - 1..2 * cells - 1].to_vec());
    let codes = codes.iter().map(|byte| byte.cast_signed()).collect();
    Codec::from_parts(width, bits, codes, floats[2 * cells - 1..].to_vec(), cutoffs, weights)
        .map_err(|error| corrupt(&error.to_string()))
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
}
