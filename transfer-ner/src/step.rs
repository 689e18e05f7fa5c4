//! One step: the losses of a batch and their gradients, with or without perturbed embeddings.

use tch::{Kind, Tensor};

use crate::adversary::{Adversarial, perturbation, released_perturbation};
use crate::batch::{Batch, Resource};
use crate::model::network::{Embedded, Losses, Network};

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
            let embedded = network.embed(batch, false);
            let Losses { tagger, resource } = network.losses(&embedded, batch, output, discriminate, true);
            let value = finite("the tagger's loss", &tagger)?
                + resource.as_ref().map_or(Ok(0.0), |loss| finite("the discriminator's loss", loss))?;
            sum(tagger, resource).backward();
            Ok(value)
        }
        _ => perturbed(network, batch, output, discriminate, adversarial),
    }
}

fn perturbed(
    network: &Network,
    batch: &Batch,
    output: Resource,
    discriminate: bool,
    adversarial: Adversarial,
) -> Result<f64, String> {
    let live = network.embed(batch, true);
    let leaf = |tensor: &Tensor| tensor.detach().set_requires_grad(true);
    let (words, windows) = (leaf(&live.words), live.windows.iter().map(leaf).collect::<Vec<_>>());
    let leaves = live.with(words.shallow_clone(), windows.iter().map(Tensor::shallow_clone).collect());
    let Losses { tagger, resource } = network.losses(&leaves, batch, output, discriminate, true);
    let mut value = finite("the tagger's loss", &tagger)?;
    let inputs: Vec<&Tensor> = [&words].into_iter().chain(&windows).collect();
    // With a discriminator the tagger's own gradient needs a pass of its own; without one, it is the loss's.
    let own = match &resource {
        Some(loss) => {
            value += finite("the discriminator's loss", loss)?;
            let apart = !matches!(adversarial, Adversarial::Total(_));
            apart.then(|| Tensor::run_backward(&[&tagger], &inputs, true, false))
        }
        None => None,
    };
    sum(tagger, resource).backward();
    let total: Vec<Tensor> = inputs.iter().map(|leaf| leaf.grad()).collect();
    let own = own.unwrap_or_else(|| total.iter().map(Tensor::shallow_clone).collect());
    let moved = move_along(network, &live, &own, batch, adversarial)?;
    let Losses { tagger, .. } = network.losses(&moved, batch, output, false, true);
    value += finite("the tagger's loss on perturbed embeddings", &tagger)?;
    // The first pass ended at the leaves: its gradient goes on from there to the tables together with the second pass.
    let lives = [&live.words].into_iter().chain(&live.windows);
    let rest = lives
        .zip(&total)
        .filter(|(live, _)| live.requires_grad())
        .fold(tagger, |sum, (live, gradient)| sum + (live * gradient.detach()).sum(live.kind()));
    rest.backward();
    Ok(value)
}

/// Embeddings moved by ε along the gradient of the tagger's loss towards words and windows.
fn move_along(
    network: &Network,
    live: &Embedded,
    gradients: &[Tensor],
    batch: &Batch,
    adversarial: Adversarial,
) -> Result<Embedded, String> {
    let (epsilon, released) = match adversarial {
        Adversarial::None => (0.0, false),
        Adversarial::Sentence(epsilon) | Adversarial::Total(epsilon) => (epsilon, false),
        Adversarial::Released(epsilon) => (epsilon, true),
    };
    let real = batch.keep.unsqueeze(-1).to_kind(live.words.kind());
    let words = &live.words + perturbation(&(&gradients[0] * real), epsilon);
    let Some(characters) = network.characters() else { return Ok(live.with(words, Vec::new())) };
    let by_characters = characters.backward(&gradients[1..]);
    let places = by_characters.size()[1];
    // Padding characters have no embedding to be moved.
    let within = Tensor::arange(places, (Kind::Int64, by_characters.device()))
        .unsqueeze(0)
        .lt_tensor(&live.lengths().unsqueeze(-1))
        .unsqueeze(-1);
    let [rows, tokens] = [0, 1].map(|axis| batch.keep.size()[axis]);
    let by_sentence = (by_characters * within).view([rows, tokens, places, -1]);
    let eta = if released {
        released_perturbation(&by_sentence, epsilon)
    } else {
        perturbation(&by_sentence, epsilon)
    };
    if eta.isfinite().all().int64_value(&[]) == 0 {
        return Err(
            "the perturbation of the characters is not finite: lower epsilon or the learning rate".into()
        );
    }
    Ok(live.with(words, characters.moved(&live.windows, &eta.flatten(0, 1))))
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
