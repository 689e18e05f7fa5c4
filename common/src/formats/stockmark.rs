//! Stockmark's JSON: `[{curid, text, entities: [{name, span: [start, end), type}]}]`, code-point offsets.

use std::path::Path;

use serde::Deserialize;

use super::{AnnotatedText, ParseError, Span, sort_spans};
use crate::files;

#[derive(Deserialize)]
struct Item {
    curid: String,
    text: String,
    entities: Vec<Entity>,
}

#[derive(Deserialize)]
struct Entity {
    name: String,
    span: [usize; 2],
    #[serde(rename = "type")]
    label: String,
}

/// Texts of a Stockmark file; every name is checked against its place in the text.
///
/// # Errors
/// [`ParseError`] with the line of a JSON error, or the number of the item whose entity does not fit.
pub fn read(path: &Path) -> Result<Vec<AnnotatedText>, ParseError> {
    let content = files::read_text(path).map_err(|error| ParseError::new(path, 0, error.to_string(), ""))?;
    let items: Vec<Item> = serde_json::from_str(&content).map_err(|error| ParseError {
        column: Some(error.column()),
        ..ParseError::new(path, error.line(), format!("not Stockmark JSON: {error}"), "")
    })?;
    items.into_iter().enumerate().map(|(index, item)| annotated(path, index, item)).collect()
}

fn annotated(path: &Path, index: usize, item: Item) -> Result<AnnotatedText, ParseError> {
    let fail =
        |problem: String| ParseError::new(path, 0, format!("item {index} ({}): {problem}", item.curid), "");
    let mut spans = Vec::with_capacity(item.entities.len());
    for Entity { name, span: [start, end], label } in &item.entities {
        let found: String = item.text.chars().skip(*start).take(end.saturating_sub(*start)).collect();
        if found != *name {
            return Err(fail(format!("text[{start}..{end}] is `{found}`, expected the entity `{name}`")));
        }
        spans.push(Span { start: *start, end: *end, label: label.clone() });
    }
    sort_spans(&mut spans).map_err(&fail)?;
    Ok(AnnotatedText { id: Some(item.curid), text: item.text, spans })
}
