//! NumPy's array files, as far as foreign indexes use them: little-endian numbers in C order.

use std::path::Path;

use common::files;

use super::IndexError;
use super::array::{Array, Kind};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads an array of numbers.
pub(super) fn read(path: &Path) -> Result<Array, IndexError> {
    let bytes = files::read(path)?;
    parse(bytes).map_err(|problem| IndexError::Foreign { path: path.to_owned(), problem })
}

fn parse(bytes: Vec<u8>) -> Result<Array, String> {
    let not_npy = || "not a `.npy` file; save it with `numpy.save`".to_owned();
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(not_npy)?;
    let (length, head) = match (rest.first(), rest.get(2..4), rest.get(2..6)) {
        (Some(1), Some(&[a, b]), _) => (usize::from(u16::from_le_bytes([a, b])), 10),
        (Some(2 | 3), _, Some(&[a, b, c, d])) => (u32::from_le_bytes([a, b, c, d]) as usize, 12),
        _ => return Err(not_npy()),
    };
    let header = bytes.get(head..head + length).and_then(|header| std::str::from_utf8(header).ok());
    let header = header.ok_or_else(not_npy)?.to_owned();
    let after = |key: &str| header.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
    let kind = after("descr").and_then(|rest| rest.split('\'').nth(1)).ok_or_else(not_npy)?.to_owned();
    let kind = match kind.as_str() {
        "|u1" => Kind::U8,
        "<i4" => Kind::I32,
        "<i8" => Kind::I64,
        "<f2" => Kind::F16,
        "<f4" => Kind::F32,
        other => return Err(format!("numbers of type `{other}`, expected |u1, <f2, <f4, <i4 or <i8")),
    };
    if !after("fortran_order").is_some_and(|rest| rest.starts_with("False")) {
        return Err("in Fortran order, expected C order; save `numpy.ascontiguousarray(x)`".to_owned());
    }
    let shape =
        after("shape").and_then(|rest| rest.strip_prefix('(')?.split(')').next()).ok_or_else(not_npy)?;
    let shape: Result<Vec<usize>, _> =
        shape.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::parse).collect();
    let shape = shape.map_err(|_| not_npy())?;
    let problem = format!("the numbers do not fit shape {shape:?}: cut?");
    Array::new(kind, shape, bytes, head + length).ok_or(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn halves_integers_and_shapes_are_read() {
        let halves = "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 1), }";
        let array = parse(file(halves, &[0x00, 0x3c, 0x00, 0xc0])).unwrap();
        assert_eq!((array.shape.clone(), array.floats()), (vec![2, 1], Some(vec![1.0, -2.0])));
        let integers = "{'descr': '<i4', 'fortran_order': False, 'shape': (1,), }";
        assert_eq!(parse(file(integers, &[255; 4])).unwrap().integers(), Some(vec![-1]));
    }

    #[test]
    fn other_arrays_are_refused() {
        let objects = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }";
        let fortran = "{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }";
        let cut = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }";
        let problems =
            [objects, fortran, cut].map(|header| parse(file(header, &[0; 4])).err().unwrap_or_default());
        assert!(problems[0].contains("`|O`") && problems[1].contains("C order"), "{problems:?}");
        assert!(problems[2].contains("do not fit"), "{problems:?}");
        assert!(parse(b"PK\x03\x04".to_vec()).is_err());
    }
}
