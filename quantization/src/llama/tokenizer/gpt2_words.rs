//! How GPT-2 cuts a text into words before it merges bytes.

/// The words of `text`, which concatenate to it:
///
/// ```text
/// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
/// ```
/// Source: openai/gpt-2, `src/encoder.py`.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    cut(text, first_word)
}

/// The pieces of a text, each as long as `first` says of what is left.
pub(super) fn cut(text: &str, first: impl Fn(&str) -> Option<usize>) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (word, after) = rest.split_at(first(rest)?);
        rest = after;
        Some(word)
    })
}

/// Classes of characters that stay together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Space,
    Letter,
    Number,
    Other,
}

/// Bytes of the first word, `None` at the end.
fn first_word(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    let contractions = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
    if let Some(found) = contractions.iter().find(|part| text.starts_with(**part)) {
        return Some(found.len());
    }
    // One space may lead a word of another class.
    let lead = usize::from(first == ' ');
    match text[lead..].chars().next().map(class) {
        Some(kind) if kind != Class::Space => Some(lead + run(&text[lead..], kind)),
        _ => Some(spaces(text)),
    }
}

/// A run of spaces: all at the end of the text or when it is one character, else all but the last.
pub(super) fn spaces(text: &str) -> usize {
    let length = run(text, Class::Space);
    let last = text[..length].chars().next_back().map_or(0, char::len_utf8);
    if length == text.len() || length == last { length } else { length - last }
}

/// Bytes of the leading characters of one class.
pub(super) fn run(text: &str, kind: Class) -> usize {
    text.char_indices().find(|&(_, char)| class(char) != kind).map_or(text.len(), |(place, _)| place)
}

pub(super) fn class(char: char) -> Class {
    if char.is_whitespace() {
        Class::Space
    } else if char.is_numeric() {
        Class::Number
    } else if char.is_alphabetic() && !is_alphabetic_without_being_a_letter(char) {
        Class::Letter
    } else {
        Class::Other
    }
}

/// Whether the character is alphabetic but not of a category L: a mark, a letter-like number or symbol.
fn is_alphabetic_without_being_a_letter(char: char) -> bool {
    let after = NOT_LETTERS.partition_point(|range| range.0 <= char);
    after > 0 && char <= NOT_LETTERS[after - 1].1
}

/// Alphabetic characters whose category is not L (Unicode 18), first and last of each range.
#[rustfmt::skip]
const NOT_LETTERS: [(char, char); 182] = [
    ('\u{345}', '\u{36f}'), ('\u{5b0}', '\u{5c7}'), ('\u{610}', '\u{61a}'), ('\u{64b}', '\u{65f}'),
    ('\u{670}', '\u{670}'), ('\u{6d6}', '\u{6e4}'), ('\u{6e7}', '\u{6ed}'), ('\u{711}', '\u{711}'),
    ('\u{730}', '\u{73f}'), ('\u{7a6}', '\u{7b0}'), ('\u{816}', '\u{817}'), ('\u{81b}', '\u{823}'),
    ('\u{825}', '\u{827}'), ('\u{829}', '\u{82c}'), ('\u{897}', '\u{897}'), ('\u{8d4}', '\u{903}'),
    ('\u{93a}', '\u{93b}'), ('\u{93e}', '\u{94f}'), ('\u{955}', '\u{957}'), ('\u{962}', '\u{963}'),
    ('\u{981}', '\u{983}'), ('\u{9be}', '\u{9cc}'), ('\u{9d7}', '\u{9d7}'), ('\u{9e2}', '\u{9e3}'),
    ('\u{a01}', '\u{a03}'), ('\u{a3e}', '\u{a51}'), ('\u{a70}', '\u{a71}'), ('\u{a75}', '\u{a83}'),
    ('\u{abe}', '\u{acc}'), ('\u{ae2}', '\u{ae3}'), ('\u{afa}', '\u{b03}'), ('\u{b3e}', '\u{b57}'),
    ('\u{b62}', '\u{b63}'), ('\u{b82}', '\u{b82}'), ('\u{bbe}', '\u{bcc}'), ('\u{bd7}', '\u{c04}'),
    ('\u{c3e}', '\u{c56}'), ('\u{c62}', '\u{c63}'), ('\u{c81}', '\u{c83}'), ('\u{cbe}', '\u{cd6}'),
    ('\u{ce2}', '\u{ce3}'), ('\u{cf3}', '\u{d03}'), ('\u{d3e}', '\u{d4c}'), ('\u{d57}', '\u{d57}'),
    ('\u{d62}', '\u{d63}'), ('\u{d81}', '\u{d83}'), ('\u{dcf}', '\u{df3}'), ('\u{e31}', '\u{e31}'),
    ('\u{e34}', '\u{e3a}'), ('\u{e4d}', '\u{e4d}'), ('\u{eb1}', '\u{eb1}'), ('\u{eb4}', '\u{ebc}'),
    ('\u{ecd}', '\u{ecd}'), ('\u{f71}', '\u{f83}'), ('\u{f8d}', '\u{fbc}'), ('\u{102b}', '\u{103e}'),
    ('\u{1056}', '\u{1059}'), ('\u{105e}', '\u{1060}'), ('\u{1062}', '\u{1064}'), ('\u{1067}', '\u{106d}'),
    ('\u{1071}', '\u{1074}'), ('\u{1082}', '\u{108d}'), ('\u{108f}', '\u{109d}'), ('\u{16ee}', '\u{16f0}'),
    ('\u{1712}', '\u{1713}'), ('\u{1732}', '\u{1733}'), ('\u{1752}', '\u{1753}'), ('\u{1772}', '\u{1773}'),
    ('\u{17b6}', '\u{17c8}'), ('\u{1885}', '\u{1886}'), ('\u{18a9}', '\u{18a9}'), ('\u{1920}', '\u{1938}'),
    ('\u{1a17}', '\u{1a1b}'), ('\u{1a55}', '\u{1a74}'), ('\u{1abf}', '\u{1b04}'), ('\u{1b35}', '\u{1b43}'),
    ('\u{1b80}', '\u{1b82}'), ('\u{1ba1}', '\u{1bad}'), ('\u{1be7}', '\u{1bf1}'), ('\u{1c24}', '\u{1c36}'),
    ('\u{1dd3}', '\u{1df4}'), ('\u{2160}', '\u{2182}'), ('\u{2185}', '\u{24e9}'), ('\u{2de0}', '\u{2dff}'),
    ('\u{3007}', '\u{3029}'), ('\u{3038}', '\u{303a}'), ('\u{a674}', '\u{a67b}'), ('\u{a69e}', '\u{a69f}'),
    ('\u{a6e6}', '\u{a6ef}'), ('\u{a802}', '\u{a802}'), ('\u{a80b}', '\u{a80b}'), ('\u{a823}', '\u{a827}'),
    ('\u{a880}', '\u{a881}'), ('\u{a8b4}', '\u{a8c5}'), ('\u{a8ff}', '\u{a8ff}'), ('\u{a926}', '\u{a92a}'),
    ('\u{a947}', '\u{a952}'), ('\u{a980}', '\u{a983}'), ('\u{a9b4}', '\u{a9bf}'), ('\u{a9e5}', '\u{a9e5}'),
    ('\u{aa29}', '\u{aa36}'), ('\u{aa43}', '\u{aa43}'), ('\u{aa4c}', '\u{aa4d}'), ('\u{aa7b}', '\u{aa7d}'),
    ('\u{aab0}', '\u{aab0}'), ('\u{aab2}', '\u{aab4}'), ('\u{aab7}', '\u{aab8}'), ('\u{aabe}', '\u{aabe}'),
    ('\u{aaeb}', '\u{aaef}'), ('\u{aaf5}', '\u{aaf5}'), ('\u{abe3}', '\u{abea}'), ('\u{fb1e}', '\u{fb1e}'),
    ('\u{10140}', '\u{10174}'), ('\u{10341}', '\u{10341}'), ('\u{1034a}', '\u{1034a}'),
    ('\u{10376}', '\u{1037a}'), ('\u{103d1}', '\u{103d5}'), ('\u{10a01}', '\u{10a0f}'),
    ('\u{10d24}', '\u{10d27}'), ('\u{10d69}', '\u{10d69}'), ('\u{10eab}', '\u{10eac}'),
    ('\u{10efa}', '\u{10efc}'), ('\u{11000}', '\u{11002}'), ('\u{11038}', '\u{11045}'),
    ('\u{11073}', '\u{11074}'), ('\u{11080}', '\u{11082}'), ('\u{110b0}', '\u{110c2}'),
    ('\u{11100}', '\u{11102}'), ('\u{11127}', '\u{11132}'), ('\u{11145}', '\u{11146}'),
    ('\u{11180}', '\u{11182}'), ('\u{111b3}', '\u{111bf}'), ('\u{111ce}', '\u{111cf}'),
    ('\u{1122c}', '\u{1123e}'), ('\u{11241}', '\u{11241}'), ('\u{112df}', '\u{11303}'),
    ('\u{1133e}', '\u{1134c}'), ('\u{11357}', '\u{11357}'), ('\u{11362}', '\u{11363}'),
    ('\u{113b8}', '\u{113cd}'), ('\u{11435}', '\u{11445}'), ('\u{114b0}', '\u{114c1}'),
    ('\u{115af}', '\u{115be}'), ('\u{115dc}', '\u{115dd}'), ('\u{11630}', '\u{11640}'),
    ('\u{116ab}', '\u{116b5}'), ('\u{1171d}', '\u{1172a}'), ('\u{1182c}', '\u{11838}'),
    ('\u{11930}', '\u{1193c}'), ('\u{11940}', '\u{11940}'), ('\u{11942}', '\u{11942}'),
    ('\u{119d1}', '\u{119df}'), ('\u{119e4}', '\u{119e4}'), ('\u{11a01}', '\u{11a0a}'),
    ('\u{11a35}', '\u{11a39}'), ('\u{11a3b}', '\u{11a3e}'), ('\u{11a51}', '\u{11a5b}'),
    ('\u{11a8a}', '\u{11a97}'), ('\u{11b60}', '\u{11b67}'), ('\u{11c2f}', '\u{11c3e}'),
    ('\u{11c92}', '\u{11cb6}'), ('\u{11d31}', '\u{11d43}'), ('\u{11d47}', '\u{11d47}'),
    ('\u{11d8a}', '\u{11d96}'), ('\u{11ef3}', '\u{11f01}'), ('\u{11f03}', '\u{11f03}'),
    ('\u{11f34}', '\u{11f40}'), ('\u{12400}', '\u{1246e}'), ('\u{1611e}', '\u{1612e}'),
    ('\u{16f4f}', '\u{16f4f}'), ('\u{16f51}', '\u{16f92}'), ('\u{16ff0}', '\u{16ff1}'),
    ('\u{16ff4}', '\u{16ff6}'), ('\u{1bc9e}', '\u{1bc9e}'), ('\u{1e000}', '\u{1e02a}'),
    ('\u{1e08f}', '\u{1e08f}'), ('\u{1e6e3}', '\u{1e6e3}'), ('\u{1e6e6}', '\u{1e6e6}'),
    ('\u{1e6ee}', '\u{1e6ef}'), ('\u{1e6f5}', '\u{1e6f5}'), ('\u{1e947}', '\u{1e947}'),
    ('\u{1f130}', '\u{1f189}'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_carry_one_leading_space_and_the_last_of_several() {
        let cut = |text| words(text).collect::<Vec<_>>();
        assert_eq!(
            cut("Hello  world's 12ab!?\n\n x"),
            ["Hello", " ", " world", "'s", " 12", "ab", "!?", "\n\n", " x"]
        );
        assert_eq!(cut("I'LL don't 'tis  "), ["I", "'", "LL", " don", "'t", " '", "tis", "  "]);
        assert_eq!(
            cut("a \u{301}b\u{301} ½ Ⅷ\u{a0}漢字"),
            ["a", " \u{301}", "b", "\u{301}", " ½", " Ⅷ", "\u{a0}", "漢字"]
        );
        assert!(cut("").is_empty());
    }
}
