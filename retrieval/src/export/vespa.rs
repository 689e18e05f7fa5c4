//! A Vespa schema and a feed for it.

use std::io::{BufWriter, Write};
use std::path::Path;

use common::files;
use serde_json::{Map, Value, json};

use super::{ExportError, Exported, json};

pub(super) fn write<'a>(
    width: usize,
    documents: impl Iterator<Item = Result<Exported<'a>, ExportError>>,
    folder: &Path,
) -> Result<usize, ExportError> {
    files::write_atomic(&folder.join("document.sd"), schema(width).as_bytes())?;
    let (mut n_documents, mut refused) = (0, None);
    files::write_atomic_with(&folder.join("feed.jsonl"), |file| {
        let mut output = BufWriter::new(file);
        for document in documents {
            let document = match document {
                Ok(document) => document,
                Err(error) => {
                    refused = Some(error);
                    return Err(std::io::ErrorKind::InvalidInput.into());
                }
            };
            output.write_all(&json(&put(&document, width))?)?;
            output.write_all(b"\n")?;
            n_documents += 1;
        }
        output.flush()
    })
    .map_err(|error| refused.take().unwrap_or(error.into()))?;
    Ok(n_documents)
}

/// One operation of the feed: token vectors are a mixed tensor, one block per token.
fn put(document: &Exported<'_>, width: usize) -> Value {
    let rows = document.rows.chunks_exact(width).enumerate();
    let blocks: Map<String, Value> = rows.map(|(token, row)| (token.to_string(), json!(row))).collect();
    json!({
        "put": format!("id:retrieval:document::{}", document.id),
        "fields": { "id": document.id, "text": document.text.unwrap_or_default(), "colbert": { "blocks": blocks } },
    })
}

fn schema(width: usize) -> String {
    format!(
        "schema document {{
    document document {{
        field id type string {{
            indexing: attribute | summary
        }}
        field text type string {{
            indexing: index | summary
        }}
        field colbert type tensor<bfloat16>(token{{}}, x[{width}]) {{
            indexing: attribute
        }}
    }}
    fieldset default {{
        fields: text
    }}
    rank-profile maxsim {{
        inputs {{
            query(tokens) tensor<float>(query{{}}, x[{width}])
        }}
        first-phase {{
            expression: bm25(text)
        }}
        second-phase {{
            rerank-count: 1000
            expression: sum(reduce(sum(query(tokens) * attribute(colbert), x), max, token), query)
        }}
    }}
}}
"
    )
}
