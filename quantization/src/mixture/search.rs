//! The mix of least error within a size.
//!
//! ```text
//! minimise Σ_t error[t, k_t]   subject to   Σ_t bytes[t, k_t] ≤ budget
//! ```
//! First by a Lagrange multiplier: for a price λ per byte every tensor takes the type of least error + λ · bytes on its own, and the λ
//! that just fits the budget is found by bisection. That leaves a gap, and a lower bound of the error to any mix; single upgrades and exchanges
//! between two tensors fill the gap. Where the bound is not met to 0.01 %, a frontier of partial mixes (`frontier.rs`) looks further.

use thiserror::Error;

use super::frontier;
use crate::ggml::GgmlType;

/// One tensor in one type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer {
    /// The type.
    pub kind: GgmlType,
    /// Bytes that it takes.
    pub bytes: u64,
    /// Weighted squared error that it makes.
    pub error: f64,
}

/// A tensor and the types that it may take.
#[derive(Clone, Debug, PartialEq)]
pub struct Choices {
    /// Its name.
    pub name: String,
    /// Its types.
    pub offers: Vec<Offer>,
}

/// The types that were chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// Place in each tensor's offers.
    pub chosen: Vec<usize>,
    /// Bytes in all.
    pub bytes: u64,
    /// Error in all.
    pub error: f64,
    /// No mix within the budget has less error than this.
    pub bound: f64,
}

/// A search that cannot be made.
#[derive(Debug, Error, PartialEq)]
pub enum SearchError {
    /// A tensor without types.
    #[error("tensor `{0}` has no type to choose from; allow at least one whose blocks its rows fill")]
    NoOffer(String),
    /// An error that is no number.
    #[error(
        "tensor `{name}` has error {error} as {kind}, expected a finite number of at least 0; look for NaN or infinite weights"
    )]
    Error {
        /// Its name.
        name: String,
        /// The type.
        kind: GgmlType,
        /// The error.
        error: f64,
    },
    /// Even the smallest mix is too large.
    #[error(
        "the smallest mix takes {smallest} bytes, the budget is {budget}; allow more bytes or smaller types"
    )]
    TooSmall {
        /// Bytes of the smallest mix.
        smallest: u64,
        /// Bytes allowed.
        budget: u64,
    },
}

/// Share of the bound within which a mix is taken for the best.
const CLOSE: f64 = 1e-4;

/// The mix of least error that takes at most `budget` bytes.
///
/// # Errors
/// [`SearchError`] when a tensor has no type, an error is no number, or nothing fits.
pub fn search(tensors: &[Choices], budget: u64) -> Result<Mix, SearchError> {
    check(tensors)?;
    let smallest = take(tensors, |offer| (offer.bytes as f64, offer.error));
    let smallest_bytes = total(tensors, &smallest).0;
    if smallest_bytes > budget {
        return Err(SearchError::TooSmall { smallest: smallest_bytes, budget });
    }
    let best = take(tensors, |offer| (offer.error, offer.bytes as f64));
    let (bytes, error) = total(tensors, &best);
    if bytes <= budget {
        return Ok(Mix { chosen: best, bytes, error, bound: error });
    }
    let (mut chosen, price, bound) = lagrange(tensors, budget, smallest);
    improve(tensors, budget, &mut chosen);
    let (mut bytes, mut error) = total(tensors, &chosen);
    let far = error > bound * (1.0 + CLOSE);
    if let Some(found) = far.then(|| frontier::search(tensors, budget, price, error)).flatten() {
        chosen = found;
        improve(tensors, budget, &mut chosen);
        (bytes, error) = total(tensors, &chosen);
    }
    Ok(Mix { chosen, bytes, error, bound: bound.min(error) })
}

fn check(tensors: &[Choices]) -> Result<(), SearchError> {
    for tensor in tensors {
        if tensor.offers.is_empty() {
            return Err(SearchError::NoOffer(tensor.name.clone()));
        }
        if let Some(bad) = tensor.offers.iter().find(|offer| !(offer.error.is_finite() && offer.error >= 0.0))
        {
            return Err(SearchError::Error { name: tensor.name.clone(), kind: bad.kind, error: bad.error });
        }
    }
    Ok(())
}

/// The offer of least key of every tensor.
fn take(tensors: &[Choices], key: impl Fn(&Offer) -> (f64, f64)) -> Vec<usize> {
    let least = |tensor: &Choices| {
        let places = 0..tensor.offers.len();
        let order = |&a: &usize, &b: &usize| {
            let (a, b) = (key(&tensor.offers[a]), key(&tensor.offers[b]));
            a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
        };
        places.min_by(order).expect("every tensor has an offer")
    };
    tensors.iter().map(least).collect()
}

fn total(tensors: &[Choices], chosen: &[usize]) -> (u64, f64) {
    let offers = tensors.iter().zip(chosen).map(|(tensor, &place)| tensor.offers[place]);
    offers.fold((0, 0.0), |(bytes, error), offer| (bytes + offer.bytes, error + offer.error))
}

/// Mix, price per byte and lower bound. `fits` is a mix within the budget.
fn lagrange(tensors: &[Choices], budget: u64, mut fits: Vec<usize>) -> (Vec<usize>, f64, f64) {
    let priced =
        |price: f64| take(tensors, |offer| (offer.error + price * offer.bytes as f64, offer.bytes as f64));
    let mut high = 1e-30;
    while total(tensors, &priced(high)).0 > budget && high < 1e30 {
        high *= 4.0;
    }
    let (mut low, mut bound, mut best) = (0.0, 0.0_f64, high);
    for _ in 0..100 {
        let price = (low + high) / 2.0;
        let mix = priced(price);
        let (bytes, error) = total(tensors, &mix);
        let dual = error + price * (bytes as f64 - budget as f64);
        if dual > bound {
            (bound, best) = (dual, price);
        }
        if bytes <= budget {
            high = price;
            if error < total(tensors, &fits).1 {
                fits = mix;
            }
        } else {
            low = price;
        }
    }
    (fits, best, bound)
}

/// Upgrades single tensors, then exchanges between two, as long as the error falls and the budget holds.
fn improve(tensors: &[Choices], budget: u64, chosen: &mut [usize]) {
    let mut spare = budget - total(tensors, chosen).0;
    while let Some((tensor, place)) = best_upgrade(tensors, chosen, spare) {
        spare = spare + tensors[tensor].offers[chosen[tensor]].bytes - tensors[tensor].offers[place].bytes;
        chosen[tensor] = place;
    }
    // Ours: the pairs grow with the square of the tensors, and models with thousands leave no gap worth it.
    if tensors.len() <= 400 {
        for _ in 0..tensors.len() {
            if !exchange(tensors, chosen, &mut spare) {
                break;
            }
        }
    }
}

fn best_upgrade(tensors: &[Choices], chosen: &[usize], spare: u64) -> Option<(usize, usize)> {
    let mut best = (0.0, None);
    for (number, tensor) in tensors.iter().enumerate() {
        let now = tensor.offers[chosen[number]];
        for (place, offer) in tensor.offers.iter().enumerate() {
            let gain = now.error - offer.error;
            if offer.bytes <= now.bytes + spare && gain > best.0 {
                best = (gain, Some((number, place)));
            }
        }
    }
    best.1
}

/// Gives one tensor fewer bytes and another more, where that gains most; whether it did.
fn exchange(tensors: &[Choices], chosen: &mut [usize], spare: &mut u64) -> bool {
    let mut best = (0.0, None);
    for (down, tensor) in tensors.iter().enumerate() {
        let now = tensor.offers[chosen[down]];
        for (lower, offer) in tensor.offers.iter().enumerate().filter(|(_, offer)| offer.bytes < now.bytes) {
            let (freed, loss) = (*spare + now.bytes - offer.bytes, offer.error - now.error);
            for (up, other) in tensors.iter().enumerate().filter(|&(up, _)| up != down) {
                let have = other.offers[chosen[up]];
                for (higher, wanted) in other.offers.iter().enumerate() {
                    let gain = have.error - wanted.error - loss;
                    if wanted.bytes <= have.bytes + freed && gain > best.0 {
                        let left = have.bytes + freed - wanted.bytes;
                        best = (gain, Some((down, lower, up, higher, left)));
                    }
                }
            }
        }
    }
    let Some((down, lower, up, higher, left)) = best.1 else { return false };
    (chosen[down], chosen[up], *spare) = (lower, higher, left);
    true
}
