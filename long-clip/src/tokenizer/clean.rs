//! What OpenAI's tokenizer does to a text before it is cut: `ftfy.fix_text`, HTML entities twice, white space, lower case.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

/// Longest name of an entity that is looked for, as in Python's `html.unescape`.
const LONGEST_NAME: usize = 32;

/// The cleaned text in lower case, each run of white space one space, none at the ends.
pub(super) fn clean(text: &str) -> String {
    let simple = text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r') && byte != b'&');
    if simple {
        // Nothing for ftfy to mend, no entity, and no letter whose lower case needs its neighbours.
        let mut cleaned = collapse(text);
        cleaned.make_ascii_lowercase();
        return cleaned;
    }
    let mended = mend(text);
    let plain = unescape(&unescape(&mended)).into_owned();
    collapse(plain.trim_matches(is_python_space)).to_lowercase()
}

/// `ftfy.fix_text`.
fn mend(text: &str) -> String {
    plsfix::fix_text(&without_escapes(text), None)
}

/// Without terminal escapes `ESC [ … letter`, which ftfy drops (`\033\[((?:\d|;)*)([a-zA-Z])`).
fn without_escapes(text: &str) -> Cow<'_, str> {
    if !text.contains("\u{1b}[") {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        let (before, escape) = rest.split_at(at);
        kept.push_str(before);
        let body = escape[2..].trim_start_matches(|c: char| c.is_numeric() || c == ';');
        rest = match body.chars().next() {
            Some(letter) if letter.is_ascii_alphabetic() => &body[1..],
            _ => {
                kept.push('\u{1b}');
                &escape[1..]
            }
        };
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

/// Python's `str.isspace` of a letter.
fn is_python_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

fn collapse(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(char::is_whitespace).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// Python's `html.unescape`: HTML 5's names with or without semicolon, the longest that fits; numbers.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let used = reference(rest, &mut out);
        rest = &rest[used..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Appends what the reference at the start of `text`, behind its `&`, stands for; returns its length.
fn reference(text: &str, out: &mut String) -> usize {
    if let Some(number) = text.strip_prefix('#') {
        let (digits, radix) = match number.strip_prefix(['x', 'X']) {
            Some(digits) => (digits, 16),
            None => (number, 10),
        };
        let is_digit = |letter: char| match radix {
            16 => letter.is_ascii_hexdigit(),
            _ => letter.is_ascii_digit(),
        };
        let length = digits.find(|letter| !is_digit(letter)).unwrap_or(digits.len());
        if length > 0 {
            out.extend(character(&digits[..length], radix));
            let semicolon = usize::from(digits[length..].starts_with(';'));
            return text.len() - digits.len() + length + semicolon;
        }
        out.push('&');
        return 0;
    }
    let ends = |letter: char| matches!(letter, '\t' | '\n' | '\u{c}' | ' ' | '<' | '&' | '#' | ';');
    let limit = text.char_indices().nth(LONGEST_NAME).map_or(text.len(), |(at, _)| at);
    let mut end = text[..limit].find(ends).unwrap_or(limit);
    if end > 0 && text[end..].starts_with(';') {
        end += 1;
    }
    let name = &text[..end];
    let prefixes = (2..=name.len()).rev().filter(|&length| name.is_char_boundary(length));
    for length in [name.len()].into_iter().chain(prefixes) {
        if let Some(meaning) = names().get(&name[..length]) {
            out.push_str(meaning);
            return length;
        }
    }
    out.push('&');
    0
}

/// What a number stands for, as HTML 5 and Python read it: windows-1252 for 128 to 159, nothing for what is no character.
fn character(digits: &str, radix: u32) -> Option<char> {
    const WINDOWS: [char; 32] = [
        '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}',
        '\u{2c6}', '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}', '\u{90}',
        '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}', '\u{2dc}',
        '\u{2122}', '\u{161}', '\u{203a}', '\u{153}', '\u{9d}', '\u{17e}', '\u{178}',
    ];
    // Too long for 32 bits is too large for a character.
    let number = u32::from_str_radix(digits, radix).unwrap_or(u32::MAX);
    match number {
        0 => Some('\u{fffd}'),
        0x0d => Some('\r'),
        0x80..=0x9f => Some(WINDOWS[number as usize - 0x80]),
        0xd800..=0xdfff | 0x11_0000.. => Some('\u{fffd}'),
        0x1..=0x8 | 0xb | 0xe..=0x1f | 0x7f | 0xfdd0..=0xfdef => None,
        _ if number & 0xfffe == 0xfffe => None,
        _ => char::from_u32(number),
    }
}

/// HTML 5's names, without `&`.
fn names() -> &'static HashMap<&'static str, &'static str> {
    static NAMES: OnceLock<HashMap<&str, &str>> = OnceLock::new();
    NAMES.get_or_init(|| {
        entities::ENTITIES.iter().map(|entity| (&entity.entity[1..], entity.characters)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_read_as_python_reads_them() {
        let cases = [
            ("&lt;b&gt;", "<b>"),
            ("&notit;", "¬it;"),
            ("&amp;amp;", "&amp;"),
            ("&#39;&#x27;&#150;&#0;&#x110000;&#1;", "''–\u{fffd}\u{fffd}"),
            ("a & b &; &# &#x; &unknown; &eacute", "a & b &; &# &#x; &unknown; é"),
        ];
        for (text, expected) in cases {
            assert_eq!(unescape(text), expected, "{text}");
        }
    }

    #[test]
    fn terminal_escapes_are_dropped() {
        assert_eq!(without_escapes("\u{1b}[31;1mred\u{1b}[0m \u{1b}[?"), "red \u{1b}[?");
    }

    #[test]
    fn white_space_is_collapsed_and_case_lowered() {
        assert_eq!(clean("  A\t\nCat \r\n "), "a cat");
        assert_eq!(clean("ΟΔΟΣ\u{3000}ΣΑΣ ’Ｆ"), "οδος σας 'f");
    }
}
