//! Rules that give tensors a type by name: `PATTERN=TYPE`.

use std::str::FromStr;

use thiserror::Error;

use crate::ggml::{GgmlType, UnknownType};

/// A rule of the command line: tensors whose name matches get this type.
///
/// A pattern without `*` matches names that contain it; one with `*` matches whole names, each `*` standing for any characters.
///
/// ```
/// use quantization::{ggml::GgmlType, mixture::Rule};
/// let rule: Rule = "blk.*.ffn_down.weight=q6_k".parse()?;
/// assert!(rule.matches("blk.11.ffn_down.weight") && !rule.matches("output.weight"));
/// assert_eq!(rule.kind, GgmlType::Q6_K);
/// # Ok::<(), quantization::mixture::RuleError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Part of a name, or a whole name with `*`.
    pub pattern: String,
    /// Type of the tensors that match.
    pub kind: GgmlType,
}

/// A rule that cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RuleError {
    /// No pattern or no type.
    #[error("`{0}` is not a rule, expected PATTERN=TYPE, such as `ffn_down=Q6_K` or `blk.0.*=Q8_0`")]
    Form(String),
    /// An unknown type.
    #[error("rule `{rule}`: {problem}")]
    Type {
        /// The rule.
        rule: String,
        /// What is wrong.
        problem: UnknownType,
    },
}

impl Rule {
    /// Whether the rule applies to the tensor of this name.
    pub fn matches(&self, name: &str) -> bool {
        if !self.pattern.contains('*') {
            return name.contains(&self.pattern);
        }
        let mut parts = self.pattern.split('*');
        let first = parts.next().unwrap_or_default();
        let last = parts.next_back().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else {
            return false;
        };
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        true
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (pattern, kind) = text.rsplit_once('=').unwrap_or_default();
        if pattern.is_empty() || kind.is_empty() {
            return Err(RuleError::Form(text.to_owned()));
        }
        let kind = kind.parse().map_err(|problem| RuleError::Type { rule: text.to_owned(), problem })?;
        Ok(Self { pattern: pattern.to_owned(), kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Rule { pattern: pattern.to_owned(), kind: GgmlType::F16 }.matches(name)
    }

    #[test]
    fn a_pattern_without_stars_is_a_part_of_the_name() {
        assert!(matches("attn_v", "blk.3.attn_v.weight"));
        assert!(!matches("attn_v", "blk.3.attn_q.weight"));
    }

    #[test]
    fn a_pattern_with_stars_is_the_whole_name() {
        assert!(matches("blk.*.attn_*.weight", "blk.3.attn_v.weight"));
        assert!(!matches("*.attn_v", "blk.3.attn_v.weight"));
        assert!(!matches("attn_v*", "blk.3.attn_v.weight"));
        assert!(matches("*", "") && matches("**", "a") && matches("a*a", "aa"));
        assert!(!matches("a*a", "a"));
        assert!(!matches("a*bc*c", "abc"));
    }

    #[test]
    fn bad_rules_are_named() {
        for text in ["", "ffn", "=Q4_K", "ffn="] {
            let error = text.parse::<Rule>().unwrap_err().to_string();
            assert!(error.contains("is not a rule, expected PATTERN=TYPE"), "{error}");
        }
        let error = "ffn=Q9".parse::<Rule>().unwrap_err().to_string();
        assert!(error.starts_with("rule `ffn=Q9`: `Q9` is not a tensor type"), "{error}");
    }
}
