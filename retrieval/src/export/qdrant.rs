//! Bodies of Qdrant's REST requests.

use std::io::Write;
use std::path::Path;

use common::files;
use serde_json::json;

use super::{ExportError, Exported, json};

/// Size from which on a file of points is full; Qdrant takes requests of up to 32 MiB.
const FILE_BYTES: usize = 16 << 20;

pub(super) fn write<'a>(
    width: usize,
    documents: impl Iterator<Item = Result<Exported<'a>, ExportError>>,
    folder: &Path,
) -> Result<usize, ExportError> {
    let vectors =
        json!({ "size": width, "distance": "Dot", "multivector_config": { "comparator": "max_sim" } });
    let collection = serde_json::to_vec_pretty(&json!({ "vectors": vectors })).unwrap_or_default();
    files::write_atomic(&folder.join("collection.json"), &collection)?;
    let (mut n_documents, mut n_files, mut points) = (0, 0, Vec::new());
    let mut flush = |points: &mut Vec<u8>| {
        if points.is_empty() {
            return Ok(());
        }
        let path = folder.join(format!("points-{n_files:05}.json"));
        n_files += 1;
        files::write_atomic_with(&path, |file| {
            file.write_all(b"{\"points\":[")?;
            file.write_all(points)?;
            file.write_all(b"]}")
        })?;
        points.clear();
        Ok::<(), ExportError>(())
    };
    for document in documents {
        let Exported { id, text, rows } = document?;
        let rows: Vec<&[f32]> = rows.chunks_exact(width).collect();
        // Qdrant's ids are numbers or UUIDs; ours goes with the payload.
        let point = json!({ "id": n_documents, "vector": rows, "payload": { "id": id, "text": text } });
        if !points.is_empty() {
            points.push(b',');
        }
        let line = json(&point).map_err(|error| files::FileError::content(folder, error.to_string()))?;
        points.extend(line);
        n_documents += 1;
        if points.len() >= FILE_BYTES {
            flush(&mut points)?;
        }
    }
    flush(&mut points)?;
    Ok(n_documents)
}
