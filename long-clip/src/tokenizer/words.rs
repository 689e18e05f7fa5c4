//! Where a cleaned text is cut into words, by OpenAI's pattern
//!
//! ```text
//! <\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
//! ```
//!
//! without regard to case.

use std::sync::OnceLock;

use regex_syntax::hir::{Class, HirKind};

/// Spelling of the token that starts a text.
pub(super) const START: &str = "<|startoftext|>";
/// Spelling of the token that ends a text.
pub(super) const END: &str = "<|endoftext|>";

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Other,
    Letter,
    Number,
    Space,
}

/// Calls `found` with each word of a cleaned text, in order.
pub(super) fn for_each<'a>(text: &'a str, mut found: impl FnMut(&'a str)) {
    let kinds = kinds();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match special(rest).or_else(|| contraction(rest)) {
            Some(length) => length,
            None => match kinds.of(first) {
                Kind::Space => {
                    rest = &rest[first.len_utf8()..];
                    continue;
                }
                Kind::Number => first.len_utf8(),
                kind => kinds.run(rest, kind),
            },
        };
        let (word, behind) = rest.split_at(length);
        found(word);
        rest = behind;
    }
}

fn special(text: &str) -> Option<usize> {
    text.starts_with('<').then(|| [START, END].iter().find_map(|name| same_letters(text, name))).flatten()
}

fn contraction(text: &str) -> Option<usize> {
    const ENDINGS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
    text.starts_with('\'').then(|| ENDINGS.iter().find_map(|ending| same_letters(text, ending))).flatten()
}

/// Length of the start of a lower-case `text` that is `pattern` without regard to case: of its letters only s has another
/// lower-case form, ſ.
fn same_letters(text: &str, pattern: &str) -> Option<usize> {
    let mut letters = text.char_indices();
    for expected in pattern.chars() {
        let (_, letter) = letters.next()?;
        if letter != expected && !(expected == 's' && letter == 'ſ') {
            return None;
        }
    }
    Some(text.len() - letters.as_str().len())
}

/// Unicode's letters, numbers and white space; a bit field by code point.
struct Kinds {
    low: Vec<Kind>,
    high: Vec<(u32, u32, Kind)>,
}

/// Code points below this are looked up directly.
const LOW: u32 = 0x3_0000;

impl Kinds {
    fn new() -> Self {
        let mut kinds = Self { low: vec![Kind::Other; LOW as usize], high: Vec::new() };
        for (pattern, kind) in [(r"\p{L}", Kind::Letter), (r"\p{N}", Kind::Number), (r"\s", Kind::Space)] {
            let class = regex_syntax::parse(pattern).expect("a class of the crate's own tables");
            let HirKind::Class(Class::Unicode(class)) = class.kind() else { continue };
            for range in class.iter() {
                let (start, end) = (u32::from(range.start()), u32::from(range.end()));
                (start..=end.min(LOW - 1)).for_each(|code| kinds.low[code as usize] = kind);
                if end >= LOW {
                    kinds.high.push((start.max(LOW), end, kind));
                }
            }
        }
        kinds
    }

    fn of(&self, letter: char) -> Kind {
        let code = u32::from(letter);
        match self.low.get(code as usize) {
            Some(kind) => *kind,
            None => {
                let range = self.high.iter().find(|(start, end, _)| (*start..=*end).contains(&code));
                range.map_or(Kind::Other, |(.., kind)| *kind)
            }
        }
    }

    /// Length of the run of one kind at the start.
    fn run(&self, text: &str, kind: Kind) -> usize {
        text.char_indices().find(|(_, letter)| self.of(*letter) != kind).map_or(text.len(), |(at, _)| at)
    }
}

fn kinds() -> &'static Kinds {
    static KINDS: OnceLock<Kinds> = OnceLock::new();
    KINDS.get_or_init(Kinds::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        let mut words = Vec::new();
        for_each(text, |word| words.push(word));
        words
    }

    #[test]
    fn words_end_where_the_pattern_says() {
        assert_eq!(cut("it's 42% 'sam!'s x"), ["it", "'s", "4", "2", "%", "'s", "am", "!'", "s", "x"]);
        assert_eq!(cut("a<|endoftext|>b !<|endoftext|>"), ["a", END, "b", "!<|", "endoftext", "|>"]);
        assert_eq!(cut("日本語３年②"), ["日本語", "３", "年", "②"]);
        assert_eq!(cut(""), [""; 0]);
    }
}
