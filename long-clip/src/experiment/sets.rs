//! Sets of scenes that models are measured on, with what is true in them.

use anyhow::Result;
use common::seed;
use tch::{Device, Tensor};

use super::arm::LENGTH;
use super::data::to_tensor;
use super::design::Scale;
use crate::model::{Clip, normalised};
use crate::world::{Caption, Claim, Gallery, Labelled, Look, ids, labelled};

/// Texts or images that are encoded together. Ours: as many as a training step has.
const ENCODED: usize = 128;

/// Everything that a run is measured on.
pub(super) struct Sets {
    /// Scenes drawn one by one.
    pub(super) random: Gallery,
    /// Families of similar scenes.
    pub(super) similar: Gallery,
    /// Long captions of the families with all sentences in random order.
    pub(super) shuffled: Vec<Caption>,
    /// Images of one object.
    pub(super) single: Labelled,
    /// Images of a large object among small ones.
    pub(super) among: Labelled,
    /// Whether the short caption (row) is true of the scene (column), of `random`.
    pub(super) holds: Vec<Vec<bool>>,
    side_px: usize,
}

/// Features of length 1 of all images of the sets.
pub(super) struct ImageFeatures {
    pub(super) random: Tensor,
    pub(super) similar: Tensor,
    pub(super) single: Tensor,
    pub(super) among: Tensor,
}

/// Features of length 1 of the main texts of the sets.
pub(super) struct TextFeatures {
    pub(super) short: Tensor,
    pub(super) long: Tensor,
    /// Means of the prompts of each class.
    pub(super) classes: Tensor,
}

impl Sets {
    /// The sets of a stream, `test` or `validation`.
    pub(super) fn new(scale: &Scale, run_seed: u64, stream: &str) -> Self {
        let (world, sets) = (scale.world, &scale.sets);
        let name = |part: &str| format!("{stream}/{part}");
        let noisy = Look { noise: world.class_noise, ..world.look };
        let random = world.gallery(sets.random, run_seed, &name("random"));
        let similar = world.families(sets.families, sets.members, run_seed, &name("similar"));
        let mut rng = seed::rng(run_seed, &name("shuffled"), 0);
        let shuffled = similar.items.iter().map(|item| item.long.shuffled(&mut rng)).collect();
        let holds = random.items.iter().map(|item| {
            let claim = Claim::whole(&item.short);
            random.items.iter().map(|other| claim.fits(&other.scene)).collect()
        });
        Self {
            holds: holds.collect(),
            single: labelled(sets.per_class, 0, noisy, run_seed, &name("single")),
            among: labelled(sets.per_class, world.sizes.most - 1, noisy, run_seed, &name("among")),
            random,
            similar,
            shuffled,
            side_px: world.look.side_px,
        }
    }

    /// Features of all images.
    pub(super) fn images(&self, model: &Clip) -> Result<ImageFeatures> {
        let of = |gallery: &Gallery| {
            let images: Vec<&[u8]> = gallery.items.iter().map(|item| &item.image[..]).collect();
            encode_images(model, &images, self.side_px)
        };
        let classes = |set: &Labelled| {
            let images: Vec<&[u8]> = set.images.iter().map(|image| &image[..]).collect();
            encode_images(model, &images, self.side_px)
        };
        Ok(ImageFeatures {
            random: of(&self.random)?,
            similar: of(&self.similar)?,
            single: classes(&self.single)?,
            among: classes(&self.among)?,
        })
    }

    /// Features of short and long captions and of the classes; texts are cut to `longest` tokens.
    pub(super) fn texts(&self, model: &Clip, longest: usize) -> Result<TextFeatures> {
        let items = &self.random.items;
        Ok(TextFeatures {
            short: encode_captions(model, items.iter().map(|item| &item.short), longest)?,
            long: encode_captions(model, items.iter().map(|item| &item.long), longest)?,
            classes: self.classes(model)?,
        })
    }

    /// Normalised means of the normalised features of each class's prompts (official evaluation).
    fn classes(&self, model: &Clip) -> Result<Tensor> {
        let prompts = self.single.prompts.concat();
        let n_classes = self.single.prompts.len() as i64;
        let features = encode_ids(model, &prompts)?;
        let width = features.size()[1];
        let means = features.view([n_classes, -1, width]).mean_dim([1].as_slice(), false, features.kind());
        Ok(normalised(&means))
    }
}

fn encode_images(model: &Clip, images: &[&[u8]], side_px: usize) -> Result<Tensor> {
    let device = model.store.device();
    let encode = |part: &[&[u8]]| model.encode_image(&to_tensor(&part.concat(), side_px, device));
    let parts: Vec<Tensor> = images.chunks(ENCODED).map(encode).collect::<Result<_, _>>()?;
    Ok(normalised(&Tensor::cat(&parts, 0)).to_device(Device::Cpu))
}

/// Features of length 1 of captions cut to `longest` tokens.
pub(super) fn encode_captions<'a>(
    model: &Clip,
    captions: impl Iterator<Item = &'a Caption>,
    longest: usize,
) -> Result<Tensor> {
    let texts: Vec<Vec<i64>> = captions.map(|caption| ids(caption, longest.min(LENGTH))).collect();
    encode_ids(model, &texts)
}

fn encode_ids(model: &Clip, texts: &[Vec<i64>]) -> Result<Tensor> {
    let parts: Vec<Tensor> =
        texts.chunks(ENCODED).map(|part| model.encode_text(part)).collect::<Result<_, _>>()?;
    Ok(normalised(&Tensor::cat(&parts, 0)).to_device(Device::Cpu))
}
