//! Reading zip archives, as far as wheels use the format: stored or deflated files, below 4 GiB.

use std::io::Read;

use anyhow::{Context, Result, bail, ensure};
use flate2::read::DeflateDecoder;

use crate::convert::Files;

const END: &[u8] = b"PK\x05\x06";
const LISTED: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";

/// The files below `folder`, which ends with `/`, by their path from there.
pub(crate) fn below(archive: &[u8], folder: &str) -> Result<Files> {
    // The list is at the end, before a comment of at most 64 KiB.
    let end = archive
        .windows(4)
        .rposition(|window| window == END)
        .context("no list of files: not a whole zip archive")?;
    let (count, mut at) = (u16_at(archive, end + 10)?, u32_at(archive, end + 16)?);
    let mut files = Files::new();
    for _ in 0..count {
        ensure!(part(archive, at, 4)? == LISTED, "byte {at}: no entry of the list of files");
        let (method, packed, size) =
            (u16_at(archive, at + 10)?, u32_at(archive, at + 20)?, u32_at(archive, at + 24)?);
        let [name, extra, comment] = [28, 30, 32].map(|place| u16_at(archive, at + place));
        let (name, local) = (name?, u32_at(archive, at + 42)?);
        let path = std::str::from_utf8(part(archive, at + 46, name)?)?;
        if let Some(path) = path.strip_prefix(folder).filter(|path| !path.is_empty() && !path.ends_with('/'))
        {
            ensure!(part(archive, local, 4)? == LOCAL, "byte {local}: no file");
            let start = local + 30 + u16_at(archive, local + 26)? + u16_at(archive, local + 28)?;
            let packed = part(archive, start, packed)?;
            let mut content = Vec::with_capacity(size);
            match method {
                0 => content.extend_from_slice(packed),
                8 => drop(DeflateDecoder::new(packed).read_to_end(&mut content)?),
                other => bail!("{path}: packed by method {other}, expected 0 or 8"),
            }
            ensure!(
                content.len() == size,
                "{path}: {} bytes, expected {size}: the archive is damaged",
                content.len()
            );
            files.insert(path.to_owned(), content);
        }
        at += 46 + name + extra? + comment?;
    }
    Ok(files)
}

fn part(archive: &[u8], at: usize, len: usize) -> Result<&[u8]> {
    archive
        .get(at..)
        .and_then(|rest| rest.get(..len))
        .with_context(|| format!("ends before byte {}", at.saturating_add(len)))
}

fn u16_at(archive: &[u8], at: usize) -> Result<usize> {
    Ok(u16::from_le_bytes(part(archive, at, 2)?.try_into()?).into())
}

fn u32_at(archive: &[u8], at: usize) -> Result<usize> {
    Ok(u32::from_le_bytes(part(archive, at, 4)?.try_into()?) as usize)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    use super::*;

    /// An archive of these files, every second one deflated.
    fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
        let (mut out, mut list) = (Vec::new(), Vec::new());
        for (number, (path, content)) in files.iter().enumerate() {
            let method = if number % 2 == 1 { 8_u16 } else { 0 };
            let data = if method == 8 {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            } else {
                content.to_vec()
            };
            let local = out.len() as u32;
            let mut about = Vec::new();
            about.extend([20, 0, 0, 0]);
            about.extend(method.to_le_bytes());
            about.extend([0; 8]); // time and checksum
            about.extend((data.len() as u32).to_le_bytes());
            about.extend((content.len() as u32).to_le_bytes());
            about.extend((path.len() as u16).to_le_bytes());
            about.extend([0, 0]);
            out.extend(LOCAL.iter().chain(&about).chain(path.as_bytes()).chain(&data));
            list.extend(LISTED.iter().chain(&[20, 0]).chain(&about).chain(&[0; 10]));
            list.extend(local.to_le_bytes());
            list.extend(path.as_bytes());
        }
        let start = out.len() as u32;
        out.extend(&list);
        out.extend(END.iter().chain(&[0; 6]));
        out.extend((files.len() as u16).to_le_bytes());
        out.extend((list.len() as u32).to_le_bytes());
        out.extend(start.to_le_bytes());
        out.extend([0, 0]);
        out
    }

    #[test]
    fn files_below_a_folder_are_unpacked_and_damage_is_told() {
        let text = b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        let archive = packed(&[("a/b.txt", b"short"), ("a/c/d.txt", text), ("a/", b""), ("other.txt", b"x")]);
        let files = below(&archive, "a/").unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["b.txt", "c/d.txt"]);
        assert_eq!((&files["b.txt"][..], &files["c/d.txt"][..]), (&b"short"[..], &text[..]));
        assert!(below(&archive[..archive.len() - 30], "a/").is_err());
        let mut damaged = archive.clone();
        damaged[0] = b'X';
        assert_eq!(below(&damaged, "a/").unwrap_err().to_string(), "byte 0: no file");
        assert!(below(b"no archive", "").unwrap_err().to_string().starts_with("no list of files"));
    }
}
