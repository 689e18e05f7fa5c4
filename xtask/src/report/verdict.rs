//! Verdicts: their order, signs, words and classes.

/// All that `common::claims` gives, in the order of a reader's interest.
pub(super) const ALL: [Verdict; 6] = [
    Verdict { name: "reproduced", sign: "✔", words: "reproduced" },
    Verdict { name: "opposite", sign: "✘", words: "opposite" },
    Verdict { name: "not-reproduced", sign: "✘", words: "not reproduced" },
    Verdict { name: "no-effect", sign: "✘", words: "no effect" },
    Verdict { name: "inconclusive", sign: "?", words: "inconclusive" },
    Verdict { name: "not-evaluated", sign: "–", words: "not evaluated" },
];

/// One kind of verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// As in `report.json`; also the class of what shows it.
    pub(super) name: &'static str,
    /// Sign before the words.
    pub(super) sign: &'static str,
    /// As a reader sees it.
    pub(super) words: &'static str,
}

impl Verdict {
    /// The verdict of this name. One that this program does not know counts as not evaluated: it says nothing either way.
    pub(super) fn of(name: &str) -> Self {
        ALL.into_iter().find(|verdict| verdict.name == name).unwrap_or(ALL[5])
    }

    /// Place in [`ALL`].
    pub(super) fn rank(self) -> usize {
        ALL.iter().position(|verdict| *verdict == self).unwrap_or(ALL.len())
    }

    /// The words, coloured; the style sheet puts the sign before them.
    pub(super) fn pill(self) -> String {
        format!("<span class=\"pill {}\">{}</span>", self.name, self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_finds_itself_and_an_unknown_one_is_not_evaluated() {
        for verdict in ALL {
            assert_eq!(Verdict::of(verdict.name), verdict);
        }
        assert_eq!(Verdict::of("<script>").name, "not-evaluated");
    }
}
