//! How Llama 3 and Qwen 2 cut a text into words before they merge bytes.

use super::gpt2_words::{Class, class, cut, run, spaces};

/// The words of `text`, which concatenate to it; numbers have at most `digits` characters, 3 in Llama 3 and 1 in Qwen 2:
///
/// ```text
/// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
/// ```
/// Source: the `tokenizer.json` of Llama 3.
pub(super) fn words(text: &str, digits: usize) -> impl Iterator<Item = &str> {
    cut(text, move |rest| first_word(rest, digits))
}

fn first_word(text: &str, digits: usize) -> Option<usize> {
    let first = text.chars().next()?;
    let (kind, length) = (class(first), first.len_utf8());
    if let Some(found) = contraction(text) {
        return Some(found);
    }
    let letters = run(&text[if kind == Class::Letter { 0 } else { length }..], Class::Letter);
    let leads = kind != Class::Number && !is_break(first);
    if kind == Class::Letter || (leads && letters > 0) {
        return Some(if kind == Class::Letter { letters } else { length + letters });
    }
    if kind == Class::Number {
        return Some(
            text.chars().take(digits).take_while(|&c| class(c) == Class::Number).map(char::len_utf8).sum(),
        );
    }
    let lead = usize::from(first == ' ');
    let others = run(&text[lead..], Class::Other);
    if others > 0 {
        let end = lead + others;
        return Some(end + text[end..].find(|c| !is_break(c)).unwrap_or(text.len() - end));
    }
    let white = &text[..run(text, Class::Space)];
    Some(white.rfind(is_break).map_or_else(|| spaces(text), |last| last + 1))
}

fn is_break(char: char) -> bool {
    matches!(char, '\r' | '\n')
}

/// Bytes of an English contraction in any case.
fn contraction(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('\'')?;
    let is = |part: &&&str| rest.get(..part.len()).is_some_and(|start| start.eq_ignore_ascii_case(part));
    ["s", "t", "re", "ve", "m", "ll", "d"].iter().find(is).map(|part| 1 + part.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_carry_one_leading_character_and_numbers_three_digits() {
        let cut = |text, digits| words(text, digits).collect::<Vec<_>>();
        assert_eq!(
            cut("Hello  world's 12345ab!?\n\n x", 3),
            ["Hello", " ", " world", "'s", " ", "123", "45", "ab", "!?\n\n", " x"]
        );
        assert_eq!(cut("I'LL \"say\"\t\n \n  x", 3), ["I", "'LL", " \"", "say", "\"", "\t\n \n", " ", " x"]);
        assert_eq!(cut("(漢字)７２ ½  ", 3), ["(漢字", ")", "７２", " ", "½", "  "]);
        assert_eq!(cut("12\r\na", 1), ["1", "2", "\r\n", "a"]);
        assert!(cut("", 3).is_empty());
    }
}
