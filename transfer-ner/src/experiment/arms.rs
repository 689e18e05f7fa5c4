//! Arms: what is compared within a setting, by name.

use super::design::Design;
use super::pair::Pair;
use crate::adversary::{Adversarial, Discriminator};
use crate::config::{Config, Method, NetworkConfig, Part, Schedule};

pub(super) const CURVE: [&str; 7] = ["base", "base+at", "f", "p", "f+plain", "datnet-f", "datnet-p"];
pub(super) const FIVE: [&str; 5] = ["base", "f", "p", "datnet-f", "datnet-p"];
pub(super) const ABLATION: [&str; 12] = [
    "base",
    "f",
    "f+plain",
    "f+grad",
    "f+released",
    "f+at",
    "f+plain+at",
    "datnet-f",
    "f+released+at",
    "f+grad:0.1",
    "f+grad:0.75",
    "f+released:0.75",
];
pub(super) const OTHERS: [&str; 8] =
    ["feature-crf", "cheap", "align", "init", "init+output", "init-hidden", "init=hidden", "mult"];
/// Cao et al. with and without the discriminator, against the target alone.
pub(super) const SEGMENTATION: [&str; 3] = ["base", "cws-adv", "cws-adv+none"];

impl Design {
    /// Configuration of an arm by its name: a method with `+none`, `+plain`, `+grad`, `+released` (also with `:α`), `+at`, or what is done
    /// with its layers.
    ///
    /// # Panics
    /// For a name that is none: the names are those of this module.
    pub fn config(&self, arm: &str, pair: Pair, epsilon: f64) -> Config {
        let mut parts = arm.split('+');
        let first = parts.next().unwrap_or_default();
        let method = match first {
            "f" | "datnet-f" => Method::DatnetF,
            "p" | "datnet-p" => Method::DatnetP,
            "init-hidden" | "init=hidden" => Method::Init,
            name => name.parse().expect("a name of this module"),
        };
        let sized = if self.scale.paper { Config::paper(method) } else { Config::small(method) };
        let datnet = first.starts_with("datnet");
        let mut config = Config {
            discriminator: match method {
                Method::DatnetF | Method::DatnetP if !datnet => Discriminator::None,
                _ => sized.discriminator,
            },
            adversarial: if datnet { Adversarial::Sentence(epsilon) } else { Adversarial::None },
            network: NetworkConfig { share_words: pair.is_cross_domain(), ..sized.network },
            schedule: Schedule {
                updates: self.scale.updates,
                source_updates: self.scale.updates,
                rounds: self.scale.rounds,
                learning_rate: self.scale.learning_rate,
                ..sized.schedule
            },
            ..sized
        };
        match first {
            "init-hidden" => config.transfer.fresh = vec![Part::Hidden, Part::Output],
            "init=hidden" => config.transfer.frozen = vec![Part::Hidden],
            // One language: the words of the target are learned with the source; only layers are new.
            "adapt" => config.transfer.frozen = vec![Part::Hidden],
            _ => {}
        }
        for part in parts {
            let (name, alpha) = part.split_once(':').unwrap_or((part, "0.25"));
            let alpha = alpha.parse().expect("a number of this module");
            match name {
                "none" => config.discriminator = Discriminator::None,
                "plain" => config.discriminator = Discriminator::Plain,
                "grad" => config.discriminator = Discriminator::Grad { alpha, gamma: 2.0 },
                "released" => config.discriminator = Discriminator::GradReleased { alpha, gamma: 2.0 },
                "at" => config.adversarial = Adversarial::Sentence(epsilon),
                "output" => config.transfer.fresh = vec![],
                _ => unreachable!("parts of names are those of this module"),
            }
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use crate::experiment::design::Design;

    #[test]
    fn arms_of_a_setting_differ_in_more_than_their_name() {
        for design in [Design::quick(), Design::cpu(), Design::full()] {
            for setting in &design.settings {
                let trained = setting.arms.iter().filter(|arm| *arm != "feature-crf");
                let configs: Vec<_> =
                    trained.map(|arm| (arm, design.config(arm, setting.pair, 1.0))).collect();
                for (at, (arm, config)) in configs.iter().enumerate() {
                    let same = configs[..at].iter().find(|(_, other)| other == config);
                    assert!(same.is_none(), "{arm} is {:?}", same.map(|(other, _)| other));
                }
            }
        }
    }
}
