//! The arms: how the position table is stretched and what is trained for. All start from the same base and see the same data.

use serde::{Deserialize, Serialize};

use crate::pcm::AxesGradient;
use crate::step::{Objective, ShortObjective};
use crate::stretch::Stretch;

/// Rows that knowledge-preserved stretching keeps, K (paper, section 3.2).
pub const KEPT: usize = 20;
/// Rows that it makes of each later row, λ (paper, section 3.2).
pub const RATIO: usize = 4;
/// Rows of the base's table (CLIP).
pub const BASE_LENGTH: usize = 77;
/// Rows of the stretched table, K + λ (77 − K).
pub const LENGTH: usize = 248;
/// Arm that the others are measured against.
pub const BASE: &str = "A0";

/// Text of the short loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShortText {
    /// The long caption's first sentence, as in the official code.
    FirstSentence,
    /// Sentences of the long caption drawn at random, as many as fit into 21 tokens.
    RandomSentences,
}

/// One arm.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// Name in tables and claims.
    pub name: &'static str,
    /// What it is there for.
    pub question: &'static str,
    /// How the table is stretched; absent: 77 positions, longer texts are cut.
    pub stretch: Option<Stretch>,
    /// What is trained for; absent: nothing is.
    pub objective: Option<Objective>,
    /// Text of the short loss.
    pub short_text: ShortText,
    /// Arm whose learning rate it takes; itself where it has a sweep of its own.
    pub tuned_as: &'static str,
}

/// Arms without training.
pub const UNTRAINED: [&str; 5] = ["A0", "A1", "A1-printed", "A2", "A2-half"];
/// Arms with a learning-rate sweep of their own.
pub const SWEPT: [&str; 7] = ["A3", "A4", "A5", "A6", "A7", "A11", "A13"];
/// Arms that differ from A7 in one number or switch; they take its learning rate, so that nothing else differs.
pub const VARIANTS: [&str; 4] = ["A8", "A10", "A12-weight", "A12-smoothing"];
/// Arms that differ from A7 in the number of components; they take its learning rate.
pub const COMPONENTS: [&str; 3] = ["A9-quarter", "A9-double", "A9-all"];

/// The arm of this name; `components` is k of the arms with PCM, `batch` n.
///
/// ```
/// use long_clip::experiment::arm::arm;
/// let a8 = arm("A8", 16, 64).unwrap();
/// assert_eq!(a8.question, "does the gradient through the principal axes matter");
/// assert!(arm("A99", 16, 64).is_none());
/// ```
pub fn arm(name: &str, components: i64, batch: i64) -> Option<Arm> {
    let preserving = Some(Stretch::Preserving { kept: KEPT, ratio: RATIO, length: None });
    let plain = Some(Stretch::Plain { length: LENGTH });
    let long = |frozen| Objective {
        short: None,
        label_smoothing: 0.1,
        frozen_positions: frozen,
        largest_scale: Some(100.0),
    };
    let with = |frozen, components, gradient| Objective {
        short: Some(ShortObjective { weight: 1.0, components, gradient }),
        ..long(frozen)
    };
    let pcm = |frozen, components| with(frozen, Some(components), AxesGradient::Full);
    // Only the kept rows of knowledge-preserved stretching are frozen.
    let (free, kept) = (0, KEPT as i64);
    let made = |name, question, stretch, objective: Option<Objective>| {
        Some(Arm {
            name,
            question,
            stretch,
            objective,
            short_text: ShortText::FirstSentence,
            tuned_as: if COMPONENTS.contains(&name) || VARIANTS.contains(&name) { "A7" } else { name },
        })
    };
    match name {
        "A0" => made("A0", "base, texts cut at 77 tokens", None, None),
        "A1" => made("A1", "KPS alone: equal to A0 on short texts", preserving, None),
        "A1-printed" => {
            let printed = Stretch::Printed { kept: KEPT, ratio: RATIO, length: LENGTH };
            made("A1-printed", "the formula as printed in the paper", Some(printed), None)
        }
        "A2" => made("A2", "damage by plain interpolation alone", plain, None),
        "A2-half" => {
            let half = Stretch::HalfPixel { length: LENGTH };
            made("A2-half", "the same with half-pixel centres, as open_clip resizes", Some(half), None)
        }
        "A3" => made("A3", "the paper's direct fine-tuning", plain, Some(long(free))),
        "A4" => made("A4", "KPS alone", preserving, Some(long(kept))),
        "A5" => made(
            "A5",
            "short captions added, same image features",
            preserving,
            Some(with(kept, None, AxesGradient::Full)),
        ),
        "A6" => made("A6", "PCM alone", plain, Some(pcm(free, components))),
        "A7" => made("A7", "Long-CLIP", preserving, Some(pcm(kept, components))),
        "A8" => made(
            "A8",
            "does the gradient through the principal axes matter",
            preserving,
            Some(with(kept, Some(components), AxesGradient::Detached)),
        ),
        "A9-quarter" => {
            made("A9-quarter", "a quarter of the components", preserving, Some(pcm(kept, components / 4)))
        }
        "A9-double" => made("A9-double", "twice the components", preserving, Some(pcm(kept, components * 2))),
        "A9-all" => made(
            "A9-all",
            "all n − 1 components: must be A5, step for step",
            preserving,
            Some(pcm(kept, batch - 1)),
        ),
        "A10" => made("A10", "does freezing the kept rows matter", preserving, Some(pcm(free, components))),
        "A11" => made("A11", "is stretching needed at this length", None, Some(long(free))),
        "A12-weight" => {
            let mut objective = pcm(kept, components);
            objective.short = objective.short.map(|short| ShortObjective { weight: 0.1, ..short });
            made(
                "A12-weight",
                "short loss of weight 0.1, as in the first release",
                preserving,
                Some(objective),
            )
        }
        "A12-smoothing" => {
            let objective = Objective { label_smoothing: 0.0, ..pcm(kept, components) };
            made("A12-smoothing", "no label smoothing", preserving, Some(objective))
        }
        "A13" => made(
            "A13",
            "random sentences instead of the first as short caption",
            preserving,
            Some(pcm(kept, components)),
        )
        .map(|arm| Arm { short_text: ShortText::RandomSentences, ..arm }),
        _ => None,
    }
}
