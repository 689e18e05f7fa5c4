//! WebDataset: members of an archive that share a name up to its first dot are one sample.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::PathBuf;

use serde_json::Value;

use super::{Collection, DataError, ImageFile, is_image};

#[derive(Default)]
struct Sample {
    image: Option<ImageFile>,
    captions: Vec<String>,
}

pub(super) fn read(archives: &[PathBuf]) -> Result<Collection, DataError> {
    let mut collection = Collection::default();
    for archive in archives {
        let content = |problem: String| DataError::Content { path: archive.clone(), problem };
        let file = File::open(archive).map_err(|error| content(error.to_string()))?;
        let mut reader = tar::Archive::new(BufReader::new(file));
        let mut order: Vec<String> = Vec::new();
        let mut samples: HashMap<String, Sample> = HashMap::new();
        for entry in reader.entries().map_err(|error| content(error.to_string()))? {
            let mut entry = entry.map_err(|error| content(format!("not a whole archive: {error}")))?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let name =
                entry.path().map_err(|error| content(error.to_string()))?.to_string_lossy().into_owned();
            let folder = name.rfind('/').map_or(0, |at| at + 1);
            let Some((stem, ending)) = name[folder..].split_once('.') else { continue };
            let key = format!("{}{stem}", &name[..folder]);
            let sample = samples.entry(key.clone()).or_insert_with(|| {
                order.push(key.clone());
                Sample::default()
            });
            if is_image(&name) {
                let (at, size) = (entry.raw_file_position(), entry.size());
                sample.image = Some(ImageFile::Member { archive: archive.clone(), name, at, size });
            } else if ending == "txt" || ending == "json" {
                let mut text = String::new();
                let read = entry.read_to_string(&mut text);
                read.map_err(|error| content(format!("`{name}`: {error}")))?;
                if ending == "txt" {
                    sample.captions.insert(0, text);
                } else if let Ok(Value::Object(fields)) = serde_json::from_str(&text)
                    && let Some(caption) = fields.get("caption").and_then(Value::as_str)
                    && sample.captions.is_empty()
                {
                    sample.captions.push(caption.to_owned());
                }
            }
        }
        for key in order {
            let Sample { image, captions } = samples.remove(&key).unwrap_or_default();
            match image {
                Some(image) => collection.add(image, captions),
                None => collection
                    .left_out
                    .push(format!("{}:{key}: captions without an image", archive.display())),
            }
        }
    }
    Ok(collection)
}
