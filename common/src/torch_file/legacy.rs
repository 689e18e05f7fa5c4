//! Files of `torch.save` before version 1.6: five pickles (a magic number, a version, the system, the value, the names of its
//! storages), then for each storage the count of its numbers and the numbers. Some of torchvision's weights still come so.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;

use super::pickle::{Node, Pickle};
use super::{Dtype, Entry, PICKLE, named, read_place};

/// Bytes of the first pickle, an integer of ten bytes.
const MAGIC: usize = 15;
/// Version of the format; there was only one.
const VERSION: i64 = 1001;

/// Bytes of the file with the numbers of each storage, as `data/NAME`.
type Places = HashMap<String, Range<u64>>;

/// Tensors of a file, and where their numbers are.
pub(super) fn read(file: &File, length: u64) -> Result<(Vec<Entry>, Places), String> {
    let start = read_place(file, &(0..length.min(PICKLE))).map_err(|error| error.to_string())?;
    let mut rest = start.get(MAGIC..).unwrap_or_default();
    let [version, system] = [(); 2].map(|()| Pickle::parse_next(&mut rest));
    if !matches!(root(&version?), Node::Integer(VERSION)) {
        return Err("another version of the format".to_owned());
    }
    if !is_little_endian(&system?) {
        return Err("big-endian numbers, expected little-endian".to_owned());
    }
    let value = Pickle::parse_next(&mut rest)?;
    let names = storages(&Pickle::parse_next(&mut rest)?)?;
    let mut at = (start.len() - rest.len()) as u64;
    let types: HashMap<&str, Dtype> = value.nodes.iter().filter_map(storage).collect();
    let mut places = Places::new();
    for name in names {
        let dtype = types.get(&*name).ok_or_else(|| format!("storage `{name}` belongs to no tensor"))?;
        let cut = || format!("it ends before storage `{name}` is whole");
        if length.saturating_sub(at) < 8 {
            return Err(cut());
        }
        let count = read_place(file, &(at..at + 8)).map_err(|error| error.to_string())?;
        let count = count.try_into().map_or(0, u64::from_le_bytes);
        let bytes = count.checked_mul(dtype.size() as u64).ok_or_else(cut)?;
        let end = (at + 8).checked_add(bytes).filter(|end| *end <= length).ok_or_else(cut)?;
        places.insert(format!("data/{name}"), at + 8..end);
        at = end;
    }
    Ok((named(&value)?, places))
}

fn root(pickle: &Pickle) -> &Node {
    pickle.node(pickle.root)
}

fn is_little_endian(system: &Pickle) -> bool {
    let Node::Names(entries) = root(system) else { return false };
    let of = |name: &str| {
        entries.iter().find(|(key, _)| matches!(system.node(*key), Node::Text(text) if text == name))
    };
    of("little_endian").is_some_and(|(_, value)| matches!(system.node(*value), Node::True))
}

fn storages(pickle: &Pickle) -> Result<Vec<String>, String> {
    let Node::Items(items) = root(pickle) else { return Err("no list of storages".to_owned()) };
    let name = |&id: &u32| match pickle.node(id) {
        Node::Text(name) => Ok(name.clone()),
        _ => Err("a storage without a name".to_owned()),
    };
    items.iter().map(name).collect()
}

fn storage(node: &Node) -> Option<(&str, Dtype)> {
    match node {
        Node::Storage(dtype, name) => Some((name, *dtype)),
        _ => None,
    }
}
