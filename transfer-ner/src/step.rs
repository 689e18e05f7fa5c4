//! One step: the losses of a batch and their gradients, with or without perturbed embeddings.

use tch::{Kind, Tensor};

use crate::adversary::{Adversarial, perturbation, released_perturbation};
use crate::batch::{Batch, Resource};
use crate::model::network::{Embedded, Losses, Network};
use crate::model::places::{Number, Places};

/// Leaves the gradients of a batch in the parameters and returns the value of the loss,
///
/// ```text
/// L = L_CRF(w, c) [+ L_CRF(w + η_w, c + η_c)] [+ l_GRAD]        η = ε g / ‖g‖₂,  g = ∂L_CRF/∂(w, c)
/// ```
/// (Zhou et al. 2019; the discriminator acts on the unperturbed pass, as in release A.) Dropout is drawn anew for the second pass.
///
/// # Errors
/// What is not a number, and what to do about it.
pub fn gradients(
    network: &Network,
    batch: &Batch,
    output: Resource,
    discriminate: bool,
    adversarial: Adversarial,
) -> Result<f64, String> {
    match adversarial {
        Adversarial::None => {
            let embedded = network.embed(batch);
            let Losses { tagger, resource } = network.losses(&embedded, batch, output, discriminate, true);
            let value = finite("the tagger's loss", &tagger)?
                + resource.as_ref().map_or(Ok(0.0), |loss| finite("the discriminator's loss", loss))?;
            sum(tagger, resource).backward();
            Ok(value)
        }
        _ if network.characters().is_some_and(|characters| characters.embedding().kind() == Kind::Double) => {
            perturbed::<f64>(network, batch, output, discriminate, adversarial)
        }
        _ => perturbed::<f32>(network, batch, output, discriminate, adversarial),
    }
}

fn perturbed<T: Number>(
    network: &Network,
    batch: &Batch,
    output: Resource,
    discriminate: bool,
    adversarial: Adversarial,
) -> Result<f64, String> {
    let leaf = |tensor: &Tensor| tensor.detach().set_requires_grad(true);
    let live = network.word_vectors(batch);
    let places = network.characters().map(|characters| Places::<T>::new(characters, batch));
    let first = places.as_ref().map(|places| places.maxima(None));
    let inputs: Vec<Tensor> =
        [leaf(&live)].into_iter().chain(first.as_ref().map(|first| leaf(&first.values))).collect();
    let leaves = Embedded::of_places(inputs[0].shallow_clone(), inputs.get(1).map(Tensor::shallow_clone));
    let Losses { tagger, resource } = network.losses(&leaves, batch, output, discriminate, true);
    let mut value = finite("the tagger's loss", &tagger)?;
    // With a discriminator the tagger's own gradient needs a pass of its own; without one, it is the loss's.
    let own = match &resource {
        Some(loss) => {
            value += finite("the discriminator's loss", loss)?;
            let apart = !matches!(adversarial, Adversarial::Total(_));
            apart.then(|| Tensor::run_backward(&[&tagger], &inputs.iter().collect::<Vec<_>>(), true, false))
        }
        None => None,
    };
    sum(tagger, resource).backward();
    let total: Vec<Tensor> = inputs.iter().map(Tensor::grad).collect();
    let own = own.unwrap_or_else(|| total.iter().map(Tensor::shallow_clone).collect());
    let real = batch.keep.unsqueeze(-1).to_kind(live.kind());
    let (epsilon, _) = adversarial.strength();
    let words = &live + perturbation(&(&own[0] * real), epsilon);
    let moved = match (&places, &first) {
        (Some(places), Some(first)) => {
            let eta = character_perturbation(&places.by_characters(first, &own[1]), batch, adversarial)?;
            let second = places.maxima(Some(&eta));
            Some((leaf(&second.values), second, eta))
        }
        _ => None,
    };
    let embedded = Embedded::of_places(words, moved.as_ref().map(|moved| moved.0.shallow_clone()));
    let Losses { tagger, .. } = network.losses(&embedded, batch, output, false, true);
    value += finite("the tagger's loss on perturbed embeddings", &tagger)?;
    // The first pass ended at the leaves: its gradient goes on from there to the table together with the second pass.
    let rest = match live.requires_grad() {
        true => tagger + (&live * total[0].detach()).sum(live.kind()),
        false => tagger,
    };
    rest.backward();
    if let (Some(places), Some(first), Some((leaf, second, eta))) = (&places, &first, &moved) {
        let passes = [(first, &total[1], None), (second, &leaf.grad(), Some(eta))];
        if let Some(characters) = places.backward(&passes) {
            characters.backward();
        }
    }
    Ok(value)
}

/// The perturbation of the characters of each place, `[places, characters, width]`, along the gradient towards them, its norm over
/// a sentence.
fn character_perturbation(
    gradient: &Tensor,
    batch: &Batch,
    adversarial: Adversarial,
) -> Result<Tensor, String> {
    let [rows, tokens] = [0, 1].map(|axis| batch.keep.size()[axis]);
    let [_, characters, width] = gradient.size()[..] else { unreachable!("a gradient of three axes") };
    let by_sentence = gradient.view([rows, tokens, characters, width]);
    let eta = match adversarial.strength() {
        (epsilon, true) => released_perturbation(&by_sentence, epsilon),
        (epsilon, false) => perturbation(&by_sentence, epsilon),
    };
    if eta.isfinite().all().int64_value(&[]) == 0 {
        return Err(
            "the perturbation of the characters is not finite: lower epsilon or the learning rate".into()
        );
    }
    Ok(eta.flatten(0, 1))
}

fn sum(tagger: Tensor, resource: Option<Tensor>) -> Tensor {
    match resource {
        Some(resource) => tagger + resource,
        None => tagger,
    }
}

fn finite(what: &str, loss: &Tensor) -> Result<f64, String> {
    let value = loss.to_kind(Kind::Double).double_value(&[]);
    if value.is_finite() {
        return Ok(value);
    }
    Err(format!(
        "{what} is {value}: training has diverged; lower the learning rate, epsilon or the discriminator's weight"
    ))
}
