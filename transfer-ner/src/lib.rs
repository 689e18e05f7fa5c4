#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! | module | section of the papers |
//! |---|---|
//! | [`adversary`], [`step`] | Zhou et al. 2019: resource-adversarial discriminator, adversarial training |
//! | [`model`], [`config`], [`train`] | base tagger, layouts F and P, fine-tuning of Mou et al. 2016, adaptation layers of Lin and Lu 2018 |
//! | [`translate`], [`dictionary`] | Mayhew et al. 2017 |
//! | [`align`], [`vectors`] | Xie et al. 2018 |
//! | [`adapt`] | word adaptation of Lin and Lu 2018 |
//! | [`data`] | word segmentation as source task, Cao et al. 2018 |
//! | [`contextual`], [`feature_crf`] | today's encoder, and the floor |
//! | [`methods`], [`experiment`], [`cli`] | preparation, compared runs, the command |

pub mod adapt;
pub mod adversary;
pub mod align;
pub mod batch;
pub mod cli;
pub mod config;
pub mod contextual;
pub mod data;
pub mod dictionary;
pub mod experiment;
pub mod feature_crf;
pub mod methods;
pub mod model;
pub mod step;
pub mod train;
pub mod translate;
pub mod vectors;
pub mod vocabulary;
