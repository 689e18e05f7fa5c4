//! Conversions of published archives into the files that the crates read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::{keras, zip};

/// Content of files by path.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The files that a conversion makes of an archive: gzip-compressed tar for `knp`; for `zip FOLDER` a zip archive, such as a
/// Python wheel, whose files below that folder are taken; for `squeezenet FILE` the weights that Keras published, which become that file.
pub(crate) fn convert(name: &str, archive: &Path) -> Result<Files> {
    let unpacking = || format!("unpacking {}", archive.display());
    match name.split_once(' ').unwrap_or((name, "")) {
        ("knp", _) => knp(&unpack(archive).with_context(unpacking)?),
        ("zip", folder) => zip::below(&std::fs::read(archive)?, folder).with_context(unpacking),
        ("squeezenet", path) => {
            Ok(Files::from([(path.to_owned(), keras::squeezenet(&std::fs::read(archive)?)?)]))
        }
        _ => bail!("the manifest names an unknown conversion `{name}`"),
    }
}

/// Files of the archive without its first folder.
fn unpack(archive: &Path) -> Result<Files> {
    let mut files = Files::new();
    for entry in tar::Archive::new(GzDecoder::new(File::open(archive)?)).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        if let Some((_, path)) = path.split_once('/').filter(|_| entry.header().entry_type().is_file()) {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            files.insert(path.to_owned(), content);
        }
    }
    Ok(files)
}

/// Wikipedia Annotated Corpus: the documents of `knp/` joined in the order of `id/<split>.id`, without the tags of
/// predicate-argument structure and coreference (`<rel …/>`, `<memo …/>`).
fn knp(files: &Files) -> Result<Files> {
    let named = |path: &str| {
        let name = path.rsplit('/').next()?.strip_suffix(".knp")?;
        path.starts_with("knp/").then(|| name.to_owned())
    };
    let documents: BTreeMap<String, &Vec<u8>> =
        files.iter().filter_map(|(path, content)| Some((named(path)?, content))).collect();
    let mut converted = Files::new();
    for split in ["train", "dev", "test"] {
        let list = files.get(&format!("id/{split}.id")).with_context(|| format!("no id/{split}.id"))?;
        let mut text = String::new();
        for id in std::str::from_utf8(list)?.split_whitespace() {
            let document = documents.get(id).with_context(|| format!("no document {id}"))?;
            for line in std::str::from_utf8(document)?.lines() {
                text += without_tags(line).trim_end_matches(' ');
                text.push('\n');
            }
        }
        let (name, content) = match split {
            "train" => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(text.as_bytes())?;
                (format!("{split}.knp.gz"), encoder.finish()?)
            }
            _ => (format!("{split}.knp"), text.into_bytes()),
        };
        converted.insert(name, content);
        converted.insert(format!("{split}.id"), list.clone());
    }
    Ok(converted)
}

/// A line without its `<rel …/>` and `<memo …/>`. A tag with a `>` inside stays, as it did in the files whose hashes the
/// manifest has (one memo of the corpus); readers pass over it.
fn without_tags(line: &str) -> String {
    let mut kept = String::new();
    let mut rest = line;
    while let Some(start) = ["<rel ", "<memo "].iter().filter_map(|tag| rest.find(tag)).min() {
        let end = rest[start..].find('>').map_or(rest.len(), |end| start + end + 1);
        kept += &rest[..start];
        if !rest[..end].ends_with("/>") {
            kept += &rest[start..end];
        }
        rest = &rest[end..];
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_joined_by_the_lists_without_relations() {
        let file = |path: &str, text: &str| (path.to_owned(), text.as_bytes().to_vec());
        let files = Files::from([
            file("id/train.id", "b\n"),
            file("id/dev.id", "c\na\n"),
            file("id/test.id", ""),
            file("knp/x/a.knp", "+ 1D <rel type=\"ガ\" target=\"x\"/><NE:PERSON:a><memo text=\"\"/>\nEOS\n"),
            file("knp/x/b.knp", "EOS\n"),
            file("knp/y/c.knp", "+ -1D <rel a/>\n"),
        ]);
        let converted = knp(&files).unwrap();
        assert_eq!(converted["dev.knp"], "+ -1D\n+ 1D <NE:PERSON:a>\nEOS\n".as_bytes());
        let mut train = String::new();
        GzDecoder::new(&converted["train.knp.gz"][..]).read_to_string(&mut train).unwrap();
        assert_eq!(train, "EOS\n");
        assert_eq!(converted["dev.id"], b"c\na\n");
    }
}
