//! JSON lines with spans (the Doccano and Prodigy family): one object with `text` and a span list per line.

use std::path::Path;

use serde_json::{Value, json};

use super::{AnnotatedText, ParseError, Scheme, Sentence, Span, open, sort_spans};

/// One line of a JSON-lines file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// `text` with spans.
    Text(AnnotatedText),
    /// `tokens` with `ner_tags`, as data sets on Hugging Face have them.
    Words(Sentence),
}

/// Records of a JSON-lines file: texts with spans under `label` (`[[start, end, "TYPE"]]`), `entities` or `spans`
/// (objects with `start`, `end`, `label`; offsets are code points), or `tokens` with `ner_tags`, which are tags or
/// places in `tag_names`.
///
/// # Errors
/// [`ParseError`] with the line: broken JSON, neither text nor tokens, spans outside the text or overlapping, tags
/// that are no tags.
pub fn read_records(path: &Path, tag_names: &[String]) -> Result<Vec<Record>, ParseError> {
    let mut lines = open(path)?;
    let mut records = Vec::new();
    while let Some((number, line)) = lines.next_line()? {
        if !line.trim().is_empty() {
            let record = parse_record(line, tag_names);
            records.push(record.map_err(|problem| ParseError::new(path, number, problem, ""))?);
        }
    }
    if records.is_empty() {
        return Err(ParseError::new(path, 1, "no line with a JSON object", "is the file empty?"));
    }
    Ok(records)
}

/// One line of a JSON-lines file, see [`read_records`].
///
/// # Errors
/// What is wrong, for a message.
pub fn parse_record(line: &str, tag_names: &[String]) -> Result<Record, String> {
    let object: Value = serde_json::from_str(line).map_err(|error| format!("not JSON: {error}"))?;
    let Some(tokens) = object["tokens"].as_array() else { return parse(line).map(Record::Text) };
    let word = |token: &Value| token.as_str().map(str::to_owned).ok_or(format!("`{token}` is not a token"));
    let words = tokens.iter().map(word).collect::<Result<Vec<String>, String>>()?;
    let tags = object["ner_tags"].as_array().ok_or("no list `ner_tags` beside `tokens`")?;
    if tags.len() != words.len() {
        return Err(format!("{} tags, expected {} as there are tokens", tags.len(), words.len()));
    }
    let tag = |tag: &Value| match (tag.as_str(), tag.as_u64()) {
        (Some(tag), _) if super::conll::is_tag(tag) => Ok(tag.to_owned()),
        (None, Some(id)) => tag_names.get(id as usize).cloned().ok_or(format!(
            "tag number {id} of {} known; name them with --tag-names O,B-PER,…",
            tag_names.len()
        )),
        _ => Err(format!("`{tag}` is not a tag; expected `O`, `B-TYPE`, `I-TYPE` … or a number")),
    };
    let tags = tags.iter().map(tag).collect::<Result<Vec<String>, String>>()?;
    let spans = Scheme::Iob2.decode(&tags).spans;
    let id = object["id"].as_str().map(str::to_owned);
    Ok(Record::Words(Sentence { words, spans, id, source: None }))
}

/// One text with spans.
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
