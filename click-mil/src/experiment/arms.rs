//! What is compared: each arm is a kind of supervision with what is added to it or left out.

use serde::{Deserialize, Serialize};

/// What is known of the objects in an image of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// That they are there.
    Label,
    /// One click, or two of different annotators.
    Clicks(u32),
    /// Nothing but the label; the middle of the image is taken for a click.
    Middle,
    /// Everything: the boxes were drawn.
    Boxes,
}

/// How a window is chosen in an image of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Multi-fold multiple-instance learning.
    Mil,
    /// The best product of objectness and box-centre score, without any appearance.
    ClickOnly,
    /// Any proposal.
    Random,
}

/// What two clicks say about the area.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// Nothing: their mean is the centre.
    Unused,
    /// What follows from a prior of sides over all of the image's scale.
    Broad,
    /// What follows from the set's own prior of sides.
    Narrow,
    /// The true area of the object: an upper bound.
    Oracle,
}

/// How much is annotated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    /// All images.
    All,
    /// This share of them, drawn by the seed.
    Images(f64),
    /// As many as the time of so many clicks per image and class allows.
    TimeOfClicks(u32),
}

/// One arm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arm {
    /// Supervision.
    pub known: Known,
    /// Choice of windows.
    pub choice: Choice,
    /// Error of simulated clicks as a share of the object's side.
    pub error: f64,
    /// Width of the box-centre score in pixels, where it is not the one that the error model gives.
    pub sigma_px: Option<f64>,
    /// Whether the images are folded.
    pub folds: bool,
    /// Whether objectness is half of the score without clicks.
    pub objectness: bool,
    /// Use of two clicks.
    pub area: Area,
    /// How much is annotated.
    pub share: Share,
}

/// The click error of all arms that do not name another. Ours: `simulate::ErrorModel::usual`.
pub const USUAL_ERROR: f64 = 0.09;

impl Arm {
    const fn of(known: Known) -> Self {
        Self {
            known,
            choice: Choice::Mil,
            error: USUAL_ERROR,
            sigma_px: None,
            folds: true,
            objectness: true,
            area: Area::Unused,
            share: Share::All,
        }
    }

    /// Arm of a name as in `claims.toml`: a kind of supervision, then `+` or `-` what is added or left out, or `@` another value:
    /// `labels`, `click-1`, `click-2`, `middle`, `boxes`, `click-only`, `random`; `+area`, `+broad`, `+oracle`; `-folds`,
    /// `-objectness`; `@s=0.15`, `@sigma=40`, `@1/4` of the images, `@time-1` for the time of one click per image and class.
    ///
    /// # Panics
    /// For a name that is none: the names are those of the design.
    pub fn named(name: &str) -> Self {
        let (base, value) = name.split_once('@').unwrap_or((name, ""));
        let mut arm = Self::base(base);
        let number = |text: &str| text.parse::<f64>().expect("a number in the name of an arm");
        match value.split_once('=') {
            Some(("s", error)) => arm.error = number(error),
            Some(("sigma", sigma)) => arm.sigma_px = Some(number(sigma)),
            _ => {}
        }
        if let Some((over, under)) = value.split_once('/') {
            arm.share = Share::Images(number(over) / number(under));
        }
        if let Some(clicks) = value.strip_prefix("time-") {
            arm.share = Share::TimeOfClicks(number(clicks) as u32);
        }
        arm
    }

    fn base(name: &str) -> Self {
        let labels = Self::of(Known::Label);
        let (one, two) = (Self::of(Known::Clicks(1)), Self::of(Known::Clicks(2)));
        match name {
            "labels" => labels,
            "labels-folds" => Self { folds: false, ..labels },
            "labels-objectness" => Self { objectness: false, ..labels },
            "middle" => Self::of(Known::Middle),
            "random" => Self { choice: Choice::Random, ..labels },
            "click-1" => one,
            "click-1-folds" => Self { folds: false, ..one },
            "click-1-objectness" => Self { objectness: false, ..one },
            "click-only" => Self { choice: Choice::ClickOnly, ..one },
            "click-2" => two,
            "click-2+area" => Self { area: Area::Narrow, ..two },
            "click-2+broad" => Self { area: Area::Broad, ..two },
            "click-2+oracle" => Self { area: Area::Oracle, ..two },
            "boxes" => Self::of(Known::Boxes),
            unknown => unreachable!("`{unknown}` is no arm of the design"),
        }
    }

    /// Clicks per image and class that people make.
    pub fn clicks(&self) -> u32 {
        if let Known::Clicks(n) = self.known { n } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_different() {
        assert_eq!(Arm::named("click-1@s=0.15"), Arm { error: 0.15, ..Arm::named("click-1") });
        assert_eq!(Arm::named("click-1@sigma=40").sigma_px, Some(40.0));
        assert_eq!(Arm::named("boxes@1/4").share, Share::Images(0.25));
        assert_eq!(Arm::named("boxes@time-2").share, Share::TimeOfClicks(2));
        assert_eq!(Arm::named("click-2+oracle").area, Area::Oracle);
        assert_eq!((Arm::named("click-2").clicks(), Arm::named("middle").clicks()), (2, 0));
    }
}
