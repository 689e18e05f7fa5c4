//! JSON lines with spans (the Doccano and Prodigy family): one object with `text` and a span list per line.

use std::path::Path;

use serde_json::{Value, json};

use super::{AnnotatedText, ParseError, Span, open, sort_spans};

/// Texts of a JSON-lines file, with spans under `label` (`[[start, end, "TYPE"]]`), `entities` or `spans`
/// (objects with `start`, `end`, `label`). Offsets are code points.
///
/// # Errors
/// [`ParseError`] with the line: broken JSON, no text, spans outside the text or overlapping.
pub fn read(path: &Path) -> Result<Vec<AnnotatedText>, ParseError> {
    let mut lines = open(path)?;
    let mut texts = Vec::new();
    while let Some((number, line)) = lines.next_line()? {
        if !line.trim().is_empty() {
            let text = parse(line).map_err(|problem| ParseError::new(path, number, problem, ""))?;
            texts.push(text);
        }
    }
    if texts.is_empty() {
        return Err(ParseError::new(path, 1, "no line with a JSON object", "is the file empty?"));
    }
    Ok(texts)
}

/// One line of a JSON-lines file.
///
/// # Errors
/// What is wrong, for a message.
pub fn parse(line: &str) -> Result<AnnotatedText, String> {
    let object: Value = serde_json::from_str(line).map_err(|error| format!("not JSON: {error}"))?;
    let text = object["text"]
        .as_str()
        .ok_or("no string `text`; expected {\"text\": …, \"label\": [[start, end, type]]}")?;
    let n_chars = text.chars().count();
    let list = ["label", "entities", "spans"].iter().find_map(|key| object[*key].as_array());
    let mut spans = Vec::new();
    for entry in list.into_iter().flatten() {
        let get =
            |place: usize, key: &str| if entry.is_array() { &entry[place] } else { &entry[key] }.clone();
        let (start, end, label) = (get(0, "start"), get(1, "end"), get(2, "label"));
        let (Some(start), Some(end), Some(label)) = (start.as_u64(), end.as_u64(), label.as_str()) else {
            return Err(format!("`{entry}` is not a span; expected [start, end, \"TYPE\"]"));
        };
        if start >= end || end as usize > n_chars {
            return Err(format!("span [{start}, {end}) does not fit a text of {n_chars} characters"));
        }
        spans.push(Span { start: start as usize, end: end as usize, label: label.to_owned() });
    }
    sort_spans(&mut spans)?;
    let id = object["id"].as_str().map(str::to_owned);
    Ok(AnnotatedText { id, text: text.to_owned(), spans })
}

/// One line, without line end, in the form that [`parse`] reads.
pub fn to_line(text: &AnnotatedText) -> String {
    let spans: Vec<Value> = text.spans.iter().map(|span| json!([span.start, span.end, span.label])).collect();
    let mut object = json!({ "text": text.text, "label": spans });
    if let Some(id) = &text.id {
        object["id"] = json!(id);
    }
    object.to_string()
}
