//! The ways to cut a text into words before bytes are merged, by GGUF's names (`tokenizer.ggml.pre`).

use super::{TokenizerError, gpt2_words, llama3_words};

/// A way to cut words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// `gpt-2`.
    Gpt2,
    /// `llama-bpe`: Llama 3.
    Llama3,
    /// `qwen2`: as Llama 3, each digit on its own.
    Qwen2,
    /// `smollm`: as GPT-2, each digit on its own.
    Smollm,
}

impl Cut {
    pub(super) fn named(name: Option<&str>) -> Result<Self, TokenizerError> {
        match name {
            None | Some("gpt-2" | "default") => Ok(Self::Gpt2),
            Some("llama-bpe" | "llama3" | "llama-v3") => Ok(Self::Llama3),
            Some("qwen2") => Ok(Self::Qwen2),
            Some("smollm") => Ok(Self::Smollm),
            Some(other) => Err(TokenizerError::Words { found: other.to_owned() }),
        }
    }

    /// Whether a word that is a token stays whole, whatever the merges are.
    pub(super) fn takes_whole_words(self) -> bool {
        self == Self::Llama3
    }

    pub(super) fn words(self, text: &str) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Gpt2 => Box::new(gpt2_words::words(text)),
            Self::Llama3 => Box::new(llama3_words::words(text, 3)),
            Self::Qwen2 => Box::new(llama3_words::words(text, 1)),
            Self::Smollm => Box::new(digits_apart(text).flat_map(gpt2_words::words)),
        }
    }
}

/// The text in pieces of one number character, and of what is between.
fn digits_apart(text: &str) -> impl Iterator<Item = &str> {
    gpt2_words::cut(text, |rest| {
        let first = rest.chars().next()?;
        if first.is_numeric() {
            return Some(first.len_utf8());
        }
        Some(rest.find(char::is_numeric).unwrap_or(rest.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_alone_in_smollm() {
        let words: Vec<&str> = Cut::Smollm.words("in 2024 ½x").collect();
        assert_eq!(words, ["in", " ", "2", "0", "2", "4", " ", "½", "x"]);
    }

    #[test]
    fn other_ways_are_refused_by_name() {
        let error = Cut::named(Some("tekken")).unwrap_err().to_string();
        assert_eq!(
            error,
            "`tokenizer.ggml.pre` is `tekken`, expected `gpt-2`, `llama-bpe`, `qwen2` or `smollm`"
        );
    }
}
