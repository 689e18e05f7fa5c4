//! COCO's captions, Karpathy's splits, ShareGPT4V's conversations.

use std::collections::HashMap;
use std::path::Path;

use common::files;
use serde::Deserialize;

use super::{Collection, DataError, ImageFile, Reading, place};

#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    Coco { images: Vec<CocoImage>, annotations: Vec<Annotation> },
    Karpathy { images: Vec<KarpathyImage> },
    Conversations(Vec<Conversation>),
}

#[derive(Deserialize)]
struct CocoImage {
    id: u64,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    caption: String,
}

#[derive(Deserialize)]
struct KarpathyImage {
    filename: String,
    #[serde(default)]
    filepath: Option<String>,
    split: String,
    sentences: Vec<Sentence>,
}

#[derive(Deserialize)]
struct Sentence {
    raw: String,
}

#[derive(Deserialize)]
struct Conversation {
    image: String,
    conversations: Vec<Turn>,
}

#[derive(Deserialize)]
struct Turn {
    value: String,
}

pub(super) fn read(path: &Path, reading: &Reading) -> Result<Collection, DataError> {
    let content = |problem: String| DataError::Content { path: path.to_owned(), problem };
    let text = files::read_text(path)?;
    let document = serde_json::from_str(&text).map_err(|error| {
        let what = if error.is_data() { "not one of the layouts".to_owned() } else { error.to_string() };
        content(format!(
            "{what}; expected COCO (`images`, `annotations`), Karpathy (`images` with `split` and `sentences`) or ShareGPT4V (a list \
             with `image` and `conversations`)"
        ))
    })?;
    let mut collection = Collection::default();
    match document {
        Document::Coco { images, annotations } => {
            let mut captions: HashMap<u64, Vec<String>> = HashMap::new();
            for annotation in annotations {
                captions.entry(annotation.image_id).or_default().push(annotation.caption);
            }
            for image in images {
                let own = captions.remove(&image.id).unwrap_or_default();
                collection.add(ImageFile::Path(place(&image.file_name, path, reading)), own);
            }
            let mut rest: Vec<u64> = captions.into_keys().collect();
            rest.sort_unstable();
            let unknown =
                rest.iter().map(|id| format!("{}: captions of the unknown image {id}", path.display()));
            collection.left_out.extend(unknown);
        }
        Document::Karpathy { images } => {
            let wanted =
                |image: &KarpathyImage| reading.split.as_ref().is_none_or(|split| *split == image.split);
            let mut splits: Vec<String> = images.iter().map(|image| image.split.clone()).collect();
            for image in images.into_iter().filter(wanted) {
                let name = match &image.filepath {
                    Some(folder) => format!("{folder}/{}", image.filename),
                    None => image.filename,
                };
                let captions = image.sentences.into_iter().map(|sentence| sentence.raw);
                collection.add(ImageFile::Path(place(&name, path, reading)), captions);
            }
            if collection.items.is_empty() && collection.left_out.is_empty() {
                splits.sort();
                splits.dedup();
                let asked = reading.split.as_deref().unwrap_or_default();
                return Err(content(format!("no split `{asked}`; it has `{}`", splits.join("`, `"))));
            }
        }
        Document::Conversations(rows) => {
            for row in rows {
                // The first turn asks, the second is the caption.
                let caption = row.conversations.into_iter().nth(1).map(|turn| turn.value.replace('\n', " "));
                collection.add(ImageFile::Path(place(&row.image, path, reading)), caption);
            }
        }
    }
    Ok(collection)
}
